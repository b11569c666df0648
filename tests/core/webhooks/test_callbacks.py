"""Callbacks of jobs, and events about them."""

import json
from typing import Any

from headrace.core import jobs, keys, webhooks
from headrace.core.house import House
from headrace.core.principal import Principal
from tests.conftest import FakeClock
from tests.core.webhooks.sending import BOTH, URL, Until, make, verified, wait_for
from tests.receiver import Receiver


def callback_of(house: House, who: Principal, url: str | None, **fields: Any) -> jobs.Job:
    """A job that ends in a test: what an engine would hand to `job_ended`."""
    common: dict[str, Any] = {"id": 1, "token": "a" * 32, "kind": "workflow", "name": "w", "view": None, "lane": "l"}
    facts: dict[str, Any] = {"priority": 50, "payload": {}, "attempt": 1, "tries": 4, "run_at": 0}
    mine: dict[str, Any] = {"organization_id": who.organization_id, "callback_url": url, "created_at": house.clock()}
    made = jobs.Job(**common | facts | mine | {"state": "succeeded", "result": {"ok": True}} | fields)
    with house.db.write() as connection:
        webhooks.job_ended(connection, house, made)
    return made


@BOTH
def test_a_callback_is_signed_by_the_key_that_made_the_job(
    running: House, ada: Principal, receiver: Receiver, until: Until
) -> None:
    key = keys.create_organization_key(running, ada, name="ci", scopes=["write"])
    assert key.signing_secret
    callback_of(running, ada, f"{receiver.url}/mine", key_id=key.key_id)
    delivery = wait_for(until, running, ada, status="delivered")
    assert (delivery.kind, delivery.endpoint_id, delivery.event) == ("callback", None, "job.succeeded")
    keys.revoke(running, ada, key_id=key.key_id)
    callback_of(running, ada, f"{receiver.url}/mine", key_id=key.key_id, state="failed", error="no")
    callback_of(running, ada, f"{receiver.url}/ours", state="cancelled", error=None, result=None)
    until(lambda: len(receiver.requests) == 3)
    mine = [one for one in receiver.requests if one.path == "/mine"]
    assert [verified(key.signing_secret, one) for one in mine] == [
        {"job_id": "a" * 32, "status": "succeeded", "created_at": 1767261600, "result": {"ok": True}, "error": None},
        {"job_id": "a" * 32, "status": "failed", "created_at": 1767261600, "result": None, "error": "no"},
    ]
    (ours,) = (one for one in receiver.requests if one.path == "/ours")
    secret = webhooks.organization_secret(running, ada)
    assert secret == webhooks.organization_secret(running, ada)
    told = verified(secret, ours)
    assert (told["status"], told["error"], ours.headers["x-webhook-event"]) == ("failed", "cancelled", "job.failed")


def test_a_callback_is_tried_again_and_redelivered(
    running: House, ada: Principal, receiver: Receiver, clock: FakeClock, until: Until
) -> None:
    receiver.answer = 410
    callback_of(running, ada, f"{receiver.url}/x")
    delivery = wait_for(until, running, ada, status="failed", attempts=1)
    receiver.answer = 200
    webhooks.redeliver(running, ada, delivery_id=delivery.id)
    wait_for(until, running, ada, status="delivered", attempts=2)


def test_endpoints_hear_of_jobs_that_ended(ready: House, ada: Principal) -> None:
    make(ready, ada, URL, "job.*")
    callback_of(ready, ada, None)
    callback_of(ready, ada, None, result="x" * 30_000)
    second, first = (
        json.loads(webhooks.deliveries.get(ready, ada, delivery_id=one.id).body)["data"]
        for one in webhooks.deliveries.list_all(ready, ada)
    )
    results = {json.dumps(one.get("result")) for one in (first, second)}
    assert results == {'{"ok": true}', "null"}
