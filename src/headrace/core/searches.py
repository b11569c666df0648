"""Saved searches: the state of the explorer under a name, one's own or shared with the organization."""

import json
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.events import stats
from headrace.core.events.read import compiled
from headrace.core.house import House
from headrace.core.keys import resolved_project
from headrace.core.principal import Principal
from headrace.core.refusals import forbidden, invalid, not_found
from headrace.core.schema.alerts import saved_searches
from headrace.eventstore import search, statistics

# Lengths of time that end now.
PERIODS = ("5m", "15m", "1h", "4h", "24h", "7d", "30d", "365d")
VIEWS = ("events", "patterns")
MOST_COLUMNS = 10
UNSEEN = "Saved search not found"


class SavedSearch(msgspec.Struct, frozen=True, kw_only=True):
    """`period` is one of PERIODS, or None where `time_from` and `time_to` (microseconds) say when.

    `columns` are shown beside time, level and message; `view` is how the events are listed. Without an `account_id` it
    is nobody's own, and shared.
    """

    id: int
    project_id: int
    account_id: int | None
    name: str
    query: str
    period: str | None
    time_from: int | None
    time_to: int | None
    columns: tuple[str, ...]
    view: str
    is_shared: bool
    created_at: int
    updated_at: int


SHOWN = [saved_searches.c[name] for name in SavedSearch.__struct_fields__]


def create(house: House, who: Principal, *, project_id: int, **fields: Any) -> SavedSearch:
    """Save a search of a project under a name; the fields are those of `_fields`."""
    rules.require(who, "logs", "write")
    project = resolved_project(house, who, project_id)
    values, now = _fields(**fields), house.clock()
    if who.account_id is None and not values["is_shared"]:
        raise invalid("is_shared", "must be true for a caller without an account")
    mine = saved_searches.c.organization_id == who.organization_id
    with house.db.write() as connection:
        number = sa.select(sa.func.count()).where(mine).select_from(saved_searches)
        if connection.execute(number).scalar_one() >= house.settings.search_limit:
            raise invalid("search", "full", text=f"Saved search limit reached: {house.settings.search_limit}")
        made = saved_searches.insert().values(
            organization_id=who.organization_id,
            project_id=project.project_id,
            account_id=who.account_id,
            created_at=now,
            updated_at=now,
            **values,
        )
        found = _search(connection.execute(made.returning(*SHOWN)).one())
        _record(connection, house, who, found, "created")
    return found


def list_all(house: House, who: Principal, *, project_id: int) -> list[SavedSearch]:
    """Return a project's searches that the caller may see, by name."""
    rules.require(who, "logs", "read")
    project = resolved_project(house, who, project_id)
    query = sa.select(*SHOWN).where(_seen_by(who), saved_searches.c.project_id == project.project_id)
    with house.db.read() as connection:
        rows = connection.execute(query).all()
    return sorted((_search(row) for row in rows), key=lambda one: (one.name.casefold(), one.id))


def get(house: House, who: Principal, *, search_id: int) -> SavedSearch:
    rules.require(who, "logs", "read")
    with house.db.read() as connection:
        return _one(connection, who, search_id)


def update(house: House, who: Principal, *, search_id: int, **fields: Any) -> SavedSearch:
    """Replace all fields of a search that is the caller's own; of a shared one also as an admin."""
    rules.require(who, "logs", "write")
    values = _fields(**fields)
    with house.db.write() as connection:
        found = _changeable(connection, who, search_id)
        if found.account_id is None and not values["is_shared"]:
            raise invalid("is_shared", "must be true for a search that nobody owns")
        changed = sa.update(saved_searches).where(saved_searches.c.id == found.id)
        row = connection.execute(changed.values(updated_at=house.clock(), **values).returning(*SHOWN)).one()
        _record(connection, house, who, found, "changed")
    return _search(row)


def delete(house: House, who: Principal, *, search_id: int) -> None:
    rules.require(who, "logs", "write")
    with house.db.write() as connection:
        found = _changeable(connection, who, search_id)
        connection.execute(sa.delete(saved_searches).where(saved_searches.c.id == found.id))
        _record(connection, house, who, found, "deleted")


def _fields(
    *,
    name: Any,
    query: Any = "",
    period: Any = None,
    time_from: Any = None,
    time_to: Any = None,
    columns: Any = (),
    view: Any = "events",
    is_shared: Any = False,
) -> dict[str, Any]:
    """Check what a search is made of; times are ISO 8601. Without any time it is of the last hour."""
    text = rules.text(query, "query", most=search.MAX_LENGTH).strip()
    compiled(text, "query")
    start = None if time_from is None else rules.moment(time_from, "time_from")
    end = None if time_to is None else rules.moment(time_to, "time_to")
    if (start is None) != (end is None):
        raise invalid("time_from", "both", text="time_from and time_to belong together: give both, or neither")
    if start is not None and period is not None:
        raise invalid("period", "cannot be combined with time_from and time_to")
    if start is not None and end is not None and start > end:
        raise invalid("time_from", "order", text="time_from must not be after time_to")
    if start is None:
        period = rules.choice(period or "1h", "period", PERIODS)
    rules.flag(is_shared, "is_shared")
    return {
        "name": rules.name(name),
        "query": text,
        "period": period,
        "time_from": start,
        "time_to": end,
        "columns": json.dumps(column_names(columns)),
        "view": rules.choice(view, "view", VIEWS),
        "is_shared": int(is_shared),
    }


def column_names(columns: Any) -> list[str]:
    """Check the columns of a list of events: names of fields or `attributes.<path>`, each once."""
    if not isinstance(columns, list | tuple) or not all(isinstance(one, str) for one in columns):
        raise invalid("columns", "must be a list of texts", type="type")
    if len(columns) > MOST_COLUMNS or len(set(columns)) != len(columns):
        raise invalid("columns", f"must be at most {MOST_COLUMNS} different names")
    for one in columns:
        stats.known(rules.text(one, "columns"), statistics.VALUES, "columns")
    return list(columns)


def _seen_by(who: Principal) -> sa.ColumnElement[bool]:
    shared = saved_searches.c.is_shared == 1
    seen = shared if who.account_id is None else sa.or_(shared, saved_searches.c.account_id == who.account_id)
    return sa.and_(saved_searches.c.organization_id == who.organization_id, seen)


def _one(connection: sa.Connection, who: Principal, search_id: int) -> SavedSearch:
    query = sa.select(*SHOWN).where(_seen_by(who), saved_searches.c.id == search_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise not_found(UNSEEN)
    return _search(row)


def _changeable(connection: sa.Connection, who: Principal, search_id: int) -> SavedSearch:
    found = _one(connection, who, search_id)
    own = found.account_id is not None and found.account_id == who.account_id
    if not own and not who.is_admin:
        raise forbidden("Only its owner or an admin may change a shared search")
    return found


def _search(row: Any) -> SavedSearch:
    columns = tuple(json.loads(row.columns))
    return SavedSearch(**{**row._mapping, "columns": columns, "is_shared": bool(row.is_shared)})  # noqa: SLF001


def _record(connection: sa.Connection, house: House, who: Principal, found: SavedSearch, action: str) -> None:
    audit.record(connection, house, who, f"logs:search:{action}", target=f"search:{found.id}")
