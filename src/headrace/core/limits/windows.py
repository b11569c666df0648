"""Sliding-window counters: how many requests a bucket may still make. In memory, or in a store that servers share.

Cells of W seconds are aligned to the clock; used = current + floor(before x (1 - e/W)), e being the time into the cell.
A refusal consumes nothing. Whose bucket it is and how large, the callers say.
"""

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import limits.errors
import limits.storage
import msgspec
from limits.storage import SlidingWindowCounterSupport, Storage

from headrace.core.settings import SettingError, Settings
from headrace.kit.clock import Clock
from headrace.kit.times import SECOND

log = logging.getLogger(__name__)
# A request waits no longer than this for a shared store.
ANSWER_SECONDS, CONNECT_SECONDS = 0.05, 0.2
RETRY_SHARED_US = SECOND


class Budget(msgspec.Struct, frozen=True):
    """One limit on one bucket, `class/id`; the id is a number, hex or a MAC, never a raw name or e-mail address."""

    bucket: str
    limit: int
    width: int
    name: str = "minute"


class Standing(msgspec.Struct, frozen=True):
    """A budget after a request: what is left, when its cell ends (Unix seconds), when a refused one would pass."""

    budget: Budget
    remaining: int
    reset: int
    retry_after: int


class Taken(msgspec.Struct, frozen=True):
    """The answer of `take_all`. `tightest` has the fewest requests left, on a tie the shorter window."""

    refused: Standing | None
    standings: tuple[Standing, ...]

    @property
    def allowed(self) -> bool:
        return self.refused is None

    @property
    def tightest(self) -> Standing | None:
        return min(self.standings, key=lambda one: (one.remaining, one.budget.width), default=None)


class CellStorage(Storage, SlidingWindowCounterSupport):
    """Counters in memory, on the library's storage interface. Its own memory store sweeps all keys after each hit.

    A live bucket is never evicted: beyond `max_keys` of a width the newcomers of one class share a bucket.
    """

    STORAGE_SCHEME = ("cells",)  # type: ignore[assignment]

    def __init__(self, clock: Clock, max_keys: int = 100_000) -> None:
        super().__init__(None, wrap_exceptions=False)
        self.clock = clock
        self.max_keys = max_keys
        self.widths: dict[int, OrderedDict[str, list[int]]] = {}
        self.lock = threading.Lock()

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        return ()

    def cell(self, key: str, width: int, now: int) -> list[int]:
        """Return [cell number, current, before] of a bucket, turned to `now`; the lock is held."""
        number = now // (width * SECOND)
        cells = self.widths.setdefault(width, OrderedDict())
        cell = cells.get(key)
        if cell is None:
            key = self._room(key, cells, number)
            cell = cells.setdefault(key, [number, 0, 0])
        if cell[0] != number:
            cell[:] = [number, 0, cell[1] if cell[0] == number - 1 else 0]
            cells.move_to_end(key)
        return cell

    def _room(self, key: str, cells: OrderedDict[str, list[int]], number: int) -> str:
        # Oldest first: what stands in front has been silent for two cells, or nothing has.
        while len(cells) >= self.max_keys and next(iter(cells.values()))[0] < number - 1:
            cells.popitem(last=False)
        return key if len(cells) < self.max_keys else key.split("/", 1)[0] + "/overflow"

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        with self.lock:
            now = self.clock()
            cell = self.cell(key, expiry, now)
            if _used(cell[1], cell[2], expiry, now) + amount > limit:
                return False
            cell[1] = max(0, cell[1] + amount)
            return True

    def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]:
        with self.lock:
            now = self.clock()
            _, current, before = self.cell(key, expiry, now)
        left = expiry - now % (expiry * SECOND) / SECOND
        return before, left if before else 0.0, current, left + expiry

    def window(self, key: str, width: int) -> tuple[int, int, int, int]:
        """Return (current, before, microseconds into the cell, now), exact."""
        with self.lock:
            now = self.clock()
            _, current, before = self.cell(key, width, now)
        return current, before, now % (width * SECOND), now

    def has(self, key: str, width: int) -> bool:
        cells = self.widths.get(width)
        return cells is not None and key in cells

    def take_all(self, budgets: Sequence[Budget], cost: int) -> Taken:
        """Take from every budget or from none, under one lock and at one time."""
        with self.lock:
            now = self.clock()
            cells = [self.cell(one.bucket, one.width, now) for one in budgets]
            spent = None
            for number, one in enumerate(budgets):
                _, current, before = cells[number]
                if _used(current, before, one.width, now) + cost > one.limit:
                    spent = number
                    break
            else:
                for cell in cells:
                    cell[1] += cost
            standings = []
            for number, one in enumerate(budgets):
                _, current, before = cells[number]
                standings.append(standing(one, (current, before, now % (one.width * SECOND), now), cost))
        return Taken(refused=None if spent is None else standings[spent], standings=tuple(standings))

    def clear_sliding_window(self, key: str, expiry: int) -> None:
        with self.lock:
            self.widths.get(expiry, OrderedDict()).pop(key, None)

    def check(self) -> bool:
        return True

    def reset(self) -> int | None:
        with self.lock:
            count = sum(map(len, self.widths.values()))
            self.widths.clear()
        return count

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError("only sliding windows live here")

    def get(self, key: str) -> int:
        raise NotImplementedError("only sliding windows live here")

    def get_expiry(self, key: str) -> float:
        raise NotImplementedError("only sliding windows live here")

    def clear(self, key: str) -> None:
        raise NotImplementedError("only sliding windows live here")


