"""Checkout of a single payment, and the events that Stripe sends about it."""

from typing import Any

import msgspec

from headrace.core import billing
from headrace.wire import jsons, site
from headrace.wire.call import Answer, Call, answer
from headrace.wire.door import HotRoute, Terms
from headrace.wire.repeats import once
from headrace.wire.threads import within

CHECKOUT, WEBHOOK = "/billing/create-checkout-session", "/billing/webhook"
SIGNATURE = "stripe-signature"


class NewCheckout(msgspec.Struct, kw_only=True):
    """`user_id` is the user whose `meta.last_payment` tells of the payment later."""

    price_id: Any = None
    email: str | None = None
    user_id: str | None = None


class Session(msgspec.Struct, kw_only=True, rename={"session_id": "sessionId"}):
    """`url` is the page where the buyer goes on."""

    session_id: str
    url: str


class StripeEvent(msgspec.Struct, kw_only=True):
    """What Stripe sends; `data.object` is the whole object as it was then. Its signature is of the raw body."""

    id: str
    type: str
    created: int
    data: dict[str, Any]


class Received(msgspec.Struct, kw_only=True):
    received: bool = True


async def start(call: Call) -> Answer:
    """Begin a payment."""
    return await once(call, CHECKOUT, lambda: begun(call), beyond=call.house.settings.billing != "local")


def begun(call: Call) -> Answer:
    sent = jsons.decode(call.body, NewCheckout)
    made = billing.start_payment(
        call.house,
        call.who,
        price_id=sent.price_id,
        email=sent.email,
        user_id=sent.user_id,
        base=site.base(call),
    )
    return answer(200, Session(session_id=made.session_id, url=made.url))


async def receive(call: Call) -> Answer:
    """Take an event of Stripe's, once it is known to be Stripe's."""
    await within(
        call,
        billing.receive,
        call.house,
        secrets=call.house.settings.stripe_secret_levqor,
        body=call.body,
        signature=call.header(SIGNATURE) or "",
    )
    return answer(200, Received())


HOT = (
    HotRoute(
        method="POST",
        path=CHECKOUT,
        run=start,
        terms=Terms(
            credential="A", action=("checkout", "write"), body="levqor_body_limit", creates=True, errors=(403,)
        ),
        summary="Create a checkout session",
        takes=NewCheckout,
        gives=Session,
        tag="billing",
    ),
    HotRoute(
        method="POST",
        path=WEBHOOK,
        run=receive,
        terms=Terms(body="levqor_body_limit", limited=False, errors=(400, 404, 413)),
        summary="Take an event of Stripe's",
        takes=StripeEvent,
        gives=Received,
        tag="billing",
    ),
)
