"""What the events of a payment provider change: persons' last payments, subscriptions with the plan, invoices.

Each effect writes absolute state, in the transaction that records its event.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import announcements, audit, people
from headrace.core.billing import prices
from headrace.core.billing.records import (
    GOOD,
    PLANS,
    invoice_of,
    shown_invoice,
    shown_subscription,
    subscription_of,
)
from headrace.core.house import House
from headrace.core.identity import organizations
from headrace.core.people.records import ID
from headrace.core.rules import LARGEST, positive
from headrace.core.schema.billing import checkouts, customers, invoices, subscriptions
from headrace.kit.times import LAST, SECOND

LONGEST_TEXT = 2_048
# Beyond it no text of a time can say it.
LATEST_SECONDS = LAST // SECOND


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event; `object` is the whole object as it was then, times in it are epoch seconds."""

    id: str
    type: str
    created_at: int
    object: dict[str, Any]
    source: str


Effect = Callable[[House, sa.Connection, int, Event], str]


def organization_of(connection: sa.Connection, event: Event) -> int | None:
    """Return whose event it is: as we wrote into the object when it was made, else by its customer."""
    details = _object(_object(event.object.get("parent")).get("subscription_details"))
    for metadata in (event.object.get("metadata"), details.get("metadata")):
        number = positive(_object(metadata).get("organization_id"))
        if number is not None:
            return number if organizations.exists(connection, number) else None
    customer = _id(event.object.get("customer"))
    if customer is None:
        return None
    query = sa.select(customers.c.organization_id).where(customers.c.external_id == customer)
    known: int | None = connection.execute(query).scalar()
    return known


def paid(house: House, connection: sa.Connection, organization_id: int, event: Event) -> str:
    """Note a payment at the person that it is for. A checkout that only promises to pay is none yet."""
    about = event.object
    _complete(connection, organization_id, about)
    if about.get("payment_status", "paid") == "unpaid":
        return "ignored"
    return _noted(house, connection, organization_id, event, "last_payment")


def unpaid(house: House, connection: sa.Connection, organization_id: int, event: Event) -> str:
    return _noted(house, connection, organization_id, event, "last_payment_error")


def subscribed(house: House, connection: sa.Connection, organization_id: int, event: Event) -> str:
    row = written(house, connection, organization_id, event)
    if row is None:
        return "unknown"
    word = "created" if event.type == "customer.subscription.created" else "updated"
    shown = shown_subscription(subscription_of(row))
    announcements.tell(connection, house, organization_id=organization_id, event=f"subscription.{word}", data=shown)
    return "applied"


def written(house: House, connection: sa.Connection, organization_id: int, event: Event) -> sa.Row[Any] | None:
    """Write a subscription, and give the organization the plan that it has now; None where its plan is not known."""
    about = event.object
    same = sa.and_(subscriptions.c.external_id == about["id"], subscriptions.c.organization_id == organization_id)
    known = connection.execute(sa.select(subscriptions).where(same).with_for_update()).one_or_none()
    items = _object(about.get("items")).get("data")
    item = _object(items[0]) if isinstance(items, list) and items else {}
    plan = _plan(house, about, item) or (known.plan if known else None)
    if plan is None:
        return None
    ended = event.type == "customer.subscription.deleted"
    now = house.clock()
    values = {
        "plan": plan,
        "status": "canceled" if ended else _text(about.get("status"), 32) or "incomplete",
        # Since 2025-03-31 Stripe keeps the period at the item.
        "period_start": _time(about.get("current_period_start", item.get("current_period_start"))),
        "period_end": _time(about.get("current_period_end", item.get("current_period_end"))),
        "cancel_at_period_end": int(bool(about.get("cancel_at_period_end"))),
        "updated_at": now,
    }
    if known is None:
        first = {"organization_id": organization_id, "external_id": about["id"]}
        first["created_at"] = _time(about.get("created")) or event.created_at
        statement: Any = subscriptions.insert().values(values | first)
    else:
        statement = sa.update(subscriptions).where(same).values(values)
    row = connection.execute(statement.returning(subscriptions)).one()
    if row.status in GOOD:
        # The free plan gives way to one that is paid for.
        free = sa.and_(
            subscriptions.c.organization_id == organization_id,
            subscriptions.c.external_id.is_(None),
            subscriptions.c.status.in_(GOOD),
        )
        connection.execute(sa.update(subscriptions).where(free).values(status="canceled", updated_at=now))
    settle(house, connection, organization_id)
    return row


