"""Clocks: microseconds since 1970-01-01 UTC. The only place that reads the machine's wall clock."""

import threading
import time
from collections.abc import Callable

Clock = Callable[[], int]

# So long what another clock said is good for.
SET_SECONDS = 5.0


def now() -> int:
    return time.time_ns() // 1000


def steady() -> int:
    """Count microseconds from some moment on; nobody can turn this clock."""
    return time.monotonic_ns() // 1000


class Followed:
    """Another clock's time: that one is asked once in a while, a clock of this machine tells what has passed since."""

    def __init__(self, theirs: Clock, here: Clock = steady) -> None:
        self.theirs = theirs
        self.here = here
        self.lock = threading.Lock()
        self.offset, self.set_at = self._ask()[0], time.monotonic()

    def __call__(self) -> int:
        return self.here() + self.offset

    def keep(self) -> None:
        """Set it again, if that is SET_SECONDS ago. What `theirs` raises is raised, and the clock stays as it is."""
        if time.monotonic() - self.set_at < SET_SECONDS or not self.lock.acquire(blocking=False):
            return
        try:
            self.set()
        finally:
            self.lock.release()

    def set(self) -> None:
        """Set it, unless it is as right as the way to the other clock lets anybody know."""
        self.set_at = time.monotonic()
        offset, doubt = self._ask()
        if abs(offset - self.offset) > doubt:
            self.offset = offset

    def _ask(self) -> tuple[int, int]:
        """Return by how much the other clock is ahead, and how far off that may be."""
        before = self.here()
        theirs = self.theirs()
        after = self.here()
        return theirs - (before + after) // 2, (after - before + 1) // 2
