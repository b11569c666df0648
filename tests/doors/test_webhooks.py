"""Headrace's own API of webhooks, over HTTP, up to a receiver."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from aiohttp import web

from headrace.core.webhooks import signing
from tests.doors.conftest import Origin, Tenant, bearer
from tests.receiver import Receiver, verify


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    return {"outbound_allow": ("127.0.0.0/8",)}


def test_webhooks_over_http(
    origin: Origin, client: httpx.Client, tenant: Tenant, receiver: Receiver, until: Callable[..., None]
) -> None:
    def ask(verb: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = client.request(verb, f"/api/v1/webhook-{path}", json=body, headers=bearer(tenant.token))
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    made = ask("POST", "endpoints", {"url": f"{receiver.url}/hook", "events": ["key.*"]}, 201)
    secret, one = made.pop("secret"), f"endpoints/{made['id']}"
    assert ask("GET", one) == made
    assert ask("GET", "endpoints") == {"webhook_endpoints": [made], "total": 1}
    assert "secret" not in made
    assert (made["is_active"], made["failures"], made["headers"]) == (True, 0, [])

    sent = ask("POST", f"{one}/test", status=202)
    until(lambda: ask("GET", f"deliveries/{sent['id']}")["status"] == "delivered")
    found = ask("GET", f"deliveries/{sent['id']}")
    assert (found["event"], found["response_status"], found["log"][0]["number"]) == ("webhook.test", 200, 1)
    assert found["body"] == receiver.requests[-1].body.decode()
    verify(signing.key(secret), receiver.requests[-1])

    rotated = ask("POST", f"{one}/secret/rotate", {})
    assert rotated["secret"] != secret
    assert rotated["previous_until"]
    assert ask("POST", f"{one}/secret/rotate")["secret"] not in {secret, rotated["secret"]}, "no body is needed"
    origin.clock.advance(1)
    client.post("/api/v1/keys", json={"name": "K", "scopes": ["read"]}, headers=bearer(tenant.token)).raise_for_status()
    until(lambda: len(ask("GET", "deliveries?event=key.created&status=delivered")["webhook_deliveries"]) == 1)
    assert json.loads(receiver.requests[-1].body)["data"]["name"] == "K"
    assert len(receiver.requests[-1].headers["webhook-signature"].split()) == 3

    page = ask("GET", "deliveries?limit=1")
    assert page["before"] == page["webhook_deliveries"][0]["id"]
    rest = ask("GET", f"deliveries?limit=5&before={page['before']}")
    assert ([each["id"] for each in rest["webhook_deliveries"]], rest["before"]) == ([sent["id"]], None)
    assert ask("POST", f"deliveries/{sent['id']}/redeliver", status=202)["status"] == "pending"
    until(lambda: ask("GET", f"deliveries/{sent['id']}")["attempts"] == 2)

    receiver.answer = lambda _: web.Response(status=400, headers={"webhook-delivery": "abort-message"})
    failed = ask("POST", f"{one}/test", status=202)
    until(lambda: ask("GET", f"deliveries/{failed['id']}")["status"] == "failed")
    receiver.answer = 200
    assert ask("POST", f"{one}/recover?since=2020-01-01", status=202) == {"deliveries": 1}
    until(lambda: ask("GET", f"deliveries/{failed['id']}")["status"] == "delivered")

    assert ask("PATCH", one, {"is_active": False, "description": None})["disabled_reason"] == "by_hand"
    assert ask("POST", f"{one}/test", status=409)["detail"] == "The endpoint is switched off"
    assert ask("PATCH", one, {"is_active": True})["is_active"]
    assert ask("PATCH", one, {"url": "http://10.0.0.1/"}, 400)["field"] == "url"
    assert ask("PATCH", one, {"secret": "x"}, 400)
    assert ask("POST", "endpoints", {"url": "http://169.254.169.254/", "events": ["*"]}, 400)["field"] == "url"
    assert ask("GET", "deliveries?status=odd", status=400)["field"] == "status"
    assert ask("GET", "deliveries?since=x", status=400)["field"] == "since"
    for field in ("endpoint_id", "event"):
        assert ask("GET", f"deliveries?{field}=%00", status=400)["field"] == field
    ask("DELETE", one, status=204)
    assert ask("GET", one, status=404)["detail"] == "Webhook endpoint not found"


def test_a_key_needs_the_scope(client: httpx.Client, tenant: Tenant) -> None:
    made = client.post(
        "/api/v1/keys", json={"name": "K", "scopes": ["webhooks:read", "jobs:admin"]}, headers=bearer(tenant.token)
    )
    key = bearer(made.json()["key"])
    assert client.get("/api/v1/webhook-endpoints", headers=key).status_code == 200
    answer = client.post("/api/v1/webhook-endpoints", json={"url": "https://example.com", "events": ["*"]}, headers=key)
    assert answer.status_code == 403
