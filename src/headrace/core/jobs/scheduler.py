"""What is to happen at a time: jobs that are due, jobs whose retention is over. One process leads."""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.jobs import statements as sql
from headrace.core.jobs.bell import NEVER
from headrace.core.jobs.statements import run
from headrace.core.schema import jobs as schema
from headrace.kit.times import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

DUE_AT_ONCE = 500
PURGED_AT_ONCE = 1_000
LEAD_US = 10 * SECOND
MAINTENANCE = "maintenance"

PROMOTE = f"""UPDATE jobs SET state = 'ready' WHERE state = 'scheduled' AND id IN (
SELECT id FROM jobs WHERE state = 'scheduled' AND run_at <= :now ORDER BY run_at LIMIT {DUE_AT_ONCE}"""
LEADER = "SELECT holder, until FROM job_leaders WHERE name = :name"
LEAD = """INSERT INTO job_leaders (name, holder, until) VALUES (:name, :holder, :until)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
WHERE job_leaders.holder = excluded.holder OR job_leaders.until < :now RETURNING holder"""
RESIGN = "DELETE FROM job_leaders WHERE holder = :holder"


class Duties:
    """What else the process that leads does once a second: rooms above have theirs put here."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.all: list[Callable[[House], object]] = []


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
