"""Functions that this server has not: another one has, or this one had before it was started anew."""

from collections.abc import Callable
from functools import partial

import pytest

from headrace.core import jobs, workflows
from headrace.core.house import House
from headrace.core.jobs import leases
from headrace.core.principal import Principal
from headrace.core.refusals import Kind
from tests.conftest import FakeClock, SignUp
from tests.core.conftest import refusal
from tests.core.jobs_lab import Hand, nothing

THUMB = "workflow:thumb"


@pytest.fixture
def ended() -> list[jobs.Job]:
    return []


@pytest.fixture
def house(open_house: Callable[..., House], ended: list[jobs.Job]) -> House:
    made = open_house()
    workflows.define_kinds(made, lambda _connection, _house, job: ended.append(job))
    return made


@pytest.fixture
def job(house: House, ada: Principal) -> jobs.Job:
    """A job that was taken in before the server was started anew: it has not heard of its kind since."""
    workflows.define(house, ada, name="thumb", kind="function", tries=2)
    made = workflows.start(house, ada, workflow="thumb", payload={})
    house.part(jobs.Kinds).named.pop(THUMB, None)
    return made


def test_the_end_of_a_job_that_is_cancelled_is_told(
    house: House, ada: Principal, job: jobs.Job, ended: list[jobs.Job]
) -> None:
    assert jobs.cancel(house, ada, job_id=job.id).state == "cancelled"
    assert [one.id for one in ended] == [job.id]
    assert jobs.retry(house, ada, job_id=job.id).tries == 2


def test_jobs_of_a_server_that_is_gone_are_taken_back(
    house: House, ada: Principal, job: jobs.Job, ended: list[jobs.Job], clock: FakeClock
) -> None:
    named = house.part(jobs.Kinds).named
    for _ in range(2):
        # The server that has it, and is lost.
        named[THUMB] = jobs.Kind(name=THUMB, run=nothing)
        assert [one.id for one in Hand(house).take()] == [job.id]
        del named[THUMB]
        clock.advance(31)
        assert leases.reap(house) == 1
        clock.advance(60)
    assert jobs.get(house, ada, job_id=job.id).state == "failed"
    assert [one.state for one in ended] == ["failed"]


def test_a_pause_is_made_and_ended_where_the_function_is_not(house: House, ada: Principal, job: jobs.Job) -> None:
    assert THUMB in workflows.pausable(house, ada)
    jobs.pause(house, ada, kind=THUMB)
    assert [one.kind for one in jobs.paused(house, ada)] == [THUMB]
    jobs.resume(house, ada, kind=THUMB)
    assert jobs.paused(house, ada) == []
    for kind in ("none", "\0", "\ud800", "workflow:" + "x" * 100):
        for verb in (jobs.pause, jobs.resume):
            assert refusal(partial(verb, house, ada, kind=kind))[0] is Kind.INVALID


def test_nobody_sees_the_functions_of_others(house: House, ada: Principal, job: jobs.Job, sign_up: SignUp) -> None:
    workflows.start(house, ada, workflow="thumb", payload={})
    eve = sign_up(house, "eve@example.com")
    assert THUMB not in workflows.pausable(house, eve)
    assert "thumb" not in refusal(lambda: jobs.pause(house, eve, kind="none"))[1]
