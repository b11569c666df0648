"""What is seen of an engine, and what a stop makes of jobs, while a turn of it claims them."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.jobs import engine as engines
from headrace.core.jobs import tasks
from headrace.core.metrics import Counters
from tests.core.jobs_lab import add, now

pytestmark = pytest.mark.parametrize("address", ["sqlite"], indirect=True)


def test_what_is_claimed_while_it_stops_is_given_back(house: House, until: Callable[..., None]) -> None:
    claims, go = threading.Event(), threading.Event()

    def per_lane(_: str) -> int:
        """The engine asks it in the middle of a claim."""
        claims.set()
        go.wait()
        return 1

    def waits(context: jobs.Context) -> None:
        while True:
            context.check()

    jobs.define(house, jobs.Kind(name="waits", run=waits, per_lane=per_lane))
    engine = house.part(jobs.Engine)
    engine.start()
    job = add(house, "waits")
    until(claims.is_set)
    stop = threading.Thread(target=engine.stop, args=(0.05,))
    stop.start()
    until(lambda: engine.stopping)
    # As long as a stop that does not care about the claim would take for all the rest.
    stop.join(0.3)
    go.set()
    stop.join()
    found = now(house, job)
    assert (found.state, found.tries - found.attempt) == ("ready", 4), "nothing runs that nobody will settle"


def test_a_task_that_blocks_keeps_its_loop_no_longer_than_it_must(
    house: House, until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "CLOSE_SECONDS", 0.05)
    monkeypatch.setattr(engines, "HALT_SECONDS", 0.05)
    blocks, go = threading.Event(), threading.Event()

    async def block(_: jobs.Context) -> None:
        blocks.set()
        go.wait()

    jobs.define(house, jobs.Kind(name="blocks", run=block, isolation="async"))
    engine = house.part(jobs.Engine)
    engine.start()
    add(house, "blocks")
    until(blocks.is_set)
    engine.stop(0.05)
    runner: Any = engine.runners["async"]
    assert not runner.loop.is_closed()
    go.set()
    until(runner.loop.is_closed)


class Watch(Counters):
    """Counters that tell, each time that jobs were claimed, how many the engine knew of."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.engine: jobs.Engine

    def add(self, name: str, labels: tuple[tuple[str, str], ...] = (), amount: float = 1) -> None:
        super().add(name, labels, amount)
        if name == "jobs_claimed_total":
            self.seen.append(len(self.engine.running))


def test_an_engine_is_not_seen_idle_between_two_jobs(house: House, until: Callable[..., None]) -> None:
    watch = Watch()
    fields: dict[str, Any] = {name: getattr(house, name) for name in House.__slots__}
    watched = House(**fields | {"counters": watch})
    jobs.define(watched, jobs.Kind(name="quick", run=lambda _: None, per_lane=1))
    watch.engine = watched.part(jobs.Engine)
    made = [add(watched, "quick") for _ in range(3)]
    watch.engine.start()
    # One at a time: the turn that settles one claims the next.
    until(lambda: all(now(watched, job).state == "succeeded" for job in made))
    watch.engine.stop(1.0)
    assert watch.seen == [1, 1, 1]
