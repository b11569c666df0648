"""What many tasks of one event loop ask for at the same time, done together by one call on a thread."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

A = TypeVar("A")
R = TypeVar("R")

MOST = 256


class Together(Generic[A, R]):
    """`work` takes what was asked, up to MOST at once, and returns an answer for each, in order.

    Nobody waits for a timer: what comes while the thread is at work is the next call's, so that calls grow with the
    load. An error of `work` is everybody's whose question was in that call: what may fail for one alone has no place
    there.
    """

    def __init__(self, work: Callable[[list[A]], Sequence[R]]) -> None:
        self.work = work
        self.waiting: list[tuple[A, asyncio.Future[R]]] = []
        self.turning: asyncio.Task[None] | None = None

    async def ask(self, question: A) -> R:
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self.waiting.append((question, answer))
        if self.turning is None:
            # It begins after the tasks that are ready now: their questions go along.
            self.turning = asyncio.create_task(self._turn())
        return await answer

    async def _turn(self) -> None:
        try:
            while self.waiting:
                some, self.waiting = self.waiting[:MOST], self.waiting[MOST:]
                await self._answer(some)
        finally:
            self.turning = None

    async def _answer(self, some: list[tuple[A, asyncio.Future[R]]]) -> None:
        try:
            answers = await asyncio.to_thread(self.work, [question for question, _ in some])
        except Exception as error:  # noqa: BLE001  Carried to the tasks that asked.
            for _, answer in some:
                # Who was cancelled meanwhile waits no more.
                if not answer.done():
                    answer.set_exception(error)
            return
        for (_, answer), found in zip(some, answers, strict=True):
            if not answer.done():
                answer.set_result(found)
