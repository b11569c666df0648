"""A worker in a test's own hands, which claims and settles when the test says so; and an engine with its threads."""

from typing import Any

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.jobs import leases, outcome, scheduler
from headrace.core.jobs.claim import Capacity, Taker, Turns, claim
from headrace.core.jobs.outcome import Outcome
from headrace.core.jobs.record import Job
from headrace.core.jobs.settle import settle
from headrace.core.principal import Principal

ORGANIZATION = 7
ADA = Principal(kind="user", organization_id=ORGANIZATION, account_id=1, role="org_admin")
OPERATOR = Principal(kind="operator", organization_id=ORGANIZATION)


def nothing(_: jobs.Context) -> None:
    """The least job."""


class Hand:
    """One worker."""

    def __init__(self, house: House, name: str = "w1") -> None:
        self.house, self.name, self.turns = house, name, Turns()

    def take(self, many: int = 10) -> list[Job]:
        now = self.house.clock()
        taker = Taker(self.name, now, now + leases.lease_us(self.house))
        self.house.db.submit(lambda connection: scheduler.promote(connection, now))
        room = Capacity({"thread": many, "async": many, "process": many})
        return self.house.db.submit(lambda connection: claim(self.house, connection, self.turns, taker, room))

    def write(self, *given: Outcome) -> dict[int, str]:
        return self.house.db.submit(lambda connection: settle(self.house, connection, given))

    def succeed(self, job: Job, result: Any = None) -> str | None:
        """Return the state that followed; None when the job was not this worker's."""
        kind = self.house.part(jobs.Kinds)[job.kind]
        return self.write(outcome.succeeded(kind, job, self.name, result)).get(job.id)

    def fail(self, job: Job, error: Exception) -> str | None:
        kind = self.house.part(jobs.Kinds)[job.kind]
        return self.write(outcome.failed(kind, job, self.name, error)).get(job.id)

    def release(self, job: Job) -> str | None:
        return self.write(outcome.released(job, self.name)).get(job.id)


def add(house: House, kind: str = "plain", **more: Any) -> Job:
    return jobs.submit(house, **{"kind": kind, "organization_id": ORGANIZATION, "payload": None} | more)


def now(house: House, job: Job) -> Job:
    return jobs.get(house, Principal(kind="operator", organization_id=job.organization_id), job_id=job.id)


class Lab:
    """A house whose engine runs; kinds are defined as the test goes."""

    def __init__(self, house: House) -> None:
        self.house, self.engine = house, house.part(jobs.Engine)
        self.engine.start()

    def kind(self, run: Any, **more: Any) -> str:
        name = f"k{len(self.house.part(jobs.Kinds).named)}"
        jobs.define(self.house, jobs.Kind(**{"name": name, "run": run} | more))
        return name

    def add(self, kind: str, **more: Any) -> jobs.Job:
        return add(self.house, kind, **more)

    def state(self, job: jobs.Job) -> str:
        return now(self.house, job).state

    def is_over(self, job: jobs.Job) -> bool:
        return self.state(job) in jobs.FINAL
