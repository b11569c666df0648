"""Questions about jobs: one, a page of them, and how many there are. Each sees the caller's organization alone."""

import threading
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import rules
from headrace.core.house import House
from headrace.core.jobs.enqueue import token_at
from headrace.core.jobs.record import Job, Page
from headrace.core.jobs.statements import SHOWN, job_of
from headrace.core.jobs.states import FINAL, LIVE, STATES
from headrace.core.principal import Principal
from headrace.core.refusals import not_found
from headrace.core.schema import jobs as schema
from headrace.kit.times import DAY, MINUTE

MOST = 200
UNSEEN = "Job not found"
TABLE = schema.jobs
# After this no transaction that is still open adds a job of an earlier time, nor does another server's clock.
SETTLED_US = MINUTE
AHEAD_US = DAY
RECENT_MOST = 100


def get(house: House, who: Principal, *, job_id: int, view: str | None = None) -> Job:
    rules.require(who, "jobs", "read")
    with house.db.read() as connection:
        return one(connection, who, TABLE.c.id == job_id, view)


class Failure(msgspec.Struct, frozen=True):
    """One attempt that failed, as it may be shown; at a time in us."""

    attempt: int
    at: int
    error: str


def failures(house: House, who: Principal, *, job_id: int) -> list[Failure]:
    """Return the last attempts that failed, the oldest first; their tracebacks are for the operator."""
    rules.require(who, "jobs", "read")
    mine = sa.and_(TABLE.c.id == job_id, TABLE.c.organization_id == who.organization_id)
    with house.db.read() as connection:
        found = connection.execute(sa.select(TABLE.c.errors).where(mine)).one_or_none()
    if found is None:
        raise not_found(UNSEEN)
    return msgspec.json.decode(found[0] or b"[]", type=list[Failure])


class Standing(msgspec.Struct, frozen=True):
    """How a job is, in a word, and why where it failed."""

    id: int
    state: str
    error: str | None


def standings(house: House, who: Principal, *, job_ids: Sequence[int]) -> dict[int, Standing]:
    """Return how these jobs of the organization are, by id, without what they hold; what is deleted is not there."""
    rules.require(who, "jobs", "read")
    query = sa.select(TABLE.c.id, TABLE.c.state, TABLE.c.error).where(
        TABLE.c.id.in_(job_ids), TABLE.c.organization_id == who.organization_id
    )
    with house.db.read() as connection:
        return {row.id: Standing(*row) for row in connection.execute(query)}


def is_live(connection: sa.Connection, job_id: int) -> bool:
    """Tell whether a job is there and not over."""
    live = sa.select(TABLE.c.id).where(TABLE.c.id == job_id, TABLE.c.state.in_(LIVE))
    return connection.execute(live).first() is not None


def live(house: House, *, organization_id: int, most: int) -> int:
    """Count an organization's jobs that are not over, up to `most`."""
    mine = sa.select(TABLE.c.id).where(TABLE.c.organization_id == organization_id, TABLE.c.finished_at.is_(None))
    with house.db.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(mine.limit(most).subquery())).scalar_one()


def by_token(house: House, who: Principal, *, token: str, view: str | None = None) -> Job:
    rules.require(who, "jobs", "read")
    if not token.isascii() or "\0" in token:
        raise not_found(UNSEEN)
    with house.db.read() as connection:
        return one(connection, who, TABLE.c.token == token, view)


