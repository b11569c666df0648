"""Workers outside: they take jobs by name for a while, say that they are alive, and report. Doors speak to them."""

import re
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.jobs import outcome
from headrace.core.jobs import statements as sql
from headrace.core.jobs.enqueue import lane_of
from headrace.core.jobs.outcome import Outcome, Progress, clean
from headrace.core.jobs.record import Job, Kind, Kinds, NonRetryable, Retry
from headrace.core.jobs.settle import settle
from headrace.core.jobs.statements import job_of, run
from headrace.core.refusals import conflict
from headrace.kit.times import SECOND

FENCE = re.compile(r"([0-9]{1,18}):([0-9]{1,9})")
GONE = "The job is no longer this worker's: its lease ended, or it is over"
MOST = 100
OUTSIDE = "outside:"
LONGEST_SECONDS = 3_600.0

WAITING = "FROM jobs WHERE state = 'ready' AND kind = :kind AND lane = :lane"
PICK = f"SELECT ord, id {WAITING} AND name = :name ORDER BY ord, id LIMIT :many"
TAKE = f"{sql.TAKING} WHERE state = 'ready' AND id "
HELD = "SELECT count(*) FROM jobs WHERE state IN ('running', 'cancelling') AND kind = :kind AND lane = :lane"
PAUSED = "SELECT 1 FROM job_pauses WHERE kind IN ('', :kind) AND organization_id IN (0, :organization_id)"
GIVE = """UPDATE jobs SET worker = :other, lease_until = :until
WHERE id = :id AND attempt = :attempt AND worker = :worker AND state = 'running' RETURNING id"""
THEIRS = f"{sql.MINE} AND organization_id = :organization_id"
HOLDER = f"""SELECT {sql.COLUMNS}, worker FROM jobs WHERE id = :id AND attempt = :attempt
AND organization_id = :organization_id AND state IN ('running', 'cancelling')"""
EXTEND = f"UPDATE jobs SET lease_until = :until WHERE {THEIRS} RETURNING {sql.COLUMNS}"
SAY = f"""UPDATE jobs SET lease_until = :until, progress_done = :done, progress_total = :total,
progress_message = :message WHERE {THEIRS} RETURNING {sql.COLUMNS}"""


def lease(
    house: House,
    *,
    kind: str,
    organization_id: int,
    name: str,
    worker: str,
    limit: int,
    seconds: float,
    most_held: int,
) -> list[Job]:
    """Take up to `limit` ready jobs of a name, most urgent first, for `seconds`.

    They are looked for in the organization's own lane and in the one that bears their name; no more are taken than
    leave `most_held` of them held in each of these, and none of a kind that is paused.
    """
    if not anything(house, kind=kind, organization_id=organization_id, names=[name]):
        return []  # Most polls find nothing, and need not wait for the writer.
    now = house.clock()
    until = now + round(min(seconds, LONGEST_SECONDS) * SECOND)
    lanes = _lanes(organization_id, [name])

    def take(connection: sa.Connection) -> list[Job]:
        if _is_paused(connection, kind, organization_id):
            return []
        free = min(limit, most_held - _most_held(connection, kind, lanes))
        if free <= 0:
            return []
        ids = _picked(connection, kind, lanes, name, min(free, MOST))
        if not ids:
            return []
        text = TAKE + sql.SOME[connection.dialect.name] + f" RETURNING {sql.COLUMNS}"
        rows = run(connection, text, ids=sql.some(connection, ids), worker=_named(worker), now=now, until=until)
        place = {job_id: number for number, job_id in enumerate(ids)}
        return sorted((job_of(row) for row in rows), key=lambda job: place[job.id])

    return house.db.submit(take)


def anything(house: House, *, kind: str, organization_id: int, names: Sequence[str]) -> bool:
    """Tell whether a job of these names may be ready and is not held back, by a look at an index or two."""
    with house.db.read() as connection:
        if _is_paused(connection, kind, organization_id):
            return False
        look = f"SELECT 1 {WAITING} LIMIT 1"
        return any(run(connection, look, kind=kind, lane=lane).fetchone() for lane in _lanes(organization_id, names))


def _is_paused(connection: sa.Connection, kind: str, organization_id: int) -> bool:
    return run(connection, PAUSED, kind=kind, organization_id=organization_id).fetchone() is not None


