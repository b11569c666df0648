"""Daily quotas and queue room: how many events a project may still send. Counts by UTC day of arrival.

What is searchable is counted in the table `usage_days`; what is acknowledged and still on its way, in memory. The two
meet when a segment is folded: `fold` in the transaction of the segment, `settle` once that is committed.
"""

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.refusals import Kind, Refusal, unavailable
from headrace.core.schema import usage_days
from headrace.kit.times import DAY, SECOND, day

if TYPE_CHECKING:
    from headrace.core.projects import Project

FOLDED = sa.select(usage_days.c.accepted).where(
    usage_days.c.project_id == sa.bindparam("project"), usage_days.c.day == sa.bindparam("day")
)
# How long another process's counts may be missing here.
FRESH_US = 5 * SECOND
QUEUE_RETRY_SECONDS = 60


class Tally(msgspec.Struct):
    """One project and day: what the table said at `read_at`, and what is on its way."""

    folded: int = 0
    waiting: int = 0
    read_at: int = -FRESH_US


class Book:
    """The counts of this process."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.lock = threading.Lock()
        self.tallies: dict[tuple[int, int], Tally] = {}
        self.depths: dict[int, int] = {}

    def tally(self, project_id: int, on: int) -> Tally:
        """Return the tally, read anew when it is old; the lock is held."""
        now = self.house.clock()
        found = self.tallies.get((project_id, on))
        if found is None:
            self._forget(day(now))
            found = self.tallies[project_id, on] = Tally()
        if not 0 <= now - found.read_at < FRESH_US:
            with self.house.db.read() as connection:
                found.folded = connection.execute(FOLDED, {"project": project_id, "day": on}).scalar() or 0
            found.read_at = now
        return found

    def move(self, project_id: int, on: int, rows: int) -> None:
        """Let `rows` more be on their way (fewer when negative); the lock is held."""
        tally = self.tallies.setdefault((project_id, on), Tally())
        tally.waiting = max(0, tally.waiting + rows)
        self.depths[project_id] = max(0, self.depths.get(project_id, 0) + rows)

    def _forget(self, today: int) -> None:
        past = [key for key, tally in self.tallies.items() if key[1] < today - 1 and not tally.waiting]
        for key in past:
            del self.tallies[key]


def reserve(house: House, project: "Project", rows: int, *, at: int | None = None) -> int:
    """Reserve quota and queue room for up to `rows` events that arrive `at` (us; now); return how many, at least one.

    Refused: `quota_spent` when nothing is left of the day, `unavailable` when the queue has no room for all `rows`.
    What is not appended after all goes back by `refund`.
    """
    book, on = house.part(Book), day(house.clock() if at is None else at)
    with book.lock:
        tally = book.tally(project.project_id, on)
        left = project.daily_quota - tally.folded - tally.waiting
        if left <= 0:
            raise Refusal(
                Kind.QUOTA_SPENT,
                f"Daily quota exceeded: {project.daily_quota} logs per day",
                retry_after=max(1, -(-((on + 1) * DAY - house.clock()) // SECOND)),
            )
        if book.depths.get(project.project_id, 0) + rows > project.queue_limit:
            raise unavailable("Service temporarily unavailable - queue full", QUEUE_RETRY_SECONDS)
        granted = min(rows, left)
        book.move(project.project_id, on, granted)
    return granted


def refund(house: House, project_id: int, rows: int, *, at: int | None = None) -> None:
    """Give back what was reserved for events that would have arrived `at` (now), and was not appended."""
    book = house.part(Book)
    with book.lock:
        book.move(project_id, day(house.clock() if at is None else at), -rows)


def recover(house: House, counts: Mapping[tuple[int, int], int]) -> None:
    """At start: count what stands in segments that are not folded yet, `{(project_id, day): rows}`."""
    book = house.part(Book)
    with book.lock:
        for (project_id, on), rows in counts.items():
            book.move(project_id, on, rows)


def fold(house: House, connection: sa.Connection, counts: Mapping[tuple[int, int], int]) -> None:
    """Add `{(project_id, day): rows}` to the table, in the transaction that records the segment."""
    if not counts:
        return
    insert = house.db.insert(usage_days)
    statement = insert.on_conflict_do_update(
        index_elements=[usage_days.c.project_id, usage_days.c.day],
        set_={"accepted": usage_days.c.accepted + insert.excluded.accepted},
    )
    # In one order everywhere, so that two processes never wait for each other's rows.
    rows = [
        {"project_id": project_id, "day": on, "accepted": count} for (project_id, on), count in sorted(counts.items())
    ]
    connection.execute(statement, rows)


def settle(house: House, counts: Mapping[tuple[int, int], int]) -> None:
    """After that transaction: these rows are on their way no longer."""
    book = house.part(Book)
    with book.lock:
        for (project_id, on), rows in counts.items():
            book.move(project_id, on, -rows)
            book.tallies[project_id, on].read_at = -FRESH_US


def usage(house: House, project_id: int, on: int | None = None) -> int:
    """Events accepted on a day (today), those on their way included."""
    book = house.part(Book)
    with book.lock:
        tally = book.tally(project_id, day(house.clock()) if on is None else on)
        return tally.folded + tally.waiting


def depth(house: House, project_id: int) -> int:
    """Events acknowledged and not yet searchable."""
    return house.part(Book).depths.get(project_id, 0)
