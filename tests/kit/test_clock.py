"""A clock that follows another one, on a machine whose own is wrong."""

import pytest

from headrace.kit import clock as clocks
from headrace.kit.clock import Followed


class World:
    """The right time, and a way to it that takes `there` and `back`; this machine's clock is `wrong` by some."""

    def __init__(self, wrong: int, there: int = 10, back: int = 10) -> None:
        self.time, self.wrong, self.there, self.back = 1_000_000_000, wrong, there, back

    def theirs(self) -> int:
        self.time += self.there
        told = self.time
        self.time += self.back
        return told

    def here(self) -> int:
        return self.time + self.wrong


@pytest.mark.parametrize("wrong", [0, 45_000_000, -3_600_000_000])
def test_it_tells_the_other_clocks_time(wrong: int) -> None:
    world = World(wrong)
    clock = Followed(world.theirs, world.here)
    world.time += 5_000_000
    assert clock() == world.time


def test_what_is_within_doubt_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(0)
    clock = Followed(world.theirs, world.here)
    world.there, world.back = 400_000, 0
    clock.set()
    assert clock() == world.time, "the way took long, and the clock was as right as could be told"
    world.wrong += 60_000_000
    assert clock() == world.time + 60_000_000
    clock.keep()
    assert clock() == world.time + 60_000_000, "it is not asked all the time"
    monkeypatch.setattr(clocks, "SET_SECONDS", 0.0)
    clock.keep()
    assert abs(clock() - world.time) <= 200_000


def test_a_clock_that_is_silent_leaves_it_as_it_is() -> None:
    world = World(7)
    clock = Followed(world.theirs, world.here)

    def silent() -> int:
        raise ConnectionError

    clock.theirs = silent
    with pytest.raises(ConnectionError):
        clock.set()
    assert clock() == world.time
