"""Endpoints: their rules, who may, what they hear of."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.core import announcements, keys, webhooks
from headrace.core.audit import list_all as audited
from headrace.core.house import House
from headrace.core.outward import Outward
from headrace.core.principal import Principal
from headrace.core.refusals import Kind
from headrace.core.settings import Settings
from headrace.core.webhooks import signing
from headrace.core.webhooks.events import subscribed
from headrace.kit.times import SECOND
from tests.conftest import FakeClock, SignUp
from tests.core.webhooks.sending import BOTH, URL, Until, emit, make, newest, refused, wait_for
from tests.receiver import Receiver


@pytest.mark.parametrize(
    ("patterns", "event", "meant"),
    [
        (["*"], "job.failed", True),
        (["job.*"], "job.failed", True),
        (["*.failed"], "job.failed", True),
        (["job.failed"], "job.succeeded", False),
        (["key.*", "alert.firing"], "alert.firing", True),
        (["key.*", "alert.firing"], "alert.resolved", False),
        (["job**failed"], "job.failed", True),
    ],
)
def test_patterns_choose_events(patterns: list[str], event: str, meant: bool) -> None:
    assert subscribed(tuple(patterns), event) == meant


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"url": None}, "url: field required"),
        ({"url": "ftp://example.com/"}, "http:// or https://"),
        ({"url": "http://10.0.0.1/"}, "not allowed"),
        ({"url": "http://user@example.com/"}, "user information"),
        ({"url": "http://example.com:6379/"}, "port"),
        ({"url": "http://example.com/" + "a" * 2048}, "1-2048 characters"),
        ({"events": []}, "list of 1-50"),
        ({"events": "job.failed"}, "list of 1-50"),
        ({"events": ["job failed"]}, "a name is"),
        ({"events": ["job.faild"]}, "there is no event job.faild"),
        ({"events": ["x.*"]}, "there is no event"),
        ({"secret": "short"}, "8-255 characters"),
        ({"secret": "whsec_%%%%%%%%"}, "base64"),
        ({"secret": "whsec_QUJD"}, "8 bytes or more"),
        ({"secret": "whsec_\u00e9\u00e9\u00e9\u00e9"}, "base64"),
        ({"description": "x" * 256}, "0-255 characters"),
        ({"headers": ["X-A"]}, "object"),
        ({"headers": {"Host": "x"}}, "may set"),
        ({"headers": {"webhook-signature": "x"}}, "may set"),
        ({"headers": {"X Y": "x"}}, "may set"),
        ({"headers": {"X-A": "a\r\nB: c"}}, "visible ASCII"),
        ({"headers": {"X-A": ""}}, "visible ASCII"),
        ({"headers": {"X-A": None}}, "visible ASCII"),
        ({"headers": {f"X-{n}": "x" for n in range(11)}}, "at most 10"),
    ],
)
def test_rules_of_an_endpoint(shared: tuple[House, Principal], given: dict[str, Any], complaint: str) -> None:
    house, ada = shared
    kind, text = refused(lambda: webhooks.create(house, ada, **{"url": URL, "events": ["*"]} | given))
    assert kind is Kind.INVALID
    assert complaint in text


def test_an_endpoint_is_made_changed_and_deleted(ready: House, ada: Principal, clock: FakeClock) -> None:
    made = webhooks.create(ready, ada, url=URL, events=["job.*", "job.*"], headers={"X-A": "1", "X-B": "2"})
    assert made.secret.startswith("whsec_")
    assert len(signing.key(made.secret)) == 24
    one = made.endpoint
    assert (one.events, one.headers, one.is_active) == (("job.*",), ("X-A", "X-B"), True)
    clock.advance(1)
    changed = webhooks.update(
        ready, ada, endpoint_id=one.id, events=["*"], description="ours", headers={"X-A": None, "X-C": "3"}
    )
    assert (changed.events, changed.description, changed.headers) == (("*",), "ours", ("X-A", "X-C"))
    assert changed.updated_at == one.updated_at + SECOND
    off = webhooks.update(ready, ada, endpoint_id=one.id, is_active=False)
    assert (off.is_active, off.disabled_reason, off.disabled_at) == (False, "by_hand", clock.now)
    assert webhooks.list_all(ready, ada) == [off]
    assert webhooks.get(ready, ada, endpoint_id=one.id) == off
    assert refused(lambda: webhooks.update(ready, ada, endpoint_id=one.id))[0] is Kind.INVALID
    assert refused(lambda: webhooks.update(ready, ada, endpoint_id=one.id, is_active=1))[0] is Kind.INVALID
    emit(ready, ada)
    webhooks.delete(ready, ada, endpoint_id=one.id)
    assert webhooks.list_all(ready, ada) == []
    assert refused(lambda: webhooks.get(ready, ada, endpoint_id=one.id))[0] is Kind.NOT_FOUND
    actions = [event.action for event in audited(ready, ada).events if event.action.startswith("webhook")]
    assert actions[::-1] == [f"webhook:endpoint:{what}" for what in ("created", "changed", "switched_off", "deleted")]
    assert made.secret not in repr(audited(ready, ada).events)


@BOTH
def test_an_endpoint_goes_with_its_deliveries(running: House, ada: Principal, receiver: Receiver, until: Until) -> None:
    made = make(running, ada, f"{receiver.url}/hook").endpoint
    emit(running, ada)
    wait_for(until, running, ada, status="delivered")
    webhooks.delete(running, ada, endpoint_id=made.id)
    assert webhooks.deliveries.list_all(running, ada) == []


def test_endpoints_have_a_limit(open_house: Callable[..., House], settings: Settings, sign_up: SignUp) -> None:
    house = open_house(msgspec.structs.replace(settings, webhook_limit=2))
    ada = sign_up(house)
    for _ in range(2):
        make(house, ada, URL)
    assert refused(lambda: make(house, ada, URL)) == (Kind.INVALID, "Webhook limit reached: 2")
    house.part(Outward).close()


@BOTH
def test_nobody_elses_and_nobody_without_the_right(ready: House, ada: Principal, sign_up: SignUp) -> None:
    made = make(ready, ada, URL, "*").endpoint
    emit(ready, ada)
    delivery = newest(ready, ada)
    eve = sign_up(ready, "eve@example.com")
    member = msgspec.structs.replace(ada, role="user")
    reader = msgspec.structs.replace(ada, kind="key", key_kind="organization", scopes=frozenset({"read"}))
    assert webhooks.list_all(ready, eve) == []
    assert webhooks.deliveries.list_all(ready, eve) == []
    assert emit(ready, eve) == 0
    writes: list[Callable[[Principal], object]] = [
        lambda who: webhooks.update(ready, who, endpoint_id=made.id, is_active=False),
        lambda who: webhooks.delete(ready, who, endpoint_id=made.id),
        lambda who: webhooks.rotate_secret(ready, who, endpoint_id=made.id),
        lambda who: webhooks.send_test(ready, who, endpoint_id=made.id),
        lambda who: webhooks.recover(ready, who, endpoint_id=made.id, since=0),
        lambda who: webhooks.redeliver(ready, who, delivery_id=delivery.id),
    ]
    reads: list[Callable[[Principal], object]] = [
        lambda who: webhooks.get(ready, who, endpoint_id=made.id),
        lambda who: webhooks.deliveries.get(ready, who, delivery_id=delivery.id),
    ]
    for verb in [*writes, *reads]:
        assert refused(partial(verb, eve))[0] is Kind.NOT_FOUND
        assert refused(partial(verb, member))[0] is Kind.FORBIDDEN
    for verb in writes:
        assert refused(partial(verb, reader))[0] is Kind.FORBIDDEN
    for verb in reads:
        verb(reader)
    assert refused(lambda: webhooks.list_all(ready, member))[0] is Kind.FORBIDDEN
    assert refused(lambda: webhooks.organization_secret(ready, member))[0] is Kind.FORBIDDEN
    for odd in ("", "wh_\0", "wh_\u00e9", "x" * 300):
        assert refused(partial(webhooks.get, ready, ada, endpoint_id=odd))[0] is Kind.NOT_FOUND
        assert refused(partial(webhooks.deliveries.get, ready, ada, delivery_id=odd))[0] is Kind.NOT_FOUND


def test_what_happens_to_a_key_is_told(ready: House, ada: Principal) -> None:
    make(ready, ada, URL, "key.*")
    ready.part(announcements.Listeners).all.append(webhooks.heard)
    key = keys.create_organization_key(ready, ada, name="ci", scopes=["read"])
    keys.revoke(ready, ada, key_id=key.key_id)
    keys.revoke(ready, ada, key_id=key.key_id)
    bodies = [
        webhooks.deliveries.get(ready, ada, delivery_id=one.id).body for one in webhooks.deliveries.list_all(ready, ada)
    ]
    assert {json.loads(body)["event"] for body in bodies} == {"key.created", "key.revoked"}
    assert len(bodies) == 2
    told = json.loads(next(body for body in bodies if "key.created" in body))["data"]
    assert (told["key_id"], told["name"], told["status"]) == (key.key_id, "ci", "active")
    assert told["created_at"] == "2026-01-01T10:00:00Z"
    assert key.full_key not in "".join(bodies)
    assert str(key.signing_secret) not in "".join(bodies)


def test_the_page_of_webhooks_lists_every_event() -> None:
    page = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()
    for name in webhooks.EVENTS:
        assert f"`{name}`" in page
