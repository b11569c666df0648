"""The durable log (WAL): events are acknowledged once they lie in it, synced. Draining it is `drain`'s work.

Callers append from any thread; one committer thread writes. Everything that arrives while it syncs goes to disk in
the next write, with one sync for all (group commit).
"""

import asyncio
import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from headrace.eventstore.files import Files
from headrace.eventstore.rows import Event, Group
from headrace.eventstore.segments import Segment, recover
from headrace.kit.times import DAY

STOPPED = "the durable log stopped working"
ID_BITS = 53  # Microseconds since 1970 fit until the year 2255; the node's number stands above them.


class WalError(Exception):
    """The log cannot take events now: full, closed, or the disk refused. Nothing of the request is kept."""


# To drain a segment costs a tenth of a second of the processor, however little is in it: where few events come, they
# wait longer for each other.
FEW_ROWS, FEW_WAIT = 5_000, 1.8


class Limits(NamedTuple):
    """When a segment is sealed (bytes, rows, seconds), and how many bytes may wait to be drained.

    One of few rows is sealed at FEW_WAIT times the age.
    """

    segment_bytes: int = 32 << 20
    segment_rows: int = 64_000
    segment_age: float = 0.4
    waiting_bytes: int = 2 << 30
    mend_pause: float = 1.0  # Seconds between tries to cut what a failed write left.


Told = Callable[[WalError | None], object]


class Commit:
    """One group commit: everything that one write and one sync make durable."""

    def __init__(self) -> None:
        self.finished = threading.Event()
        self.error: WalError | None = None
        self.lock = threading.Lock()
        self.waiting: list[tuple[asyncio.AbstractEventLoop, Told]] = []

    def wait(self, timeout: float | None = None) -> None:
        """Block until the events are on disk; raises WalError when they are not."""
        if not self.finished.wait(timeout):
            message = f"the disk did not answer within {timeout} s"
            raise WalError(message)
        if self.error is not None:
            raise self.error

    async def durable(self) -> None:
        """Wait on the event loop until the events are on disk; raises WalError when they are not."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self.then(loop, lambda _: None if future.done() else future.set_result(None))
        await future
        if self.error is not None:
            raise self.error

    def then(self, loop: asyncio.AbstractEventLoop, told: Told) -> None:
        """Have `told` called on the loop, once, with the error or None; never before this call has returned."""
        with self.lock:
            if not self.finished.is_set():
                self.waiting.append((loop, told))
                return
        loop.call_soon(told, self.error)

    def finish(self, error: WalError | None) -> None:
        with self.lock:
            self.error = error
            self.finished.set()
            waiting, self.waiting = self.waiting, []
        for loop in {loop for loop, _ in waiting}:
            with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits there any more.
                loop.call_soon_threadsafe(tell, [told for own, told in waiting if own is loop], error)


def tell(waiting: list[Told], error: WalError | None) -> None:
    """Tell everybody who waits. Each has his own turn on the loop, so that one who fails takes no other with him."""
    loop = asyncio.get_running_loop()
    for told in waiting:
        loop.call_soon(told, error)


class Appended(NamedTuple):
    """What an append gave: the id of its first event, the commit to wait for, and the bytes of its line."""

    first_id: int
    commit: Commit
    size: int


class Batch:
    """Lines of one segment that wait for the committer."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.chunks: list[bytes] = []
        self.groups: list[tuple[int, int, int, int, int]] = []
        self.commit = Commit()
        self.last = False  # Seal the segment after this batch.


