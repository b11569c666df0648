"""Requests that wait for the same kind of work share a thread's turn: what comes while it is busy goes together next.

A turn for each request would cost more than a small piece of work, and would leave a commit to each.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

MOST = 200

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Future = asyncio.Future[Outcome]


class Together(Generic[Item, Outcome]):
    """`run` does the work of several items, in a thread: for each, in order, its outcome or the exception it raises."""

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Outcome | Exception]]) -> None:
        self.run = run
        self.lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Lane[Item, Outcome]] = WeakKeyDictionary()

    async def __call__(self, item: Item) -> Outcome:
        """Have the work of one item done; raises what it raised."""
        loop = asyncio.get_running_loop()
        lane = self.lanes.get(loop)
        if lane is None:
            lane = self.lanes[loop] = _Lane(self.run)
        return await lane.add(item, loop.create_future())


class _Lane(Generic[Item, Outcome]):
    """What waits on one event loop."""

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Outcome | Exception]]) -> None:
        self.run = run
        self.waiting: list[tuple[Item, asyncio.Future[Outcome]]] = []
        self.turn: asyncio.Task[None] | None = None

    def add(self, item: Item, future: asyncio.Future[Outcome]) -> asyncio.Future[Outcome]:
        self.waiting.append((item, future))
        if self.turn is None:
            self.turn = asyncio.create_task(self._work())
        return future

    async def _work(self) -> None:
        while self.waiting:
            group, self.waiting = self.waiting[:MOST], self.waiting[MOST:]
            try:
                outcomes = await asyncio.to_thread(self.run, [item for item, _ in group])
            except Exception as error:  # noqa: BLE001  Each of those who wait raises it.
                outcomes = [error] * len(group)
            for (_, future), outcome in zip(group, outcomes, strict=True):
                if future.done():
                    continue  # The caller left; the work is done all the same.
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
        self.turn = None
