"""Connectors and billing over HTTP: the document's shapes, every error text, Stripe's signature on the raw body."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from headrace.core import billing
from headrace.core.identity import operators
from headrace.kit.times import SECOND
from tests.doors.conftest import Origin, Tenant
from tests.providers import gmail, slack
from tests.providers.fake import Fake, Said, serving
from tests.providers.stripe import event, signed

SECRETS = ("whsec_old-secret", "whsec_new-secret")
CHECKOUT, WEBHOOK = "/billing/create-checkout-session", "/billing/webhook"
BUY = {"price_id": "price_1234567890", "email": "user@example.com", "user_id": "user123"}


@pytest.fixture(scope="module")
def at_slack() -> Iterator[Fake]:
    with serving(slack.answer) as fake:
        yield fake


@pytest.fixture(scope="module")
def at_gmail() -> Iterator[Fake]:
    with serving(gmail.answer) as fake:
        yield fake


@pytest.fixture(scope="module")
def more_settings(at_slack: Fake, at_gmail: Fake) -> dict[str, Any]:
    return {
        "connector_slack_url": at_slack.url + "/api/",
        "connector_gmail_url": at_gmail.url + gmail.BASE,
        "connector_google_token_url": at_gmail.url + gmail.TOKENS,
        "stripe_secret_levqor": SECRETS,
    }


def by(tenant: Tenant) -> dict[str, str]:
    return {"X-Api-Key": tenant.organization_key}


def connect(client: httpx.Client, tenant: Tenant, name: str, **body: Any) -> tuple[int, Any]:
    answer = client.post(f"/api/v1/connect/{name}", json=body, headers=by(tenant))
    return answer.status_code, answer.json()


def test_the_documents_example(client: httpx.Client, tenant: Tenant) -> None:
    credentials = {"token": gmail.TOKEN, "refresh_token": "...", "client_id": "...", "client_secret": "..."}
    told = connect(client, tenant, "gmail", action="list_labels", credentials=credentials, params={})
    assert told == (
        200,
        {"status": "ok", "connector": "gmail", "result": {"labels": ["INBOX", "SENT", "DRAFTS"]}},
    )


def test_tokens_bare_or_renewed(client: httpx.Client, tenant: Tenant) -> None:
    status, told = connect(client, tenant, "slack", action="list_channels", token=slack.TOKEN)
    assert (status, told["result"]["count"]) == (200, 2)
    credentials = {"token": gmail.EXPIRED, "refresh_token": "1//refresh", "client_id": "a", "client_secret": "b"}
    status, told = connect(client, tenant, "gmail", action="list_labels", credentials=credentials)
    assert (status, told["refreshed_token"], told["expires_in"]) == (200, gmail.RENEWED, 3599)


def test_what_connectors_refuse(client: httpx.Client, tenant: Tenant, at_slack: Fake) -> None:
    good = {"action": "post_message", "token": slack.TOKEN}
    cases: list[tuple[str, dict[str, Any], Any]] = [
        ("slack", {"token": slack.TOKEN}, "action required"),
        ("slack", {"action": "auth_test"}, "token required (Slack bot token)"),
        ("notion", {"action": "search"}, "token required (Notion integration token)"),
        ("telegram", {"action": "get_me"}, "token required (Telegram bot token)"),
        ("gmail", {"action": "list_labels"}, "credentials required (OAuth2 token)"),
        ("slack", {**good, "params": {"channel": "C0001"}}, "channel and text required"),
        ("slack", {**good, "action": "dance"}, "unknown action: dance"),
    ]
    for name, body, text in cases:
        told = connect(client, tenant, name, **body)
        assert told == (400, {"error": "invalid_request", "details": text}), body
    valid = ["gmail", "notion", "slack", "telegram"]
    assert connect(client, tenant, "fax", **good) == (400, {"error": "invalid_connector", "valid": valid})
    told = connect(client, tenant, "slack", **good, params={"channel": "C9", "text": "x"})
    assert told == (400, {"error": "connector_error", "details": "slack_api_error: channel_not_found"})
    at_slack.plan(Said(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "30"}))
    told = connect(client, tenant, "slack", **good, params={"channel": "C0001", "text": "x"})
    limited = {"error": "connector_error", "details": "slack_api_error: ratelimited", "retry_after": 30}
    assert told == (400, limited)
    assert client.post("/api/v1/connect/slack", json=good).json() == {"error": "forbidden"}


def test_a_payment_from_checkout_to_the_user(origin: Origin, client: httpx.Client, tenant: Tenant) -> None:
    made = client.post("/api/v1/users/upsert", json={"email": "buyer@example.com"}, headers=by(tenant)).json()
    person = made["user"]["id"]
    answer = client.post(CHECKOUT, json={**BUY, "user_id": person}, headers=by(tenant))
    assert answer.status_code == 200
    begun = answer.json()
    assert set(begun) == {"sessionId", "url"}
    assert begun["url"] == f"{origin.url}/ui/checkout/{begun['sessionId']}"
    placed = billing.place(origin.house, session_id=begun["sessionId"])
    with origin.house.db.read():
        operator = operators.principal(origin.house, organization=slug_of(origin, tenant))
    billing.mark_paid(origin.house, operator, invoice=placed.invoice_external_id or "", amount=1999)
    user = client.get(f"/api/v1/users/{person}", headers=by(tenant)).json()
    assert user["meta"]["last_payment"] == {
        "session_id": begun["sessionId"],
        "amount": 1999,
        "currency": "usd",
        "timestamp": origin.clock() // SECOND,
    }


def slug_of(origin: Origin, tenant: Tenant) -> str:
    from headrace.core.identity import overview

    found = overview.list_organizations(origin.house)
    return next(one.slug for one in found if one.organization_id == tenant.organization_id)


def test_fields_of_a_checkout(client: httpx.Client, tenant: Tenant) -> None:
    cases: list[tuple[Any, str]] = [
        ({}, "price_id field is required"),
        ({"price_id": ""}, "price_id: must be 1-255 characters"),
        ({"price_id": "p", "email": "x"}, "email: must be 3-320 characters"),
    ]
    for body, text in cases:
        answer = client.post(CHECKOUT, json=body, headers=by(tenant))
        assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request", "details": text})
    assert client.post(CHECKOUT, json=BUY).status_code == 403
    twice = [client.post(CHECKOUT, json=BUY, headers={**by(tenant), "Idempotency-Key": "k"}) for _ in range(2)]
    assert twice[0].json() == twice[1].json()
    assert twice[1].headers["idempotency-replayed"] == "true"


def send(client: httpx.Client, body: bytes, header: str | None) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    headers |= {} if header is None else {"Stripe-Signature": header}
    answer = client.post(WEBHOOK, content=body, headers=headers)
    return answer.status_code, answer.json()


def test_stripes_events(origin: Origin, client: httpx.Client, tenant: Tenant, until: Callable[..., None]) -> None:
    now = origin.clock() // SECOND
    made = client.post("/api/v1/users/upsert", json={"email": "other@example.com"}, headers=by(tenant)).json()
    about = {
        "id": f"cs_test_{tenant.key_id}",
        "client_reference_id": made["user"]["id"],
        "metadata": {"organization_id": str(tenant.organization_id)},
        "amount_total": 500,
        "currency": "eur",
        "payment_status": "paid",
    }
    body = event("checkout.session.completed", about, created=now)
    wrong = (400, {"error": "invalid_signature"})
    assert send(client, body, None) == wrong
    assert send(client, body, signed(body, "whsec_guess", now)) == wrong
    assert send(client, body, signed(body, SECRETS[0], now - 301)) == wrong
    assert send(client, body + b" ", signed(body, SECRETS[0], now)) == wrong
    assert send(client, b"{", signed(b"{", SECRETS[0], now)) == (400, {"error": "invalid_payload"})
    for secret in SECRETS:
        assert send(client, body, signed(body, secret, now)) == (200, {"received": True})

    def meta() -> Any:
        return client.get(f"/api/v1/users/{about['client_reference_id']}", headers=by(tenant)).json()["meta"]

    until(meta)
    assert meta() == {"last_payment": {"session_id": about["id"], "amount": 500, "currency": "eur", "timestamp": now}}
    large = b" " * (512 * 1024 + 1)
    assert send(client, large, signed(large, SECRETS[0], now)) == (
        413,
        {"error": "payload_too_large", "details": "max 512KB"},
    )


def test_without_a_secret_there_is_no_endpoint(origin: Origin, client: httpx.Client) -> None:
    settings = origin.house.settings
    object.__setattr__(origin.house, "settings", type(settings)(**{**fields(settings), "stripe_secret_levqor": ()}))
    try:
        assert send(client, b"{}", "t=1,v1=0") == (404, {"error": "not_found"})
    finally:
        object.__setattr__(origin.house, "settings", settings)


def fields(settings: Any) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}
