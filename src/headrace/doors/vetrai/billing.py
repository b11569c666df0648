"""Billing: the organization as a customer, its subscriptions and invoices, checkout of a plan, Stripe's events."""

from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import QueryParameter

from headrace.core import billing
from headrace.core.billing import Invoice, Subscription
from headrace.core.rules import LARGEST
from headrace.wire import jsons, site
from headrace.wire.call import Answer, Call, answer
from headrace.wire.door import HotRoute, Incoming, Terms, terms
from headrace.wire.repeats import once
from headrace.wire.threads import within

TAGS = ["billing"]
READ, WRITE = ("billing", "read"), ("billing", "write")
CUSTOMERS, SUBSCRIPTIONS, CHECKOUT = "/api/v1/customers", "/api/v1/subscriptions", "/api/v1/checkout"
WEBHOOK = "/api/v1/webhooks/stripe"
MOST = 100
Skip = Annotated[int, QueryParameter(ge=0, le=LARGEST - MOST, description="How many to skip.")]
Limit = Annotated[int, QueryParameter(ge=1, le=MOST, description="How many to return.")]


class CustomerMade(msgspec.Struct, kw_only=True):
    """`stripe_customer_id` is the provider's; of local billing it starts with `cus_local_`."""

    message: str
    id: int
    organization_id: int
    stripe_customer_id: str


class NewSubscription(msgspec.Struct, kw_only=True):
    """A plan that is paid for needs a payment method."""

    plan: Any = None
    payment_method_id: Any = None


class NewCheckout(msgspec.Struct, kw_only=True):
    plan: Any = None
    success_url: Any = None
    cancel_url: Any = None


class Session(msgspec.Struct, kw_only=True):
    """`url` is the page where the buyer goes on."""

    session_id: str
    url: str


class SubscriptionOut(msgspec.Struct, kw_only=True):
    """`status` is Stripe's word. Times are ISO 8601, UTC."""

    id: int
    organization_id: int
    stripe_subscription_id: str | None
    plan: str
    status: str
    current_period_start: str | None
    current_period_end: str | None
    cancel_at_period_end: bool
    created_at: str


class InvoiceOut(msgspec.Struct, kw_only=True):
    """Amounts in minor units of the currency. Times are ISO 8601, UTC."""

    id: int
    organization_id: int
    subscription_id: int | None
    stripe_invoice_id: str
    amount_due: int
    amount_paid: int
    currency: str
    status: str
    invoice_pdf: str | None
    hosted_invoice_url: str | None
    period_start: str | None
    period_end: str | None
    created_at: str


class StripeEvent(msgspec.Struct, kw_only=True):
    """What Stripe sends; `data.object` is the whole object as it was then. Its signature is of the raw body."""

    id: str
    type: str
    created: int
    data: dict[str, Any]


class Received(msgspec.Struct, kw_only=True):
    received: bool = True


async def customer(call: Call) -> Answer:
    """Make the organization a customer, or return the one that it is."""
    made = await within(call, lambda: billing.customer(call.house, call.who))
    shown = CustomerMade(
        message="Customer created successfully",
        id=made.id,
        organization_id=made.organization_id,
        stripe_customer_id=made.external_id,
    )
    return answer(200, shown)


async def subscribe(call: Call) -> Answer:
    """Subscribe the organization to a plan."""

    def made() -> Answer:
        sent = jsons.decode(call.body, NewSubscription)
        fields = {"plan": sent.plan, "payment_method_id": sent.payment_method_id}
        return answer(201, subscription(billing.subscribe(call.house, call.who, **fields)))

    return await once(call, SUBSCRIPTIONS, made, beyond=at_stripe(call))


async def check_out(call: Call) -> Answer:
    """Begin the checkout of a plan."""

    def begun() -> Answer:
        sent = jsons.decode(call.body, NewCheckout)
        fields = {"plan": sent.plan, "success_url": sent.success_url, "cancel_url": sent.cancel_url}
        made = billing.start_plan(call.house, call.who, base=site.base(call), **fields)
        return answer(200, Session(session_id=made.session_id, url=made.url))

    return await once(call, CHECKOUT, begun, beyond=at_stripe(call))


def at_stripe(call: Call) -> bool:
    return call.house.settings.billing != "local"


async def receive(call: Call) -> Answer:
    """Take an event of Stripe's, once it is known to be Stripe's."""
    secrets, signature = call.house.settings.stripe_secret_vetrai, call.header("stripe-signature") or ""
    await within(call, lambda: billing.receive(call.house, secrets=secrets, body=call.body, signature=signature))
    return answer(200, Received())


@get(SUBSCRIPTIONS, opt=terms("A", READ, errors=(403,)), tags=TAGS, sync_to_thread=True)
def list_subscriptions(call: Incoming, skip: Skip = 0, limit: Limit = MOST) -> list[SubscriptionOut]:
    """List the organization's subscriptions, newest first."""
    found, count = billing.list_subscriptions(call.house, call.who, limit=limit, offset=skip)
    paged(call, count, skip, limit)
    return [subscription(one) for one in found]


@get("/api/v1/invoices", opt=terms("A", READ, errors=(403,)), tags=TAGS, sync_to_thread=True)
def list_invoices(call: Incoming, skip: Skip = 0, limit: Limit = MOST) -> list[InvoiceOut]:
    """List the organization's invoices, newest first."""
    found, count = billing.list_invoices(call.house, call.who, limit=limit, offset=skip)
    paged(call, count, skip, limit)
    return [invoice(one) for one in found]


def paged(call: Call, count: int, skip: int, limit: int) -> None:
    """Say in headers which page this is."""
    facts = {b"x-total-count": count, b"x-page": skip // limit + 1, b"x-per-page": limit}
    call.added.extend((name, b"%d" % value) for name, value in facts.items())


def subscription(one: Subscription) -> SubscriptionOut:
    return SubscriptionOut(**billing.shown_subscription(one))


def invoice(one: Invoice) -> InvoiceOut:
    return InvoiceOut(**billing.shown_invoice(one))


ROUTES = (list_subscriptions, list_invoices)
HOT = (
    HotRoute(
        method="POST",
        path=CUSTOMERS,
        run=customer,
        terms=Terms(credential="A", action=WRITE, errors=(403,)),
        summary="Make the organization a customer",
        gives=CustomerMade,
        tag="billing",
    ),
    HotRoute(
        method="POST",
        path=SUBSCRIPTIONS,
        run=subscribe,
        terms=Terms(credential="A", action=WRITE, body="body_limit_single", creates=True, errors=(400, 403)),
        summary="Subscribe to a plan",
        status=201,
        takes=NewSubscription,
        gives=SubscriptionOut,
        tag="billing",
    ),
    HotRoute(
        method="POST",
        path=CHECKOUT,
        run=check_out,
        terms=Terms(credential="A", action=WRITE, body="body_limit_single", creates=True, errors=(400, 403)),
        summary="Create a checkout session",
        takes=NewCheckout,
        gives=Session,
        tag="billing",
    ),
    HotRoute(
        method="POST",
        path=WEBHOOK,
        run=receive,
        # The limit of the other endpoint too: one core, one size of an event.
        terms=Terms(body="levqor_body_limit", errors=(400, 404)),
        summary="Take an event of Stripe's",
        takes=StripeEvent,
        gives=Received,
        tag="billing",
    ),
)
