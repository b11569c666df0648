"""Billing at the VetrAI door: shapes, pages, who may, and that Stripe's two endpoints are one."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from headrace.core import billing
from headrace.core.identity import operators, overview
from headrace.kit.times import SECOND
from tests.doors.conftest import Origin, Tenant, bearer
from tests.providers.stripe import event, signed, subscription

LEVQORS, VETRAIS = "whsec_of-levqor", "whsec_of-vetrai"
PLAN = {"plan": "pro", "success_url": "https://app.example.com/success", "cancel_url": "https://app.example.com/cancel"}


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    return {"stripe_secret_levqor": (LEVQORS,), "stripe_secret_vetrai": (VETRAIS,)}


def test_a_plan_is_subscribed_to_and_paid(origin: Origin, client: httpx.Client, tenant: Tenant) -> None:
    me = bearer(tenant.token)
    made = client.post("/api/v1/customers", headers=me)
    assert made.status_code == 200
    body = made.json()
    assert (body["message"], body["organization_id"]) == ("Customer created successfully", tenant.organization_id)
    assert body["stripe_customer_id"].startswith("cus_local_")
    assert client.post("/api/v1/customers", headers=me).json() == body
    asked = {"plan": "pro", "payment_method_id": "pm_123"}
    begun = client.post("/api/v1/subscriptions", json=asked, headers={**me, "Idempotency-Key": "one"})
    assert begun.status_code == 201
    held = begun.json()
    assert set(held) == {
        *("id", "organization_id", "stripe_subscription_id", "plan", "status", "current_period_start"),
        *("current_period_end", "cancel_at_period_end", "created_at"),
    }
    assert (held["plan"], held["status"], held["current_period_end"]) == ("pro", "incomplete", None)
    again = client.post("/api/v1/subscriptions", json=asked, headers={**me, "Idempotency-Key": "one"})
    assert again.json() == held
    taken = client.post("/api/v1/subscriptions", json=asked, headers=me)
    refusal = {"detail": "Organization already has an active subscription", "status_code": 400}
    assert (taken.status_code, taken.json()) == (400, refusal)
    bills = client.get("/api/v1/invoices", headers=me)
    assert [bills.headers[f"x-{name}"] for name in ("total-count", "page", "per-page")] == ["1", "1", "100"]
    (bill,) = bills.json()
    assert (bill["status"], bill["subscription_id"]) == ("open", held["id"])
    slug = next(
        one.slug for one in overview.list_organizations(origin.house) if one.organization_id == tenant.organization_id
    )
    operator = operators.principal(origin.house, organization=slug)
    billing.mark_paid(origin.house, operator, invoice=bill["stripe_invoice_id"], amount=2900)
    (now,) = client.get("/api/v1/subscriptions", headers=me).json()
    assert (now["status"], now["id"]) == ("active", held["id"])
    # The plan's own budget: it is the organization's now.
    assert client.get("/api/v1/invoices", headers=me).headers["x-ratelimit-limit"] == "5000"
    beyond = client.get("/api/v1/invoices?skip=1&limit=1", headers=me)
    assert (beyond.json(), beyond.headers["x-page"]) == ([], "2")


def test_fields(client: httpx.Client, tenant: Tenant) -> None:
    me = bearer(tenant.token)
    cases: list[tuple[str, dict[str, Any], int, str]] = [
        ("subscriptions", {}, 422, "plan: field required"),
        ("subscriptions", {"plan": "gold"}, 422, "plan: must be one of free, pro, enterprise"),
        ("subscriptions", {"plan": "pro"}, 422, "payment_method_id: field required"),
        ("checkout", {**PLAN, "plan": "free"}, 422, "plan: must be one of pro, enterprise"),
        ("checkout", {**PLAN, "success_url": "javascript:x"}, 422, "success_url: must be a valid HTTP(S) URL"),
    ]
    for noun, body, status, text in cases:
        answer = client.post(f"/api/v1/{noun}", json=body, headers=me)
        assert (answer.status_code, answer.json()["detail"]) == (status, text)
    for query in ("skip=-1", "limit=0", "limit=101", "limit=x"):
        assert client.get(f"/api/v1/invoices?{query}", headers=me).status_code == 422
    free = client.post("/api/v1/subscriptions", json={"plan": "free"}, headers=me).json()
    assert (free["stripe_subscription_id"], free["status"]) == (None, "active")
    begun = client.post("/api/v1/checkout", json=PLAN, headers=me)
    assert begun.status_code == 200
    assert begun.json()["url"].endswith(f"/ui/checkout/{begun.json()['session_id']}")


def send(client: httpx.Client, path: str, secret: str, body: bytes, moment: int) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "Stripe-Signature": signed(body, secret, moment)}
    answer = client.post(path, content=body, headers=headers)
    return answer.status_code, answer.json()


def test_two_endpoints_are_one(
    origin: Origin, client: httpx.Client, tenant: Tenant, until: Callable[..., None]
) -> None:
    now = origin.clock() // SECOND
    metadata = {"organization_id": str(tenant.organization_id), "plan": "enterprise"}
    about = subscription(f"sub_{tenant.key_id}", "active", metadata=metadata)
    body = event("customer.subscription.created", about, created=now)
    here, there = "/api/v1/webhooks/stripe", "/billing/webhook"
    assert send(client, here, LEVQORS, body, now) == (400, {"detail": "Invalid signature", "status_code": 400})
    assert send(client, here, VETRAIS, b"{", now) == (400, {"detail": "Invalid payload", "status_code": 400})
    assert send(client, there, VETRAIS, body, now)[0] == 400
    assert send(client, there, LEVQORS, body, now) == (200, {"received": True})
    assert send(client, here, VETRAIS, body, now) == (200, {"received": True})
    until(lambda: client.get("/api/v1/subscriptions", headers=bearer(tenant.token)).json())
    (held,) = client.get("/api/v1/subscriptions", headers=bearer(tenant.token)).json()
    assert (held["plan"], held["current_period_end"]) == ("enterprise", "2026-02-01T10:00:00Z")
    assert client.get(here).status_code == 405
