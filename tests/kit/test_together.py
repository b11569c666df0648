import asyncio
import threading

import pytest

from headrace.kit import together
from headrace.kit.together import Together


class Work:
    """Squares; notes each call. A zero is an error; `open` lets a call end."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.begun = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def __call__(self, asked: list[int]) -> list[int]:
        self.calls.append(asked)
        self.begun.set()
        assert self.open.wait(10)
        if 0 in asked:
            raise ZeroDivisionError
        return [one * one for one in asked]


def test_what_is_asked_at_once_is_one_call() -> None:
    async def ask() -> list[int]:
        return await asyncio.gather(*(desk.ask(one) for one in range(1, 6)))

    work = Work()
    desk = Together(work)
    assert asyncio.run(ask()) == [1, 4, 9, 16, 25]
    assert work.calls == [[1, 2, 3, 4, 5]]


def test_what_comes_meanwhile_is_the_next_call() -> None:
    async def ask() -> list[int]:
        work.open.clear()
        first = asyncio.create_task(desk.ask(1))
        await asyncio.to_thread(work.begun.wait, 10)
        others = [asyncio.create_task(desk.ask(one)) for one in (2, 3)]
        gone = asyncio.create_task(desk.ask(4))
        await asyncio.sleep(0)
        gone.cancel()
        work.open.set()
        return await asyncio.gather(first, *others)

    work = Work()
    desk = Together(work)
    assert asyncio.run(ask()) == [1, 4, 9]
    assert work.calls == [[1], [2, 3, 4]]


def test_no_call_is_larger_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> list[int]:
        return await asyncio.gather(*(desk.ask(one) for one in range(1, 6)))

    monkeypatch.setattr(together, "MOST", 2)
    work = Work()
    desk = Together(work)
    assert asyncio.run(ask()) == [1, 4, 9, 16, 25]
    assert work.calls == [[1, 2], [3, 4], [5]]


def test_an_error_is_of_one_call_alone() -> None:
    async def ask() -> None:
        found = await asyncio.gather(desk.ask(0), desk.ask(1), return_exceptions=True)
        assert [type(one) for one in found] == [ZeroDivisionError, ZeroDivisionError]
        assert await desk.ask(2) == 4

    desk = Together(Work())
    asyncio.run(ask())