def invoiced(house: House, connection: sa.Connection, organization_id: int, event: Event) -> str:
    about, now = event.object, house.clock()
    details = _object(_object(about.get("parent")).get("subscription_details"))
    values = {
        "subscription_external_id": _id(about.get("subscription")) or _id(details.get("subscription")),
        "amount_due": _amount(about.get("amount_due")),
        "amount_paid": _amount(about.get("amount_paid")),
        "currency": _text(about.get("currency"), 3) or "",
        "status": _text(about.get("status"), 32) or "draft",
        "description": _text(about.get("description"), 255),
        "invoice_pdf": _text(about.get("invoice_pdf"), LONGEST_TEXT),
        "hosted_invoice_url": _text(about.get("hosted_invoice_url"), LONGEST_TEXT),
        "period_start": _time(about.get("period_start")),
        "period_end": _time(about.get("period_end")),
        "updated_at": now,
    }
    same = sa.and_(invoices.c.external_id == about["id"], invoices.c.organization_id == organization_id)
    row = connection.execute(sa.update(invoices).where(same).values(values).returning(invoices)).one_or_none()
    if row is None:
        first = {"organization_id": organization_id, "external_id": about["id"]}
        first["created_at"] = _time(about.get("created")) or event.created_at
        row = connection.execute(invoices.insert().values(values | first).returning(invoices)).one()
    word = event.type.rpartition(".")[2]
    if word in {"paid", "payment_failed"}:
        shown = shown_invoice(invoice_of(connection, row))
        announcements.tell(connection, house, organization_id=organization_id, event=f"invoice.{word}", data=shown)
    return "applied"


def settle(house: House, connection: sa.Connection, organization_id: int) -> None:
    """Give the organization the best plan that it has a good subscription to."""
    good = sa.and_(subscriptions.c.organization_id == organization_id, subscriptions.c.status.in_(GOOD))
    held = connection.execute(sa.select(subscriptions.c.plan).where(good)).scalars().all()
    plan = max((one for one in held if one in PLANS), key=PLANS.index, default=PLANS[0])
    before = organizations.set_plan(connection, house, organization_id, plan)
    if before != plan:
        data = {"from": before, "to": plan}
        audit.record(connection, house, None, "billing:plan:changed", organization_id=organization_id, data=data)


EFFECTS: dict[str, Effect] = {
    "checkout.session.completed": paid,
    "checkout.session.async_payment_succeeded": paid,
    "checkout.session.async_payment_failed": unpaid,
    "customer.subscription.created": subscribed,
    "customer.subscription.updated": subscribed,
    "customer.subscription.deleted": subscribed,
    "invoice.created": invoiced,
    "invoice.finalized": invoiced,
    "invoice.paid": invoiced,
    "invoice.payment_failed": invoiced,
}


def _noted(house: House, connection: sa.Connection, organization_id: int, event: Event, name: str) -> str:
    """Keep what a checkout came to in the record of the person that it is for."""
    about = event.object
    person = about.get("client_reference_id") or _object(about.get("metadata")).get("user_id")
    if not isinstance(person, str) or not ID.fullmatch(person):
        return "ignored"
    payment = {
        "session_id": about["id"],
        "amount": _amount(about.get("amount_total")),
        "currency": _text(about.get("currency"), 3),
        "timestamp": event.created_at // SECOND,
    }
    meta = {name: payment}
    done = people.merge_meta(house, connection, organization_id=organization_id, person_id=person, meta=meta)
    return "applied" if done else "ignored"


def _complete(connection: sa.Connection, organization_id: int, about: Mapping[str, Any]) -> None:
    same = sa.and_(checkouts.c.id == about["id"], checkouts.c.organization_id == organization_id)
    connection.execute(sa.update(checkouts).where(same).values(status="complete"))


def _plan(house: House, about: Mapping[str, Any], item: Mapping[str, Any]) -> str | None:
    """The plan: the one of the setting that has this price, else as we wrote into the object when it was made."""
    price = _object(item.get("price"))
    named = prices.plan_of(house.settings, str(price.get("id")))
    for plan in (named, price.get("lookup_key"), _object(about.get("metadata")).get("plan")):
        if plan in PLANS:
            return str(plan)
    return None


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _id(value: Any) -> str | None:
    """An id, given bare or as the whole object."""
    found = value.get("id") if isinstance(value, dict) else value
    return _text(found, 255)


def _text(value: Any, most: int) -> str | None:
    """A text that every database takes: without nulls and lone surrogates."""
    if not isinstance(value, str):
        return None
    return value.replace("\0", "").encode(errors="replace").decode()[:most] or None


def _amount(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST else 0


def _time(value: Any) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LATEST_SECONDS
    return value * SECOND if good else None
