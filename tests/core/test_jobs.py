"""Jobs without threads: what is enqueued, claimed and settled, on both databases, by workers in the test's hands."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from headrace.core import audit, jobs
from headrace.core.house import House
from headrace.core.jobs import leases, outcome, scheduler, workers
from headrace.core.jobs.states import MOVES
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal
from headrace.core.schema import jobs as schema
from headrace.kit import times
from tests.conftest import FakeClock
from tests.core.jobs_lab import ADA, OPERATOR, ORGANIZATION, Hand, add, nothing, now

EVE = Principal(kind="user", organization_id=8, account_id=2, role="org_admin")


@pytest.fixture
def house(open_house: Callable[..., House]) -> House:
    house = open_house()
    jobs.define(house, jobs.Kind(name="plain", run=nothing, tries=3, schedule=(10.0, 100.0)))
    return house


def refusal(call: Callable[[], Any]) -> tuple[Kind, str]:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.kind, caught.value.text


def test_a_job_from_end_to_end(house: House, clock: FakeClock) -> None:
    made = add(house, payload={"a": [1, "ü"]}, name="greet", view="levqor", callback_url="https://x.example/", key_id=3)
    assert (made.state, made.attempt, made.tries, made.created_at) == ("ready", 0, 3, clock.now)
    assert re.fullmatch("[0-9a-f]{32}", made.token)
    assert now(house, made) == made
    hand = Hand(house)
    (job,) = hand.take()
    assert (job.state, job.attempt, job.payload, job.fence) == ("running", 1, {"a": [1, "ü"]}, f"{made.id}:1")
    assert hand.take() == []
    clock.advance(2)
    assert hand.succeed(job, {"greeting": "hello"}) == "succeeded"
    done = now(house, job)
    assert (done.state, done.result, done.error, done.finished_at) == (
        "succeeded",
        {"greeting": "hello"},
        None,
        clock.now,
    )
    assert hand.succeed(job) is None, "a job ends once"
    assert jobs.tallied(house, ADA)["succeeded"] == (1, 2 * times.SECOND)
    assert jobs.by_token(house, ADA, token=made.token, view="levqor") == done


def test_enqueue_is_the_callers_transaction(house: House) -> None:
    values: dict[str, Any] = {"kind": "plain", "organization_id": ORGANIZATION, "payload": 1}

    def undone() -> None:
        with house.db.write() as connection:
            jobs.enqueue(house, connection, **values)
            raise LookupError("undone")

    with pytest.raises(LookupError, match="undone"):
        undone()
    assert Hand(house).take() == []
    with house.db.write() as connection:
        jobs.enqueue(house, connection, **values)
    assert len(Hand(house).take()) == 1
    with pytest.raises(LookupError, match="no kind of job 'other'"):
        add(house, kind="other")
    with pytest.raises(ValueError, match="defined twice"):
        jobs.define(house, jobs.Kind(name="plain", run=nothing))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"payload": "x" * (1 << 20)}, "payload: must be at most 1048576 bytes as JSON"),
        ({"name": "n" * 129}, "name: must be at most 128 characters, without null characters"),
        ({"name": "\0"}, "name: must be at most 128 characters, without null characters"),
        ({"unique": "u" * 256}, "unique: must be at most 255 characters, without null characters"),
        ({"callback_url": "u" * 2049}, "callback_url: must be at most 2048 characters, without null characters"),
        ({"priority": 101}, "priority: must be 0-100"),
    ],
)
def test_limits(house: House, fields: dict[str, Any], text: str) -> None:
    assert refusal(lambda: add(house, **fields)) == (Kind.INVALID, text)
    assert Hand(house).take() == []


def test_the_same_key_is_the_same_job(house: House) -> None:
    first = add(house, unique="order 1", payload=1)
    assert add(house, unique="order 1", payload=2) == first
    assert add(house, unique="order 2").id != first.id
    assert add(house, unique="order 1", organization_id=8).id != first.id
    hand = Hand(house)
    for job in hand.take():
        hand.succeed(job)
    assert add(house, unique="order 1").state == "succeeded"


def test_priority_is_time_saved(house: House, clock: FakeClock) -> None:
    low = add(house, priority=jobs.LOW)
    clock.advance(29 * 60)
    high, normal = add(house, priority=jobs.HIGH), add(house)
    assert [job.id for job in Hand(house).take(1)] == [high.id]
    clock.advance(2 * 60)
    late = add(house, priority=jobs.HIGH)
    taken = [Hand(house).take(1)[0].id for _ in range(3)]
    assert taken == [low.id, late.id, normal.id], "half an hour of waiting makes up for any priority"


def test_a_delay_is_kept_in_the_store(house: House, clock: FakeClock) -> None:
    job = add(house, run_at=clock.now + 60 * times.SECOND)
    hand = Hand(house)
    assert (job.state, hand.take()) == ("scheduled", [])
    clock.advance(59)
    assert hand.take() == []
    clock.advance(1)
    assert [one.id for one in hand.take()] == [job.id]


def test_failures_are_tried_again_and_end(house: House, clock: FakeClock) -> None:
    job, hand = add(house), Hand(house)
    for attempt, seconds in ((1, 10), (2, 100)):
        (held,) = hand.take()
        assert (held.attempt, hand.fail(held, KeyError("s3cret"))) == (attempt, "scheduled")
        waiting = now(house, job)
        assert seconds * 0.9 <= (waiting.run_at - clock.now) / times.SECOND <= seconds * 1.1
        assert waiting.error == "The job failed: KeyError", "neither stack nor text goes outside"
        clock.advance(seconds * 1.1)
    (held,) = hand.take()
    assert hand.fail(held, KeyError("s3cret")) == "failed"
    over = now(house, job)
    assert (over.state, over.error, over.finished_at) == ("failed", "The job failed: KeyError", clock.now)
    with house.db.read() as connection:
        errors = connection.execute(sa.select(schema.jobs.c.errors)).scalar_one()
    assert errors.count("KeyError: 's3cret'") == 3
    assert jobs.counts(house, ADA)["failed"] == 1


def test_who_raises_decides(house: House, clock: FakeClock) -> None:
    hand = Hand(house)
    one = add(house)
    (held,) = hand.take()
    assert hand.fail(held, jobs.Retry("busy there", after_seconds=77)) == "scheduled"
    assert (now(house, one).run_at - clock.now, now(house, one).error) == (77 * times.SECOND, "busy there")
    two = add(house)
    (held,) = hand.take()
    assert hand.fail(held, jobs.NonRetryable("no such place")) == "failed"
    assert now(house, two).error == "no such place"


def test_waits_without_a_schedule_double_under_jitter() -> None:
    kind = jobs.Kind(name="k", run=nothing, backoff_seconds=2.0, backoff_cap_seconds=30.0)
    for attempt, most in ((1, 2), (2, 4), (4, 16), (5, 30), (5000, 30)):
        found = [outcome.wait(kind, attempt) for _ in range(400)]
        assert 0 <= min(found) < most * 0.1
        assert most * 0.9 < max(found) <= most


def test_results_have_a_limit(house: House) -> None:
    hand = Hand(house)
    for result, text in (
        ("x" * (jobs.RESULT_BYTES - 2), None),
        ("x" * jobs.RESULT_BYTES, "The result has 65538 bytes as JSON; at most 65536 are kept"),
        (object(), "The result is no JSON: Encoding objects of type object is unsupported"),
    ):
        job = add(house)
        (held,) = hand.take()
        assert hand.succeed(held, result) == ("succeeded" if text is None else "failed")
        assert now(house, job).error == text


def test_lanes_take_turns(house: House) -> None:
    for number in range(300):
        add(house, organization_id=1, payload=number)
    for organization in range(2, 12):
        add(house, organization_id=organization)
    hand, order = Hand(house), list[int]()
    for _ in range(8):
        order += [job.organization_id for job in hand.take(4)]
    assert set(order) == set(range(1, 12)), "who has one job does not wait for who has 300"
    assert len(order) == 32
    many = [job for job in hand.take(50) if job.organization_id == 1]
    assert len(many) == 50, "who is alone gets all"
    assert [job.payload for job in many] == sorted(job.payload for job in many)


def test_full_lanes_and_kinds_are_left_out_of_the_claim(house: House) -> None:
    jobs.define(house, jobs.Kind(name="narrow", run=nothing, per_lane=2, in_flight=5))
    for organization in (1, 2, 3):
        for _ in range(4):
            add(house, kind="narrow", organization_id=organization)
    one, two = Hand(house, "w1"), Hand(house, "w2")
    first = one.take(3)
    second = two.take(10)
    lanes = [job.organization_id for job in first + second]
    assert len(lanes) == 5
    assert max(lanes.count(lane) for lane in (1, 2, 3)) == 2
    assert one.take(10) == two.take(10) == []
    assert one.succeed(first[0]) == "succeeded"
    assert len(two.take(10)) == 1
    plain = add(house)
    assert [job.id for job in one.take()] == [plain.id], "a full kind holds up no other"


def test_lanes_inside_an_organization(house: House) -> None:
    jobs.define(house, jobs.Kind(name="lane", run=nothing, per_lane=1))
    for lane in ("a", "a", "b"):
        add(house, kind="lane", lane=lane)
    assert sorted(job.lane for job in Hand(house).take()) == ["7/a", "7/b"]


def test_walks_pass_over_full_lanes(house: House) -> None:
    jobs.define(house, jobs.Kind(name="lane", run=nothing, per_lane=1))
    for number in range(150):
        for _ in range(2):
            add(house, kind="lane", lane=f"{number:03}")
    hand, lanes = Hand(house), list[str]()
    while found := hand.take(50):
        lanes += [job.lane for job in found]
    assert lanes == [f"7/{number:03}" for number in range(150)]


def test_pauses(house: House, sign_up: Any) -> None:
    add(house)
    theirs = add(house, organization_id=8)
    jobs.pause(house, ADA, kind="plain")
    hand = Hand(house)
    assert [job.id for job in hand.take()] == [theirs.id]
    assert jobs.paused(house, ADA) == [("plain", False)]
    jobs.resume(house, ADA, kind="plain")
    jobs.pause(house, OPERATOR, kind="", everywhere=True)
    assert hand.take() == []
    assert jobs.paused(house, EVE) == [("", True)]
    jobs.resume(house, OPERATOR, kind="", everywhere=True)
    assert len(hand.take()) == 1
    assert refusal(lambda: jobs.pause(house, ADA, kind="", everywhere=True))[0] is Kind.FORBIDDEN
    assert refusal(lambda: jobs.pause(house, ADA, kind="none"))[0] is Kind.INVALID
    actions = [line.action for line in audit.list_all(house, ADA)]
    assert actions == ["jobs:kind:resumed", "jobs:kind:paused", "jobs:kind:resumed", "jobs:kind:paused"]


def test_cancel_of_what_waits_and_what_runs(house: House, clock: FakeClock) -> None:
    hand = Hand(house)
    waiting = add(house, run_at=clock.now + times.DAY)
    assert jobs.cancel(house, ADA, job_id=waiting.id).state == "cancelled"
    running = add(house)
    (held,) = hand.take()
    assert jobs.cancel(house, ADA, job_id=running.id).state == "cancelling"
    assert jobs.cancel(house, ADA, job_id=running.id).state == "cancelling", "asked twice is asked"
    assert hand.succeed(held, "done after all") == "cancelled"
    over = now(house, running)
    assert (over.state, over.result, over.error) == ("cancelled", None, None)
    failing = add(house)
    (held,) = hand.take()
    jobs.cancel(house, ADA, job_id=failing.id)
    assert hand.fail(held, jobs.Cancelled("stopped")) == "cancelled"
    for job in (waiting, running, failing):
        assert refusal(partial(jobs.cancel, house, ADA, job_id=job.id)) == (
            Kind.CONFLICT,
            "The job is cancelled already",
        )
    assert jobs.counts(house, ADA)["cancelled"] == 3
    assert [line.action for line in audit.list_all(house, ADA)] == ["jobs:job:cancelled"] * 3


def test_dead_letters_are_listed_and_replayed(house: House) -> None:
    hand = Hand(house)
    job, other = add(house), add(house)
    for held in hand.take():
        hand.fail(held, jobs.NonRetryable("no")) if held.id == job.id else hand.succeed(held)
    assert [one.id for one in jobs.list_all(house, ADA, state="failed").jobs] == [job.id]
    again = jobs.retry(house, ADA, job_id=job.id)
    assert (again.state, again.error, again.tries, again.finished_at) == ("ready", None, 1 + 3, None)
    assert jobs.counts(house, ADA)["failed"] == 0
    (held,) = hand.take()
    assert held.attempt == 2, "an attempt's number is never used again: it is the fence"
    assert hand.succeed(held) == "succeeded"
    assert refusal(lambda: jobs.retry(house, ADA, job_id=other.id)) == (
        Kind.CONFLICT,
        "The job is succeeded; only failed and cancelled jobs run again",
    )


def test_a_tenant_sees_its_own(house: House) -> None:
    job = add(house)
    missing = (Kind.NOT_FOUND, "Job not found")
    for call in (
        lambda: jobs.get(house, EVE, job_id=job.id),
        lambda: jobs.by_token(house, EVE, token=job.token),
        lambda: jobs.by_token(house, ADA, token=job.token, view="levqor"),
        lambda: jobs.by_token(house, ADA, token="\0é"),
        lambda: jobs.cancel(house, EVE, job_id=job.id),
        lambda: jobs.retry(house, EVE, job_id=job.id),
    ):
        assert refusal(call) == missing
    assert jobs.list_all(house, EVE).jobs == []
    assert set(jobs.counts(house, EVE).values()) == {0}
    key = Principal(kind="key", organization_id=ORGANIZATION, key_kind="organization", scopes=frozenset({"read"}))
    assert jobs.get(house, key, job_id=job.id) == job
    assert refusal(lambda: jobs.cancel(house, key, job_id=job.id))[0] is Kind.FORBIDDEN


def test_pages(house: House) -> None:
    made = [add(house, name=f"n{number % 2}").id for number in range(7)]
    first = jobs.list_all(house, ADA, limit=4)
    assert [job.id for job in first.jobs] == made[:2:-1]
    last = jobs.list_all(house, ADA, limit=4, before=first.before)
    assert ([job.id for job in last.jobs], last.before) == (made[2::-1], None)
    assert [job.id for job in jobs.list_all(house, ADA, name="n1", state="ready", kind="plain").jobs] == made[5::-2]
    assert jobs.list_all(house, ADA, view="levqor").jobs == []
    assert refusal(lambda: jobs.list_all(house, ADA, limit=201)) == (Kind.INVALID, "limit: must be 1-200")
    assert refusal(lambda: jobs.list_all(house, ADA, state="odd"))[0] is Kind.INVALID


def test_what_came_in_since_a_time(house: House, clock: FakeClock) -> None:
    start = clock.now
    for _ in range(3):
        add(house, view="levqor")
        clock.advance(50)
    add(house, organization_id=8)
    assert jobs.created_since(house, start) == 4
    assert jobs.created_since(house, start, view="levqor") == 3
    assert jobs.created_since(house, start + 50 * times.SECOND, view="levqor") == 2
    clock.advance(500)
    add(house, view="levqor")
    assert jobs.created_since(house, start, view="levqor") == 4
    assert jobs.created_since(house, start) == 5


def test_a_lease_that_ends_is_taken_back_and_its_holder_fenced_off(house: House, clock: FakeClock) -> None:
    job = add(house)
    first, second, third = Hand(house, "w1"), Hand(house, "w2"), Hand(house, "w3")
    (one,) = first.take()
    clock.advance(29)
    assert leases.reap(house) == 0
    assert set(leases.renew(house, "w1", [job.id])) == {job.id}
    clock.advance(29)
    assert leases.reap(house) == 0
    clock.advance(2)
    assert leases.reap(house) == 1
    (two,) = second.take()
    assert leases.renew(house, "w1", [job.id]) == {}
    assert first.succeed(one, "late") is None
    clock.advance(31)
    assert leases.reap(house) == 1
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
    assert now(house, job).state == "ready"


def test_jobs_given_back_cost_no_try(house: House) -> None:
    job = add(house)
    hand = Hand(house)
    (held,) = hand.take()
    leases.release(house, "w1", [held])
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
    (held,) = hand.take()
    second = jobs.Context(house, held, "w1")
    assert second.step("fetch", work) == {"calls": 1}
    with pytest.raises(jobs.Cancelled):
        first.step("store", work)
    assert second.step("store", work) == {"calls": 3}
    with pytest.raises(jobs.NonRetryable, match="at most 65536"):
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


@pytest.mark.parametrize(("missed", "runs"), [("once", 1), ("skip", 0), ("all", 3)])
def test_schedules_and_what_they_missed(house: House, clock: FakeClock, missed: Any, runs: int) -> None:
    day: dict[str, Any] = {"name": "report", "cron": "30 2 * * *", "kind": "plain", "organization_id": ORGANIZATION}
    due = jobs.schedule(house, **day, payload={"r": 1}, zone="Europe/Berlin", missed=missed)
    assert times.show(due) == "2026-01-02T01:30:00Z"
    assert scheduler.fire(house) == 0
    clock.now = due
    assert (scheduler.fire(house), scheduler.fire(house)) == (1, 0)
    (job,) = jobs.list_all(house, ADA).jobs
    assert (job.name, job.payload, job.kind) == ("report", {"r": 1}, "plain")
    clock.advance(3.5 * 86_400)
    assert scheduler.fire(house) == runs
    # Said again at the next start: nothing moves.
    clock.now = jobs.schedule(house, **day, payload={"r": 2}, zone="Europe/Berlin", missed=missed)
    assert scheduler.fire(house) == 1
    assert jobs.list_all(house, ADA).jobs[0].payload == {"r": 2}
    assert jobs.unschedule(house, name="report", organization_id=ORGANIZATION)
    assert not jobs.unschedule(house, name="report", organization_id=ORGANIZATION)


@pytest.mark.parametrize(
    ("cron", "zone", "field"),
    [("* * *", "UTC", "cron"), ("0 0 30 2 *", "UTC", "cron"), ("* * * * *", "Mars/Base", "zone"), ("", "UTC", "cron")],
)
def test_schedules_that_cannot_be(house: House, cron: str, zone: str, field: str) -> None:
    kind, text = refusal(lambda: jobs.schedule(house, name="n", cron=cron, zone=zone, kind="plain", organization_id=1))
    assert (kind, text.partition(":")[0]) == (Kind.INVALID, field)


def test_the_drawing_is_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text()
    drawn = re.findall(r"^ +(\S+) --> (\S+): (.+)$", page, re.MULTILINE)
    assert {("" if a == "[*]" else a, b): text for a, b, text in drawn} == MOVES