class Limits:
    """All rate windows of the house; callable from any thread. With a shared store a call may block for 50 ms."""

    def __init__(self, clock: Clock, *, max_keys: int = 100_000, shared: Any = None) -> None:
        self.clock = clock
        self.local = CellStorage(clock, max_keys)
        self.shared = shared
        self.failures = 0
        self._silent_until = 0

    @staticmethod
    def open(settings: Settings, clock: Clock) -> "Limits":
        """Open the counters; `limits_url` names a Redis or Valkey server: one client speaks to both."""
        if not settings.limits_url:
            return Limits(clock, max_keys=settings.limit_buckets)
        try:
            shared = limits.storage.storage_from_string(
                re.sub("^valkey", "redis", settings.limits_url),
                wrap_exceptions=True,
                key_prefix="headrace:limits",
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=CONNECT_SECONDS,
            )
        except limits.errors.ConfigurationError as error:
            raise SettingError(f"HEADRACE_LIMITS_URL cannot be used: {error}") from error
        return Limits(clock, max_keys=settings.limit_buckets, shared=shared)

    def close(self) -> None:
        """Hang up on the shared store, where there is one."""
        client = getattr(self.shared, "storage", None)
        if client is not None:
            client.close()

    @property
    def state(self) -> str:
        """`memory`, `server`, or `degraded`: the server does not answer, and this process counts for itself."""
        if self.shared is None:
            return "memory"
        return "degraded" if self.clock() < self._silent_until else "server"

    def take(self, bucket: str, limit: int, width_seconds: int, cost: int = 1) -> bool:
        """Take `cost` from the bucket, or nothing at all."""
        if self._asks_shared():
            try:
                return bool(self.shared.acquire_sliding_window_entry(bucket, limit, width_seconds, cost))
            except limits.errors.StorageError as error:
                self._fall_back(error)
        return self.local.acquire_sliding_window_entry(bucket, limit, width_seconds, cost)

    def give_back(self, bucket: str, width_seconds: int, cost: int = 1) -> None:
        """Undo a `take` that did not count after all; in another cell than the take it does nothing."""
        self.take(bucket, 1 << 62, width_seconds, -cost)

    def untouched(self, budgets: Sequence[Budget]) -> bool:
        """Tell cheaply that nothing was ever taken from these; False may also mean that nobody knows."""
        return self.shared is None and not any(self.local.has(one.bucket, one.width) for one in budgets)

    def peek(self, budget: Budget, cost: int = 1) -> Standing:
        """Tell how a budget stands, without taking."""
        return standing(budget, self._window(budget.bucket, budget.width), cost)

    def take_all(self, budgets: Sequence[Budget], cost: int = 1) -> Taken:
        """Take from every budget or from none. In memory this is exact; on a shared store a lost race costs a unit."""
        if self.shared is None:
            return self.local.take_all(budgets, cost)
        taken: list[Budget] = []
        for budget in budgets:
            if not self.take(budget.bucket, budget.limit, budget.width, cost):
                for earlier in taken:
                    self.give_back(earlier.bucket, earlier.width, cost)
                return Taken(refused=self.peek(budget, cost), standings=tuple(self.peek(one) for one in budgets))
            taken.append(budget)
        return Taken(refused=None, standings=tuple(self.peek(one) for one in budgets))

    def _window(self, bucket: str, width: int) -> tuple[int, int, int, int]:
        """Return (current, before, microseconds into the cell, now)."""
        span = width * SECOND
        if self._asks_shared():
            try:
                before, left, current, ends = self.shared.get_sliding_window(bucket, width)
            except limits.errors.StorageError as error:
                self._fall_back(error)
            else:
                # Its cells start at a bucket's first request; where there was none, it says 0.
                rest = round((ends - width if ends else left or width) * SECOND)
                return current, before, min(span, max(0, span - rest)), self.clock()
        return self.local.window(bucket, width)

    def _asks_shared(self) -> bool:
        return self.shared is not None and self.clock() >= self._silent_until

    def _fall_back(self, error: Exception) -> None:
        self.failures += 1
        self._silent_until = self.clock() + RETRY_SHARED_US
        log.warning("the shared store of rate windows does not answer, this process counts for itself: %s", error)


def standing(budget: Budget, window: tuple[int, int, int, int], cost: int) -> Standing:
    """Tell how a budget stands; `window` is (current, before, microseconds into the cell, now)."""
    current, before, into, now = window
    limit, width = budget.limit, budget.width
    span = width * SECOND
    return Standing(
        budget=budget,
        remaining=max(0, limit - current - (before * (span - into) // span if before else 0)),
        reset=-(-(now + span - into) // SECOND),
        retry_after=retry_after(current, before, limit=limit, width=width, into=into, cost=cost),
    )


def _used(current: int, before: int, width: int, now: int) -> int:
    if not before:
        return current
    span = width * SECOND
    return current + before * (span - now % span) // span


def retry_after(current: int, before: int, *, limit: int, width: int, into: int, cost: int = 1) -> int:
    """Return the whole seconds after which a request of `cost` would pass; one second less is refused. 1 at the least.

    `into` is the time into the cell in microseconds. Either enough of the cell before fades, or the current cell has to
    end and fade in its turn.
    """
    span = width * SECOND
    if current + cost <= limit:
        if not before:
            return 1
        spare = limit - cost - current + 1
        return max(1, (span * (before - spare) - into * before) // (before * SECOND) + 1)
    fading = max(0, span * (current - (limit - cost + 1)))
    return max(1, ((span - into) * current + fading) // (current * SECOND) + 1) if current else 1
