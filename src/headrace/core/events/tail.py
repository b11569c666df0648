"""Live tail: logs handed to whoever watches their project, once they are safe on disk. No HTTP here.

`append` offers each group; one thread of the house waits for its commit, asks each distinct filter once, encodes each
log once, and fills the queues of the subscriptions. Whoever is too slow loses logs and is told how many. A subscription
sees what this process takes in, in the order of ids, so that the id of the last log seen says where to go on.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from headrace.core.events.filters import Filters
from headrace.core.events.read import asked, selected
from headrace.core.house import Doubts
from headrace.core.principal import Principal
from headrace.core.refusals import invalid, rate_limited, unavailable
from headrace.eventstore import queries, search
from headrace.eventstore.ids import public_id, read_public_id
from headrace.eventstore.queries import EventRow, Selection
from headrace.eventstore.rows import Event
from headrace.eventstore.unstored import Unstored, selects, unnarrowed
from headrace.eventstore.wal import ID_BITS, Commit, WalError

if TYPE_CHECKING:
    from headrace.core.events.append import Accepted
    from headrace.core.house import House
    from headrace.core.projects import Project

log = logging.getLogger(__name__)

MOST_LOGS, MOST_BYTES = 1_000, 1 << 20  # That may wait for one subscriber.
CHUNK_BYTES = 64 << 10  # Logs are joined up to here, once for all who want the same, and sent together.
# Lines of the durable log that may wait for the thread: beyond that it is behind for good, and memory is not its queue.
WAITING_BYTES = 16 << 20
# How many times as long as it worked the thread rests: it takes a quarter of one processor at most, in a flood a tenth.
REST, FLOOD_REST = 3, 9
MOST_REPLAYED = 1_000
REPLAY_THREADS = 2  # Of all that come back after a restart, few may ask the engine at once.
DRAIN_SECONDS = 10.0
POLL_SECONDS = 0.02
COMMIT_SECONDS = 60.0
RETRY_SECONDS = 30
# What a subscriber's turn costs the event loop, with room for five times as much other work: all tails together may
# not slow ingest. One alone reads as fast as it can; 200 get 400 kB a second each, and hear what they lost. In a flood,
# where nobody reads all and those who send need the processor, it is 125 kB.
TURN_SECONDS = 0.000_25
BYTE_SECONDS, FLOOD_BYTE_SECONDS = 1 / 80_000_000, 1 / 25_000_000
FLOOD_BYTES = 16 << 20  # A second, of the durable log.
MEASURED_SECONDS = 0.5
STOPPING = "the server stops"

Encode = Callable[[EventRow], bytes]
# Encoded logs, or how many are missing at that place.
Piece = bytes | int


class Chunk(NamedTuple):
    """Encoded logs, joined."""

    logs: int
    data: bytes


class Wanted(msgspec.Struct, frozen=True):
    """What somebody may watch and wants to see; `after` is the id of the last log seen before, or None."""

    filters: Filters
    selection: Selection
    node: search.Node | None
    encode: Encode
    after: int | None

    @property
    def takes_all(self) -> bool:
        """Whether nothing narrows it, but the project."""
        return self.node is None and unnarrowed(self.selection)


class Offered(NamedTuple):
    """One group on its way; without events it only wakes the thread."""

    tenant: int
    project: int
    events: Sequence[Event] = ()
    first_id: int = 0
    received_at: int = 0
    commit: Commit | None = None
    size: int = 0


class Fresh:
    """The events of a group, each made when it is looked at: in a flood few are."""

    def __init__(self, group: Offered) -> None:
        self.group = group
        self.made: list[Unstored] = []

    def __len__(self) -> int:
        return len(self.group.events)

    def __iter__(self) -> Iterator[Unstored]:
        group = self.group
        for number, event in enumerate(group.events):
            if number == len(self.made):
                one = Unstored(
                    event,
                    tenant=group.tenant,
                    project=group.project,
                    received_at=group.received_at,
                    event_id=group.first_id + number,
                )
                self.made.append(one)
            yield self.made[number]


class Subscription:
    """One watcher. Filled by the hub's thread, emptied on the event loop by `take`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.begins = 0  # Groups below this id were appended before.
        self.ended: str | None = None
        self.doubted = False  # Whether its reader still may is to be asked now.
        self.lock = threading.Lock()
        self.ready = asyncio.Event()
        self.told = False
        self.queue: deque[Chunk | int] = deque()
        self.logs = self.bytes = 0
        self.lost = 0

    @property
    def room(self) -> int:
        """How many logs more may wait."""
        return 0 if self.bytes >= MOST_BYTES else max(MOST_LOGS - self.logs, 0)

    def put(self, chunks: Sequence[Chunk], lost: int = 0) -> bool:
        """Queue the chunks that there is room for, count the others' logs and `lost`; True if it has to be woken."""
        with self.lock:
            for chunk in chunks:
                if self.queue and (self.logs + chunk.logs > MOST_LOGS or self.bytes + len(chunk.data) > MOST_BYTES):
                    self.lost += chunk.logs
                    continue
                if self.lost:
                    self.queue.append(self.lost)
                    self.lost = 0
                self.queue.append(chunk)
                self.logs += chunk.logs
                self.bytes += len(chunk.data)
            self.lost += lost
            woken = not self.told and bool(self.queue or self.lost)
            self.told = self.told or woken
        return woken

    async def take(self, seconds: float) -> list[Piece]:
        """Wait up to `seconds` for logs; an integer among them says how many are missing there. Empty once it ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ready.wait()
        taken: list[Piece] = []
        size = 0
        with self.lock:
            while self.queue and size < CHUNK_BYTES and self.ended is None:
                one = self.queue.popleft()
                if isinstance(one, Chunk):
                    taken.append(one.data)
                    size += len(one.data)
                    self.logs -= one.logs
                else:
                    taken.append(one)
            self.bytes -= size
            if not self.queue and self.ended is None:
                if self.lost:
                    taken.append(self.lost)
                self.lost = 0
                self.told = False
                self.ready.clear()
        return taken

    def end(self, reason: str) -> None:
        """Let `take` return at once, for good."""
        self.ended = reason
        wake([self])


class Watch:
    """All subscriptions of a project that want the same."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.subscriptions: list[Subscription] = []


