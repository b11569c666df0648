import asyncio
import threading
from collections.abc import Sequence

import pytest

from headrace.kit.together import MOST, Together


class Work:
    """Doubles numbers, group by group; the first turn waits until it may go on."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.began, self.may = threading.Event(), threading.Event()

    def __call__(self, items: Sequence[int]) -> list[int | Exception]:
        self.groups.append(list(items))
        self.began.set()
        assert self.may.wait(10)
        if -1 in items:
            raise RuntimeError("broken")
        return [KeyError(item) if item == 13 else item * 2 for item in items]


def test_what_comes_meanwhile_goes_together() -> None:
    work = Work()

    async def run() -> list[int | BaseException]:
        together = Together(work)
        first = asyncio.create_task(together(1))
        assert await asyncio.to_thread(work.began.wait, 10)
        rest = [asyncio.create_task(together(number)) for number in (2, 13, 3)]
        await asyncio.sleep(0)
        work.may.set()
        return await asyncio.gather(first, *rest, return_exceptions=True)

    one, two, thirteen, three = asyncio.run(run())
    assert (one, two, three) == (2, 4, 6)
    assert isinstance(thirteen, KeyError)
    assert work.groups == [[1], [2, 13, 3]]


def test_groups_have_a_limit_and_a_caller_may_leave() -> None:
    work = Work()

    async def run() -> list[int]:
        together = Together(work)
        first = asyncio.create_task(together(0))
        assert await asyncio.to_thread(work.began.wait, 10)
        rest = [asyncio.create_task(together(number)) for number in range(100, 100 + MOST + 5)]
        await asyncio.sleep(0)
        rest[0].cancel()
        work.may.set()
        return await asyncio.gather(first, *rest[1:])

    assert asyncio.run(run()) == [0, *(2 * number for number in range(101, 100 + MOST + 5))]
    # Who left is not waited for, and what was asked is done.
    assert [len(group) for group in work.groups] == [1, MOST, 5]


def test_a_turn_that_breaks_is_told_to_all_of_it_and_the_next_works() -> None:
    work = Work()
    work.may.set()
    together = Together(work)

    async def break_it() -> None:
        for outcome in await asyncio.gather(together(-1), together(1), return_exceptions=True):
            assert isinstance(outcome, RuntimeError)

    async def double() -> int:
        return await together(4)

    asyncio.run(break_it())
    # On another event loop too.
    assert asyncio.run(double()) == 8
    with pytest.raises(KeyError):
        asyncio.run(together(13))
