"""Leases: renewed by whoever holds them, taken back from whoever is gone.

The house's clock counts, which on PostgreSQL is the database's: machines need not agree on the time. Where one is off
for a moment all the same, jobs run twice at once at worst, of which the fence lets only one finish.
"""

import logging
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.jobs import outcome, workers
from headrace.core.jobs import statements as sql
from headrace.core.jobs.outcome import Progress
from headrace.core.jobs.record import Kinds
from headrace.core.jobs.settle import settle
from headrace.core.jobs.statements import run
from headrace.kit.times import SECOND

log = logging.getLogger(__name__)

REAPED_AT_ONCE = 200

RENEW = "UPDATE jobs SET lease_until = :until WHERE worker = :worker AND state IN ('running', 'cancelling') AND id "
STOPPING = "SELECT id, attempt FROM jobs WHERE worker = :worker AND state = 'cancelling'"
SAY = f"""UPDATE jobs SET progress_done = :done, progress_total = :total, progress_message = :message
WHERE {sql.MINE}"""
HOLDERS = "SELECT DISTINCT worker FROM jobs WHERE state IN ('running', 'cancelling')"
EXPIRED = f"""SELECT {sql.COLUMNS}, worker FROM jobs WHERE state IN ('running', 'cancelling') AND lease_until < :now
ORDER BY lease_until LIMIT {REAPED_AT_ONCE}"""
DEAD = f"""SELECT {sql.COLUMNS}, worker FROM jobs WHERE state IN ('running', 'cancelling') AND worker = :worker
LIMIT {REAPED_AT_ONCE}"""


def lease_us(house: House) -> int:
    return house.settings.jobs_lease_seconds * SECOND


def renew(house: House, worker: str, ids: Sequence[int]) -> dict[int, int]:
    """Extend the leases of these jobs. Returns the attempt of each; those that are missing are lost."""
    until = house.clock() + lease_us(house)

    def extend(connection: sa.Connection) -> dict[int, int]:
        text = RENEW + sql.SOME[connection.dialect.name] + " RETURNING id, attempt"
        rows = run(connection, text, until=until, worker=worker, ids=sql.some(connection, list(ids))).fetchall()
        return {row[0]: row[1] for row in rows}

    return house.db.submit(extend)


def stopping(house: House, worker: str) -> list[tuple[int, int]]:
    """Return id and attempt of the worker's jobs that somebody cancelled."""
    with house.db.read() as connection:
        return [(row[0], row[1]) for row in run(connection, STOPPING, worker=worker)]


def say(house: House, worker: str, progress: Mapping[tuple[int, int], Progress]) -> None:
    """Write how far jobs are; of those that somebody else has by now nothing is changed."""

    def write(connection: sa.Connection) -> None:
        for (job_id, attempt), said in sorted(progress.items()):
            run(
                connection,
                SAY,
                id=job_id,
                attempt=attempt,
                worker=worker,
                done=said.done,
                total=said.total,
                message=said.message,
            )

    house.db.submit(write)


def reap(house: House) -> int:
    """Take back jobs whose lease is over, and those of this machine's workers that are known dead. Returns how many."""
    now = house.clock()
    with house.db.read() as connection:
        holders = [row[0] for row in run(connection, HOLDERS)]
    if not holders:
        return 0
    dead = [worker for worker in holders if workers.is_dead(worker)]

    def take(connection: sa.Connection) -> int:
        skip = sql.SKIP[connection.dialect.name]
        rows = run(connection, EXPIRED + skip, now=now).fetchall()
        for worker in dead:
            rows += run(connection, DEAD + skip, worker=worker).fetchall()
        kinds = house.part(Kinds)
        given = {row[0]: outcome.lost(sql.job_of(row[:-1]), row[-1]) for row in rows if kinds.find(row[3])}
        return len(settle(house, connection, list(given.values())))

    found = house.db.submit(take)
    if found:
        log.warning("%s jobs of lost workers were taken back", found)
        house.counters.add("jobs_reaped_total", (), found)
    return found
