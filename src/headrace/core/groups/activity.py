"""Activity: who did what to a group, and what it did by itself. The last 500 lines of each group are kept."""

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from headrace.core.groups import finding
from headrace.core.principal import Principal
from headrace.core.schema.groups import group_activity

if TYPE_CHECKING:
    from headrace.core.house import House

KINDS = (
    "status",
    "muted",
    "unmuted",
    "regressed",
    "assigned",
    "commented",
    "comment_edited",
    "comment_deleted",
    "merged",
    "merged_away",
    "unmerged",
)
KEPT = 500
SYSTEM = "system"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `actor_kind` is a principal's, or `system`; `data` says what, as the kind needs it."""

    id: int
    at: int
    kind: str
    actor_kind: str
    account_id: int | None
    data: dict[str, Any]


SHOWN = [group_activity.c[name] for name in Line.__struct_fields__]


def record(  # noqa: PLR0917  Who, what and where, in the order in which a sentence says it.
    connection: sa.Connection,
    house: "House",
    who: Principal,
    group_id: int,
    kind: str,
    data: dict[str, Any] | None = None,
) -> None:
    """Write a person's line, and let go what is beyond the limit."""
    line = system_line(who.organization_id, group_id, kind, house.clock(), data or {})
    connection.execute(group_activity.insert(), line | {"actor_kind": who.kind, "account_id": who.account_id})
    trim(connection, [group_id])


def system_line(organization_id: int, group_id: int, kind: str, at: int, data: dict[str, Any]) -> dict[str, Any]:
    return {
        "organization_id": organization_id,
        "group_id": group_id,
        "at": at,
        "actor_kind": SYSTEM,
        "account_id": None,
        "kind": kind,
        "data": json.dumps(data),
    }


def trim(connection: sa.Connection, groups: Iterable[int]) -> None:
    table = group_activity.c
    for group_id in groups:
        newest = sa.select(table.id).where(table.group_id == group_id).order_by(table.id.desc()).offset(KEPT).limit(1)
        last = connection.execute(newest).scalar()
        if last is not None:
            connection.execute(sa.delete(group_activity).where(table.group_id == group_id, table.id <= last))


def list_all(
    house: "House", who: Principal, *, project_id: int, group_id: int, limit: int = 100, before: int | None = None
) -> list[Line]:
    """A group's lines, newest first; `before` is the id of the last one seen."""
    group = finding.get(house, who, project_id=project_id, group_id=group_id)
    query = sa.select(*SHOWN).where(group_activity.c.group_id == group.id)
    if before is not None:
        query = query.where(group_activity.c.id < before)
    with house.db.read() as connection:
        rows = connection.execute(query.order_by(group_activity.c.id.desc()).limit(limit)).mappings().all()
    return [Line(**{**row, "data": json.loads(row["data"])}) for row in rows]
