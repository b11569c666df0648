"""Stripe as its own library meets it: customers, prices, checkout sessions, subscriptions; idempotent by key.

Forms in, objects out, errors in Stripe's envelope; `signed` makes the header of an event.
"""

import hmac
import itertools
import json
from typing import Any
from urllib.parse import parse_qsl

from tests.providers.fake import Fake, Said, Seen

KEY = "sk_test_the-operators-key"
PRICES = {"price_123": 1999, "price_pro": 2900}
numbers = itertools.count(1)


def error(status: int, message: str, kind: str = "invalid_request_error", **more: str) -> Said:
    return Said(status, {"error": {"type": kind, "message": message, **more}})


def form(seen: Seen) -> dict[str, str]:
    return dict(parse_qsl(seen.body.decode(), keep_blank_values=True))


class Stripe:
    """What the account holds; `replies` are answers by idempotency key."""

    def __init__(self) -> None:
        self.replies: dict[str, tuple[bytes, Said]] = {}

    def __call__(self, _fake: Fake, seen: Seen) -> Said:
        if seen.headers.get("authorization") != f"Bearer {KEY}":
            return error(401, "Invalid API Key provided: sk_test_****key")
        key = seen.headers.get("idempotency-key", "")
        if key in self.replies:
            body, said = self.replies[key]
            if body != seen.body:
                return error(
                    400, "Keys for idempotent requests can only be used with the same body", "idempotency_error"
                )
            return said
        said = self.answer(seen)
        if key and said.status < 500:
            self.replies[key] = (seen.body, said)
        return said

    def answer(self, seen: Seen) -> Said:
        given = form(seen)
        match seen.method, seen.path.removeprefix("/v1/"):
            case "POST", "customers":
                return Said(200, {"id": f"cus_{next(numbers)}", "object": "customer", "name": given.get("name")})
            case "POST", "checkout/sessions":
                return self.session(given)
            case "POST", "subscriptions":
                return self.subscription(given)
            case "POST", path if path.startswith("payment_methods/"):
                return Said(200, {"id": path.split("/")[1], "object": "payment_method"})
            case "POST", path if path.startswith("subscriptions/sub_"):
                return Said(200, subscription(path.split("/")[1], "active", cancel_at_period_end=True))
            case _:
                return error(404, f"Unrecognized request URL ({seen.method}: {seen.path}).")

    def session(self, given: dict[str, str]) -> Said:
        price = given.get("line_items[0][price]", "")
        if price not in PRICES:
            return error(400, f"No such price: '{price}'", code="resource_missing", param="line_items[0][price]")
        made = f"cs_test_{next(numbers)}"
        url = f"https://checkout.stripe.example/c/pay/{made}"
        return Said(200, {"id": made, "object": "checkout.session", "url": url, "mode": given.get("mode")})

    def subscription(self, given: dict[str, str]) -> Said:
        made = subscription(
            f"sub_{next(numbers)}",
            "active",
            metadata={"organization_id": given.get("metadata[organization_id]"), "plan": given.get("metadata[plan]")},
        )
        return Said(200, made)


def subscription(name: str, status: str, **more: Any) -> dict[str, Any]:
    """A subscription as Stripe shows it: its period stands at the item."""
    item = {
        "id": "si_1",
        "price": {"id": "price_pro"},
        "current_period_start": 1767261600,
        "current_period_end": 1769940000,
    }
    return {
        "id": name,
        "object": "subscription",
        "status": status,
        "created": 1767261600,
        "cancel_at_period_end": False,
        "items": {"object": "list", "data": [item]},
        "metadata": {},
        **more,
    }


def event(kind: str, about: dict[str, Any], *, created: int, name: str | None = None) -> bytes:
    whole = {
        "id": name or f"evt_{next(numbers)}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": created,
        "type": kind,
        "livemode": False,
        "data": {"object": about},
    }
    return json.dumps(whole).encode()


def signed(body: bytes, secret: str, moment: int) -> str:
    return f"t={moment},v1=" + hmac.digest(secret.encode(), b"%d." % moment + body, "sha256").hex()
