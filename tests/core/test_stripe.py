"""Billing at Stripe: its own library against a local server in its shapes, and what a caller sees when it says no."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headrace.core import billing
from headrace.core.billing import events as billing_events
from headrace.core.billing import remote
from headrace.core.house import House
from headrace.core.identity import organizations
from headrace.core.limits.windows import Limits
from headrace.core.metrics import Counters
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal
from headrace.core.settings import Settings
from headrace.kit.database import Database
from headrace.kit.passwords import Passwords
from tests.conftest import SECRET, FakeClock, SignUp, Unused
from tests.providers.fake import Fake, Said, serving
from tests.providers.stripe import KEY, Stripe, error, form
from tests.providers.stripe import subscription as stripe_subscription

BASE = "https://headrace.example"
URLS = {"success_url": "https://app.example.com/success", "cancel_url": "https://app.example.com/cancel"}


class World(NamedTuple):
    house: House
    fake: Fake
    ada: Principal


@pytest.fixture(scope="module")
def served() -> Iterator[Fake]:
    with serving(Stripe()) as fake:
        yield fake


@pytest.fixture
def opened(tmp_path: Path, migrated_file: Path, cheap_passwords: Passwords) -> Iterator[Callable[..., House]]:
    shutil.copy(migrated_file, tmp_path / "headrace.db")
    clock: Any = FakeClock()
    store: Any = Unused()
    with ExitStack() as stack:

        def open_one(**more: Any) -> House:
            values: dict[str, Any] = {
                "data": tmp_path,
                "secret": SECRET,
                "billing": "stripe",
                "stripe_api_key": KEY,
            } | more
            house = House.open(
                Settings(**values, prices=("pro=price_pro",)),
                clock=clock,
                limits=Limits(clock),
                store=store,
                counters=Counters(),
                passwords=cheap_passwords,
                db=Database.open(tmp_path / "headrace.db"),
            )
            stack.callback(house.close)
            stack.callback(lambda: house.part(remote.Remote).close())
            return house

        yield open_one


@pytest.fixture
def world(opened: Callable[..., House], served: Fake, sign_up: SignUp) -> World:
    served.take()
    served.planned.clear()
    house = opened(stripe_url=served.url)
    return World(house, served, sign_up(house))


def refused(call: Callable[[], Any]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value


def pay(world: World, **fields: Any) -> billing.Started:
    return billing.start_payment(world.house, world.ada, base=BASE, **{"price_id": "price_123", **fields})


def test_a_payment(world: World) -> None:
    begun = pay(world, email="user@example.com", user_id="user123")
    assert begun.session_id.startswith("cs_test_")
    assert begun.url == f"https://checkout.stripe.example/c/pay/{begun.session_id}"
    (asked,) = world.fake.take()
    assert (asked.method, asked.path) == ("POST", "/v1/checkout/sessions")
    assert asked.headers["stripe-version"] == remote.VERSION
    assert asked.headers["idempotency-key"]
    assert form(asked) == {
        "mode": "payment",
        "line_items[0][price]": "price_123",
        "line_items[0][quantity]": "1",
        "success_url": BASE + "/success?session_id={CHECKOUT_SESSION_ID}",
        "cancel_url": BASE + "/cancel",
        "customer_email": "user@example.com",
        "client_reference_id": "user123",
        "metadata[organization_id]": str(world.ada.organization_id),
        "metadata[user_id]": "user123",
    }
    pay(world)
    assert not {"customer_email", "client_reference_id"} & set(form(world.fake.take()[0]))
    # It is no order of ours to be placed on a page.
    assert refused(lambda: billing.order(world.house, session_id=begun.session_id)).kind is Kind.NOT_FOUND


def test_a_plan(world: World) -> None:
    billing.start_plan(world.house, world.ada, plan="pro", base=BASE, **URLS)
    made, asked = world.fake.take()
    assert made.path == "/v1/customers"
    sent = form(asked)
    number = str(world.ada.organization_id)
    assert sent["mode"] == "subscription"
    assert sent["customer"] == billing.customer(world.house, world.ada).external_id
    assert sent["line_items[0][price]"] == "price_pro"
    assert sent["success_url"] == URLS["success_url"]
    assert sent["client_reference_id"] == sent["metadata[organization_id]"] == number
    assert sent["subscription_data[metadata][organization_id]"] == number
    without = refused(lambda: billing.start_plan(world.house, world.ada, plan="enterprise", base=BASE, **URLS))
    assert without.text == "There is no price for the plan enterprise"


def test_a_subscription(world: World) -> None:
    made = billing.subscribe(world.house, world.ada, plan="pro", payment_method_id="pm_123")
    assert (made.plan, made.status) == ("pro", "active")
    assert organizations.current(world.house, world.ada).plan == "pro"
    paths = [asked.path for asked in world.fake.take()]
    assert paths == ["/v1/customers", "/v1/payment_methods/pm_123/attach", "/v1/subscriptions"]
    ending = billing.cancel(world.house, world.ada, subscription_id=made.id)
    assert (ending.cancel_at_period_end, ending.status, ending.plan) == (True, "active", "pro")


def subscribe(world: World, plan: str = "pro", method: str = "pm_123") -> billing.Subscription:
    return billing.subscribe(world.house, world.ada, plan=plan, payment_method_id=method)


def keys_of_subscriptions(fake: Fake) -> list[str]:
    return [asked.headers["idempotency-key"] for asked in fake.take() if asked.path == "/v1/subscriptions"]


def test_a_subscription_whose_answer_was_lost_is_made_once(world: World) -> None:
    attached, lost = Said(200, {"id": "pm_123", "object": "payment_method"}), error(500, "Try again", "api_error")
    billing.customer(world.house, world.ada)
    world.fake.plan(attached, lost, lost)
    assert refused(lambda: subscribe(world)).kind is Kind.UNAVAILABLE
    subscribe(world)
    first = keys_of_subscriptions(world.fake)
    assert (len(first), len(set(first))) == (3, 1)


@pytest.mark.parametrize("status", [400, 402])
def test_what_was_refused_is_asked_for_anew(world: World, status: int) -> None:
    attached = Said(200, {"id": "pm_123", "object": "payment_method"})
    billing.customer(world.house, world.ada)
    world.fake.plan(attached, error(status, "Your card was declined.", "card_error", code="card_declined"))
    assert refused(lambda: subscribe(world)).text == "Your card was declined."
    assert subscribe(world).status == "active"
    assert len(set(keys_of_subscriptions(world.fake))) == 2


def test_who_subscribes_again_later_gets_another_subscription(world: World) -> None:
    first = subscribe(world)
    over = stripe_subscription(
        str(first.external_id), "canceled", metadata={"organization_id": str(world.ada.organization_id)}
    )
    event = billing_events.made(world.house, "customer.subscription.deleted", over)
    with world.house.db.write() as connection:
        assert billing_events.apply(world.house, connection, event) == "applied"
    assert subscribe(world).external_id != first.external_id


def test_a_customer_is_made_once(world: World) -> None:
    first = remote.make_customer(world.house, organization_id=1, name="Ada")
    assert remote.make_customer(world.house, organization_id=1, name="Ada") == first
    assert remote.make_customer(world.house, organization_id=2, name="Ada") != first


def test_what_stripe_refuses(world: World) -> None:
    refusal = refused(lambda: pay(world, price_id="price_9"))
    assert (refusal.kind, refusal.text) == (Kind.INVALID, "No such price: 'price_9'")
    world.fake.plan(error(402, "Your card was declined.", "card_error", code="card_declined"))
    assert refused(lambda: pay(world)).text == "Your card was declined."


@pytest.mark.parametrize("status", [429, 500, 503])
def test_stripe_is_away(world: World, status: int) -> None:
    away = error(status, "Try again", "api_error")
    world.fake.plan(away, away)
    refusal = refused(lambda: pay(world))
    assert (refusal.kind, refusal.text, refusal.facts["retry_after"]) == (
        Kind.UNAVAILABLE,
        "Stripe cannot be reached",
        5,
    )


def test_nobody_listens(opened: Callable[..., House], sign_up: SignUp) -> None:
    with serving(Stripe()) as gone:
        url = gone.url
    house = opened(stripe_url=url)
    ada = sign_up(house)
    refusal = refused(lambda: billing.start_payment(house, ada, price_id="price_123", base=BASE))
    assert refusal.kind is Kind.UNAVAILABLE


def test_a_wrong_key_is_the_operators_matter(
    opened: Callable[..., House], served: Fake, sign_up: SignUp, caplog: pytest.LogCaptureFixture
) -> None:
    house = opened(stripe_url=served.url, stripe_api_key="sk_test_quite-another-one")
    ada = sign_up(house)
    refusal = refused(lambda: billing.start_payment(house, ada, price_id="price_123", base=BASE))
    assert (refusal.kind, refusal.text) == (Kind.UNAVAILABLE, "Stripe cannot be reached")
    assert "Stripe refuses the key of this server" in caplog.text
    assert "another-one" not in caplog.text
    assert "sk_test" not in repr(refusal.facts) + caplog.text


def test_no_answer_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "READ_SECONDS", 0.2)
    monkeypatch.setattr(remote, "RETRIES", 0)
    world.fake.plan(Said(hold=True))
    assert refused(lambda: pay(world)).kind is Kind.UNAVAILABLE
