"""Schedules: workflows that are started whenever a cron expression says so. What starts them is `firing`."""

from collections.abc import Callable
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.house import House
from headrace.core.jobs import NORMAL
from headrace.core.jobs.record import PRIORITIES
from headrace.core.principal import Principal
from headrace.core.refusals import conflict, invalid, not_found
from headrace.core.schema.workflows import workflow_schedules as table
from headrace.core.workflows import cron as times
from headrace.core.workflows import defining, definitions, starting
from headrace.core.workflows.definitions import RESOURCE

MISSED = ("once", "skip", "all")
OVERLAP = ("skip", "allow")
LONGEST_CRON, LONGEST_ZONE = 128, 64
# By field: what was sent is checked, and returned as it is stored.
CHECKS: dict[str, Callable[[Any], Any]] = {
    "cron": lambda value: rules.text(value, "cron", least=1, most=LONGEST_CRON),
    "time_zone": lambda value: rules.text(value, "time_zone", least=1, most=LONGEST_ZONE),
    "payload": lambda value: starting.payload_text(value).decode(),
    "priority": lambda value: rules.integer(value, "priority", 0, PRIORITIES),
    "missed": lambda value: rules.choice(value, "missed", MISSED),
    "overlap": lambda value: rules.choice(value, "overlap", OVERLAP),
}


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """One schedule; times in microseconds. `last_job_id` is the job of the run at `last_at`.

    `error`: why nothing is started although it is due, as a time zone that the server does not know.

    `missed`: what was due while no server ran is made up for once, not at all (later than a minute), or all of it (up
    to 100). `overlap`: whether a run is left out while the job of the one before is not over; `skipped` counts these.
    """

    id: int
    organization_id: int
    name: str
    workflow: str
    payload: Any
    priority: int
    cron: str
    time_zone: str
    missed: str
    overlap: str
    paused_at: int | None
    next_at: int
    last_at: int | None
    last_job_id: int | None
    skipped: int
    error: str | None
    created_by: int | None
    created_at: int
    updated_at: int


SHOWN = [table.c[name] for name in Schedule.__struct_fields__]


def list_all(house: House, who: Principal) -> list[Schedule]:
    """The organization's schedules by name."""
    rules.require(who, RESOURCE, "read")
    query = sa.select(*SHOWN).where(table.c.organization_id == who.organization_id).order_by(table.c.name)
    with house.db.read() as connection:
        return [schedule_of(row) for row in connection.execute(query).mappings()]


def get(house: House, who: Principal, *, name: str) -> Schedule:
    rules.require(who, RESOURCE, "read")
    with house.db.read() as connection:
        return _one(connection, who, name)


def create(
    house: House,
    who: Principal,
    *,
    name: Any,
    workflow: Any,
    cron: Any,
    payload: Any = None,
    priority: Any = None,
    time_zone: Any = None,
    missed: Any = None,
    overlap: Any = None,
) -> Schedule:
    """Have a workflow started at every time that `cron` (five fields) names in a time zone (UTC).

    `payload` ({}) and `priority` (50) are what `start` takes. Refused: a name that there is already (conflict).
    """
    rules.require(who, RESOURCE, "write")
    title, now = defining.title_of(name), house.clock()
    values: dict[str, Any] = {
        "organization_id": who.organization_id,
        "name": title,
        "workflow": starting.workflow_name(workflow),
        "cron": CHECKS["cron"](cron),
        "payload": "{}",
        "priority": NORMAL,
        "time_zone": "UTC",
        "missed": MISSED[0],
        "overlap": OVERLAP[0],
        "skipped": 0,
        "created_by": who.account_id,
        "created_at": now,
        "updated_at": now,
    }
    values |= _checked(payload=payload, priority=priority, time_zone=time_zone, missed=missed, overlap=overlap)
    values["next_at"] = times.following(values["cron"], values["time_zone"], now)
    with house.db.write() as connection:
        _check_room(connection, house, who)
        insert = house.db.insert(table).values(values).on_conflict_do_nothing()
        row = connection.execute(insert.returning(*SHOWN)).mappings().one_or_none()
        if row is None:
            raise conflict(f"A schedule named {title!r} exists already")
        made = schedule_of(row)
        facts = {"workflow": made.workflow, "cron": made.cron, "time_zone": made.time_zone}
        audit.record(connection, house, who, "workflow:schedule:created", target=f"schedule:{made.id}", data=facts)
    return made


def update(
    house: House,
    who: Principal,
    *,
    name: str,
    workflow: Any = None,
    cron: Any = None,
    payload: Any = None,
    priority: Any = None,
    time_zone: Any = None,
    missed: Any = None,
    overlap: Any = None,
    paused: Any = None,
) -> Schedule:
    """Change what is given (None stays). What came due during a pause was not missed."""
    rules.require(who, RESOURCE, "write")
    values = _checked(
        cron=cron, payload=payload, priority=priority, time_zone=time_zone, missed=missed, overlap=overlap
    )
    if workflow is not None:
        values["workflow"] = starting.workflow_name(workflow)
    with house.db.write() as connection:
        found, now = _one(connection, who, name), house.clock()
        if paused is not None and rules.flag(paused, "paused") is (found.paused_at is None):
            values["paused_at"] = now if paused else None
        # One that is paused needs no next time: it may be one that has none here.
        resumed = "paused_at" in values and values["paused_at"] is None
        if resumed or values.keys() & {"cron", "time_zone"}:
            expression, zone = values.get("cron", found.cron), values.get("time_zone", found.time_zone)
            values |= {"next_at": times.following(expression, zone, now), "error": None}
        changed = sa.update(table).where(table.c.id == found.id).values(values | {"updated_at": now}).returning(*SHOWN)
        row = schedule_of(connection.execute(changed).mappings().one())
        facts = {"changed": sorted(values.keys() - {"next_at", "error"})}
        audit.record(connection, house, who, "workflow:schedule:changed", target=f"schedule:{row.id}", data=facts)
    return row


def remove(house: House, who: Principal, *, name: str) -> Schedule:
    """End a schedule; jobs that it has started stay."""
    rules.require(who, RESOURCE, "write")
    with house.db.write() as connection:
        found = _one(connection, who, name)
        connection.execute(sa.delete(table).where(table.c.id == found.id))
        audit.record(connection, house, who, "workflow:schedule:removed", target=f"schedule:{found.id}")
    return found


def schedule_of(row: sa.RowMapping) -> Schedule:
    """Read a row of SHOWN."""
    return Schedule(**{**row, "payload": msgspec.json.decode(row["payload"])})


def _checked(**given: Any) -> dict[str, Any]:
    """Check the fields that are given; return them as they are stored."""
    return {name: CHECKS[name](value) for name, value in given.items() if value is not None}


def _one(connection: sa.Connection, who: Principal, name: str) -> Schedule:
    mine = sa.and_(table.c.organization_id == who.organization_id, table.c.name == definitions.known(name))
    row = connection.execute(sa.select(*SHOWN).where(mine)).mappings().one_or_none()
    if row is None:
        raise not_found("Schedule not found")
    return schedule_of(row)


def _check_room(connection: sa.Connection, house: House, who: Principal) -> None:
    count = sa.select(sa.func.count()).where(table.c.organization_id == who.organization_id)
    if connection.execute(count).scalar_one() >= house.settings.schedule_limit:
        raise invalid("schedule", "full", text=f"Schedule limit reached: {house.settings.schedule_limit}")
