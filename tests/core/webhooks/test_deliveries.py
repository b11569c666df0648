"""Deliveries against a real receiver, on both databases, under a clock that the test turns."""

import datetime as dt
import json
from collections.abc import Callable
from email.utils import format_datetime

import pytest
import sqlalchemy as sa
from aiohttp import web
from standardwebhooks import Webhook

from headrace.core import jobs, webhooks
from headrace.core.house import House
from headrace.core.outward import Outward
from headrace.core.principal import Principal
from headrace.core.refusals import Kind
from headrace.core.schema import webhooks as tables
from headrace.core.settings import SettingError
from headrace.core.webhooks import sending, signing
from headrace.kit.times import DAY, HOUR, MINUTE, SECOND
from tests.conftest import FakeClock
from tests.core.webhooks.sending import (
    BOTH,
    WAITS,
    Until,
    emit,
    make,
    newest,
    refused,
    turn,
    verified,
    wait_for,
)
from tests.receiver import Receiver

VECTORS = [
    (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    ),
    ("webhook-secret", "msg_1", 1700000000, b"{}", "v1,Lm6YY2Dy45a9Lm/iQbL55MpeRxMVgyLXZSqXorxp6cY="),
]


@pytest.mark.parametrize(("secret", "message_id", "at", "body", "expected"), VECTORS)
def test_published_vectors(secret: str, message_id: str, at: int, body: bytes, expected: str) -> None:
    key = signing.key(secret)
    assert signing.signature(key, message_id, at, body) == expected
    official = Webhook(key).sign(message_id, dt.datetime.fromtimestamp(at, dt.UTC), body.decode())
    assert official == expected


def test_the_plain_signature_is_of_the_body_alone() -> None:
    made = signing.headers([b"webhook-secret"], message_id="m", event="e", timestamp=1, attempt=1, body=b"{}")
    plain = "38d7951cd02eab1b54d0e0e4257c279d640620961e1c438188bc252f3c6732db"
    assert (made["X-Webhook-Signature"], made["X-IV-Signature"]) == (plain, f"sha256={plain}")


@pytest.mark.parametrize("secret", [None, "webhook-secret", "my secret!", "whsec_" + "QUJD" * 8])
def test_a_delivery_is_signed_so_that_the_official_verifier_takes_it(
    running: House, ada: Principal, receiver: Receiver, until: Until, secret: str | None
) -> None:
    made = make(running, ada, f"{receiver.url}/hook", secret=secret, headers={"X-Team": "blue"})
    assert secret in {None, made.secret}
    assert emit(running, ada, data={"job_id": "caf\u00e9"}) == 1
    delivery = wait_for(until, running, ada, status="delivered")
    got = receiver.requests[0]
    assert verified(made.secret, got)["data"] == {"job_id": "caf\u00e9"}
    assert (got.method, got.path, got.headers["content-type"]) == ("POST", "/hook", "application/json")
    assert got.headers["user-agent"].startswith("Headrace/")
    assert got.headers["x-team"] == "blue"
    assert got.headers["webhook-id"] == got.headers["x-webhook-delivery"] == delivery.id
    assert got.headers["x-webhook-event"] == "job.failed"
    assert got.headers["x-webhook-attempt"] == "1"
    body = json.loads(got.body)
    assert set(body) == {"event", "timestamp", "data", "id"}
    assert (body["event"], body["timestamp"]) == ("job.failed", "2026-01-01T10:00:00Z")
    assert body["id"].startswith("evt_")


