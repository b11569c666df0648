"""Checkouts: an order begins here, at Stripe or with us, and the buyer goes on at the page that comes back.

The pages of a local order have no account behind them: who has the order's id may place it.
"""

import secrets
from typing import Any
from urllib.parse import urlsplit

import msgspec
import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.billing import events, local, prices, remote
from headrace.core.billing.customers import customer, require_biller
from headrace.core.billing.records import PLANS, Checkout, Started, checkout_of
from headrace.core.house import House
from headrace.core.people.records import address
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal, conflict, invalid, not_found
from headrace.core.schema.billing import checkouts
from headrace.kit.times import DAY

LONGEST, LONGEST_URL = 255, 2_048
SUCCESS, CANCEL = "/success?session_id={CHECKOUT_SESSION_ID}", "/cancel"


def start_payment(
    house: House, who: Principal, *, price_id: Any, email: Any = None, user_id: Any = None, base: str
) -> Started:
    """Begin a single payment for a person, who is named by `user_id`. `base` is this server's own address."""
    rules.require(who, "checkout", "write")
    order = _order(
        house,
        who,
        mode="payment",
        item=rules.text(price_id, "price_id", least=1, most=LONGEST),
        email=None if email is None else address(email),
        reference=None if user_id is None else rules.text(user_id, "user_id", least=1, most=LONGEST),
        success_url=base + SUCCESS,
        cancel_url=base + CANCEL,
    )
    if order.provider == "local":
        return _kept(house, who, order, f"{base}/ui/checkout/{order.id}")
    session_id, url = remote.start(house, order, price_id=order.item, customer=None)
    return _kept(house, who, msgspec.structs.replace(order, id=session_id), url)


def start_plan(house: House, who: Principal, *, plan: Any, success_url: Any, cancel_url: Any, base: str) -> Started:
    """Begin a subscription of the organization to a plan that is paid for."""
    require_biller(who, "write")
    order = _order(
        house,
        who,
        mode="subscription",
        item=rules.choice(plan, "plan", PLANS[1:]),
        success_url=_url(success_url, "success_url"),
        cancel_url=_url(cancel_url, "cancel_url"),
    )
    known = customer(house, who)
    if order.provider == "local":
        return _kept(house, who, order, f"{base}/ui/checkout/{order.id}")
    price_id = prices.of_plan(house.settings, order.item)
    session_id, url = remote.start(house, order, price_id=price_id, customer=known.external_id)
    return _kept(house, who, msgspec.structs.replace(order, id=session_id), url)


def order(house: House, *, session_id: str) -> Checkout:
    """Return a local order, for its page."""
    with house.db.read() as connection:
        return _found(connection, session_id)


def place(house: House, *, session_id: str) -> Checkout:
    """Place a local order: it leaves an open invoice, once."""
    with house.db.write() as connection:
        found = _found(connection, session_id, held=True)
        if found.status == "complete":
            return found
        if found.expires_at <= house.clock():
            raise conflict("This order was not placed in time; begin again")
        for event in local.placed(house, connection, found):
            events.apply(house, connection, event)
        return _found(connection, session_id)


def _order(
    house: House,
    who: Principal,
    *,
    mode: str,
    item: str,
    success_url: str,
    cancel_url: str,
    email: str | None = None,
    reference: str | None = None,
) -> Checkout:
    """Build an order with its price; nothing is kept yet."""
    provider, price = house.settings.billing, prices.Price(None, house.settings.currency)
    if provider == "local":
        known = prices.local(house.settings, item)
        if known is None:
            raise invalid("price_id", "price", text=f"No such price: '{item}'")
        price = known
    return Checkout(
        id=f"cs_local_{secrets.token_urlsafe(24)}",
        organization_id=who.organization_id,
        provider=provider,
        mode=mode,
        item=item,
        email=email,
        reference=reference,
        amount=price.amount,
        currency=price.currency,
        success_url=success_url,
        cancel_url=cancel_url,
        status="open",
        invoice_external_id=None,
        created_at=house.clock(),
        expires_at=house.clock() + DAY,
    )


def _kept(house: House, who: Principal, one: Checkout, url: str) -> Started:
    with house.db.write() as connection:
        connection.execute(checkouts.insert(), msgspec.structs.asdict(one))
        data = {"mode": one.mode, "item": one.item, "provider": one.provider}
        audit.record(connection, house, who, "billing:checkout:started", data=data)
    return Started(session_id=one.id, url=url)


def _found(connection: sa.Connection, session_id: str, *, held: bool = False) -> Checkout:
    missing = not_found("Order not found")
    if not session_id.startswith("cs_local_") or not session_id.isascii() or not session_id.isprintable():
        raise missing
    query = sa.select(checkouts).where(checkouts.c.id == session_id, checkouts.c.provider == "local")
    row = connection.execute(query.with_for_update() if held else query).one_or_none()
    if row is None:
        raise missing
    return checkout_of(row)


def _url(value: Any, field: str) -> str:
    text = rules.text(value, field, least=1, most=LONGEST_URL)
    wrong: Refusal = invalid(field, "must be a valid HTTP(S) URL")
    try:
        parts = urlsplit(text)
    except ValueError:
        raise wrong from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or not text.isprintable() or " " in text:
        raise wrong
    return text
