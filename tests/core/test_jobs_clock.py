"""Engines on machines whose clocks are wrong, on one PostgreSQL: the database's time is everybody's."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.jobs import leases, scheduler, statements
from headrace.core.limits.windows import Limits
from headrace.core.metrics import Counters
from headrace.core.settings import Settings
from headrace.kit.clock import Followed, now, steady
from headrace.kit.database import Database, PostgresDatabase
from headrace.kit.times import SECOND
from tests.core.jobs_lab import add
from tests.core.jobs_lab import now as seen


def opened(address: str, settings: Settings, clock: Any = None) -> House:
    nothing: Any = None
    db = Database.open(address)
    if clock is not None:
        assert isinstance(db, PostgresDatabase)
        clock = Followed(db.time, clock)
    return House.open(settings, limits=Limits(now), store=nothing, counters=Counters(), clock=clock, db=db)


def off(seconds: int) -> int:
    return steady() + seconds * SECOND


def test_the_clock_of_a_house(address: str, settings: Settings) -> None:
    house = opened(address, settings)
    assert isinstance(house.clock, Followed) is (house.db.dialect == "postgresql")
    assert abs(house.clock() - now()) < 60 * SECOND
    house.keep_time()
    house.close()


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_machines_need_not_agree_on_the_time(address: str, settings: Settings, until: Callable[..., None]) -> None:
    """Of one the clock is a minute behind, of the other a minute ahead."""
    let_go, starts = threading.Event(), list[str]()

    def long(context: jobs.Context) -> None:
        starts.append(context.fence)
        let_go.wait()

    houses = [opened(address, settings, partial(off, seconds)) for seconds in (-60, 60)]
    for house in houses:
        jobs.define(house, jobs.Kind(name="long", run=long))
        house.part(jobs.Engine).start()
    made = [add(house, "long") for house in houses * 2]
    until(lambda: len(starts) == len(made))
    later = add(houses[1], "long", run_at=houses[1].clock() + 50 * SECOND)
    for house in houses:
        assert leases.reap(house) == 0
        assert all(0 < lease_until - house.clock() < 30 * SECOND for lease_until in lease_ends(house))
        house.db.submit(partial(scheduler.promote, now=house.clock()))
    assert seen(houses[0], later).state == "scheduled"
    let_go.set()
    until(lambda: all(seen(houses[0], job).state == "succeeded" for job in made))
    assert sorted(starts) == sorted(f"{job.id}:1" for job in made)
    for house in houses:
        house.part(jobs.Engine).stop(1)
        house.close()


def lease_ends(house: House) -> list[int]:
    with house.db.read() as connection:
        return [row[0] for row in statements.run(connection, "SELECT lease_until FROM jobs WHERE state = 'running'")]
