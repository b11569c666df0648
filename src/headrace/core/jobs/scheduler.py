"""What is to happen at a time: jobs that are due, cron schedules, jobs whose retention is over. One process leads."""

import logging
from datetime import datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import sqlalchemy as sa
from cronsim import CronSim, CronSimError

from headrace.core.house import House
from headrace.core.jobs import statements as sql
from headrace.core.jobs.bell import NEVER
from headrace.core.jobs.enqueue import enqueue
from headrace.core.jobs.record import Kinds
from headrace.core.jobs.statements import run
from headrace.core.refusals import invalid
from headrace.core.schema import jobs as schema
from headrace.kit.times import EPOCH, MICROSECOND, MINUTE, SECOND

log = logging.getLogger(__name__)

Missed = Literal["once", "skip", "all"]
DUE_AT_ONCE = 500
PURGED_AT_ONCE = 1_000
# Of a schedule with "all", after a long silence.
MISSED_AT_MOST = 100
LATE_US = MINUTE
LEAD_US = 10 * SECOND
MAINTENANCE = "maintenance"

PROMOTE = f"""UPDATE jobs SET state = 'ready' WHERE state = 'scheduled' AND id IN (
SELECT id FROM jobs WHERE state = 'scheduled' AND run_at <= :now ORDER BY run_at LIMIT {DUE_AT_ONCE}"""
LEADER = "SELECT holder, until FROM job_leaders WHERE name = :name"
LEAD = """INSERT INTO job_leaders (name, holder, until) VALUES (:name, :holder, :until)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE job_leaders.holder = excluded.holder OR job_leaders.until < :now RETURNING holder"""
RESIGN = "DELETE FROM job_leaders WHERE holder = :holder"


def promote(connection: sa.Connection, now: int) -> int:
    """Make due jobs ready. Returns when the next one is due, NEVER when none waits."""
    found = run(connection, sql.DUE).fetchone()[0]
    if found is not None and found <= now:
        run(connection, PROMOTE + sql.SKIP[connection.dialect.name] + ")", now=now)
        found = run(connection, sql.DUE).fetchone()[0]
    return NEVER if found is None else int(found)


def lead(house: House, holder: str) -> bool:
    """Take or keep the lead for ten seconds; False while another has it. On SQLite there is one engine anyway.

    Most asks only look: who leads writes once in a third of that time, the others when it is over.
    """
    if house.db.dialect == "sqlite":
        return True
    now = house.clock()
    with house.db.read() as connection:
        leader, until = run(connection, LEADER, name=MAINTENANCE).fetchone() or ("", 0)
    if until >= now and (leader != holder or until - now > LEAD_US * 2 // 3):
        return bool(leader == holder)
    values = {"name": MAINTENANCE, "holder": holder, "until": now + LEAD_US, "now": now}
    return house.db.submit(lambda connection: run(connection, LEAD, **values).fetchone() is not None)


def resign(house: House, holder: str) -> None:
    house.db.submit(lambda connection: run(connection, RESIGN, holder=holder))


def schedule(
    house: House,
    *,
    name: str,
    cron: str,
    kind: str,
    organization_id: int,
    payload: Any = None,
    zone: str = "UTC",
    missed: Missed = "once",
) -> int:
    """Have a job enqueued at every time that a cron expression (five fields, or six with seconds) names in a time zone.

    Same organization and name: the schedule is replaced. Runs that were missed are made up for once, not at all, or all
    (MISSED_AT_MOST). Returns when the next one is due.
    """
    next_at = following(cron, zone, house.clock())
    house.part(Kinds)[kind]
    table, now = schema.job_schedules, house.clock()
    values = {
        "organization_id": organization_id,
        "name": name,
        "cron": cron,
        "zone": zone,
        "kind": kind,
        "payload": msgspec.json.encode(payload).decode(),
        "missed": missed,
        "is_paused": 0,
        "next_at": next_at,
        "created_at": now,
    }
    changed = {key: value for key, value in values.items() if key not in {"organization_id", "name", "created_at"}}
    same = (table.c.cron == cron) & (table.c.zone == zone)
    # A start of the program that says the same again must not move what is due.
    changed["next_at"] = sa.case((same, table.c.next_at), else_=next_at)
    insert = house.db.insert(table).values(values)
    keys = [table.c.organization_id, table.c.name]
    with house.db.write() as connection:
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changed))
    return next_at


def unschedule(house: House, *, name: str, organization_id: int) -> bool:
    """End a schedule; tell whether there was one. Jobs that it has enqueued stay."""
    table = schema.job_schedules
    mine = (table.c.organization_id == organization_id) & (table.c.name == name)
    with house.db.write() as connection:
        return connection.execute(sa.delete(table).where(mine)).rowcount == 1


def following(cron: str, zone: str, after: int) -> int:
    """Return the first time after `after` that a cron expression names. Refused: one that cannot be read."""
    try:
        local = (EPOCH + timedelta(microseconds=after)).astimezone(ZoneInfo(zone))
        found: datetime = next(CronSim(cron, local))
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise invalid("zone", f"must name a time zone, and is {zone!r}") from error
    except (CronSimError, StopIteration) as error:
        raise invalid("cron", f"must be a cron expression that comes true, and is {cron!r}") from error
    return (found - EPOCH) // MICROSECOND


def fire(house: House) -> int:
    """Enqueue what schedules are due. Returns how many jobs that were; the same run is never enqueued twice."""
    table, now = schema.job_schedules, house.clock()
    due = sa.select(table).where(table.c.next_at <= now, table.c.is_paused == 0).order_by(table.c.next_at)
    with house.db.read() as connection:
        if connection.execute(due.limit(1)).first() is None:
            return 0
    made = 0
    with house.db.write() as connection:
        for row in connection.execute(due.with_for_update(skip_locked=True)).all():
            if row.kind not in house.part(Kinds).named:
                continue
            times, next_at = _missed(row, now)
            for at in times:
                enqueue(
                    house,
                    connection,
                    kind=row.kind,
                    organization_id=row.organization_id,
                    payload=msgspec.json.decode(row.payload),
                    name=row.name,
                    unique=f"schedule:{row.id}:{at}",
                )
            changed = sa.update(table).where(table.c.id == row.id).values(next_at=next_at, last_at=now)
            connection.execute(changed)
            made += len(times)
    return made


def _missed(row: Any, now: int) -> tuple[list[int], int]:
    """Return the runs to make up for, and the next time."""
    times: list[int] = []
    at = row.next_at
    while at <= now:
        times.append(at)
        if len(times) >= MISSED_AT_MOST:
            at = following(row.cron, row.zone, now)
            break
        at = following(row.cron, row.zone, at)
    if row.missed == "once":
        times = times[-1:]
    elif row.missed == "skip":
        times = [time for time in times if now - time < LATE_US][-1:]
    return times, at


def purge(house: House) -> int:
    """Delete jobs whose retention is over, with their steps. Returns how many."""
    table, steps = schema.jobs, schema.job_steps
    over = sa.select(table.c.id).where(table.c.purge_at <= house.clock()).order_by(table.c.purge_at)
    gone = 0
    while True:
        with house.db.write() as connection:
            ids = connection.execute(over.limit(PURGED_AT_ONCE)).scalars().all()
            connection.execute(sa.delete(steps).where(steps.c.job_id.in_(ids)))
            connection.execute(sa.delete(table).where(table.c.id.in_(ids)))
        gone += len(ids)
        if len(ids) < PURGED_AT_ONCE:
            return gone
