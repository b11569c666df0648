import math
from unittest import mock

import limits.errors
import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from headrace.core.limits.windows import Budget, CellStorage, Limits, retry_after
from headrace.core.settings import SettingError, Settings
from headrace.kit.times import SECOND
from tests.conftest import FakeClock

MINUTE = Budget("key/1", 10, 60)


def fill(found: Limits, clock: FakeClock, *, before: int, current: int, into: float) -> None:
    """Put a bucket into a state: `before` hits in the last cell, `current` in this one, `into` seconds into it."""
    for _ in range(before):
        assert found.take(MINUTE.bucket, 1000, 60)
    clock.advance(60 if before else 0)
    for _ in range(current):
        assert found.take(MINUTE.bucket, 1000, 60)
    clock.advance(into)


@pytest.mark.parametrize(
    ("before", "current", "into", "allowed", "remaining", "wait"),
    [
        (0, 10, 12, False, 0, 49),
        (10, 3, 15, False, 0, 4),
        (10, 0, 30, True, 4, 1),
        (0, 0, 0, True, 9, 1),
        (10, 10, 0, False, 0, 61),
        (10, 0, 0, False, 0, 1),
        (10, 1, 0, False, 0, 7),
        (20, 0, 59.999, True, 9, 1),
    ],
)
def test_examples(  # noqa: PLR0917  The columns of the table.
    before: int, current: int, into: float, allowed: bool, remaining: int, wait: int
) -> None:
    clock = FakeClock()
    found = Limits(clock)
    fill(found, clock, before=before, current=current, into=into)
    standing = found.peek(MINUTE)
    taken = found.take_all([MINUTE])
    assert (taken.allowed, taken.standings[0].remaining) == (allowed, remaining)
    if not allowed:
        assert standing.retry_after == wait
        clock.advance(wait - 1)
        assert not found.take(*_args(MINUTE)), "one second less is refused"
        clock.advance(1)
        assert found.take(*_args(MINUTE)), "at Retry-After the request passes"


def _args(budget: Budget) -> tuple[str, int, int]:
    return budget.bucket, budget.limit, budget.width


@given(
    before=st.integers(0, 40),
    current=st.integers(0, 30),
    limit=st.integers(1, 30),
    into=st.integers(0, 60 * SECOND - 1),
)
def test_retry_after_is_exact(before: int, current: int, limit: int, into: int) -> None:
    wait = retry_after(current, before, limit=limit, width=60, into=into)
    assert used(current, before, into, wait) + 1 <= limit or wait > 120
    if wait > 1:
        assert used(current, before, into, wait - 1) + 1 > limit


def used(current: int, before: int, into: int, seconds: int) -> int:
    """The definition, in exact integers: what is used `seconds` later."""
    span = 60 * SECOND
    cells, rest = divmod(into + seconds * SECOND, span)
    current, before = [(current, before), (0, current), (0, 0)][min(cells, 2)]
    return current + before * (span - rest) // span


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 3)), max_size=200), st.integers(1, 12))
def test_agrees_with_the_library(steps: list[tuple[int, int]], limit: int) -> None:
    clock = FakeClock()
    ours = CellStorage(clock)
    theirs = MemoryStorage()
    theirs.timer.cancel()
    item = RateLimitItemPerSecond(limit, 60)
    with mock.patch("time.time", new=lambda: clock.now / SECOND):  # noqa: PT008  The clock moves.
        for pause, cost in steps:
            clock.advance(pause)
            expected = SlidingWindowCounterRateLimiter(theirs).hit(item, "k", cost=cost)
            got = ours.acquire_sliding_window_entry("k", limit, 60, cost)
            if got != expected:
                # They multiply in floating point, and differ only where the exact product is whole.
                before = ours.widths[60]["k"][2]
                exact = before * (60 * SECOND - clock.now % (60 * SECOND))
                assert exact % (60 * SECOND) == 0
                return
    theirs.timer.cancel()


def test_a_refusal_consumes_nothing(clock: FakeClock) -> None:
    found = Limits(clock)
    narrow, wide = Budget("a", 2, 60), Budget("a", 5, 3600)
    for _ in range(2):
        assert found.take_all([narrow, wide]).allowed
    refused = found.take_all([wide, narrow])
    assert refused.refused is not None
    assert refused.refused.budget is narrow
    assert found.peek(wide).remaining == 3
    assert found.take_all([]).tightest is None


def test_the_tightest_is_shown_and_the_shorter_on_a_tie(clock: FakeClock) -> None:
    found = Limits(clock)
    minute, hour = Budget("a", 3, 60), Budget("a", 3, 3600)
    tightest = found.take_all([hour, minute]).tightest
    assert tightest is not None
    assert tightest.budget is minute
    assert tightest.reset == math.ceil(clock.now / SECOND / 60) * 60 + (60 if clock.now % (60 * SECOND) == 0 else 0)


def test_a_live_bucket_is_never_evicted(clock: FakeClock) -> None:
    storage = CellStorage(clock, max_keys=3)
    for name in "abc":
        assert storage.acquire_sliding_window_entry(f"key/{name}", 1, 60)
    assert storage.acquire_sliding_window_entry("key/d", 1, 60), "newcomers share one bucket"
    assert not storage.acquire_sliding_window_entry("key/e", 1, 60)
    assert not storage.acquire_sliding_window_entry("key/a", 1, 60)
    clock.advance(180)
    assert storage.acquire_sliding_window_entry("key/e", 1, 60)
    assert not {"key/a", "key/b"} & set(storage.widths[60]), "silent ones make room"


class Flaky(CellStorage):
    """A shared store that can be out of reach, as the library reports it."""

    STORAGE_SCHEME = ("flaky",)
    down = False

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        if self.down:
            raise limits.errors.StorageError(ConnectionError("refused"))
        return super().acquire_sliding_window_entry(key, limit, expiry, amount)


def test_a_shared_store_that_is_down_leaves_the_local_counter(clock: FakeClock) -> None:
    shared = Flaky(clock)
    mine, other = Limits(clock, shared=shared), Limits(clock, shared=shared)
    assert [found.take("a", 2, 60) for found in (mine, other, mine)] == [True, True, False]
    assert mine.state == "server"
    shared.down = True
    assert [mine.take("a", 2, 60) for _ in range(3)] == [True, True, False]
    assert (mine.state, mine.failures) == ("degraded", 1), "it is not asked again at once"
    shared.down = False
    clock.advance(2)
    assert not mine.take("a", 2, 60)
    assert mine.state == "server"


def test_the_address_of_a_shared_store(clock: FakeClock) -> None:
    assert Limits.open(Settings(), clock).state == "memory"
    found = Limits.open(Settings(limits_url="redis://127.0.0.1:1"), clock)
    assert found.take("a", 1, 60), "nobody answers, and the process counts for itself"
    assert found.state == "degraded"
    with pytest.raises(SettingError, match="HEADRACE_LIMITS_URL cannot be used"):
        Limits.open(Settings(limits_url="mysql://127.0.0.1:1"), clock)


@given(st.lists(st.integers(0, 100), max_size=30))
def test_a_shared_store_stands_as_the_local_one(pauses: list[int]) -> None:
    clock = FakeClock()
    local, shared = Limits(clock), Limits(clock, shared=CellStorage(clock))
    for pause in pauses:
        clock.advance(pause)
        assert local.take_all([MINUTE]) == shared.take_all([MINUTE])