class Wal:
    """The open log. Make it with `Wal.open`; `close` seals what is open."""

    def __init__(self, folder: Path, *, clock: Callable[[], int], node: int, limits: Limits, files: Files) -> None:
        self.folder, self.clock, self.limits, self.files = folder, clock, limits, files
        self.encoder = msgspec.json.Encoder()
        self.lock = threading.Lock()
        self.work = threading.Condition(self.lock)  # The committer waits here,
        self.ready = threading.Condition(self.lock)  # the drain there.
        self.sealed: deque[Segment] = deque()
        self.batches: deque[Batch] = deque()
        self.current: Batch | None = None
        self.opened_at = 0.0
        self.current_rows = 0
        self.current_bytes = 0
        self.waiting_bytes = 0
        self.arrivals: Counter[tuple[int, int, int]] = Counter()
        self.depths: Counter[tuple[int, int]] = Counter()
        self.closing = False
        self.broken: str | None = None
        self.torn: list[Segment] = []  # Their files hold refused lines that the disk would not let us cut.
        self.descriptors: dict[int, int] = {}
        self.commits = 0
        folder.mkdir(parents=True, exist_ok=True)
        for segment in recover(folder, files):
            self.note(segment)
        ends = [segment.last_id for segment in self.sealed]
        self.mark = self.read_mark()
        self.next_id = max(node << ID_BITS | clock(), self.mark, *ends, 1)
        self.committer = threading.Thread(target=self.run, name="wal-committer", daemon=True)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        clock: Callable[[], int],
        node: int = 0,
        limits: Limits | None = None,
        files: Files | None = None,
    ) -> "Wal":
        """Open the log: mend what a crash left, then start the committer."""
        wal = cls(folder, clock=clock, node=node, limits=limits or Limits(), files=files or Files())
        wal.committer.start()
        return wal

    # -- appending ---------------------------------------------------------------------------------------------------

    def append(
        self,
        tenant: int,
        project: int,
        received_at: int,
        retention_days: int,
        events: Sequence[Event],
        *,
        later: Callable[[Callable[[], None]], object] | None = None,
    ) -> Appended:
        """Give the events their ids and hand them to the committer.

        They are durable once the returned commit is done. `later` (an event loop's `call_soon`) puts off waking the
        committer, so that all requests of one turn of the loop share a commit. Raises WalError when the log cannot
        take them.
        """
        rows = len(events)
        with self.lock:
            self.check()
            first_id = self.next_id
            group = Group(rows, tenant, project, received_at, retention_days, first_id, events)
            line = self.encoder.encode(group) + b"\n"
            batch = self.batch()
            self.next_id += rows
            batch.chunks.append(line)
            batch.groups.append((rows, tenant, project, received_at, first_id + rows))
            self.current_rows += rows
            self.current_bytes += len(line)
            self.waiting_bytes += len(line)
            self.arrivals[tenant, project, received_at // DAY] += rows
            self.depths[tenant, project] += rows
            if self.current_rows >= self.limits.segment_rows or self.current_bytes >= self.limits.segment_bytes:
                batch.last = True
                self.current = None
            first = len(batch.chunks) == 1
            if batch.last or (first and later is None):
                self.work.notify()
        if first and later is not None:
            later(self.wake)
        return Appended(first_id, batch.commit, len(line))

    def wake(self) -> None:
        """Have the committer look for work."""
        with self.lock:
            self.work.notify()

    def check(self) -> None:
        if self.closing:
            message = "the log is closed"
        elif self.broken is not None:
            message = self.broken
        elif self.waiting_bytes >= self.limits.waiting_bytes:
            message = "too many events wait to be stored"
        else:
            return
        raise WalError(message)

    def batch(self) -> Batch:
        """Return the batch that takes the next line: the waiting one, a new one, or the first of a new segment."""
        if self.current is None:
            path = self.folder / f"{self.next_id:019d}.open"
            self.current = Batch(Segment(path=path, first_id=self.next_id, last_id=self.next_id))
            self.batches.append(self.current)
            self.current_rows = self.current_bytes = 0
            self.opened_at = time.monotonic()
        elif not self.batches or self.batches[-1] is not self.current:
            self.current = Batch(self.current.segment)
            self.batches.append(self.current)
        return self.current

    # -- the committer -----------------------------------------------------------------------------------------------

    def run(self) -> None:
        try:
            while (batch := self.take()) is not None:
                self.commit(batch)
            for segment in list(self.torn):
                self.seal(segment)
        finally:
            self.abandon()

    def commit(self, batch: Batch) -> None:
        error: WalError | None = WalError(STOPPED)
        try:
            error = self.write(batch) if batch.chunks else None
        finally:
            batch.commit.finish(error)
        if batch.last or error is not None:
            self.seal(batch.segment)

    def abandon(self) -> None:
        """Refuse what nobody will write any more: after a bug in the committer no request may wait for ever."""
        with self.lock:
            if not self.closing:
                self.broken = STOPPED
            left = list(self.batches)
            self.batches.clear()
            for batch in left:
                self.forget(batch)
        for batch in left:
            batch.commit.finish(WalError(STOPPED))

    def take(self) -> Batch | None:
        """Wait for the next batch to write; None once the log is closed and all is written."""
        with self.lock:
            while True:
                # The age comes first: under a steady load there is always a batch, and nothing would be sealed.
                if self.current is not None and (self.closing or self.age() >= self.ripe_age()):
                    self.batch().last = True
                    self.current = None
                if self.batches:
                    return self.batches.popleft()
                if self.closing:
                    return None
                if not self.work.wait(self.patience()) and self.torn:
                    batch = Batch(self.torn[0])
                    batch.last = True
                    return batch

    def patience(self) -> float | None:
        """Seconds until the committer has something to do although nothing arrives."""
        if self.torn:
            return self.limits.mend_pause
        return None if self.current is None else max(0.001, self.ripe_age() - self.age())

    def age(self) -> float:
        return time.monotonic() - self.opened_at

    def ripe_age(self) -> float:
        """At how many seconds the open segment is sealed."""
        return self.limits.segment_age * (1 if self.current_rows >= FEW_ROWS else FEW_WAIT)

    def write(self, batch: Batch) -> WalError | None:
        """Write and sync one batch; on failure cut the file back before anybody is told: no refused line stays."""
        segment = batch.segment
        try:
            descriptor = self.descriptors.get(segment.first_id)
            if descriptor is None:
                descriptor = self.descriptors[segment.first_id] = self.files.create(segment.path)
            self.files.write(descriptor, batch.chunks)
            self.files.sync(descriptor)
        except OSError as problem:
            segment.whole = False
            self.cut(segment)
            self.give_up(batch)
            return WalError(f"the disk refused the write: {problem.strerror or problem}")
        segment.size += sum(map(len, batch.chunks))
        for group in batch.groups:
            segment.count(*group)
        self.commits += 1
        return None

    def give_up(self, batch: Batch) -> None:
        """Forget a failed batch. Its segment takes no more lines: after a failed sync its cached pages may lie."""
        segment = batch.segment
        with self.lock:
            if self.current is not None and self.current.segment is segment:
                self.current = None
            later = [other for other in self.batches if other.segment is segment]
            for other in later:
                self.batches.remove(other)
            for other in [batch, *later]:
                self.forget(other)
        for other in later:
            other.commit.finish(WalError("the disk refused the write before this one"))

    def forget(self, batch: Batch) -> None:
        self.waiting_bytes -= sum(map(len, batch.chunks))
        arrivals: Counter[tuple[int, int, int]] = Counter()
        for rows, tenant, project, received_at, _last in batch.groups:
            arrivals[tenant, project, received_at // DAY] += rows
        self.lower(arrivals)

    def lower(self, arrivals: Counter[tuple[int, int, int]]) -> None:
        """Take rows out of the counts; a count of zero goes, so that the counts name only what waits."""
        for (tenant, project, day), rows in arrivals.items():
            self.arrivals[tenant, project, day] -= rows
            if not self.arrivals[tenant, project, day]:
                del self.arrivals[tenant, project, day]
            self.depths[tenant, project] -= rows
            if not self.depths[tenant, project]:
                del self.depths[tenant, project]

    def seal(self, segment: Segment) -> None:
        """Close a segment for good and offer it to the drain; an empty one (its only write failed) is removed.

        A segment that cannot be cut back waits in `torn`, and the log takes nothing meanwhile: the drain must not see
        its refused lines.
        """
        if not self.cut(segment):
            return
        descriptor = self.descriptors.pop(segment.first_id, None)
        if descriptor is not None:
            with contextlib.suppress(OSError):  # All that counts is synced already.
                self.files.close(descriptor)
        if segment.rows == 0:
            with contextlib.suppress(OSError):  # The next start removes it.
                self.files.remove(segment.path)
            return
        # No sync of the folder: should the old name come back after a crash, the segment is mended and sealed again.
        target = segment.path.with_suffix(".sealed")
        with contextlib.suppress(OSError):  # The old name serves as well.
            self.files.rename(segment.path, target)
            segment.path = target
        with self.lock:
            self.sealed.append(segment)
            self.ready.notify()

    def cut(self, segment: Segment) -> bool:
        """Cut a segment back to what was durable after a failed write, so that no refused line is stored."""
        if segment.whole:
            return True
        try:
            if segment.path.exists():
                self.files.truncate(segment.path, segment.size)
        except OSError as problem:
            if segment not in self.torn:
                self.torn.append(segment)
            self.broken = f"the disk refuses to be written and to be mended: {problem.strerror or problem}"
            return False
        segment.whole = True
        if segment in self.torn:
            self.torn.remove(segment)
        if not self.torn:
            self.broken = None
        return True

    # -- the drain's side --------------------------------------------------------------------------------------------

    def next_sealed(self, timeout: float) -> Segment | None:
        """Wait for the oldest sealed segment, the first until `done`; None after `timeout` seconds, or once closed."""
        with self.lock:
            self.ready.wait_for(lambda: self.sealed or self.closing, timeout)
            return self.sealed[0] if self.sealed else None

    def done(self, segment: Segment) -> None:
        """Forget a segment that is stored: its rows are searchable, its file goes."""
        self.mark = max(self.mark, segment.last_id)
        # On a full disk the segment must go all the same; the clock keeps ids apart too.
        with contextlib.suppress(OSError):
            self.files.replace_text(self.folder / "mark", f"{self.mark}\n")
        self.files.remove(segment.path)
        with self.lock:
            self.sealed.remove(segment)
            self.waiting_bytes -= segment.size
            self.lower(segment.arrivals)

    def note(self, segment: Segment) -> None:
        self.sealed.append(segment)
        self.waiting_bytes += segment.size
        self.arrivals.update(segment.arrivals)
        self.depths.update(segment.projects)

    def read_mark(self) -> int:
        """Return the id that follows the last stored segment, as `done` wrote it."""
        path = self.folder / "mark"
        return int(path.read_text()) if path.exists() else 0

    # -- facts -------------------------------------------------------------------------------------------------------

    def depth(self, tenant: int, project: int) -> int:
        """Rows of a project that are acknowledged but not yet searchable."""
        return self.depths.get((tenant, project), 0)

    @property
    def waiting_rows(self) -> int:
        with self.lock:
            return sum(self.depths.values())

    def close(self) -> None:
        """Write what waits, seal what is open, stop the committer. The drain or the next start has the rest."""
        with self.lock:
            self.closing = True
            self.work.notify_all()
            self.ready.notify_all()
        self.committer.join()
