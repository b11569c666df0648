"""The pages of local billing: an order from its page to its bill, for a buyer whom nobody knows."""

import re
from collections.abc import Callable

import httpx
import pytest

from headrace.core import billing, keys
from headrace.core.principal import Principal
from headrace.web.checkout import money
from tests.doors.conftest import Origin, Tenant, caller
from tests.web.conftest import OWN, Visitor


@pytest.fixture
def anybody(origin: Origin) -> httpx.Client:
    return caller(origin)


def biller(origin: Origin, tenant: Tenant) -> Principal:
    return keys.resolve(origin.house, tenant.organization_key)


def test_an_order_is_placed_by_anybody_who_has_its_address(
    origin: Origin, visitor: Visitor, anybody: httpx.Client
) -> None:
    tenant = visitor.tenant
    item = "<script>window.broken = 1</script>"
    body = {"price_id": item, "email": "buyer@example.com"}
    made = visitor.http.post(
        "/billing/create-checkout-session", json=body, headers={"X-Api-Key": tenant.organization_key}
    ).json()
    path = made["url"].removeprefix(origin.url)
    with anybody:
        shown = anybody.get(path)
        assert shown.status_code == 200
        assert item not in shown.text
        assert "&lt;script&gt;" in shown.text
        assert "as agreed" in shown.text
        assert "buyer@example.com" in shown.text
        assert f'href="{origin.url}/cancel"' in shown.text
        assert anybody.post(path).status_code == 403
        early = anybody.get("/success", params={"session_id": made["sessionId"]})
        assert early.headers["location"] == path
        placed = anybody.post(path, headers=OWN)
        assert (placed.status_code, placed.headers["location"]) == (303, f"/success?session_id={made['sessionId']}")
        again = anybody.get(path)
        assert (again.status_code, again.headers["location"]) == (303, placed.headers["location"])
        thanks = anybody.get(placed.headers["location"])
        assert thanks.status_code == 200
        invoice = re.search(r"in_local_[0-9a-f]{24}", thanks.text)
        assert invoice is not None
        assert "Go on" not in thanks.text
        assert anybody.get("/success").status_code == anybody.get("/cancel").status_code == 200
        assert anybody.get("/success?session_id=cs_test_of_stripe").status_code == 200
        assert anybody.get("/ui/checkout/cs_local_nothing").status_code == 404
        assert anybody.post("/success", headers=OWN).status_code == 405
    bills = visitor.get("/ui/billing")
    assert bills.status_code == 200
    assert invoice[0] in bills.text
    assert item not in bills.text
    assert 'href="/ui/billing"' in visitor.get("/ui/projects").text


def test_a_plan_leads_back_to_whoever_sold_it(origin: Origin, visitor: Visitor, anybody: httpx.Client) -> None:
    who = biller(origin, visitor.tenant)
    begun = billing.start_plan(
        origin.house,
        who,
        plan="pro",
        success_url='https://app.example.com/thanks?id={CHECKOUT_SESSION_ID}&x="',
        cancel_url="https://app.example.com/cancel",
        base=origin.url,
    )
    path = begun.url.removeprefix(origin.url)
    with anybody:
        assert 'href="https://app.example.com/cancel"' in anybody.get(path).text
        thanks = anybody.get(anybody.post(path, headers=OWN).headers["location"])
        assert f'href="https://app.example.com/thanks?id={begun.session_id}&amp;x=&#34;"' in thanks.text
        assert "at app.example.com" in re.sub(r"<[^>]*>", "", thanks.text)
    bills = visitor.get("/ui/billing").text
    assert "incomplete" in bills
    assert "sub_local_" in bills


def test_a_subscription_is_cancelled(origin: Origin, visitor: Visitor, new_tenant: Callable[[], Tenant]) -> None:
    who = biller(origin, visitor.tenant)
    made = billing.subscribe(origin.house, who, plan="pro", payment_method_id="pm_1")
    assert "Cancel the subscription" in visitor.get("/ui/billing").text
    theirs = billing.subscribe(origin.house, biller(origin, new_tenant()), plan="free")
    assert visitor.post("/ui/billing/cancel", {"subscription_id": str(theirs.id)}).status_code == 404
    assert visitor.post("/ui/billing/cancel", {"subscription_id": "x"}).status_code == 400
    assert visitor.post("/ui/billing/cancel", {"subscription_id": str(made.id)}).status_code == 303
    shown = visitor.get("/ui/billing").text
    assert (">canceled<" in shown, ">void<" in shown, "/ui/billing/cancel" in shown) == (True, True, False)
    again = visitor.post("/ui/billing/cancel", {"subscription_id": str(made.id)})
    assert (again.status_code, "This subscription is over" in again.text) == (409, True)


def test_an_order_that_is_too_late(origin: Origin, visitor: Visitor, anybody: httpx.Client) -> None:
    begun = billing.start_payment(origin.house, biller(origin, visitor.tenant), price_id="p", base=origin.url)
    path = begun.url.removeprefix(origin.url)
    now = origin.clock.now
    origin.clock.advance(86_400)
    try:
        with anybody:
            late = anybody.post(path, headers=OWN)
        assert late.status_code == 409
        assert "This order was not placed in time; begin again" in late.text
    finally:
        origin.clock.now = now


def test_bills_are_for_those_who_see_to_them(origin: Origin, visitor: Visitor) -> None:
    assert "There are none yet." in visitor.get("/ui/billing").text
    assert visitor.get("/ui/billing?page=x").status_code == 200
    assert visitor.get("/ui/billing?page=99999999").status_code == 200


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        (None, "usd", "as agreed"),
        (1999, "usd", "19.99 USD"),
        (123456789, "eur", "1,234,567.89 EUR"),
        (500, "jpy", "500 JPY"),
        (1500, "kwd", "1.500 KWD"),
        (0, "usd", "0.00 USD"),
    ],
)
def test_money(amount: int | None, currency: str, text: str) -> None:
    assert money(amount, currency) == text