class Hub:
    """Who watches what in this house, and the thread that serves them; it starts with the first subscription."""

    def __init__(self, house: "House") -> None:
        self.house = house
        self.lock = threading.Lock()
        self.projects: dict[int, dict[tuple[Filters, Encode], Watch]] = {}
        self.count = 0
        self.queue: SimpleQueue[Offered | None] = SimpleQueue()
        # Each has one writer: the event loop, the thread.
        self.offered = self.handled = 0
        # Of the event loop: bytes that came for those who watch, and those up to the last time that it was looked.
        self.came = self.measured = 0
        self.measured_at = time.monotonic()
        self.is_flood = False
        self.skipped: dict[int, int] = {}
        self.thread: threading.Thread | None = None
        self.replays: ThreadPoolExecutor | None = None
        self.closed = False
        house.part(Doubts).all.append(self.doubt)

    # -- the side of append, on the event loop: it never waits ---------------------------------------------------------

    def offer(self, project: "Project", accepted: "Accepted", events: Sequence[Event], size: int) -> None:
        """Take a group that was appended; nothing happens when nobody watches its project."""
        if project.project_id not in self.projects:
            return
        self.came += size
        if self.offered - self.handled > WAITING_BYTES:
            with self.lock:
                self.skipped[project.project_id] = self.skipped.get(project.project_id, 0) + accepted.rows
            self.queue.put(Offered(project.organization_id, project.project_id))
            return
        self.offered += size
        self.queue.put(
            Offered(
                project.organization_id,
                project.project_id,
                events,
                accepted.first_id,
                accepted.received_at,
                accepted.commit,
                size,
            )
        )

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (one := self.queue.get()) is not None:
            began = time.thread_time()
            try:
                self._publish(one)
            except Exception:  # The edge of this thread: one group that it cannot show must not end every tail.
                log.exception("logs could not be shown to those who watch")
                self._hand(one.project, [], one.first_id, len(one.events))
            self.handled += one.size
            # One interpreter runs one thread at a time, and this one's work can wait. In a flood it falls behind, and
            # what is dropped is counted.
            time.sleep((FLOOD_REST if self.is_flood else REST) * (time.thread_time() - began))

    def _publish(self, one: Offered) -> None:
        if one.commit is not None and is_durable(one.commit):
            self._hand(one.project, Fresh(one), one.first_id, 0)
        with self.lock:
            skipped = self.skipped.pop(one.project, 0)
        if skipped:
            self._hand(one.project, [], None, skipped)

    def _hand(self, project: int, events: Fresh | Sequence[Unstored], first_id: int | None, lost: int) -> None:
        """Give each subscription what it wants of a group; those that began later have nothing to do with it."""
        with self.lock:
            watches = [
                (watch.wanted, [one for one in watch.subscriptions if first_id is None or one.begins <= first_id])
                for watch in self.projects.get(project, {}).values()
            ]
        encoded: dict[tuple[int, Encode], bytes] = {}
        woken: list[Subscription] = []
        for wanted, subscriptions in watches:
            if not subscriptions:
                continue
            chosen: Fresh | Sequence[Unstored] = events
            if not wanted.takes_all:
                chosen = [one for one in events if selects(wanted.selection, wanted.node, one)]
            # What nobody has room for is not even encoded: under a flood the thread leaves the processor to others.
            room = max(one.room for one in subscriptions)
            missing = lost + max(len(chosen) - room, 0)
            pieces = []
            for one in islice(chosen, room):
                key = (one.event_id, wanted.encode)
                if key not in encoded:
                    encoded[key] = wanted.encode(one.row)
                pieces.append(encoded[key])
            chunks = joined(pieces)
            woken += [one for one in subscriptions if one.put(chunks, missing)]
        wake(woken)

    # -- subscribing ---------------------------------------------------------------------------------------------------

    def add(self, wanted: Wanted, subscription: Subscription) -> None:
        """Let a subscription see everything that is appended from now on; refused when there are too many."""
        project, settings = wanted.selection.project or 0, self.house.settings
        with self.lock:
            if self.closed:
                raise unavailable("Service temporarily unavailable - " + STOPPING, RETRY_SECONDS)
            if self.count >= settings.tails_per_process:
                raise unavailable("Service temporarily unavailable - too many live tails", RETRY_SECONDS)
            watches = self.projects.setdefault(project, {})
            if sum(len(watch.subscriptions) for watch in watches.values()) >= settings.tails_per_project:
                raise rate_limited(
                    f"Too many live tails: at most {settings.tails_per_project} of one project", RETRY_SECONDS
                )
            watches.setdefault((wanted.filters, wanted.encode), Watch(wanted)).subscriptions.append(subscription)
            self.count += 1
            # After it is listed: what gets a higher id is offered. The thread looks under this lock, so not before.
            subscription.begins = self.house.store.wal.next_id
            if self.thread is None:
                self.thread = threading.Thread(target=self._run, name="live-tail", daemon=True)
                self.thread.start()

    def remove(self, wanted: Wanted, subscription: Subscription) -> None:
        project, key = wanted.selection.project or 0, (wanted.filters, wanted.encode)
        with self.lock:
            watches = self.projects[project]
            watches[key].subscriptions.remove(subscription)
            if not watches[key].subscriptions:
                del watches[key]
            if not watches:
                del self.projects[project]
            self.count -= 1

    def pause(self, sent: int) -> float:
        """How many seconds a subscriber that was just sent so many bytes leaves the event loop to others."""
        now = time.monotonic()
        if now - self.measured_at >= MEASURED_SECONDS:
            self.is_flood = self.came - self.measured > FLOOD_BYTES * (now - self.measured_at)
            self.measured, self.measured_at = self.came, now
        return self.count * (TURN_SECONDS + sent * (FLOOD_BYTE_SECONDS if self.is_flood else BYTE_SECONDS))

    def pool(self) -> ThreadPoolExecutor:
        with self.lock:
            if self.replays is None:
                self.replays = ThreadPoolExecutor(REPLAY_THREADS, thread_name_prefix="tail-replay")
            return self.replays

    def everyone(self) -> list[Subscription]:
        """Return all subscriptions; called with the lock."""
        return [one for watches in self.projects.values() for watch in watches.values() for one in watch.subscriptions]

    def doubt(self) -> None:
        """Have everybody's right to watch asked for again, now."""
        with self.lock:
            doubted = self.everyone()
        for one in doubted:
            one.doubted = True
        wake(doubted)

    def close(self) -> None:
        """End every subscription, take no more, stop the thread."""
        with self.lock:
            self.closed = True
            ending = self.everyone()
            thread, self.thread = self.thread, None
        for one in ending:
            one.end(STOPPING)
        if thread is not None:
            self.queue.put(None)
        if self.replays is not None:
            self.replays.shutdown(wait=False, cancel_futures=True)


