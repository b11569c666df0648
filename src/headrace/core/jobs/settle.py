"""Settling: what became of claimed jobs is written, in groups, by whoever still holds them.

Each write carries the worker and the attempt: of a job that somebody else has by now nothing is changed.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.jobs import statements as sql
from headrace.core.jobs.bell import Bell
from headrace.core.jobs.enqueue import order
from headrace.core.jobs.outcome import Outcome, Progress
from headrace.core.jobs.record import Job, Kinds
from headrace.core.jobs.statements import run
from headrace.core.jobs.states import CANCELLED, CANCELLING, FAILED, FINAL, READY, SCHEDULED, SUCCEEDED
from headrace.kit.database import driver
from headrace.kit.times import DAY

log = logging.getLogger(__name__)

ERRORS_KEPT = 10
NOTHING = Progress(None, None, None)


class Totals:
    """What ended in one transaction, added to the totals at its end, in one order for all processes."""

    def __init__(self) -> None:
        self.sums: dict[tuple[int, str, str], list[int]] = defaultdict(lambda: [0, 0])

    def add(self, job: Job, state: str, now: int, number: int = 1) -> None:
        cell = self.sums[job.organization_id, job.view or "", state]
        cell[0] += number
        cell[1] += number * max(0, now - job.started_at) if job.started_at is not None else 0

    def write(self, connection: sa.Connection) -> None:
        if self.sums:
            rows = [(*key, *cell) for key, cell in sorted(self.sums.items())]
            text = sql.TOTAL_SQLITE if connection.dialect.name == "sqlite" else sql.TOTAL_POSTGRESQL
            run(connection, text, **sql.rows_of(connection, "organizations views states numbers sums", rows))


def settle(house: House, connection: sa.Connection, given: Sequence[Outcome]) -> dict[int, str]:
    """Write outcomes. Returns the state of each job by id; those that are missing were held by another."""
    kinds, totals = house.part(Kinds), Totals()
    plain = [one for one in given if one.state == SUCCEEDED and kinds[one.job.kind].ended is None]
    settled = _succeed(house, connection, plain, totals) if plain else {}
    if len(plain) < len(given):
        simple = {id(one) for one in plain}
        for one in given:
            if id(one) not in simple:
                state = _settle_one(house, connection, one, totals)
                if state is not None:
                    settled[one.job.id] = state
    totals.write(connection)
    return settled


def _succeed(house: House, connection: sa.Connection, given: list[Outcome], totals: Totals) -> dict[int, str]:
    now, kinds = house.clock(), house.part(Kinds)
    rows = [_success(one, now + kinds[one.job.kind].retention_days * DAY) for one in given]
    settled: dict[int, str] = {}
    for worker in {one.worker for one in given}:
        mine = [row for one, row in zip(given, rows, strict=True) if one.worker == worker]
        settled |= dict(_succeed_of(connection, mine, worker=worker, now=now))
    for one in given:
        state = settled.get(one.job.id)
        if state is not None:
            totals.add(one.job, state, now)
    return settled


def _success(one: Outcome, purge_at: int) -> tuple[Any, ...]:
    said = one.progress or NOTHING
    return one.job.id, one.job.attempt, one.result, purge_at, said.done, said.total, said.message


def _succeed_of(connection: sa.Connection, rows: list[tuple[Any, ...]], **values: Any) -> Iterable[tuple[int, str]]:
    text = sql.SUCCEED_SQLITE if connection.dialect.name == "sqlite" else sql.SUCCEED_POSTGRESQL
    values |= sql.rows_of(connection, "ids attempts results purges dones totals messages", rows)
    return run(connection, text, **values).fetchall()  # type: ignore[no-any-return]


def _settle_one(house: House, connection: sa.Connection, one: Outcome, totals: Totals) -> str | None:
    """Write one outcome and call `ended`; when that fails, the job fails instead of being held for ever."""
    raw = driver(connection)
    raw.execute("SAVEPOINT settling")
    try:
        state = _leave(house, connection, one, totals, tell=True)
    except Exception:  # The edge between the engine and what a kind does at its end. A lost database fails again below.
        log.exception("Job %s: what is to happen at its end failed", one.job.id)
        raw.execute("ROLLBACK TO SAVEPOINT settling")
        instead = msgspec.structs.replace(one, state=FAILED, result=None, error="The end of the job failed")
        state = _leave(house, connection, instead, totals, tell=False)
    raw.execute("RELEASE SAVEPOINT settling")
    return state


def _leave(house: House, connection: sa.Connection, one: Outcome, totals: Totals, *, tell: bool) -> str | None:
    dialect = connection.dialect.name
    fence = {"id": one.job.id, "attempt": one.job.attempt, "worker": one.worker}
    row = run(connection, sql.HELD + sql.WAIT[dialect], **fence).fetchone()
    if row is None:
        return None
    now, kind = house.clock(), house.part(Kinds)[one.job.kind]
    state = CANCELLED if row[0] == CANCELLING else one.state
    is_over, said = state in FINAL, one.progress or NOTHING
    run_at = now + one.wait_us if state == SCHEDULED else one.job.run_at
    values = fence | {
        "state": state,
        "run_at": run_at,
        "ord": order(run_at, one.job.priority),
        "tries": one.job.tries + (one.free and state == READY),
        "unbegun": int(one.unbegun and state == READY),
        "result": one.result if state == SUCCEEDED else None,
        "error": None if state in (SUCCEEDED, CANCELLED) else one.error or one.job.error,
        "errors": row[1] if one.error is None else _errors(row[1], one, now),
        "finished_at": now if is_over else None,
        "purge_at": now + kind.retention_days * DAY if is_over else None,
        "done": said.done,
        "total": said.total,
        "message": said.message,
    }
    run(connection, sql.LEAVE, **values)
    if is_over:
        if tell and kind.ended is not None:
            kind.ended(connection, house, sql.job_of(run(connection, sql.ONE, id=one.job.id).fetchone()))
        totals.add(one.job, state, now)
    else:
        bell = house.part(Bell)
        house.db.after_commit(lambda: bell.ring(run_at))
    return state


def _errors(before: str | None, one: Outcome, now: int) -> str:
    """Return the last failures, with this one."""
    entry = {"attempt": one.job.attempt, "at": now, "error": one.error, "trace": one.trace}
    found: list[Any] = json_list(before)
    return msgspec.json.encode([*found, entry][-ERRORS_KEPT:]).decode()


def json_list(text: str | None) -> list[Any]:
    return [] if text is None else msgspec.json.decode(text, type=list)


def finish_unheld(house: House, connection: sa.Connection, job: Job, totals: Totals) -> None:
    """Call `ended` and count, for a job that was cancelled before anybody held it."""
    kind = house.part(Kinds).usual(job.kind)
    if kind.ended is not None:
        kind.ended(connection, house, job)
    totals.add(job, job.state, house.clock())
