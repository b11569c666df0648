"""How the places of one process are shared by jobs that wait for somebody outside: by the order of claims alone."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from headrace.core import jobs, webhooks
from headrace.core.house import House
from headrace.core.jobs.claim import Capacity, Taker, Turns, claim
from headrace.core.jobs.places import Places
from headrace.core.jobs.tasks import SLOTS
from tests.core.jobs_lab import nothing

pytestmark = pytest.mark.parametrize("address", ["sqlite"], indirect=True)


class Process:
    """One engine's places; what it has claimed never ends unless the test says so."""

    def __init__(self, house: House) -> None:
        self.house, self.turns, self.held = house, Turns(), list[jobs.Job]()
        outward = {"request", "push", webhooks.kind(house).name}
        self.places = lambda: Places(job for job in self.held if job.kind in outward)

    def claim(self) -> list[jobs.Job]:
        """Claim until nothing more is to be had."""
        found: list[jobs.Job] = []
        taker = Taker("w", self.house.clock(), self.house.clock() + 1)
        while True:
            room = Capacity({"async": SLOTS - len(self.held)}, places=self.places)
            more = self.house.db.submit(
                lambda connection, room=room: claim(self.house, connection, self.turns, taker, room)  # type: ignore[misc]
            )
            if not more:
                return found
            self.held += more
            found += more


@pytest.fixture
def process(open_house: Callable[..., House]) -> Process:
    house = open_house()
    run: Any = nothing
    jobs.define(house, jobs.Kind(name="request", run=run, isolation="async", outward=True))
    jobs.define(house, jobs.Kind(name="push", run=run, isolation="async", outward=True))
    jobs.define(house, jobs.Kind(name="echo", run=run, isolation="async"))
    jobs.define(house, webhooks.kind(house))
    return Process(house)


def fill(process: Process, kind: str, organization: int, number: int, lane: str | None = None) -> None:
    with process.house.db.write() as connection:
        for _ in range(number):
            jobs.enqueue(process.house, connection, kind=kind, organization_id=organization, payload=None, lane=lane)


def test_requests_that_hang_leave_room_for_others(process: Process) -> None:
    fill(process, "request", 1, 300)
    first = process.claim()
    assert SLOTS // 8 < len(first) <= SLOTS // 4
    fill(process, "echo", 2, 100)
    fill(process, "echo", 1, 10)
    assert Counter(job.organization_id for job in process.claim()) == {2: 100, 1: 10}, "all of them begin"


def test_receivers_that_hang_leave_room_for_those_of_others(process: Process) -> None:
    deliver = webhooks.kind(process.house).name
    for organization in (1, 2):
        for endpoint in range(100):
            fill(process, deliver, organization, 3, lane=f"wh_{endpoint}")
        process.claim()
    fill(process, deliver, 3, 3, lane="wh_own")
    assert Counter(job.organization_id for job in process.claim())[3] > 0


def test_many_organizations_that_hang_leave_room_for_the_next_one(process: Process) -> None:
    for organization in range(1, 16):
        fill(process, "request", organization, 300)
        taken = Counter(job.organization_id for job in process.claim())
        assert taken[organization] >= 1
    fill(process, "request", 99, 1)
    assert len(process.claim()) == 1
    fill(process, "echo", 1, 20)
    assert len(process.claim()) == 20


def test_those_that_come_together_share(process: Process) -> None:
    for organization in range(1, 11):
        fill(process, "request", organization, 300)
    taken = Counter(job.organization_id for job in process.claim())
    assert len(taken) == 10
    fill(process, "request", 50, 1)
    assert [job.organization_id for job in process.claim()][:1] == [50]


def test_one_destination_leaves_room_for_the_organizations_others(process: Process) -> None:
    fill(process, "push", 1, 300, lane="hangs")
    hanging = len(process.claim())
    fill(process, "push", 1, 300, lane="fine")
    fill(process, "request", 1, 300)
    taken = Counter((job.kind, job.lane) for job in process.claim())
    assert taken["push", "1/fine"] > 8 < taken["request", "1"]
    assert hanging <= SLOTS // 4


def test_places_that_are_free_again_are_taken(process: Process) -> None:
    fill(process, "request", 1, 300)
    first = process.claim()
    del process.held[:40]
    assert len(process.claim()) == 40
    assert len(first) == len(process.held)
