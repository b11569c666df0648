"""Jobs as tasks of one event loop, on a thread of its own."""

import asyncio
import threading
from collections.abc import Sequence

from headrace.core.jobs.running import Ear, Running

SLOTS = 256
CLOSE_SECONDS = 1.0


class Tasks:
    """Up to SLOTS tasks at once. A task that blocks holds up all of them: such kinds belong into threads."""

    def __init__(self, ear: Ear) -> None:
        self.ear = ear
        self.held = 0
        self.lock = threading.Lock()
        self.loop: asyncio.AbstractEventLoop
        self.thread = threading.Thread(target=self._turn, name="job-tasks", daemon=True)

    def start(self) -> None:
        # Not before: an engine that never starts never closes it.
        self.loop = asyncio.new_event_loop()
        self.thread.start()

    def put(self, many: Sequence[Running]) -> None:
        with self.lock:
            self.held += len(many)
        self.loop.call_soon_threadsafe(self._begin, many)

    def capacity(self) -> int:
        return max(0, SLOTS - self.held)

    def stop(self, one: Running) -> None:
        self.loop.call_soon_threadsafe(self._cancel, one)

    def kill(self, one: Running) -> None:
        """Forget a task that goes on although it was cancelled."""
        del one
        with self.lock:
            self.held -= 1

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(CLOSE_SECONDS)

    def _turn(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        # Once more, so that what was cancelled hears of it.
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
        # By this thread, however long a task that blocks has kept it.
        self.loop.close()

    def _begin(self, many: Sequence[Running]) -> None:
        for one in many:
            if self.ear.begin(one):
                one.handle = self.loop.create_task(self._run(one))
            else:
                self._free()

    def _cancel(self, one: Running) -> None:
        if one.handle is not None:
            one.handle.cancel()

    async def _run(self, one: Running) -> None:
        assert one.kind.run is not None  # noqa: S101  Claimed kinds have one.
        try:
            result = await one.kind.run(one.context)
        except asyncio.CancelledError as error:
            heard = self.ear.ended(one, error=error)
        except Exception as error:  # noqa: BLE001  The edge between the engine and what a kind does; the job keeps it.
            heard = self.ear.ended(one, error=error)
        else:
            heard = self.ear.ended(one, result)
        if heard:
            self._free()

    def _free(self) -> None:
        with self.lock:
            self.held -= 1
