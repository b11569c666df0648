"""Panels: saved views of an account in its organization. With a project's key, those of the account that made it.

A panel's `project_id` is the caller's own text; it need not name a project and grants nothing.
"""

import re
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import rules
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import forbidden, invalid, not_found
from headrace.core.schema import panels, projects
from headrace.kit.keys import body

TYPES = ("logs", "errors", "metrics")
PROJECT = re.compile(r"[A-Za-z0-9_-]{1,255}")
PANEL = re.compile(r"panel_[a-z0-9]{16}")


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """`index` is the order shown; times in microseconds. With `recent`, a length, they are of the moment of asking."""

    id: str
    name: str
    index: int
    project_id: str
    time_range_from: int
    time_range_to: int
    type: str
    recent: int | None = None


def list_all(house: House, who: Principal) -> list[Panel]:
    """By index, then creation."""
    rules.require(who, "panels", "read")
    with house.db.read() as connection:
        mine = _mine(connection, who)
        rows = connection.execute(sa.select(panels).where(mine).order_by(panels.c.position, panels.c.number)).all()
    return [_panel(house, row) for row in rows]


def create(
    house: House,
    who: Principal,
    *,
    name: Any,
    index: Any,
    project_id: Any,
    time_range_from: Any,
    time_range_to: Any,
    type: Any,  # noqa: A002  The field's name.
    recent: int | None = None,
) -> Panel:
    rules.require(who, "panels", "write")
    fields = _fields(name, index, project_id, time_range_from, time_range_to, type) | {"recent": recent}
    with house.db.write() as connection:
        account_id = _account(connection, who)
        mine = _mine(connection, who)
        count, last = connection.execute(
            sa.select(sa.func.count(), sa.func.coalesce(sa.func.max(panels.c.number), 0)).where(mine)
        ).one()
        if count >= house.settings.panel_limit:
            raise invalid("panel", "full", text=f"Panel limit reached: {house.settings.panel_limit}")
        values = fields | {
            "id": f"panel_{body(16)}",
            "organization_id": who.organization_id,
            "account_id": account_id,
            "number": last + 1,
            "created_at": house.clock(),
        }
        return _panel(house, connection.execute(panels.insert().returning(panels), values).one())


def update(
    house: House,
    who: Principal,
    *,
    panel_id: str,
    name: Any,
    index: Any,
    project_id: Any,
    time_range_from: Any,
    time_range_to: Any,
    type: Any,  # noqa: A002  The field's name.
    recent: int | None = None,
) -> Panel:
    """Replace all fields."""
    rules.require(who, "panels", "write")
    fields = _fields(name, index, project_id, time_range_from, time_range_to, type) | {"recent": recent}
    _known(panel_id)
    with house.db.write() as connection:
        changed = sa.update(panels).where(panels.c.id == panel_id, _mine(connection, who)).values(fields)
        row = connection.execute(changed.returning(panels)).one_or_none()
    if row is None:
        raise not_found("Panel not found")
    return _panel(house, row)


def move(house: House, who: Principal, *, panel_id: str, by: int) -> None:
    """Change a panel's place by so many others, to the first or last at most; all are numbered anew from 0."""
    rules.require(who, "panels", "write")
    _known(panel_id)
    with house.db.write() as connection:
        mine = _mine(connection, who)
        order = sa.select(panels.c.id).where(mine).order_by(panels.c.position, panels.c.number)
        ids = list(connection.execute(order).scalars())
        if panel_id not in ids:
            raise not_found("Panel not found")
        place = ids.index(panel_id)
        ids.insert(max(0, min(len(ids) - 1, place + by)), ids.pop(place))
        for position, one in enumerate(ids):
            changed = sa.update(panels).where(panels.c.id == one, mine, panels.c.position != position)
            connection.execute(changed.values(position=position))


def delete(house: House, who: Principal, *, panel_id: str) -> None:
    rules.require(who, "panels", "write")
    _known(panel_id)
    with house.db.write() as connection:
        gone = sa.delete(panels).where(panels.c.id == panel_id, _mine(connection, who))
        if not connection.execute(gone).rowcount:
            raise not_found("Panel not found")


def _known(panel_id: str) -> None:
    """Refuse what was never an id of ours: a database need not be able to take it."""
    if not PANEL.fullmatch(panel_id):
        raise not_found("Panel not found")


def _account(connection: sa.Connection, who: Principal) -> int:
    """Whose panels the caller means."""
    account_id = who.account_id
    if who.project_id is not None:
        query = sa.select(projects.c.created_by).where(
            projects.c.id == who.project_id, projects.c.organization_id == who.organization_id
        )
        account_id = connection.execute(query).scalar()
    if account_id is None:
        raise forbidden("This project has no account whose panels could be shown")
    return account_id


def _mine(connection: sa.Connection, who: Principal) -> sa.ColumnElement[bool]:
    return sa.and_(panels.c.organization_id == who.organization_id, panels.c.account_id == _account(connection, who))


def _fields(  # noqa: PLR0917  The six fields in the order they are checked.
    name: Any, index: Any, project_id: Any, time_range_from: Any, time_range_to: Any, kind: Any
) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": rules.name(name),
        "position": rules.integer(index, "index", 0),
        "project_id": _project(project_id),
        "time_range_from": rules.moment(time_range_from, "time_range_from"),
        "time_range_to": rules.moment(time_range_to, "time_range_to"),
        "type": rules.choice(kind, "type", TYPES),
    }
    if fields["time_range_from"] > fields["time_range_to"]:
        raise invalid("time_range_from", "order", text="time_range_from must not be after time_range_to")
    return fields


def _project(value: Any) -> str:
    """An integer is stored as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    sent = rules.text(value, "project_id", least=1, most=255)
    if not PROJECT.fullmatch(sent):
        raise invalid("project_id", "must match ^[A-Za-z0-9_-]+$")
    return sent


def _panel(house: House, row: sa.Row[Any]) -> Panel:
    first, last = row.time_range_from, row.time_range_to
    if row.recent is not None:
        last = house.clock()
        first = last - row.recent
    return Panel(
        id=row.id,
        name=row.name,
        index=row.position,
        project_id=row.project_id,
        time_range_from=first,
        time_range_to=last,
        type=row.type,
        recent=row.recent,
    )
