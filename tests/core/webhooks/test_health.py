"""What happens to an endpoint that fails."""

import json

from aiohttp import web

from headrace.core import webhooks
from headrace.core.audit import list_all as audited
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.kit.times import DAY, HOUR
from tests.conftest import FakeClock
from tests.core.webhooks.sending import BOTH, Until, emit, kept, make, newest, one_of, turn, wait_for
from tests.receiver import Receiver


@BOTH
def test_410_switches_off_at_once_and_what_waits_is_kept(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    receiver.answer = 500
    gone = make(running, ada, f"{receiver.url}/gone").endpoint
    make(running, ada, f"{receiver.url}/other", "webhook.*")
    emit(running, ada)
    waiting = wait_for(until, running, ada, attempts=1)
    receiver.answer = lambda got: web.Response(status=410 if got.path == "/gone" else 200)
    emit(running, ada)
    until(lambda: not webhooks.get(running, ada, endpoint_id=gone.id).is_active)
    assert webhooks.get(running, ada, endpoint_id=gone.id).disabled_reason == "gone"
    assert newest(running, ada, endpoint_id=gone.id).status == "failed"
    until(lambda: [one for one in receiver.requests if one.path == "/other"])
    told = json.loads(next(one for one in receiver.requests if one.path == "/other").body)
    assert (told["event"], told["data"]["endpoint_id"], told["data"]["reason"]) == ("webhook.disabled", gone.id, "gone")
    assert "webhook:endpoint:disabled" in [one.action for one in audited(running, ada).events]
    # The first one comes due while the endpoint is off: it is kept, and costs no attempt.
    sent = len(receiver.requests)
    turn(until, running, waiting.next_attempt_at)
    until(lambda: one_of(running, ada, waiting.id).next_attempt_at is None)
    assert one_of(running, ada, waiting.id).status == "pending"
    assert emit(running, ada) == 0
    receiver.answer = 200
    webhooks.update(running, ada, endpoint_id=gone.id, is_active=True)
    until(lambda: one_of(running, ada, waiting.id).status == "delivered")
    assert len(receiver.requests) == sent + 1
    shown = webhooks.get(running, ada, endpoint_id=gone.id)
    assert (shown.is_active, shown.disabled_reason, shown.failures) == (True, None, 0)


@BOTH
def test_an_endpoint_that_fails_for_five_days_is_switched_off(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    receiver.answer = lambda got: web.Response(status=500 if got.path == "/dead" else 200)
    dead = make(running, ada, f"{receiver.url}/dead").endpoint
    make(running, ada, f"{receiver.url}/alive", "webhook.*")
    began = clock.now
    for day, attempts in ((0, 10), (2.6, 1), (4.6, 1)):
        turn(until, running, began + round(day * DAY))
        emit(running, ada)
        for number in range(1, attempts + 1):
            until(lambda number=number: newest(running, ada, endpoint_id=dead.id).attempts >= number)
            if number < attempts:
                turn(until, running, newest(running, ada, endpoint_id=dead.id).next_attempt_at)
    # The two that are tried still fail on, and with that it is enough.
    turn(until, running, began + round(5.01 * DAY))
    until(lambda: not webhooks.get(running, ada, endpoint_id=dead.id).is_active)
    shown = webhooks.get(running, ada, endpoint_id=dead.id)
    assert shown.disabled_reason == "failing"
    assert shown.failing_since is not None
    until(lambda: len([one for one in receiver.requests if one.path == "/alive"]) == 3)
    told = [json.loads(one.body) for one in receiver.requests if one.path == "/alive"]
    assert [(one["event"], one["data"].get("percent")) for one in told] == [
        ("webhook.failing", 50),
        ("webhook.failing", 90),
        ("webhook.disabled", None),
    ]
    # They wait for it, while the first one had all its attempts; they go out when it is switched on.
    turn(until, running, clock.now + HOUR)
    until(lambda: len(kept(running, ada, dead.id)) == 2)
    receiver.answer = 200
    webhooks.update(running, ada, endpoint_id=dead.id, is_active=True)
    until(lambda: len(webhooks.deliveries.list_all(running, ada, endpoint_id=dead.id, status="delivered")) == 2)


def test_a_success_clears_the_record(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    receiver.answer = 500
    made = make(running, ada, f"{receiver.url}/hook").endpoint
    emit(running, ada)
    delivery = wait_for(until, running, ada, attempts=1)
    assert webhooks.get(running, ada, endpoint_id=made.id).failures == 1
    receiver.answer = 200
    turn(until, running, delivery.next_attempt_at)
    wait_for(until, running, ada, status="delivered", attempts=2)
    shown = webhooks.get(running, ada, endpoint_id=made.id)
    assert (shown.failures, shown.failing_since, shown.last_triggered_at) == (0, None, clock.now)