def test_ten_attempts_with_the_listed_waits(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    receiver.answer = 500
    make(running, ada, f"{receiver.url}/hook")
    emit(running, ada)
    for number, wait in enumerate(WAITS, start=1):
        delivery = wait_for(until, running, ada, attempts=number, status="pending")
        assert delivery.next_attempt_at is not None
        assert 0.9 * wait <= (delivery.next_attempt_at - clock.now) / SECOND <= 1.1 * wait
        if number == 1:
            # Not before its time.
            turn(until, running, delivery.next_attempt_at - 100_000)
        turn(until, running, delivery.next_attempt_at)
    delivery = wait_for(until, running, ada, attempts=10, status="failed")
    assert (delivery.error, delivery.response_status, delivery.next_attempt_at) == ("http_5xx", 500, None)
    assert [one.headers["x-webhook-attempt"] for one in receiver.requests] == [str(n) for n in range(1, 11)]
    assert len({one.headers["webhook-id"] for one in receiver.requests}) == 1
    assert len({one.body for one in receiver.requests}) == 1
    stamps = [int(one.headers["webhook-timestamp"]) for one in receiver.requests]
    assert stamps == sorted(stamps)
    # The first wait may end within the same second.
    assert len(set(stamps)) >= 9
    assert len(webhooks.deliveries.get(running, ada, delivery_id=delivery.id).attempts) == 10


@pytest.mark.parametrize(
    ("status", "header", "waits"),
    [
        (429, "3600", HOUR),
        (503, "3600", HOUR),
        (503, "99999999", DAY),
        (500, "3600", SECOND),
        (429, "soon", SECOND),
        (429, "-5", SECOND),
        (429, "0", SECOND),
        (503, format_datetime(dt.datetime(2026, 1, 1, 10, 10, tzinfo=dt.UTC), usegmt=True), 10 * MINUTE),
        (503, format_datetime(dt.datetime(2020, 1, 1, tzinfo=dt.UTC), usegmt=True), SECOND),
    ],
)
def test_retry_after_is_heeded_where_it_asks_for_more(status: int, header: str, waits: int) -> None:
    found = sending.retry_after(header, FakeClock().now) * SECOND
    asked = found if status in sending.ASKS_TO_WAIT else 0
    assert max(asked, SECOND) == waits


def test_a_receiver_that_asks_for_patience_gets_it(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    receiver.answer = lambda _: web.Response(status=429, headers={"Retry-After": "7200"})
    make(running, ada, f"{receiver.url}/hook")
    emit(running, ada)
    delivery = wait_for(until, running, ada, attempts=1)
    assert delivery.next_attempt_at == clock.now + 2 * HOUR


def test_a_receiver_may_decline_a_message(running: House, ada: Principal, receiver: Receiver, until: Until) -> None:
    receiver.answer = lambda _: web.Response(status=400, headers={"webhook-delivery": "abort-message"})
    made = make(running, ada, f"{receiver.url}/hook").endpoint
    emit(running, ada)
    assert wait_for(until, running, ada, status="failed").attempts == 1
    assert webhooks.get(running, ada, endpoint_id=made.id).is_active


@pytest.mark.parametrize(("answer", "error"), [(302, "http_3xx"), (404, "http_4xx"), (502, "http_5xx")])
def test_only_2xx_is_success(  # noqa: PLR0917  Four fixtures and a case.
    running: House, ada: Principal, receiver: Receiver, until: Until, answer: int, error: str
) -> None:
    receiver.answer = lambda _: web.Response(status=answer, headers={"Location": "http://169.254.169.254/"})
    make(running, ada, f"{receiver.url}/hook")
    emit(running, ada)
    assert wait_for(until, running, ada, attempts=1).error == error
    assert len(receiver.requests) == 1


@BOTH
def test_a_secret_is_rotated_with_a_day_in_which_both_sign(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    old = make(running, ada, f"{receiver.url}/hook")
    new = webhooks.rotate_secret(running, ada, endpoint_id=old.endpoint.id)
    assert new.secret != old.secret
    assert new.endpoint.previous_until == clock.now + DAY
    emit(running, ada)
    wait_for(until, running, ada, status="delivered")
    clock.advance(24 * 3600)
    emit(running, ada)
    until(lambda: len(receiver.requests) == 2)
    during, after = receiver.requests
    assert len(during.headers["webhook-signature"].split()) == 2
    assert verified(old.secret, during) == verified(new.secret, during)
    assert verified(new.secret, after)
    with pytest.raises(Exception, match="signature"):
        verified(old.secret, after)
    assert (
        during.headers["x-webhook-signature"]
        == signing.headers(
            [signing.key(new.secret)], message_id="", event="", timestamp=0, attempt=1, body=during.body
        )["X-Webhook-Signature"]
    )


@BOTH
def test_each_of_several_rotations_has_its_day(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    secrets = [(made := make(running, ada, f"{receiver.url}/hook")).secret]
    for _ in range(2):
        secrets.append(webhooks.rotate_secret(running, ada, endpoint_id=made.endpoint.id).secret)
        clock.advance(10 * 3600)
    emit(running, ada)
    wait_for(until, running, ada, status="delivered")
    clock.advance(5 * 3600)
    emit(running, ada)
    until(lambda: len(receiver.requests) == 2)
    during, after = receiver.requests
    assert len({str(verified(secret, during)) for secret in secrets}) == 1
    assert len(after.headers["webhook-signature"].split()) == 2
    assert verified(secrets[1], after) == verified(secrets[2], after)
    for _ in range(9):
        webhooks.rotate_secret(running, ada, endpoint_id=made.endpoint.id)
    emit(running, ada)
    until(lambda: len(receiver.requests) == 3)
    assert len(receiver.requests[2].headers["webhook-signature"].split()) == 5


def test_a_test_event_goes_to_one_endpoint_once(
    running: House, ada: Principal, receiver: Receiver, until: Until
) -> None:
    receiver.answer = 500
    made = make(running, ada, f"{receiver.url}/one").endpoint
    make(running, ada, f"{receiver.url}/two", "*")
    webhooks.send_test(running, ada, endpoint_id=made.id)
    assert wait_for(until, running, ada, status="failed").event == "webhook.test"
    assert [one.path for one in receiver.requests] == ["/one"]
    webhooks.update(running, ada, endpoint_id=made.id, is_active=False)
    assert refused(lambda: webhooks.send_test(running, ada, endpoint_id=made.id))[0] is Kind.CONFLICT


def test_a_hanging_endpoint_takes_nobody_elses_room(
    running: House, ada: Principal, receiver: Receiver, until: Until
) -> None:
    receiver.hold = {"/hangs"}
    make(running, ada, f"{receiver.url}/hangs")
    make(running, ada, f"{receiver.url}/well")
    for _ in range(20):
        emit(running, ada)
    until(lambda: len([one for one in receiver.requests if one.path == "/well"]) == 20)
    until(lambda: receiver.inside.get("/hangs", 0) >= 2)
    assert receiver.most_inside["/hangs"] <= 2
    assert len([one for one in receiver.requests if one.path == "/hangs"]) == 2
    receiver.release()
    until(lambda: not webhooks.deliveries.list_all(running, ada, status="pending"))
    assert receiver.most_inside["/hangs"] <= 2
    assert receiver.most_inside["/well"] <= 2


def test_deliveries_survive_a_restart(
    ready: House, open_house: Callable[..., House], ada: Principal, receiver: Receiver, until: Until
) -> None:
    make(ready, ada, f"{receiver.url}/hook")
    emit(ready, ada)
    # Nothing ran in this house; another process takes it up.
    second = open_house()
    jobs.define(second, webhooks.kind(second))
    engine = second.part(jobs.Engine)
    engine.start()
    until(lambda: newest(second, ada).status == "delivered")
    engine.stop(1.0)
    second.part(Outward).close()
    assert len(receiver.requests) == 1


def test_a_job_that_runs_again_after_its_delivery_was_written_sends_nothing(
    running: House, ada: Principal, receiver: Receiver, until: Until
) -> None:
    make(running, ada, f"{receiver.url}/hook")
    emit(running, ada)
    delivery = wait_for(until, running, ada, status="delivered")
    with running.db.write() as connection:
        again = jobs.enqueue(
            running,
            connection,
            kind="webhook.deliver",
            organization_id=ada.organization_id,
            payload={"delivery": delivery.id, "round": 1},
        )
    until(lambda: jobs.get(running, ada, job_id=again.id).state == "succeeded")
    assert len(receiver.requests) == 1


def test_a_secret_that_cannot_be_opened_holds_up_no_other(
    ready: House, ada: Principal, receiver: Receiver, until: Until
) -> None:
    broken = make(ready, ada, f"{receiver.url}/broken").endpoint
    make(ready, ada, f"{receiver.url}/well")
    with ready.db.write() as connection:
        which = tables.endpoints.c.id == broken.id
        connection.execute(sa.update(tables.endpoints).where(which).values(secret=b"of another house" * 4))
    emit(ready, ada)
    ready.part(jobs.Engine).start()
    until(lambda: [one.path for one in receiver.requests] == ["/well"])
    until(lambda: [job for job in jobs.list_all(ready, ada).jobs if job.error == "The job failed: BrokenSealError"])
    assert newest(ready, ada, endpoint_id=broken.id).attempts == 0


def test_an_event_that_did_not_happen_is_not_sent(ready: House, ada: Principal) -> None:
    make(ready, ada, "http://127.0.0.1:8080/")

    def change() -> None:
        with ready.db.write() as connection:
            webhooks.emit(ready, connection, organization_id=ada.organization_id, event="job.failed", data={})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert webhooks.deliveries.list_all(ready, ada) == []


@pytest.mark.parametrize("waits", [(), ("x",), ("1", "-1"), ("86401",)])
def test_a_list_of_waits_that_is_none_stops_the_start(waits: tuple[str, ...]) -> None:
    with pytest.raises(SettingError, match="WEBHOOK_RETRY_SECONDS"):
        sending.schedule(waits)