def joined(pieces: Sequence[bytes]) -> list[Chunk]:
    """Join encoded logs to chunks of CHUNK_BYTES at most; a longer log is one by itself."""
    chunks: list[Chunk] = []
    part: list[bytes] = []
    size = 0
    for piece in pieces:
        if part and size + len(piece) > CHUNK_BYTES:
            chunks.append(Chunk(len(part), b"".join(part)))
            part, size = [], 0
        part.append(piece)
        size += len(piece)
    if part:
        chunks.append(Chunk(len(part), b"".join(part)))
    return chunks


def is_durable(commit: Commit) -> bool:
    """Wait for a commit, on the hub's thread; False when the disk refused it: nobody was told that it was taken."""
    try:
        commit.wait(COMMIT_SECONDS)
    except WalError:
        return False
    return True


def wake(subscriptions: Sequence[Subscription]) -> None:
    """Rouse subscriptions, from any thread; one call for each event loop."""
    for loop in {one.loop for one in subscriptions}:
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody watches there any more.
            loop.call_soon_threadsafe(rouse, [one for one in subscriptions if one.loop is loop])


def rouse(subscriptions: Sequence[Subscription]) -> None:
    for one in subscriptions:
        one.ready.set()


# -- verbs -------------------------------------------------------------------------------------------------------------


