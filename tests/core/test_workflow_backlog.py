"""The limit of jobs that are not over: by organization, for requests and schedules, counted now and then."""

from collections.abc import Callable

import pytest

from headrace.core import jobs, workflows
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal
from headrace.core.settings import Settings
from headrace.core.workflows import Order, fire, schedules
from tests.conftest import FakeClock, SignUp
from tests.core.conftest import refusal

FULL = (Kind.UNAVAILABLE, "3 jobs of this organization wait or run; more are taken once some end")


@pytest.fixture
def house(open_house: Callable[..., House], settings: Settings) -> House:
    made = open_house(Settings(data=settings.data, secret=settings.secret, jobs_limit=3))
    workflows.define_kinds(made)
    return made


def start(house: House, who: Principal) -> jobs.Job:
    return workflows.start(house, who, workflow="w", payload={})


def test_no_more_wait_than_may(house: House, ada: Principal, sign_up: SignUp, clock: FakeClock) -> None:
    first, *_ = [start(house, ada) for _ in range(3)]
    assert refusal(lambda: start(house, ada)) == FULL
    assert start(house, sign_up(house, "eve@example.com")).state == "ready"
    jobs.cancel(house, ada, job_id=first.id)
    clock.advance(1)
    assert start(house, ada).state == "ready"
    assert refusal(lambda: start(house, ada)) == FULL


def test_of_several_at_once_those_that_fit_are_taken(house: House, ada: Principal) -> None:
    orders = [Order(ada, {"workflow": "w", "payload": {}}) for _ in range(5)]
    found = workflows.start_together(house, orders)
    assert [isinstance(one, jobs.Job) for one in found] == [True] * 3 + [False] * 2
    assert all(isinstance(one, Refusal) and (one.kind, one.text) == FULL for one in found[3:])


def test_a_schedule_says_why_it_waits_and_runs_later(house: House, ada: Principal, clock: FakeClock) -> None:
    schedules.create(house, ada, name="often", workflow="w", cron="* * * * *")
    first, *_ = [start(house, ada) for _ in range(3)]
    clock.advance(60)
    assert fire(house) == 0
    assert schedules.get(house, ada, name="often").error == FULL[1]
    jobs.cancel(house, ada, job_id=first.id)
    clock.advance(1)
    assert fire(house) == 1
    assert schedules.get(house, ada, name="often").error is None