def _lanes(organization_id: int, names: Sequence[str]) -> list[str]:
    """The organization's own lane, and those that bear the names."""
    return [lane_of(organization_id, None), *(lane_of(organization_id, name) for name in dict.fromkeys(names))]


def _most_held(connection: sa.Connection, kind: str, lanes: list[str]) -> int:
    return max(int(run(connection, HELD, kind=kind, lane=lane).fetchone()[0]) for lane in lanes)


def hand_over(house: House, *, fence: str, worker: str, to: str, seconds: float) -> bool:
    """Let a worker outside hold a job that `worker` (an engine's name) runs; what the engine makes of it is lost then.

    False when it no longer runs there.
    """
    job_id, _, attempt = fence.partition(":")
    until = house.clock() + round(min(seconds, LONGEST_SECONDS) * SECOND)
    values = {"id": int(job_id), "attempt": int(attempt), "worker": worker, "other": _named(to), "until": until}
    return house.db.submit(lambda connection: run(connection, GIVE, **values).fetchone() is not None)


def holder(house: House, *, fence: str, organization_id: int) -> tuple[Job, str] | None:
    """Return the job of an attempt that is under way and the engine that runs it; None when none of ours does."""
    if not FENCE.fullmatch(fence):
        return None
    job_id, _, attempt = fence.partition(":")
    values = {"id": int(job_id), "attempt": int(attempt), "organization_id": organization_id}
    with house.db.read() as connection:
        row = run(connection, HOLDER, **values).fetchone()
    return None if row is None or row[-1].startswith(OUTSIDE) else (job_of(row[:-1]), row[-1])


def _picked(connection: sa.Connection, kind: str, lanes: list[str], name: str, limit: int) -> list[int]:
    found: list[Any] = []
    text = PICK + sql.SKIP[connection.dialect.name]
    for lane in lanes:
        found += run(connection, text, kind=kind, lane=lane, name=name, many=limit).fetchall()
    return [row[1] for row in sorted(found)[:limit]]


def heartbeat(
    house: House,
    *,
    fence: str,
    worker: str,
    seconds: float,
    organization_id: int,
    progress: Progress | None = None,
) -> Job:
    """Hold a job for `seconds` from now. Its state says whether somebody cancelled it. Refused (conflict) when lost."""
    until = house.clock() + round(min(seconds, LONGEST_SECONDS) * SECOND)
    text, values = EXTEND, _fenced(fence, worker, organization_id) | {"until": until}
    if progress is not None:
        text, message = SAY, clean(progress.message or "") or None
        values |= {"done": progress.done, "total": progress.total, "message": message}
    return house.db.submit(lambda connection: _mine(run(connection, text, **values).fetchone()), single=True)


def finish(
    house: House,
    *,
    fence: str,
    worker: str,
    organization_id: int,
    result: Any = None,
    error: str | None = None,
    retry: bool = True,
) -> Job:
    """Report how a job ended: with `error` it failed, and is tried again unless `retry` is False or tries are used up.

    Refused (conflict) when the worker has lost it.
    """
    values = _fenced(fence, worker, organization_id)

    def write(connection: sa.Connection) -> Job:
        text = f"SELECT {sql.COLUMNS} FROM jobs WHERE {THEIRS}{sql.WAIT[connection.dialect.name]}"
        job = _mine(run(connection, text, **values).fetchone())
        settle(
            house, connection, [_ended(house.part(Kinds)[job.kind], job, _named(worker), result, error, retry=retry)]
        )
        return job_of(run(connection, sql.ONE, id=job.id).fetchone())

    return house.db.submit(write)


def _ended(kind: Kind, job: Job, worker: str, result: Any, error: str | None, *, retry: bool) -> Outcome:
    if error is None:
        return outcome.succeeded(kind, job, worker, result)
    said = error or "The worker gave no reason"
    return outcome.failed(kind, job, worker, Retry(said) if retry else NonRetryable(said))


def _mine(row: Any) -> Job:
    if row is None:
        raise conflict(GONE)
    return job_of(row)


def _fenced(fence: str, worker: str, organization_id: int) -> dict[str, Any]:
    if not FENCE.fullmatch(fence):
        raise conflict(GONE)
    job_id, _, attempt = fence.partition(":")
    return {"id": int(job_id), "attempt": int(attempt), "worker": _named(worker), "organization_id": organization_id}


def _named(worker: str) -> str:
    """Workers outside choose their names; none can be one of an engine's."""
    return f"{OUTSIDE}{worker}"[:96]
