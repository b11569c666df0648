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
from headrace.core.jobs import outcome
from headrace.core.jobs.states import MOVES
from headrace.core.principal import Principal
from headrace.core.refusals import Kind
from headrace.core.schema import jobs as schema
from headrace.kit import times
from tests.conftest import FakeClock
from tests.core.conftest import refusal
from tests.core.jobs_lab import ADA, OPERATOR, ORGANIZATION, Hand, add, nothing, now

EVE = Principal(kind="user", organization_id=8, account_id=2, role="org_admin")


@pytest.fixture
def house(open_house: Callable[..., House]) -> House:
    house = open_house()
    jobs.define(house, jobs.Kind(name="plain", run=nothing, tries=3, schedule=(10.0, 100.0)))
    return house


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
        ("x" * jobs.RESULT_BYTES, "The result has 262146 bytes as JSON; at most 262144 are kept"),
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


@pytest.mark.parametrize("many", [1, 4, 50])
@pytest.mark.parametrize("floods", [1, 3, 70])
def test_who_comes_behind_floods_waits_for_one_turn_of_each(house: House, floods: int, many: int) -> None:
    """70 organizations are more than one walk over the lanes reaches."""
    with house.db.write() as connection:
        for organization in range(1, floods + 1):
            for _ in range(max(4, 60 // floods)):
                jobs.enqueue(
                    house,
                    connection,
                    kind="plain",
                    organization_id=organization,
                    payload=None,
                    priority=jobs.HIGH,
                )
    hand = Hand(house)
    for organization in (90, 0, 80, 90):
        hand.take(many)
        late = add(house, organization_id=organization, priority=jobs.LOW)
        claims = 1
        while late.id not in {job.id for job in hand.take(many)}:
            claims += 1
        assert claims <= -(-(floods + 1) // many)


def test_backlogs_of_any_length_get_equal_shares(house: House) -> None:
    jobs.define(house, jobs.Kind(name="other", run=nothing))
    for organization, kind, number in ((1, "plain", 200), (2, "plain", 30), (1, "other", 200), (3, "other", 30)):
        for _ in range(number):
            add(house, kind, organization_id=organization)
    hand, taken = Hand(house), list[tuple[str, int]]()
    for _ in range(27):
        taken += [(job.kind, job.organization_id) for job in hand.take(4)]
    shares = [taken.count(share) for share in (("plain", 1), ("plain", 2), ("other", 1), ("other", 3))]
    assert sum(shares) == 27 * 4
    assert max(shares) - min(shares) <= 2


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
    since = house.clock()
    assert jobs.paused(house, ADA) == [jobs.Pause("plain", everywhere=False, since=since)]
    jobs.resume(house, ADA, kind="plain")
    jobs.pause(house, OPERATOR, kind="", everywhere=True)
    assert hand.take() == []
    assert jobs.paused(house, EVE) == [jobs.Pause("", everywhere=True, since=since)]
    jobs.resume(house, OPERATOR, kind="", everywhere=True)
    assert len(hand.take()) == 1
    assert refusal(lambda: jobs.pause(house, ADA, kind="", everywhere=True))[0] is Kind.FORBIDDEN
    assert refusal(lambda: jobs.pause(house, ADA, kind="none"))[0] is Kind.INVALID
    actions = [line.action for line in audit.list_all(house, ADA).events]
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
    assert [line.action for line in audit.list_all(house, ADA).events] == ["jobs:job:cancelled"] * 3


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


def test_the_drawing_is_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text()
    drawn = re.findall(r"^ +(\S+) --> (\S+): (.+)$", page, re.MULTILINE)
    assert {("" if a == "[*]" else a, b): text for a, b, text in drawn} == MOVES
