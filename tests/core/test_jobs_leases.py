"""Leases that end, ends of jobs, steps, progress: on both databases, by workers in the test's hands."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.jobs import leases, scheduler, workers
from headrace.core.refusals import Kind
from headrace.core.schema import jobs as schema
from tests.conftest import FakeClock
from tests.core.conftest import refusal
from tests.core.jobs_lab import ADA, ORGANIZATION, Hand, add, nothing, now


@pytest.fixture
def house(open_house: Callable[..., House]) -> House:
    house = open_house()
    jobs.define(house, jobs.Kind(name="plain", run=nothing, tries=3, schedule=(10.0, 100.0)))
    return house


def test_a_lease_that_ends_is_taken_back_and_its_holder_fenced_off(house: House, clock: FakeClock) -> None:
    job = add(house)
    first, second, third = Hand(house, "w1"), Hand(house, "w2"), Hand(house, "w3")
    (one,) = first.take()
    clock.advance(23)
    assert leases.reap(house) == 0
    assert set(leases.renew(house, "w1", [job.id])) == {job.id}
    clock.advance(23)
    assert leases.reap(house) == 0
    clock.advance(2)
    assert leases.reap(house) == 1
    # Not at once: the job may be the reason why its worker is gone.
    assert second.take() == []
    clock.advance(2)
    (two,) = second.take()
    assert leases.renew(house, "w1", [job.id]) == {}
    assert first.succeed(one, "late") is None
    clock.advance(31)
    assert leases.reap(house) == 1
    clock.advance(4)
    (three,) = third.take()
    assert (one.attempt, two.attempt, three.attempt) == (1, 2, 3)
    assert first.succeed(one, "late") is None
    assert second.fail(two, ValueError()) is None
    assert now(house, job).state == "running"
    assert third.succeed(three, "mine") == "succeeded"
    assert now(house, job).result == "mine"


def test_a_job_that_loses_every_worker_fails(house: House, clock: FakeClock) -> None:
    job = add(house)
    for attempt in (1, 2, 3):
        assert [one.attempt for one in Hand(house).take()] == [attempt]
        clock.advance(31)
        assert leases.reap(house) == 1
        clock.advance(60)
    assert (now(house, job).state, now(house, job).error) == ("failed", "The worker was lost")
    assert house.counters.value("jobs_reaped_total") == 3


def test_a_lost_worker_of_a_job_being_cancelled(house: House, clock: FakeClock) -> None:
    job = add(house)
    Hand(house).take()
    jobs.cancel(house, ADA, job_id=job.id)
    clock.advance(31)
    assert leases.reap(house) == 1
    assert now(house, job).state == "cancelled"


def test_workers_of_this_machine_that_died_are_known(house: House, clock: FakeClock) -> None:
    mine = workers.name()
    dead = mine.replace(mine.partition(".")[0], "4194305", 1)  # Above the highest process id there is.
    assert [workers.is_dead(name) for name in (mine, dead, "4194305.ab@elsewhere", "outside:x", "")] == [
        False,
        True,
        False,
        False,
        False,
    ]
    job = add(house)
    Hand(house, dead).take()
    assert leases.reap(house) == 1
    assert now(house, job).state == "scheduled"


def test_jobs_given_back_cost_no_try(house: House) -> None:
    job = add(house)
    hand = Hand(house)
    (held,) = hand.take()
    assert hand.release(held) == "ready"
    back = now(house, job)
    assert (back.state, back.attempt, back.tries) == ("ready", 1, 4)
    assert hand.succeed(held) is None


def test_the_end_of_a_job_is_one_transaction(open_house: Callable[..., House]) -> None:
    house = open_house()
    told: list[tuple[str, str]] = []

    def ended(connection: sa.Connection, house: House, job: jobs.Job) -> None:
        told.append((job.state, job.kind))
        jobs.enqueue(house, connection, kind="after", organization_id=ORGANIZATION, payload=job.id)
        if job.payload == "break":
            connection.execute(sa.text("SELECT * FROM no_such_table"))

    jobs.define(house, jobs.Kind(name="ending", run=nothing, ended=ended))
    jobs.define(house, jobs.Kind(name="after", run=None))
    hand = Hand(house)
    good = add(house, kind="ending")
    hand.succeed(hand.take()[0])
    assert (now(house, good).state, told) == ("succeeded", [("succeeded", "ending")])
    bad = add(house, kind="ending", payload="break")
    hand.succeed(hand.take()[0])
    assert (now(house, bad).state, now(house, bad).error) == ("failed", "The end of the job failed")
    gone = add(house, kind="ending")
    jobs.cancel(house, ADA, job_id=gone.id)
    assert told[-1] == ("cancelled", "ending")
    assert [job.payload for job in jobs.list_all(house, ADA, kind="after").jobs] == [gone.id, good.id]


def test_steps_are_done_once(house: House, clock: FakeClock) -> None:
    job, hand, calls = add(house), Hand(house), list[int]()

    def work() -> dict[str, int]:
        calls.append(1)
        return {"calls": len(calls)}

    (held,) = hand.take()
    first = jobs.Context(house, held, "w1")
    assert first.step("fetch", work) == first.step("fetch", work) == {"calls": 1}
    clock.advance(31)
    leases.reap(house)
    clock.advance(2)
    (held,) = hand.take()
    second = jobs.Context(house, held, "w1")
    assert second.step("fetch", work) == {"calls": 1}
    with pytest.raises(jobs.Cancelled):
        first.step("store", work)
    assert second.step("store", work) == {"calls": 3}
    with pytest.raises(jobs.NonRetryable, match="at most 262144"):
        second.step("large", lambda: "x" * jobs.RESULT_BYTES)
    hand.succeed(held)
    clock.advance(31 * 86_400)
    assert scheduler.purge(house) == 1
    with house.db.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.job_steps)).scalar() == 0
    assert refusal(lambda: jobs.get(house, ADA, job_id=job.id))[0] is Kind.NOT_FOUND
    assert jobs.counts(house, ADA)["succeeded"] == 1, "totals are of all time"


def test_progress_is_the_holders(house: House, clock: FakeClock) -> None:
    job = add(house)
    Hand(house).take()
    said = jobs.Progress(5, 10, "half")
    leases.say(house, "w2", {(job.id, 1): said})
    assert now(house, job).progress_done is None
    leases.say(house, "w1", {(job.id, 1): said})
    found = now(house, job)
    assert (found.progress_done, found.progress_total, found.progress_message) == (5, 10, "half")


def test_the_lead_is_one_process_at_a_time(house: House, clock: FakeClock) -> None:
    if house.db.dialect == "sqlite":
        assert scheduler.lead(house, "w1")
        return
    assert (scheduler.lead(house, "w1"), scheduler.lead(house, "w2"), scheduler.lead(house, "w1")) == (
        True,
        False,
        True,
    )
    clock.advance(31)
    assert (scheduler.lead(house, "w2"), scheduler.lead(house, "w1")) == (True, False)
    scheduler.resign(house, "w2")
    assert scheduler.lead(house, "w1")
    untils = []
    for seconds in (0, 3, 0.5):
        clock.advance(seconds)
        assert (scheduler.lead(house, "w1"), scheduler.lead(house, "w2")) == (True, False)
        with house.db.read() as connection:
            untils.append(connection.execute(sa.select(schema.job_leaders.c.until)).scalar_one())
    assert untils == [untils[0], untils[0], clock.now + scheduler.LEAD_US], "it is written once in a third of its time"
