"""Callers that wait for the same kind of work share a thread's turn: what comes while it is busy goes together next.

A turn for each request would cost more than a small piece of work, and would leave a commit to each.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

MOST = 200

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Told = Callable[[None], object]


class Batch(Generic[Item, Outcome]):
    """What one call of `run` does; `outcomes` are there once it is done. Lives on its event loop alone."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.outcomes: Sequence[Outcome | Exception] = ()
        self.waiting: list[Told] = []

    def then(self, loop: asyncio.AbstractEventLoop, told: Told) -> None:
        """Have `told` called once it is done; never before this call has returned."""
        if self.outcomes:
            loop.call_soon(told, None)
        else:
            self.waiting.append(told)

    def finish(self, outcomes: Sequence[Outcome | Exception]) -> None:
        self.outcomes = outcomes
        loop = asyncio.get_running_loop()
        for told in self.waiting:
            # Each has its own turn on the loop, so that one that fails takes no other with it.
            loop.call_soon(told, None)


class Together(Generic[Item, Outcome]):
    """`run` does the work of several items, in a thread: for each, in order, its outcome or the exception it raises."""

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Outcome | Exception]]) -> None:
        self.run = run
        self.lanes: WeakKeyDictionary[asyncio.AbstractEventLoop, _Lane[Item, Outcome]] = WeakKeyDictionary()

    async def __call__(self, item: Item) -> Outcome:
        """Have the work of one item done; raises what it raised."""
        batch, place = self.put(item)
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        # Where the caller left, the work is done all the same.
        batch.then(loop, lambda _: None if done.done() else done.set_result(None))
        await done
        outcome = batch.outcomes[place]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def put(self, item: Item) -> tuple[Batch[Item, Outcome], int]:
        """Have the work of one item done, on the event loop; returns where its outcome will be."""
        loop = asyncio.get_running_loop()
        lane = self.lanes.get(loop)
        if lane is None:
            lane = self.lanes[loop] = _Lane(self.run)
        return lane.put(item)


class _Lane(Generic[Item, Outcome]):
    """What waits on one event loop."""

    def __init__(self, run: Callable[[Sequence[Item]], Sequence[Outcome | Exception]]) -> None:
        self.run = run
        self.waiting: deque[Batch[Item, Outcome]] = deque()
        self.turn: asyncio.Task[None] | None = None

    def put(self, item: Item) -> tuple[Batch[Item, Outcome], int]:
        if not self.waiting or len(self.waiting[-1].items) >= MOST:
            self.waiting.append(Batch())
        batch = self.waiting[-1]
        batch.items.append(item)
        if self.turn is None:
            self.turn = asyncio.create_task(self._work())
        return batch, len(batch.items) - 1

    async def _work(self) -> None:
        while self.waiting:
            batch = self.waiting.popleft()
            outcomes: Sequence[Outcome | Exception]
            try:
                outcomes = await asyncio.to_thread(self.run, batch.items)
            except Exception as error:  # noqa: BLE001  Each of those who wait raises it.
                outcomes = [error] * len(batch.items)
            batch.finish(outcomes)
        self.turn = None
