"""Jobs in threads: a fixed number of them. One that hangs cannot be ended: it is left to itself and replaced."""

import logging
import threading
import time
from collections.abc import Sequence
from queue import SimpleQueue

from headrace.core.jobs.running import Ear, Running

log = logging.getLogger(__name__)

# Jobs that take less than this are claimed ahead, so that a thread does not wait for the database between two of them.
AHEAD_SECONDS = 0.02
AHEAD_MOST = 200
WEIGHT = 0.1
CLOSE_SECONDS = 1.0


class Threads:
    """`count` threads that take from one queue."""

    def __init__(self, ear: Ear, count: int) -> None:
        self.ear = ear
        self.count = count
        self.hung = 0
        self.held = 0
        self.mean_seconds: float | None = None
        # By kind; and what runs now, by thread.
        self.means: dict[str, float] = {}
        self.current: dict[int, Running] = {}
        self.queue: SimpleQueue[Running | None] = SimpleQueue()
        self.threads: list[threading.Thread] = []
        self.lock = threading.Lock()

    def start(self) -> None:
        for _ in range(self.count):
            self._spawn()

    def put(self, many: Sequence[Running]) -> None:
        with self.lock:
            self.held += len(many)
        for one in many:
            self.queue.put(one)

    def capacity(self) -> int:
        return max(0, self.count + self._ahead() - self.held)

    def at_once(self) -> int:
        """Return how many more could begin now."""
        return max(0, self.count - self.held)

    def is_quick(self, kind: str) -> bool:
        """Tell whether jobs of a kind are known to be quick enough to be claimed ahead."""
        return self.means.get(kind, AHEAD_SECONDS) < AHEAD_SECONDS

    def _ahead(self) -> int:
        if self.mean_seconds is None:
            return 0
        now = time.monotonic()
        long = sum(self._is_long(one, now) for one in list(self.current.values()))
        return min(AHEAD_MOST, int(max(0, self.count - long) * AHEAD_SECONDS / max(self.mean_seconds, 1e-6)))

    def _is_long(self, one: Running, now: float) -> bool:
        """Tell whether a thread that runs this will hardly come to what is claimed ahead."""
        if one.settled or one.began is None:
            return False
        return not self.is_quick(one.kind.name) or now - one.began > AHEAD_SECONDS

    def stop(self, one: Running) -> None:
        """Nothing beyond its context can be done to a thread."""

    def kill(self, one: Running) -> None:
        with self.lock:
            self.held -= 1
            self.hung += 1
        log.error("Job %s does not stop; its thread is left to itself (%s of them)", one.job.fence, self.hung)
        one.context.house.counters.add("jobs_threads_left_total", (("kind", one.kind.name),))
        # Always: a thread that hangs is some memory, a server with no thread left runs none of these jobs again.
        self._spawn()

    def close(self) -> None:
        for _ in self.threads:
            self.queue.put(None)
        ends = time.monotonic() + CLOSE_SECONDS
        for thread in self.threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def _spawn(self) -> None:
        thread = threading.Thread(target=self._work, name="job", daemon=True)
        self.threads = [*filter(threading.Thread.is_alive, self.threads), thread]
        thread.start()

    def _work(self) -> None:
        while (one := self.queue.get()) is not None:
            if self.ear.begin(one) and not self._run(one):
                with self.lock:
                    self.hung -= 1
                return  # Another thread took this one's place while it hung.
            with self.lock:
                self.held -= 1

    def _run(self, one: Running) -> bool:
        assert one.kind.run is not None  # noqa: S101  Claimed kinds have one.
        began, here = time.monotonic(), threading.get_ident()
        self.current[here] = one
        try:
            result = one.kind.run(one.context)
        except Exception as error:  # noqa: BLE001  The edge between the engine and what a kind does; the job keeps it.
            heard = self.ear.ended(one, error=error)
        else:
            heard = self.ear.ended(one, result)
        del self.current[here]
        taken, kind = time.monotonic() - began, one.kind.name
        self.mean_seconds = _blended(self.mean_seconds, taken)
        self.means[kind] = _blended(self.means.get(kind), taken)
        return heard


def _blended(mean: float | None, taken: float) -> float:
    return taken if mean is None else mean + WEIGHT * (taken - mean)
