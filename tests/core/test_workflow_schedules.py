"""Schedules of workflows: who has which, when they come due, what they missed, and runs that would overlap."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from headrace.core import audit, jobs, workflows
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import Kind
from headrace.core.schema.workflows import workflow_schedules as table
from headrace.core.settings import Settings
from headrace.core.workflows import fire, schedules
from headrace.kit import times
from tests.conftest import FakeClock, SignUp
from tests.core.conftest import refusal
from tests.core.jobs_lab import Hand

NIGHTLY: dict[str, Any] = {"name": "report", "workflow": "nightly", "cron": "30 2 * * *", "time_zone": "Europe/Berlin"}
# What is refused before any SQL need not be refused twice.
SQLITE = pytest.mark.parametrize("address", ["sqlite"], indirect=True)


@pytest.fixture
def house(open_house: Callable[..., House]) -> House:
    made = open_house()
    workflows.define_kinds(made)
    return made


def test_schedules_come_and_go(house: House, ada: Principal, sign_up: SignUp, clock: FakeClock) -> None:
    made = schedules.create(house, ada, **NIGHTLY, payload={"r": 1}, priority=80)
    assert (times.show(made.next_at), made.last_at, made.paused_at) == ("2026-01-02T01:30:00Z", None, None)
    assert (made.payload, made.priority, made.missed, made.overlap) == ({"r": 1}, 80, "once", "skip")
    usual = schedules.create(house, ada, name="a", workflow="echo", cron="*/5 * * * *")
    assert (usual.payload, usual.priority, usual.time_zone) == ({}, jobs.NORMAL, "UTC")
    assert schedules.list_all(house, ada) == [usual, made]
    clock.advance(60)
    changed = schedules.update(house, ada, name="report", cron="0 12 * * *", time_zone="UTC", payload={"r": 2})
    assert (times.show(changed.next_at), changed.payload) == ("2026-01-01T12:00:00Z", {"r": 2})
    assert (changed.updated_at, schedules.get(house, ada, name="report")) == (clock.now, changed)
    assert refusal(lambda: schedules.create(house, ada, **NIGHTLY)) == (
        Kind.CONFLICT,
        "A schedule named 'report' exists already",
    )
    missing = (Kind.NOT_FOUND, "Schedule not found")
    eve = sign_up(house, "eve@example.com")
    for who, name in ((eve, "report"), (ada, "none"), (ada, "\0"), (ada, "x" * 500)):
        for verb in (schedules.get, schedules.update, schedules.remove):
            assert refusal(partial(verb, house, who, name=name)) == missing
    assert schedules.list_all(house, eve) == []
    schedules.create(house, eve, **NIGHTLY)
    assert schedules.remove(house, ada, name="report") == changed
    assert schedules.list_all(house, ada) == [usual]
    actions = [line.action for line in audit.list_all(house, ada).events if line.action.startswith("workflow")]
    assert [action.rpartition(":")[2] for action in actions] == ["removed", "changed", "created", "created"]


@SQLITE
def test_a_reader_changes_nothing(house: House, ada: Principal) -> None:
    schedules.create(house, ada, **NIGHTLY)
    scopes = frozenset({"workflows:read"})
    key = Principal(
        kind="key", organization_id=ada.organization_id, key_kind="organization", scopes=scopes, role="user"
    )
    assert [one.name for one in schedules.list_all(house, key)] == ["report"]
    for call in (
        lambda: schedules.create(house, key, **NIGHTLY),
        lambda: schedules.update(house, key, name="report", paused=True),
        lambda: schedules.remove(house, key, name="report"),
    ):
        assert refusal(call)[0] is Kind.FORBIDDEN


@SQLITE
@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": None}, "name field is required"),
        ({"name": ".."}, "name: cannot stand in the path of an address"),
        ({"workflow": ""}, "workflow field is required"),
        ({"workflow": "w" * 129}, "workflow: must be 1-128 characters"),
        ({"cron": None}, "cron: field required"),
        ({"cron": 5}, "cron: must be a string"),
        ({"cron": "* " * 100}, "cron: must be 1-128 characters"),
        *(
            ({"cron": cron}, "cron: must be a cron expression of five fields that comes true")
            for cron in ("* * *", "* * * * * *", "60 * * * *", "0 0 30 2 *", "@daily", "x")
        ),
        *(
            ({"time_zone": zone}, "time_zone: must be the name of a time zone, as in Europe/Berlin")
            for zone in ("Mars/Base", "../../etc/passwd", "/etc/localtime", "Europe", "x y")
        ),
        ({"time_zone": ""}, "time_zone: must be 1-64 characters"),
        ({"payload": []}, "payload: must be an object"),
        ({"payload": {"a": "x" * 204_800}}, "payload too large: max 200KB"),
        ({"priority": 101}, "priority: must be 0-100"),
        ({"missed": "never"}, "missed: must be one of once, skip, all"),
        ({"overlap": 1}, "overlap: must be one of skip, allow"),
    ],
)
def test_what_is_refused(house: House, ada: Principal, fields: dict[str, Any], text: str) -> None:
    assert refusal(lambda: schedules.create(house, ada, **NIGHTLY | fields)) == (Kind.INVALID, text)
    schedules.create(house, ada, **NIGHTLY)
    given = {name: value for name, value in fields.items() if name != "name" and value is not None}
    if given:
        assert refusal(lambda: schedules.update(house, ada, name="report", **given)) == (Kind.INVALID, text)


@SQLITE
def test_there_is_a_limit(open_house: Callable[..., House], settings: Settings, sign_up: SignUp) -> None:
    house = open_house(Settings(data=settings.data, secret=settings.secret, schedule_limit=1))
    ada = sign_up(house)
    schedules.create(house, ada, **NIGHTLY)
    more = NIGHTLY | {"name": "another"}
    assert refusal(lambda: schedules.create(house, ada, **more)) == (Kind.INVALID, "Schedule limit reached: 1")


def test_a_run_is_a_job_of_the_workflow(house: House, ada: Principal, clock: FakeClock) -> None:
    workflows.define(house, ada, name="nightly", kind="queue", tries=7)
    made = schedules.create(house, ada, **NIGHTLY, payload={"r": 1}, priority=80)
    clock.now = made.next_at - 1
    assert fire(house) == 0
    clock.now = made.next_at
    assert (fire(house), fire(house)) == (1, 0)
    (job,) = jobs.list_all(house, ada).jobs
    assert (job.name, job.payload, job.kind, job.priority, job.tries) == ("nightly", {"r": 1}, "workflow.queue", 80, 7)
    assert (job.account_id, job.lane) == (ada.account_id, f"{ada.organization_id}/nightly")
    ran = schedules.get(house, ada, name="report")
    assert (ran.last_at, ran.last_job_id, ran.skipped) == (made.next_at, job.id, 0)
    assert times.show(ran.next_at) == "2026-01-03T01:30:00Z"


@pytest.mark.parametrize(("missed", "runs"), [("once", 1), ("skip", 0), ("all", 3)])
def test_what_nobody_ran_in_time(house: House, ada: Principal, clock: FakeClock, missed: str, runs: int) -> None:
    made = schedules.create(house, ada, **NIGHTLY, missed=missed, overlap="allow")
    clock.now = made.next_at
    clock.advance(2.5 * 86_400)
    assert (fire(house), fire(house)) == (runs, 0)
    assert times.show(schedules.get(house, ada, name="report").next_at) == "2026-01-05T01:30:00Z"


@SQLITE
def test_after_a_long_silence_not_all_is_made_up_for(house: House, ada: Principal, clock: FakeClock) -> None:
    schedules.create(house, ada, name="often", workflow="echo", cron="* * * * *", missed="all", overlap="allow")
    clock.advance(30 * 86_400)
    assert (fire(house), fire(house)) == (100, 0)


def test_runs_do_not_overlap_unless_they_may(house: House, ada: Principal, clock: FakeClock) -> None:
    for name, overlap in (("alone", "skip"), ("together", "allow")):
        schedules.create(house, ada, name=name, workflow=name, cron="* * * * *", overlap=overlap)
    hand = Hand(house)
    for started in (2, 1, 1):
        clock.advance(60)
        assert fire(house) == started
    assert schedules.get(house, ada, name="alone").skipped == 2
    for job in hand.take():
        hand.succeed(job)
    clock.advance(60)
    assert fire(house) == 2


def lose_zone(house: House, *names: str) -> None:
    """Have schedules name a zone that this machine does not know, as one that another server made may."""
    with house.db.write() as connection:
        connection.execute(sa.update(table).where(table.c.name.in_(names)).values(time_zone="Mars/Olympus"))


UNKNOWN = "time_zone: must be the name of a time zone, as in Europe/Berlin"


def test_a_zone_that_is_unknown_here_stops_nobody_else(
    house: House, ada: Principal, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("strange", "usual"):
        made = schedules.create(house, ada, **NIGHTLY | {"name": name})
    lose_zone(house, "strange")
    clock.now = made.next_at
    assert (fire(house), fire(house), fire(house)) == (1, 0, 0)
    # Said once, and shown where people look.
    assert caplog.text.count(UNKNOWN) == 1
    assert schedules.get(house, ada, name="strange").error == UNKNOWN
    assert schedules.get(house, ada, name="usual").error is None
    mended = schedules.update(house, ada, name="strange", time_zone="UTC")
    assert (mended.error, times.show(mended.next_at)) == (None, "2026-01-02T02:30:00Z")


def test_one_whose_zone_is_known_again_makes_up_for_what_it_missed(
    house: House, ada: Principal, clock: FakeClock
) -> None:
    made = schedules.create(house, ada, **NIGHTLY)
    lose_zone(house, "report")
    clock.now = made.next_at
    assert fire(house) == 0
    with house.db.write() as connection:
        connection.execute(sa.update(table).values(time_zone="Europe/Berlin"))
    assert fire(house) == 1
    ran = schedules.get(house, ada, name="report")
    assert (ran.last_at, ran.error) == (made.next_at, None)


def test_many_that_cannot_run_do_not_keep_the_others_waiting(house: House, ada: Principal, clock: FakeClock) -> None:
    strange = [f"strange {number}" for number in range(100)]
    for name in (*strange, "usual"):
        made = schedules.create(house, ada, **NIGHTLY | {"name": name})
    lose_zone(house, *strange)
    clock.now = made.next_at
    assert fire(house) + fire(house) == 1


def test_one_that_cannot_run_is_paused_but_not_resumed(house: House, ada: Principal) -> None:
    schedules.create(house, ada, **NIGHTLY)
    lose_zone(house, "report")
    assert schedules.update(house, ada, name="report", paused=True).paused_at is not None
    assert refusal(lambda: schedules.update(house, ada, name="report", paused=False)) == (Kind.INVALID, UNKNOWN)


@SQLITE
def test_the_run_that_makes_up_for_a_long_silence_is_the_last_one(
    house: House, ada: Principal, clock: FakeClock
) -> None:
    schedules.create(house, ada, name="often", workflow="echo", cron="* * * * *")
    schedules.create(house, ada, name="now", workflow="echo", cron="* * * * *", missed="skip")
    clock.advance(30 * 86_400)
    assert fire(house) == 2
    for name in ("often", "now"):
        assert schedules.get(house, ada, name=name).last_at == clock.now


@SQLITE
def test_a_workflow_that_a_schedule_starts_is_not_removed(house: House, ada: Principal, sign_up: SignUp) -> None:
    eve = sign_up(house, "eve@example.com")
    for who in (ada, eve):
        workflows.define(house, who, name="nightly", kind="queue")
    schedules.create(house, ada, **NIGHTLY)
    workflows.remove(house, eve, name="nightly")
    said = "The schedule 'report' starts this workflow: remove it, or have it start another one"
    assert refusal(lambda: workflows.remove(house, ada, name="nightly")) == (Kind.CONFLICT, said)
    schedules.update(house, ada, name="report", workflow="another")
    assert workflows.remove(house, ada, name="nightly").name == "nightly"


def test_runs_that_are_left_out_are_counted(house: House, ada: Principal, clock: FakeClock) -> None:
    schedules.create(house, ada, **NIGHTLY, missed="all")
    clock.advance(5 * 86_400)
    assert fire(house) == 1
    assert schedules.get(house, ada, name="report").skipped == 4
    clock.advance(2 * 86_400)
    assert fire(house) == 0
    assert schedules.get(house, ada, name="report").skipped == 6


def test_a_pause_is_no_silence(house: House, ada: Principal, clock: FakeClock) -> None:
    made = schedules.create(house, ada, **NIGHTLY, missed="all")
    paused = schedules.update(house, ada, name="report", paused=True)
    assert paused.paused_at == clock.now
    clock.now = made.next_at
    clock.advance(3 * 86_400)
    assert fire(house) == 0
    again = schedules.update(house, ada, name="report", paused=False)
    assert (again.paused_at, times.show(again.next_at)) == (None, "2026-01-06T01:30:00Z")
    assert fire(house) == 0


@SQLITE
@pytest.mark.parametrize(
    ("cron", "shown"),
    [
        # After the first: the hour that summer time leaves out, and the one that it has twice.
        ("30 2 * * *", ["2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
        ("30 2 * * *", ["2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
        ("0 12 L * *", ["2026-02-27T00:00:00Z", "2026-02-28T11:00:00Z", "2026-03-31T10:00:00Z"]),
    ],
)
def test_days_of_another_length(house: House, ada: Principal, clock: FakeClock, cron: str, shown: list[str]) -> None:
    start, *shown = shown
    clock.now = times.parse(start)
    schedules.create(house, ada, **NIGHTLY | {"cron": cron})
    found = []
    for _ in shown:
        clock.now = schedules.get(house, ada, name="report").next_at
        found.append(times.show(clock.now))
        fire(house)
    assert found == shown
