"""Taking events in: quota and queue room are reserved, then the durable log has them. Runs on the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from headrace.core.events.tail import Hub
from headrace.core.idempotency import Ticket
from headrace.core.limits import quota
from headrace.core.refusals import unavailable
from headrace.eventstore import queries
from headrace.eventstore.rows import Event, retention_class
from headrace.eventstore.wal import Commit, WalError

if TYPE_CHECKING:
    from headrace.core.house import House
    from headrace.core.projects import Project

UNAVAILABLE = "Service temporarily unavailable"
RETRY_SECONDS = 60
RECOVERY_SECONDS = 5.0


class Accepted(NamedTuple):
    """The first `rows` of the events were taken; they are safe once `commit` is durable. Event i has `first_id + i`."""

    rows: int
    first_id: int
    received_at: int
    commit: Commit


async def store(house: "House", project: "Project", events: Sequence[Event], ticket: Ticket | None = None) -> Accepted:
    """Append events and wait until they are on disk; under the ticket of a request that was cut off, at most once."""
    if ticket is not None and ticket.is_again:
        left = await asyncio.to_thread(_left, house, project, ticket.at, len(events))
        if left is not None:
            return left
    accepted = append(house, project, events, at=None if ticket is None else ticket.at)
    await durable(house, project, accepted)
    return accepted


def _left(house: "House", project: "Project", at: int, most: int) -> Accepted | None:
    """Return what a request has left that arrived at that microsecond: its events have ids without a gap."""
    if not house.store.wait_searchable(house.store.wal.next_id, RECOVERY_SECONDS):
        raise unavailable(UNAVAILABLE, RETRY_SECONDS)
    found = queries.arrived(house.store.engine, project.organization_id, project.project_id, at)
    if not 1 <= found.rows <= most or found.last_id - found.first_id + 1 != found.rows:
        return None
    done = Commit()
    done.finish(None)
    return Accepted(found.rows, found.first_id, at, done)


def append(house: "House", project: "Project", events: Sequence[Event], *, at: int | None = None) -> Accepted:
    """Hand events to the durable log; as many as the day's quota has room for. They arrive now, or `at` (us).

    Raises quota_spent when it has none, unavailable when the queue or the disk is full. Nothing is stored then.
    """
    reason = house.store.refusing
    if reason is not None:
        raise unavailable(f"{UNAVAILABLE} - {reason}", RETRY_SECONDS)
    now = house.clock() if at is None else at
    # Of the day under which they will be counted, also when that ends meanwhile.
    rows = quota.reserve(house, project, len(events), at=now)
    taken = events if rows == len(events) else events[:rows]
    try:
        appended = house.store.wal.append(
            project.organization_id,
            project.project_id,
            now,
            retention_class(project.retention_days),
            taken,
            later=at_the_end_of_this_turn(),
        )
    except BaseException as error:  # Whatever it was, nothing was appended, and the quota is not spent.
        quota.refund(house, project.project_id, rows, at=now)
        if isinstance(error, WalError):
            raise unavailable(f"{UNAVAILABLE} - {error}", RETRY_SECONDS) from error
        raise
    accepted = Accepted(rows, appended.first_id, now, appended.commit)
    house.part(Hub).offer(project, accepted, taken, appended.size)
    return accepted


def at_the_end_of_this_turn() -> Callable[[Callable[[], None]], object] | None:
    """Return what puts work off until this turn of the event loop is over; None where no loop runs."""
    try:
        return asyncio.get_running_loop().call_soon
    except RuntimeError:
        return None


async def durable(house: "House", project: "Project", accepted: Accepted) -> None:
    """Wait until accepted events are on disk; raises unavailable, and gives the quota back, when the disk refuses."""
    try:
        await accepted.commit.durable()
    except WalError as error:
        give_back(house, project, accepted)
        raise unavailable(f"{UNAVAILABLE} - {error}", RETRY_SECONDS) from error


def give_back(house: "House", project: "Project", accepted: Accepted) -> None:
    """Give back the quota of events that the disk refused."""
    quota.refund(house, project.project_id, accepted.rows, at=accepted.received_at)
