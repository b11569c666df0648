"""Jobs that several callers ask for at once: one transaction, and each caller's own answer."""

from collections.abc import Iterator
from typing import Any

import pytest

from headrace.core import jobs, workflows
from headrace.core.house import House
from headrace.core.jobs import Job
from headrace.core.outward import Outward
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal
from tests.conftest import SignUp


@pytest.fixture
def ready(house: House) -> Iterator[House]:
    workflows.define_kinds(house)
    yield house
    house.part(Outward).close()


def order(who: Principal, **more: Any) -> workflows.Order:
    return workflows.Order(who, {"workflow": "echo", "payload": {"input": 1}, "view": "test"} | more)


def said(outcome: Job | Exception) -> str:
    return outcome.state if isinstance(outcome, Job) else str(outcome)


def test_each_gets_its_own_answer(ready: House, sign_up: SignUp) -> None:
    ada, bob = sign_up(ready), sign_up(ready, "bob@example.com")
    found = workflows.start_together(
        ready,
        [
            order(ada, workflow="first"),
            order(ada, payload=[]),
            order(bob, priority=jobs.HIGH),
            order(ada, callback_url="http://10.0.0.1/"),
        ],
    )
    assert list(map(said, found)) == ["ready", "payload: must be an object", "ready", "callback_url is not allowed"]
    assert [one.name for one in jobs.list_all(ready, ada).jobs] == ["first"]
    (theirs,) = jobs.list_all(ready, bob).jobs
    assert (theirs, theirs.priority) == (found[2], jobs.HIGH)
    assert workflows.start_together(ready, []) == []


def test_one_that_breaks_the_transaction_breaks_its_own_alone(ready: House, sign_up: SignUp) -> None:
    ada = sign_up(ready)
    found = workflows.start_together(ready, [order(ada), order(ada, unique="x" * 300), order(ada)])
    assert [said(one) for one in found] == [
        "ready",
        "unique: must be at most 255 characters, without null characters",
        "ready",
    ]
    assert isinstance(found[1], Refusal)
    assert jobs.created_since(ready, 0, view="test") == 2
