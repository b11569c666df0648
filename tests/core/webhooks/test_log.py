"""The log of deliveries, and deliveries sent again."""

import json

import sqlalchemy as sa
from aiohttp import web

from headrace.core import jobs, webhooks
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import Kind
from headrace.core.schema import webhooks as tables
from tests.conftest import FakeClock
from tests.core.webhooks.sending import BOTH, URL, Until, emit, make, newest, one_of, refused, turn, wait_for
from tests.receiver import Receiver


def test_the_log_shows_what_was_sent_and_what_came_back(
    running: House, ada: Principal, receiver: Receiver, until: Until
) -> None:
    receiver.answer = lambda _: web.Response(status=202, body=b"\x00taken \xff" + b"x" * 9000)
    make(running, ada, f"{receiver.url}/hook", headers={"Authorization": "Bearer token-of-theirs"})
    emit(running, ada)
    delivery = wait_for(until, running, ada, status="delivered")
    detail = webhooks.deliveries.get(running, ada, delivery_id=delivery.id)
    got = receiver.requests[0]
    assert got.headers["authorization"] == "Bearer token-of-theirs"
    assert detail.body == got.body.decode()
    (attempt,) = detail.attempts
    assert (attempt.number, attempt.response_status, attempt.error, attempt.next_attempt_at) == (1, 202, None, None)
    assert attempt.request_headers["Authorization"] == "***"
    assert attempt.request_headers["webhook-signature"] == got.headers["webhook-signature"]
    assert attempt.response is not None
    assert attempt.response.startswith("\ufffdtaken \ufffdxxx")
    assert len(attempt.response) == 4096
    assert attempt.duration_us > 0


def test_redelivery_is_the_same_message_at_a_new_time(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    make(running, ada, f"{receiver.url}/hook")
    emit(running, ada)
    delivery = wait_for(until, running, ada, status="delivered")
    clock.advance(7)
    assert webhooks.redeliver(running, ada, delivery_id=delivery.id).status == "pending"
    wait_for(until, running, ada, status="delivered", attempts=2)
    first, second = receiver.requests
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert int(second.headers["webhook-timestamp"]) == int(first.headers["webhook-timestamp"]) + 7


@BOTH
def test_a_redelivery_takes_the_place_of_the_attempt_that_was_due(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    receiver.answer = 500
    make(running, ada, f"{receiver.url}/hook")
    emit(running, ada)
    due = wait_for(until, running, ada, attempts=1).next_attempt_at
    receiver.answer = 200
    webhooks.redeliver(running, ada, delivery_id=newest(running, ada).id)
    wait_for(until, running, ada, status="delivered", attempts=2)
    turn(until, running, due)
    emit(running, ada)
    until(lambda: len(receiver.requests) == 3)
    assert one_of(running, ada, webhooks.deliveries.list_all(running, ada)[1].id).attempts == 2


@BOTH
def test_all_that_failed_since_a_moment_is_recovered(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    receiver.answer = lambda _: web.Response(status=400, headers={"webhook-delivery": "abort-message"})
    made = make(running, ada, f"{receiver.url}/hook").endpoint
    emit(running, ada, data={"n": 0})
    wait_for(until, running, ada, status="failed")
    clock.advance(60)
    since = clock.now
    for n in range(1, 4):
        emit(running, ada, data={"n": n})
    until(lambda: len(webhooks.deliveries.list_all(running, ada, status="failed")) == 4)
    receiver.answer = 200
    assert webhooks.recover(running, ada, endpoint_id=made.id, since=since) == 3
    until(lambda: len(webhooks.deliveries.list_all(running, ada, status="delivered")) == 3)
    assert len(webhooks.deliveries.list_all(running, ada, status="failed")) == 1
    assert sorted(json.loads(one.body)["data"]["n"] for one in receiver.requests[4:]) == [1, 2, 3]


@BOTH
def test_lists_of_deliveries(ready: House, ada: Principal, clock: FakeClock) -> None:
    one, two = (make(ready, ada, URL, name).endpoint for name in ("job.*", "key.*"))
    times = []
    for n in range(6):
        clock.advance(1)
        times.append(clock.now)
        emit(ready, ada, "job.failed" if n % 2 else "key.created", {"n": n})
    everything = webhooks.deliveries.list_all(ready, ada)
    assert [one.created_at for one in everything] == times[::-1]
    assert len(webhooks.deliveries.list_all(ready, ada, endpoint_id=one.id)) == 3
    assert [d.event for d in webhooks.deliveries.list_all(ready, ada, endpoint_id=two.id)] == ["key.created"] * 3
    assert len(webhooks.deliveries.list_all(ready, ada, event="job.failed", since=times[3])) == 2
    assert webhooks.deliveries.list_all(ready, ada, until=times[1])[0].created_at == times[0]
    first = webhooks.deliveries.list_all(ready, ada, limit=4)
    assert [*first, *webhooks.deliveries.list_all(ready, ada, limit=4, before=first[-1].id)] == everything
    assert webhooks.deliveries.list_all(ready, ada, status="failed") == []
    assert webhooks.deliveries.list_all(ready, ada, kind="callback") == []
    assert refused(lambda: webhooks.deliveries.list_all(ready, ada, status="gone"))[0] is Kind.INVALID
    assert refused(lambda: webhooks.deliveries.list_all(ready, ada, limit=201))[0] is Kind.INVALID


@BOTH
def test_what_is_old_is_deleted(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    make(running, ada, f"{receiver.url}/hook")
    emit(running, ada)
    wait_for(until, running, ada, status="delivered")
    clock.advance(29 * 86_400)
    emit(running, ada)
    wait_for(until, running, ada, status="delivered")
    assert webhooks.deliveries.purge(running) == 0
    clock.advance(86_400 + 1)
    assert webhooks.deliveries.purge(running) == 1
    assert len(webhooks.deliveries.list_all(running, ada)) == 1
    with running.db.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.messages)).scalar_one() == 1
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.attempts)).scalar_one() == 1


@BOTH
def test_a_delivery_whose_job_is_cancelled_has_failed(ready: House, ada: Principal) -> None:
    make(ready, ada, URL)
    emit(ready, ada)
    (job,) = jobs.list_all(ready, ada).jobs
    jobs.cancel(ready, ada, job_id=job.id)
    delivery = newest(ready, ada)
    assert (delivery.status, delivery.error, delivery.next_attempt_at) == ("failed", "cancelled", None)
    # Its attempts would be counted on beyond those that there are: the delivery is what is sent again.
    kind, text = refused(lambda: jobs.retry(ready, ada, job_id=job.id))
    assert (kind, f"POST /api/v1/webhook-deliveries/{delivery.id}/redeliver" in text) == (Kind.CONFLICT, True)
    assert webhooks.redeliver(ready, ada, delivery_id=delivery.id).status == "pending"
