"""Receivers that have too much are sent to more slowly."""

import pytest
from aiohttp import web

from headrace.core import webhooks
from headrace.core.house import House
from headrace.core.jobs.bell import NEVER, Bell
from headrace.core.principal import Principal
from headrace.core.webhooks.pace import LONGEST_REST_US, MOST_STEPS, STEP_US, Pace
from headrace.core.webhooks.parcels import Parcel
from headrace.core.webhooks.sending import Sent
from headrace.kit.times import MINUTE, SECOND
from tests.conftest import FakeClock
from tests.core.webhooks.sending import BOTH, Until, emit, make, one_of, turn, wait_for
from tests.receiver import Receiver

LANE = "1/wh_1"
PARCEL = Parcel(id="msg_1", round=1, endpoint_id="wh_1", event="e", url="", body=b"", secrets=[], headers={})


def heard(pace: Pace, clock: FakeClock, status: int | None, *, at: int | None = None, duration_us: int = 1000) -> None:
    clock.advance(0.001)
    error = None if status == 200 else "http"
    sent = Sent(
        parcel=PARCEL,
        at=clock.now if at is None else at,
        duration_us=duration_us,
        status=status,
        error=error,
        headers={},
        response=None,
    )
    clock.advance(0.001)
    pace.heard(LANE, sent)


def allowed(pace: Pace, clock: FakeClock) -> int:
    """How many at once, after the rest."""
    if pace.per_lane(LANE) == 0:
        clock.now = pace.lanes[LANE].rests_until
    return pace.per_lane(LANE)


@pytest.fixture
def pace(ready: House) -> Pace:
    return Pace(ready)


@pytest.mark.parametrize(
    ("status", "slower"), [(429, True), (502, True), (504, True), (503, False), (500, False), (None, False)]
)
def test_which_answers_halve(pace: Pace, clock: FakeClock, status: int | None, slower: bool) -> None:
    heard(pace, clock, status)
    assert pace.per_lane(LANE) == (1 if slower else 2)
    assert pace.per_lane("1/wh_2") == 2


def test_each_halving_ends_after_its_five_minutes(pace: Pace, clock: FakeClock) -> None:
    pace.most = 8
    began = clock.now
    for most in (4, 2, 1, 1):
        heard(pace, clock, 429)
        assert allowed(pace, clock) == most
    for minutes, most in ((4, 1), (6, 1), (11, 2), (16, 4), (21, 8)):
        clock.now = began + minutes * MINUTE
        assert pace.per_lane(LANE) == most
    assert LANE not in pace.lanes


def test_what_was_under_way_together_halves_once(pace: Pace, clock: FakeClock) -> None:
    began = clock.now
    for _ in range(5):
        heard(pace, clock, 429, at=began)
    assert pace.lanes[LANE].steps(clock.now) == 1


def test_beyond_one_at_a_time_it_rests_as_long_as_its_rate_asks_for(pace: Pace, clock: FakeClock) -> None:
    for rest in (0, 1, 3, 7):
        heard(pace, clock, 429, duration_us=SECOND)
        assert pace.lanes[LANE].rests_until - clock.now == rest * SECOND
        clock.advance(rest)
    heard(pace, clock, 200, duration_us=2 * SECOND)
    assert pace.lanes[LANE].rests_until - clock.now == 14 * SECOND
    bell = pace.house.part(Bell)
    bell.due = NEVER
    assert pace.per_lane(LANE) == 0
    assert bell.due == pace.lanes[LANE].rests_until
    clock.advance(14)
    assert pace.per_lane(LANE) == 1


def test_it_is_not_slowed_without_end(pace: Pace, clock: FakeClock) -> None:
    for _ in range(100):
        heard(pace, clock, 502, duration_us=SECOND)
    slowed = pace.lanes[LANE]
    assert slowed.steps(clock.now) == MOST_STEPS
    assert slowed.rests_until == clock.now + LONGEST_REST_US
    clock.advance(MOST_STEPS * STEP_US / SECOND)
    assert pace.per_lane(LANE) == 2


def test_memory_of_receivers_is_bounded(pace: Pace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.core.webhooks.pace.MOST_LANES", 3)
    until = pace.house.clock() + MINUTE
    for number in range(10):
        pace.learn(str(number), until)
    assert list(pace.lanes) == ["7", "8", "9"]


@BOTH
def test_a_receiver_that_has_too_much_gets_one_at_a_time(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    receiver.answer = 429
    slow = make(running, ada, f"{receiver.url}/slow").endpoint
    emit(running, ada)
    first = wait_for(until, running, ada, attempts=1)
    shown = webhooks.get(running, ada, endpoint_id=slow.id)
    assert shown.slowed_until is not None
    assert shown.slowed_until - clock.now <= 5 * MINUTE < shown.slowed_until - clock.now + SECOND
    receiver.answer = 200
    receiver.hold = {"/slow"}
    make(running, ada, f"{receiver.url}/well", "key.*")
    turn(until, running, first.next_attempt_at)
    for _ in range(4):
        emit(running, ada)
    for _ in range(3):
        emit(running, ada, "key.created")
    until(lambda: len([one for one in receiver.requests if one.path == "/well"]) == 3)
    until(lambda: receiver.inside["/slow"] == 1)
    receiver.release()
    until(lambda: not webhooks.deliveries.list_all(running, ada, status="pending"))
    assert receiver.most_inside["/slow"] == 1
    assert one_of(running, ada, first.id).status == "delivered"
    clock.advance(5 * 60)
    assert webhooks.get(running, ada, endpoint_id=slow.id).slowed_until is None
    receiver.hold = {"/slow"}
    for _ in range(4):
        emit(running, ada)
    until(lambda: receiver.inside["/slow"] == 2)
    receiver.release()
    until(lambda: not webhooks.deliveries.list_all(running, ada, status="pending"))


@BOTH
def test_what_is_stored_of_an_endpoint_is_learned_and_forgotten(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    receiver.answer = lambda _: web.Response(status=504, headers={"webhook-delivery": "abort-message"})
    made = make(running, ada, f"{receiver.url}/hook").endpoint
    emit(running, ada)
    wait_for(until, running, ada, status="failed")
    (lane,) = running.part(Pace).lanes
    other = Pace(running)
    stored = webhooks.get(running, ada, endpoint_id=made.id).slowed_until
    other.learn(lane, stored)
    assert other.per_lane(lane) == running.part(Pace).per_lane(lane) == 1
    clock.advance(11)
    webhooks.update(running, ada, endpoint_id=made.id, url=f"{receiver.url}/elsewhere")
    assert webhooks.get(running, ada, endpoint_id=made.id).slowed_until is None
    receiver.answer = 200
    emit(running, ada)
    wait_for(until, running, ada, status="delivered")
    until(lambda: running.part(Pace).per_lane(lane) == 2)
