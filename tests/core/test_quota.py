import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from headrace.core import projects
from headrace.core.house import House
from headrace.core.identity import operators
from headrace.core.limits import quota
from headrace.core.projects import Project
from headrace.core.refusals import Kind, Refusal
from headrace.kit.times import day
from tests.conftest import FakeClock, SignUp


@pytest.fixture
def project(house: House, sign_up: SignUp) -> Project:
    """100 events a day, 60 of which may wait."""
    made = projects.create(house, sign_up(house), name="App", slug="app")
    operator = operators.principal(house, organization="ada-lovelace")
    return projects.set_limits(house, operator, project_id=made.project_id, daily_quota=100, queue_limit=60)


def refusal(call: Callable[[], Any]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value


def drain(house: House, project: Project, rows: int, on: int | None = None) -> None:
    counts = {(project.project_id, day(house.clock()) if on is None else on): rows}
    with house.db.write() as connection:
        quota.fold(house, connection, counts)
    quota.settle(house, counts)


def test_the_queue_has_room_for_so_many(house: House, project: Project) -> None:
    assert quota.reserve(house, project, 60) == 60
    full = refusal(lambda: quota.reserve(house, project, 1))
    assert (full.kind, full.text) == (Kind.UNAVAILABLE, "Service temporarily unavailable - queue full")
    assert full.facts["retry_after"] == 60
    assert quota.depth(house, project.project_id) == 60
    quota.refund(house, project.project_id, 10)
    assert quota.reserve(house, project, 10) == 10
    drain(house, project, 60)
    assert quota.depth(house, project.project_id) == 0
    assert quota.usage(house, project.project_id) == 60


def test_a_spent_quota_lasts_until_midnight(house: House, project: Project, clock: FakeClock) -> None:
    quota.reserve(house, project, 60)
    drain(house, project, 60)
    assert quota.reserve(house, project, 50) == 40, "the first are granted"
    spent = refusal(lambda: quota.reserve(house, project, 1))
    assert (spent.kind, spent.text) == (Kind.QUOTA_SPENT, "Daily quota exceeded: 100 logs per day")
    assert spent.facts["retry_after"] == 14 * 3600
    clock.advance(14 * 3600 - 1)
    assert refusal(lambda: quota.reserve(house, project, 1)).facts["retry_after"] == 1
    clock.advance(1)
    assert quota.reserve(house, project, 1) == 1
    assert quota.usage(house, project.project_id) == 1
    assert quota.depth(house, project.project_id) == 41, "yesterday's still wait"
    drain(house, project, 40, on=day(clock.now) - 1)
    assert quota.depth(house, project.project_id) == 1


def test_counts_survive_a_restart(house: House, open_house: Callable[..., House], project: Project) -> None:
    quota.reserve(house, project, 30)
    drain(house, project, 20)
    again = open_house()
    assert quota.usage(again, project.project_id) == 20
    quota.recover(again, {(project.project_id, day(house.clock())): 10})
    assert quota.usage(again, project.project_id) == 30
    assert quota.depth(again, project.project_id) == 10


def test_another_process_is_seen_within_seconds(
    house: House, open_house: Callable[..., House], project: Project, clock: FakeClock
) -> None:
    other = open_house()
    assert quota.usage(house, project.project_id) == 0
    quota.reserve(other, project, 50)
    drain(other, project, 50)
    clock.advance(5)
    assert quota.usage(house, project.project_id) == 50


def test_a_fold_that_is_rolled_back_counts_nothing(house: House, project: Project) -> None:
    quota.reserve(house, project, 5)
    with pytest.raises(sa.exc.IntegrityError), house.db.write() as connection:
        quota.fold(house, connection, {(project.project_id, day(house.clock())): 5, (99, 1): 1})
    assert quota.usage(house, project.project_id) == 5


def test_many_threads_never_overshoot(house: House, project: Project) -> None:
    granted: list[int] = []

    def send() -> None:
        for _ in range(20):
            try:
                granted.append(quota.reserve(house, project, 1))
            except Refusal:
                return

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 60


@hypothesis_settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(["reserve", "refund", "drain"]), st.integers(1, 40)), max_size=15))
def test_never_more_than_the_quota(house: House, project: Project, steps: list[tuple[str, int]]) -> None:
    house.parts.pop(quota.Book, None)
    drained_before = quota.usage(house, project.project_id)
    waiting, folded = 0, drained_before
    for step, rows in steps:
        if step == "reserve":
            if folded + waiting >= 100 or waiting + rows > 60:
                kind = Kind.QUOTA_SPENT if folded + waiting >= 100 else Kind.UNAVAILABLE
                assert refusal(lambda: quota.reserve(house, project, rows)).kind is kind  # noqa: B023
                continue
            got = quota.reserve(house, project, rows)
            assert got == min(rows, 100 - folded - waiting)
            waiting += got
        else:
            some = min(rows, waiting)
            waiting -= some
            if step == "refund":
                quota.refund(house, project.project_id, some)
            else:
                drain(house, project, some)
                folded += some
        assert quota.usage(house, project.project_id) == folded + waiting <= 100
        assert quota.depth(house, project.project_id) == waiting