def list_all(
    house: House,
    who: Principal,
    *,
    state: str | None = None,
    kind: str | None = None,
    name: str | None = None,
    named: bool = False,
    view: str | None = None,
    limit: int = 50,
    before: int | None = None,
) -> Page:
    """Newest first. `before` is the last page's; `limit` is at most MOST; with `named` those of workflows alone."""
    rules.require(who, "jobs", "read")
    query = sa.select(*SHOWN).where(TABLE.c.organization_id == who.organization_id)
    if state is not None:
        # In words, not as a parameter: the indexes of live and failed jobs are chosen by them.
        query = query.where(TABLE.c.state == sa.literal_column(f"'{rules.choice(state, 'state', STATES)}'"))
        query = query.where(TABLE.c.finished_at.is_(None)) if state in LIVE else query
    for field, value in (("kind", kind), ("name", name), ("view", view)):
        if value is not None:
            query = query.where(TABLE.c[field] == rules.text(value, field))
    if named:
        query = query.where(TABLE.c.name.is_not(None))
    if before is not None:
        query = query.where(TABLE.c.id < before)
    limit = rules.integer(limit, "limit", 1, MOST)
    with house.db.read() as connection:
        rows = connection.execute(query.order_by(TABLE.c.id.desc()).limit(limit + 1)).all()
    found = [job_of(row) for row in rows[:limit]]
    return Page(found, found[-1].id if len(rows) > limit else None)


def counts(house: House, who: Principal, *, view: str | None = None) -> dict[str, int]:
    """Return how many jobs are in each state: those that are over of all time, also deleted ones."""
    return {state: number for state, (number, _) in tallied(house, who, view=view).items()}


def tallied(house: House, who: Principal, *, view: str | None = None) -> dict[str, tuple[int, int]]:
    """Return the same with the microseconds that the last attempts of jobs in a final state took, all together."""
    rules.require(who, "jobs", "read")
    totals = schema.job_totals
    live = sa.select(TABLE.c.state, sa.func.count(), sa.literal(0)).where(
        TABLE.c.organization_id == who.organization_id, TABLE.c.finished_at.is_(None)
    )
    over = sa.select(totals.c.state, sa.func.sum(totals.c.number), sa.func.sum(totals.c.sum_us)).where(
        totals.c.organization_id == who.organization_id
    )
    if view is not None:
        live, over = live.where(TABLE.c.view == view), over.where(totals.c.view == view)
    found: dict[str, tuple[int, int]] = dict.fromkeys(STATES, (0, 0))
    with house.db.read() as connection:
        rows: list[Any] = [*connection.execute(live.group_by(TABLE.c.state))]
        rows += [row for row in connection.execute(over.group_by(totals.c.state)) if row[0] in FINAL]
    return found | {row[0]: (int(row[1]), int(row[2])) for row in rows}


class Recent:
    """How many jobs came in since a time, kept up by counting what is new only."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.lock = threading.Lock()
        # By view and time: up to which token was counted, and how many there were.
        self.counted: dict[tuple[str | None, int], tuple[str, int]] = {}

    def since(self, view: str | None, time: int) -> int:
        now = self.house.clock()
        with self.lock:
            start, number = self.counted.pop((view, time), (token_at(time), 0))
            settled = max(start, token_at(now - SETTLED_US))
            number += self._between(view, start, settled)
            while len(self.counted) >= RECENT_MOST:
                del self.counted[next(iter(self.counted))]
            self.counted[view, time] = (settled, number)
        return number + self._between(view, settled, token_at(now + AHEAD_US))

    def _between(self, view: str | None, start: str, end: str) -> int:
        """Tokens begin with the time, so that their index tells what came when."""
        query = sa.select(sa.func.count()).select_from(TABLE).where(TABLE.c.token >= start, TABLE.c.token < end)
        if view is not None:
            query = query.where(TABLE.c.view == view)
        with self.house.db.read() as connection:
            return connection.execute(query).scalar_one()


def created_since(house: House, since: int, *, view: str | None = None) -> int:
    """Return how many jobs of all organizations came in since a time (us, to the millisecond), and are not deleted."""
    return house.part(Recent).since(view, since)


def one(connection: sa.Connection, who: Principal, which: sa.ColumnElement[bool], view: str | None = None) -> Job:
    query = sa.select(*SHOWN).where(which, TABLE.c.organization_id == who.organization_id)
    if view is not None:
        query = query.where(TABLE.c.view == view)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise not_found(UNSEEN)
    return job_of(row)
