"""Billing without Stripe, and the events that change things, wherever they come from."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from headrace.core import announcements, billing, people
from headrace.core.billing import effects, events, prices, signature
from headrace.core.house import House
from headrace.core.identity import operators, organizations
from headrace.core.jobs.record import Kinds
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal
from headrace.core.schema.billing import billing_events, invoices
from headrace.core.schema.jobs import jobs
from headrace.core.settings import SettingError, Settings, load
from headrace.kit.times import DAY, SECOND
from tests.conftest import FakeClock, SignUp
from tests.core.conftest import refusal
from tests.providers.stripe import event, signed, subscription

SECRET = "whsec_test_secret"
BASE = "http://headrace.example"
URLS = {"success_url": "https://app.example.com/success", "cancel_url": "https://app.example.com/cancel"}
FIRST = 1767261600


@pytest.fixture
def operator(house: House, ada: Principal) -> Principal:
    return operators.principal(house, organization=organizations.current(house, ada).slug)


@pytest.fixture
def told(house: House) -> list[tuple[str, Any]]:
    """What webhooks were told: event and data."""
    heard: list[tuple[str, Any]] = []

    def listen(_connection: sa.Connection, _house: House, organization_id: int, event: str, data: Any) -> None:
        assert data["organization_id"] == organization_id
        heard.append((event, data))

    house.part(announcements.Listeners).all.append(listen)
    return heard


def plan(house: House, who: Principal) -> str:
    return organizations.current(house, who).plan


def send(house: House, kind: str, about: dict[str, Any], *, at: int = 0, name: str | None = None) -> str:
    """Send a signed event of `at` seconds after the first one, do its job; return what came of it."""
    body = event(kind, about, created=FIRST + at, name=name)
    taken = receive(house, body)
    return job_of(house, body) if taken == events.RECEIVED else taken


def receive(house: House, body: bytes) -> str:
    if events.KIND not in house.part(Kinds).named:
        billing.define(house)
    header = signed(body, SECRET, house.clock() // SECOND)
    return billing.receive(house, secrets=(SECRET,), body=body, signature=header)


def job_of(house: House, body: bytes) -> str:
    """Do what the job does that an event left."""
    sent = json.loads(body)["id"]
    with house.db.read() as connection:
        query = sa.select(jobs.c.payload).where(jobs.c.kind == events.KIND)
        left = [msgspec.json.decode(text, type=effects.Event) for text in connection.execute(query).scalars()]
    return events.settle(house, next(one for one in left if one.id == sent))


def test_the_signature_is_stripes(clock: FakeClock) -> None:
    import stripe

    body = b'{"id":"evt_1","object":"event","type":"invoice.paid"}'
    known = "t=1700000000,v1=dfb4777aaaec4ea29ff455dd4df7fe6b2ef71096ad3a93a158db7e100109ea91"
    assert signed(body, SECRET, 1_700_000_000) == known
    assert stripe.WebhookSignature.verify_header(body.decode(), known, SECRET, tolerance=None)
    assert stripe.WebhookSignature.generate_signature_header(body.decode(), SECRET, 1_700_000_000) == known
    assert signature.verified(known, body, [SECRET], 1_700_000_300)


GOOD = "dfb4777aaaec4ea29ff455dd4df7fe6b2ef71096ad3a93a158db7e100109ea91"


@pytest.mark.parametrize(
    ("header", "now", "good"),
    [
        (f"t=1700000000,v1={GOOD}", 1_700_000_000, True),
        (f"t=1700000000,v1={GOOD}", 1_700_000_300, True),
        (f"t=1700000000,v1={GOOD}", 1_699_999_700, True),
        (f"t=1700000000,v1={'0' * 64},v1={GOOD}", 1_700_000_000, True),
        (f"t=1700000000,v0={'0' * 64},v1={GOOD}", 1_700_000_000, True),
        (f"t=1700000000,v1={GOOD}", 1_700_000_301, False),
        (f"t=1700000000,v1={GOOD}", 1_699_999_699, False),
        (f"t=1700000001,v1={GOOD}", 1_700_000_000, False),
        (f"t=1700000000,v0={GOOD}", 1_700_000_000, False),
        (f"t=1700000000,t=1700000000,v1={GOOD}", 1_700_000_000, False),
        (f"t=1700000000,v1={GOOD[:-1]}", 1_700_000_000, False),
        (f"v1={GOOD}", 1_700_000_000, False),
        (f"t=,v1={GOOD}", 1_700_000_000, False),
        (f"t=x,v1={GOOD}", 1_700_000_000, False),
        (f"t={'9' * 5000},v1={GOOD}", 1_700_000_000, False),
        (f"t=1700000000,v1={GOOD}ä", 1_700_000_000, False),
        ("", 1_700_000_000, False),
    ],
)
def test_signatures(header: str, now: int, good: bool) -> None:
    body = b'{"id":"evt_1","object":"event","type":"invoice.paid"}'
    assert signature.verified(header, body, [SECRET], now) is good
    assert signature.verified(header, body, ["whsec_old", SECRET], now) is good
    assert not signature.verified(header, body + b" ", [SECRET], now)
    assert not signature.verified(header, body, ["whsec_old"], now)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"id":"evt_1","type":"x.y","created":1}',
        b'{"id":"evt_1","type":"x.y","created":1,"data":[]}',
        b'{"id":"evt_1","type":"x.y","created":true,"data":{"object":{"id":"a"}}}',
        b'{"id":"evt_1","type":"x.y","created":-1,"data":{"object":{"id":"a"}}}',
        b'{"id":"evt_1","type":"x.y","created":253402300800,"data":{"object":{"id":"a"}}}',
        b'{"id":"","type":"x.y","created":1,"data":{"object":{"id":"a"}}}',
        b'{"id":"e\\u0000","type":"x.y","created":1,"data":{"object":{"id":"a"}}}',
        b'{"id":"evt_1","type":"x.y","created":1,"data":{"object":{"id":7}}}',
        b"[" * 5_000,
    ],
)
def test_bad_payloads(body: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        billing.events.parsed(body)
    assert caught.value.facts["code"] == "invalid_payload"


def test_who_has_no_secret_has_no_endpoint(house: House) -> None:
    assert refusal(lambda: billing.receive(house, secrets=(), body=b"{}", signature=""))[0] is Kind.NOT_FOUND
    with pytest.raises(Refusal) as caught:
        billing.receive(house, secrets=(SECRET,), body=b"{}", signature="t=1,v1=00")
    assert caught.value.facts["code"] == "invalid_signature"


def of(who: Principal, **more: Any) -> dict[str, Any]:
    return {"metadata": {"organization_id": str(who.organization_id)}, **more}


def test_an_event_waits_for_its_job_and_has_its_effect_once(
    house: House, ada: Principal, told: list[tuple[str, Any]]
) -> None:
    pro = {"organization_id": str(ada.organization_id), "plan": "pro"}
    body = event("customer.subscription.created", subscription("sub_1", "active", metadata=pro), created=FIRST)
    assert receive(house, body) == "received"
    assert receive(house, body) == "repeated"
    # Sent again before it had its effect, it is left once more: the first job may have failed. Both are nobody's.
    with house.db.read() as connection:
        assert connection.execute(sa.select(jobs.c.organization_id)).scalars().all() == [events.HOUSE] * 2
    assert billing.list_subscriptions(house, ada)[0] == []
    outcomes = [job_of(house, body) for _ in range(2)]  # As after a crash between the effect and the job's end.
    assert outcomes == ["applied", "applied"]
    assert len(billing.list_subscriptions(house, ada)[0]) == len(told) == 1


def test_a_payment_is_noted_once_at_its_person(house: House, ada: Principal, sign_up: SignUp) -> None:
    person = people.upsert(house, ada, email="buyer@example.com", meta={"plan": "pro"}).person
    about = of(ada, id="cs_1", client_reference_id=person.id, amount_total=1999, currency="usd", payment_status="paid")

    def meta() -> dict[str, Any]:
        return people.get(house, ada, person_id=person.id).meta

    assert send(house, "checkout.session.completed", {**about, "payment_status": "unpaid"}, at=-1) == "ignored"
    assert meta() == {"plan": "pro"}
    assert send(house, "checkout.session.completed", about, name="evt_a") == "applied"
    paid = {"session_id": "cs_1", "amount": 1999, "currency": "usd", "timestamp": FIRST}
    assert meta() == {"plan": "pro", "last_payment": paid}
    assert send(house, "checkout.session.completed", {**about, "amount_total": 1}, name="evt_a") == "repeated"
    assert send(house, "checkout.session.async_payment_succeeded", {**about, "amount_total": 2}, at=-5) == "stale"
    assert meta()["last_payment"] == paid
    assert send(house, "checkout.session.async_payment_failed", about, at=5) == "applied"
    assert meta()["last_payment_error"]["timestamp"] == FIRST + 5
    assert send(house, "customer.created", {"id": "cus_1"}) == "ignored"
    # Another organization's person of that id is nobody.
    eve = sign_up(house, "eve@example.com")
    assert send(house, "checkout.session.completed", of(eve, id="cs_2", client_reference_id=person.id)) == "ignored"
    assert send(house, "checkout.session.completed", {"id": "cs_3", "client_reference_id": person.id}) == "unknown"
    gone = {"metadata": {"organization_id": str(2**62)}, "id": "cs_4"}
    assert send(house, "checkout.session.completed", gone) == "unknown"
    with house.db.read() as connection:
        rows = connection.execute(sa.select(billing_events.c.external_id, billing_events.c.outcome)).all()
    assert ("evt_a", "applied") in rows
    assert len(rows) == 8


def test_subscriptions_follow_their_events(house: House, ada: Principal, told: list[tuple[str, Any]]) -> None:
    pro = {"organization_id": str(ada.organization_id), "plan": "pro"}
    active, begun = subscription("sub_1", "active", metadata=pro), subscription("sub_1", "incomplete", metadata=pro)
    # Of one second, and the later step came first.
    assert send(house, "customer.subscription.updated", active) == "applied"
    assert send(house, "customer.subscription.created", begun) == "stale"
    assert plan(house, ada) == "pro"
    (held,), _ = billing.list_subscriptions(house, ada)
    assert (held.external_id, held.plan, held.status) == ("sub_1", "pro", "active")
    assert (held.period_start, held.period_end) == (1767261600 * SECOND, 1769940000 * SECOND)
    late = subscription("sub_1", "past_due", metadata=pro)
    assert send(house, "customer.subscription.updated", late, at=10) == "applied"
    assert plan(house, ada) == "pro"
    assert send(house, "customer.subscription.updated", active, at=9) == "stale"
    assert send(house, "customer.subscription.deleted", active, at=20) == "applied"
    assert (plan(house, ada), billing.list_subscriptions(house, ada)[0][0].status) == ("free", "canceled")
    assert send(house, "customer.subscription.updated", active, at=20) == "stale"
    assert [name for name, _ in told] == ["subscription.updated"] * 3
    assert told[0][1]["stripe_subscription_id"] == "sub_1"
    assert send(house, "customer.subscription.created", subscription("sub_2", "active", metadata=of(ada)["metadata"]))
    assert plan(house, ada) == "free"


def test_a_price_of_the_settings_names_the_plan(
    open_house: Callable[..., House], settings: Settings, sign_up: SignUp
) -> None:
    values: dict[str, Any] = {"data": settings.data, "secret": settings.secret}
    house = open_house(Settings(**values, prices=("enterprise=price_pro", "pro=price_0")))
    ada = sign_up(house)
    assert send(house, "customer.subscription.created", subscription("sub_1", "active", **of(ada))) == "applied"
    assert plan(house, ada) == "enterprise"


def test_invoices_follow_their_events(house: House, ada: Principal, told: list[tuple[str, Any]]) -> None:
    pro = {"organization_id": str(ada.organization_id), "plan": "pro"}
    details = {"subscription_details": {"subscription": "sub_1", "metadata": pro}}
    about = {
        "id": "in_1",
        "parent": details,
        "amount_due": 2900,
        "amount_paid": 2900,
        "currency": "usd",
        "status": "paid",
        "invoice_pdf": "https://pay.example/i.pdf",
        "created": FIRST - 1,
        "period_start": FIRST,
        "period_end": FIRST + 1,
    }
    assert send(house, "invoice.paid", about) == "applied"
    assert send(house, "invoice.created", {**about, "status": "draft", "amount_paid": 0}) == "stale"
    (one,), count = billing.list_invoices(house, ada)
    assert (one.status, one.amount_paid, one.subscription_id, count) == ("paid", 2900, None, 1)
    assert (one.created_at, one.period_start) == ((FIRST - 1) * SECOND, FIRST * SECOND)
    send(house, "customer.subscription.created", subscription("sub_1", "active", metadata=pro))
    (held,), _ = billing.list_subscriptions(house, ada)
    assert billing.list_invoices(house, ada)[0][0].subscription_id == held.id
    failed = {**about, "id": "in_2", "status": "open", "amount_paid": 0, "currency": "u\0s", "invoice_pdf": "\ud800"}
    assert send(house, "invoice.payment_failed", failed) == "applied"
    assert [name for name, _ in told] == ["invoice.paid", "subscription.created", "invoice.payment_failed"]
    assert told[0][1] == billing.shown_invoice(one)


def test_an_order_is_placed_billed_and_paid(
    house: House, ada: Principal, operator: Principal, clock: FakeClock, told: list[tuple[str, Any]]
) -> None:
    person = people.upsert(house, ada, email="buyer@example.com").person
    begun = billing.start_payment(
        house, ada, price_id="price_1234567890", email=" Buyer@Example.com ", user_id=person.id, base=BASE
    )
    assert begun.session_id.startswith("cs_local_")
    assert begun.url == f"{BASE}/ui/checkout/{begun.session_id}"
    order = billing.order(house, session_id=begun.session_id)
    assert (order.status, order.email, order.amount, order.currency) == ("open", "buyer@example.com", None, "usd")
    assert order.success_url == BASE + "/success?session_id={CHECKOUT_SESSION_ID}"
    placed = billing.place(house, session_id=begun.session_id)
    assert placed.status == "complete"
    assert billing.place(house, session_id=begun.session_id) == placed
    (one,), _ = billing.list_invoices(house, ada)
    assert (one.external_id, one.status, one.amount_due) == (placed.invoice_external_id, "open", 0)
    assert "last_payment" not in people.get(house, ada, person_id=person.id).meta

    def pay(who: Principal, **more: Any) -> Any:
        return billing.mark_paid(house, who, invoice=one.external_id, **more)

    assert refusal(lambda: pay(ada, amount=5)) == (Kind.FORBIDDEN, "Insufficient permissions")
    assert refusal(lambda: pay(operator))[1].endswith("has no amount; say how much was paid")
    assert refusal(lambda: pay(operator, amount=-1))[0] is Kind.INVALID
    paid = pay(operator, amount=1999)
    assert (paid.status, paid.amount_due, paid.amount_paid) == ("paid", 1999, 1999)
    assert people.get(house, ada, person_id=person.id).meta["last_payment"] == {
        "session_id": begun.session_id,
        "amount": 1999,
        "currency": "usd",
        "timestamp": clock() // SECOND,
    }
    assert refusal(lambda: pay(operator, amount=1))[0] is Kind.CONFLICT
    assert refusal(lambda: billing.mark_paid(house, operator, invoice="in_local_x"))[0] is Kind.NOT_FOUND
    assert [name for name, _ in told] == ["invoice.paid"]


def test_orders_end_and_foreign_ones_are_not_found(house: House, ada: Principal, clock: FakeClock) -> None:
    begun = billing.start_payment(house, ada, price_id="p", base=BASE)
    for name in ("cs_local_x", "cs_test_1", "cs_local_\0", ""):
        assert refusal(lambda name=name: billing.order(house, session_id=name))[0] is Kind.NOT_FOUND  # type: ignore[misc]
    clock.advance(24 * 3600)
    assert refusal(lambda: billing.place(house, session_id=begun.session_id))[0] is Kind.CONFLICT


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"price_id": None}, "price_id: field required"),
        ({"price_id": ""}, "price_id: must be 1-255 characters"),
        ({"price_id": 7}, "price_id: must be a string"),
        ({"price_id": "p", "email": "nobody"}, "email: must have text on both sides of one @"),
        ({"price_id": "p", "user_id": ""}, "user_id: must be 1-255 characters"),
    ],
)
def test_fields_of_a_checkout(house: House, ada: Principal, fields: dict[str, Any], text: str) -> None:
    assert refusal(lambda: billing.start_payment(house, ada, base=BASE, **fields)) == (Kind.INVALID, text)


def test_rights(house: House, ada: Principal) -> None:
    reader = Principal(kind="key", organization_id=ada.organization_id, key_id=1, scopes=frozenset({"read"}))
    assert refusal(lambda: billing.start_payment(house, reader, price_id="p", base=BASE))[0] is Kind.FORBIDDEN
    plain = Principal(kind="user", organization_id=ada.organization_id, account_id=1, role="user")
    for call in (
        lambda: billing.list_invoices(house, plain),
        lambda: billing.list_subscriptions(house, plain),
        lambda: billing.customer(house, plain),
        lambda: billing.subscribe(house, plain, plan="free"),
        lambda: billing.cancel(house, plain, subscription_id=1),
        lambda: billing.start_plan(house, plain, plan="pro", base=BASE, **URLS),
    ):
        assert refusal(call) == (Kind.FORBIDDEN, "Insufficient permissions")


def test_a_plan_is_bought_by_an_order(house: House, ada: Principal, operator: Principal) -> None:
    begun = billing.start_plan(house, ada, plan="pro", base=BASE, **URLS)
    billing.place(house, session_id=begun.session_id)
    (held,), _ = billing.list_subscriptions(house, ada)
    assert (held.status, held.plan, plan(house, ada)) == ("incomplete", "pro", "free")
    (bill,), _ = billing.list_invoices(house, ada)
    assert (bill.status, bill.subscription_id) == ("open", held.id)
    billing.mark_paid(house, operator, invoice=bill.external_id, amount=2900)
    (held,), _ = billing.list_subscriptions(house, ada)
    assert (held.status, plan(house, ada)) == ("active", "pro")
    first = billing.customer(house, ada)
    assert first == billing.customer(house, ada)
    assert first.external_id.startswith("cus_local_")
    for fields in ({"plan": "free"}, {"plan": None}, {"success_url": "javascript:alert(1)"}, {"cancel_url": "/x"}):
        sent = {"plan": "pro", **URLS, **fields}
        assert refusal(lambda sent=sent: billing.start_plan(house, ada, base=BASE, **sent))[0] is Kind.INVALID  # type: ignore[misc]


def test_subscriptions_begin_renew_and_end(
    house: House, ada: Principal, operator: Principal, clock: FakeClock, told: list[tuple[str, Any]]
) -> None:
    taken = (Kind.CONFLICT, "Organization already has an active subscription")
    free = billing.subscribe(house, ada, plan="free")
    assert (free.external_id, free.status) == (None, "active")
    assert refusal(lambda: billing.subscribe(house, ada, plan="free")) == taken
    assert refusal(lambda: billing.subscribe(house, ada, plan="pro"))[1] == "payment_method_id: field required"
    pro = billing.subscribe(house, ada, plan="pro", payment_method_id="pm_123")
    assert (pro.status, plan(house, ada)) == ("incomplete", "free")
    assert refusal(lambda: billing.subscribe(house, ada, plan="pro", payment_method_id="pm_1")) == taken
    (bill, *_), _ = billing.list_invoices(house, ada)
    billing.mark_paid(house, operator, invoice=bill.external_id, amount=2900)
    assert [one.status for one in billing.list_subscriptions(house, ada)[0]] == ["active", "canceled"]
    assert billing.renew(house) == 0
    clock.advance(30 * DAY // SECOND)
    assert billing.renew(house) == 1
    assert (billing.list_subscriptions(house, ada)[0][0].status, plan(house, ada)) == ("past_due", "pro")
    assert billing.renew(house) == 1
    (bill, *_), count = billing.list_invoices(house, ada)
    assert (bill.status, count) == ("open", 2)
    billing.mark_paid(house, operator, invoice=bill.external_id, amount=2900)
    assert billing.list_subscriptions(house, ada)[0][0].period_end == clock() + 30 * DAY
    ending = billing.cancel(house, ada, subscription_id=pro.id)
    assert (ending.status, ending.cancel_at_period_end) == ("active", True)
    clock.advance(30 * DAY // SECOND)
    billing.renew(house)
    assert (billing.list_subscriptions(house, ada)[0][0].status, plan(house, ada)) == ("canceled", "free")
    assert refusal(lambda: billing.cancel(house, ada, subscription_id=pro.id))[0] is Kind.CONFLICT
    assert refusal(lambda: billing.cancel(house, ada, subscription_id=999))[0] is Kind.NOT_FOUND
    again = billing.subscribe(house, ada, plan="enterprise", payment_method_id="pm_1")
    assert billing.cancel(house, ada, subscription_id=again.id).status == "canceled"
    # What it owed is owed no more: nobody brings it back by paying for it.
    (bill, *_), _ = billing.list_invoices(house, ada)
    assert (bill.status, bill.description) == ("void", "enterprise")
    void = (Kind.CONFLICT, f"{bill.external_id} is void already")
    assert refusal(lambda: billing.mark_paid(house, operator, invoice=bill.external_id, amount=1)) == void
    assert plan(house, ada) == "free"


def test_an_unpaid_renewal_ends_the_plan(house: House, ada: Principal, operator: Principal, clock: FakeClock) -> None:
    billing.subscribe(house, ada, plan="pro", payment_method_id="pm_1")
    (bill,), _ = billing.list_invoices(house, ada)
    billing.mark_paid(house, operator, invoice=bill.external_id, amount=1)
    for _ in range(2):
        clock.advance(30 * DAY // SECOND)
        billing.renew(house)
    assert plan(house, ada) == "free"


def test_prices(open_house: Callable[..., House], settings: Settings, sign_up: SignUp) -> None:
    values: dict[str, Any] = {"data": settings.data, "secret": settings.secret}
    house = open_house(Settings(**values, prices=("price_1=1999 EUR", "pro = 2900 usd")))
    ada = sign_up(house)
    begun = billing.start_payment(house, ada, price_id="price_1", base=BASE)
    order = billing.order(house, session_id=begun.session_id)
    assert (order.amount, order.currency) == (1999, "eur")
    unknown = refusal(lambda: billing.start_payment(house, ada, price_id="price_2", base=BASE))
    assert unknown == (Kind.INVALID, "No such price: 'price_2'")
    for wrong in (("pro",), ("pro=much",), ("=1 usd",)):
        with pytest.raises(SettingError):
            prices.check(Settings(**values, prices=wrong))


def test_under_stripe_the_server_wants_its_secrets() -> None:
    given = {"HEADRACE_BILLING": "stripe", "HEADRACE_STRIPE_API_KEY": "sk_test_x"}
    with pytest.raises(SettingError, match="no HEADRACE_STRIPE_SECRET_LEVQOR and no HEADRACE_STRIPE_SECRET_VETRAI"):
        load({}, given)
    both = {"HEADRACE_STRIPE_SECRET_LEVQOR": "whsec_a, whsec_b", "HEADRACE_STRIPE_SECRET_VETRAI": "whsec_c"}
    assert load({}, given | both).stripe_secret_levqor == ("whsec_a", "whsec_b")


def test_two_servers_get_one_event(open_house: Callable[..., House], sign_up: SignUp) -> None:
    house, other = open_house(), open_house()
    ada = sign_up(house)
    about = of(ada, id="in_1", amount_due=1, amount_paid=1, currency="usd", status="paid")
    assert send(house, "invoice.paid", about, name="evt_1") == "applied"
    assert send(other, "invoice.paid", about, name="evt_1") == "repeated"
    with house.db.read() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(invoices)).scalar_one() == 1


def test_effects_are_of_events_that_the_contract_names() -> None:
    assert set(effects.EFFECTS) == {
        *(f"checkout.session.{word}" for word in ("completed", "async_payment_succeeded", "async_payment_failed")),
        *(f"customer.subscription.{word}" for word in ("created", "updated", "deleted")),
        *(f"invoice.{word}" for word in ("created", "finalized", "paid", "payment_failed")),
    }