def wanted(
    house: "House", who: Principal, *, project_id: int, filters: Filters, encode: Encode, after: str | None = None
) -> Wanted:
    """Return what the caller wants to watch, if he may. Times of `filters` do not narrow a tail.

    `after`: the public id of a log, or the place that a subscription began at.
    """
    selection = selected(house, who, project_id, filters)
    node = search.parse(filters.query) if filters.query else None
    place = None if after is None else read_public_id(after)
    if after is not None and place is None:
        raise invalid("after", "is no log's id")
    return Wanted(filters, selection, node, encode, place[1] if place else None)


@contextlib.contextmanager
def subscribed(house: "House", wish: Wanted) -> Iterator[Subscription]:
    """Watch, on the event loop, until the block ends. Refused: rate_limited (project), unavailable (process)."""
    hub, subscription = house.part(Hub), Subscription(asyncio.get_running_loop())
    hub.add(wish, subscription)
    try:
        yield subscription
    finally:
        hub.remove(wish, subscription)


def place(subscription: Subscription) -> str:
    """Return the id to go on from when no log has been seen yet."""
    return public_id(0, subscription.begins - 1)


async def missed(house: "House", wish: Wanted, subscription: Subscription) -> list[Piece]:
    """Return what was received since `wish.after` and before the subscription, the newest of it, oldest first.

    It comes from the store, so it waits a while for the drain; what is older, or not stored then, is counted as lost.
    Ids of another server's logs tell nothing here: then it is nothing.
    """
    begins, after = subscription.begins, wish.after
    if after is None or after + 1 >= begins or after >> ID_BITS != begins >> ID_BITS:
        return []
    late = await _stored(house, wish, begins)
    hub = house.part(Hub)
    return await asyncio.get_running_loop().run_in_executor(hub.pool(), _replayed, house, wish, begins, late)


async def _stored(house: "House", wish: Wanted, begins: int) -> int:
    """Wait until everything below `begins` is searchable; return how many logs of the project are not after all."""
    project = (wish.selection.tenant, wish.selection.project or 0)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            # Not by waiting in threads: after a restart all who come back would hold them at once.
            while house.store.wal.depth(*project) and not house.store.wait_searchable(begins, 0):  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
            return 0
    return house.store.wal.depth(*project)


def _replayed(house: "House", wish: Wanted, begins: int, late: int) -> list[Piece]:
    with asked():
        rows, total = queries.between(
            house.store.engine, wish.selection, wish.after or 0, begins, limit=MOST_REPLAYED, comment="live tail"
        )
    lost = total - len(rows)
    pieces: list[Piece] = [lost] if lost > 0 else []
    pieces += [chunk.data for chunk in joined([wish.encode(row) for row in rows])]
    return [*pieces, late] if late else pieces
