"""The minutes in which a server was up, and what share of its write requests left a record of who did what.

One row a minute, kept for a week; the first row of all is kept for ever: it says when the instance was installed.
"""

import threading

import msgspec
import sqlalchemy as sa

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.schema.people import uptime_minutes
from headrace.kit.database import UnreachableError
from headrace.kit.times import DAY, MINUTE, SECOND

FRESH_US = 10 * SECOND
WEEK, LAST_DAY = 7 * DAY // MINUTE, DAY // MINUTE


class Minutes:
    """What is not written yet: write requests and those of them with a record, by minute; the last minute written."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.lock = threading.Lock()
        self.writing = threading.Lock()
        self.counts: dict[int, list[int]] = {}
        self.marked = -1


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """`uptime` and `audit_coverage` in percent; jobs since 00:00 UTC; as of `at`, in microseconds."""

    uptime: float
    jobs_today: int
    audit_coverage: int
    at: int


class Published:
    """What was told last: anybody may ask, and the database is not counted anew for each."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.last: dict[str, Figures] = {}


def figures(house: House, *, view: str) -> Figures:
    """The figures of the instance, at most a few seconds old; of its jobs those of one view."""
    now, last = house.clock(), house.part(Published).last
    found = last.get(view)
    if found is None or not found.at <= now < found.at + FRESH_US:
        jobs_today = jobs.created_since(house, now - now % DAY, view=view)
        found = Figures(uptime=share(house), jobs_today=jobs_today, audit_coverage=coverage(house), at=now)
        last[view] = found
    return found


def count(house: House, *, recorded: bool, number: int = 1) -> None:
    """Count write requests that were carried out, and whether they left a record."""
    part = house.part(Minutes)
    with part.lock:
        counts = part.counts.setdefault(house.clock() // MINUTE, [0, 0])
        counts[0] += number
        counts[1] += number * recorded


def mark(house: House) -> bool:
    """Write that the server is up in this minute, and what was counted; False where there was nothing to write.

    Called every few seconds by one thread. Whoever calls it besides waits for his turn: when a call returns, all is
    written that was counted before it.
    """
    part = house.part(Minutes)
    with part.writing:
        return _mark(house, part)


def _mark(house: House, part: Minutes) -> bool:
    minute = house.clock() // MINUTE
    with part.lock:
        counts, part.counts = part.counts, {}
    if minute == part.marked and not counts:
        return False
    rows = {minute: [0, 0]} | counts
    insert = house.db.insert(uptime_minutes)
    added = {name: uptime_minutes.c[name] + insert.excluded[name] for name in ("writes", "recorded")}
    statement = insert.on_conflict_do_update(index_elements=["minute"], set_=added)
    first = sa.select(sa.func.min(uptime_minutes.c.minute)).scalar_subquery()
    old = sa.delete(uptime_minutes).where(uptime_minutes.c.minute < minute - WEEK, uptime_minutes.c.minute > first)
    try:
        with house.db.write() as connection:
            connection.execute(
                statement, [{"minute": at, "writes": w, "recorded": r} for at, (w, r) in sorted(rows.items())]
            )
            if minute != part.marked:
                connection.execute(old)
    except UnreachableError:
        _put_back(part, counts)
        raise
    part.marked = minute
    return True


def share(house: House) -> float:
    """The percentage of the last week's minutes, or of those since installation, in which a server was up.

    A minute counts as a whole; this one too, in which somebody was there to ask. Cut after two decimals.
    """
    now = house.clock() // MINUTE
    column = uptime_minutes.c.minute
    with house.db.read() as connection:
        first = connection.execute(sa.select(sa.func.min(column))).scalar()
        since = now if first is None else max(first, now - WEEK + 1)
        up = connection.execute(sa.select(sa.func.count()).where(column >= since, column < now)).scalar_one()
    passed = max(0, now - since)
    return 10_000 * (up + 1) // (passed + 1) / 100


def coverage(house: House) -> int:
    """The percentage of the last 24 hours' write requests that left a record; 100 where there were none."""
    since = house.clock() // MINUTE - LAST_DAY
    columns = (uptime_minutes.c.writes, uptime_minutes.c.recorded)
    query = sa.select(*(sa.func.coalesce(sa.func.sum(one), 0) for one in columns)).where(
        uptime_minutes.c.minute > since
    )
    with house.db.read() as connection:
        writes, recorded = map(int, connection.execute(query).one())
    part = house.part(Minutes)
    with part.lock:
        for minute, counts in part.counts.items():
            if minute > since:
                writes, recorded = writes + counts[0], recorded + counts[1]
    return 100 * recorded // writes if writes else 100


def _put_back(part: Minutes, counts: dict[int, list[int]]) -> None:
    """The database was out of reach: the next turn writes it."""
    with part.lock:
        for minute, (writes, recorded) in counts.items():
            have = part.counts.setdefault(minute, [0, 0])
            have[:] = [have[0] + writes, have[1] + recorded]
