"""The provider that needs nobody: an order leaves an open invoice, and the operator says when it is paid.

What it says goes the way of a Stripe event; nothing here writes a subscription or an invoice itself.
"""

import secrets
from typing import Any

import sqlalchemy as sa

from headrace.core.billing.effects import Event
from headrace.core.billing.events import made
from headrace.core.billing.prices import Price
from headrace.core.billing.records import Checkout, Subscription, checkout_of
from headrace.core.house import House
from headrace.core.schema.billing import checkouts, invoices, subscriptions
from headrace.kit.times import DAY, SECOND

PERIOD_US = 30 * DAY


def placed(house: House, connection: sa.Connection, order: Checkout) -> list[Event]:
    """Return what happens when an order is placed: an open invoice, and a subscription that waits for its payment."""
    price = Price(order.amount, order.currency)
    if order.mode == "subscription":
        _, told = subscribed(house, order.organization_id, order.item, price)
    else:
        bill = invoice(house, order.organization_id, price, subject=order.item, subscription_id=None)
        told = [made(house, "invoice.finalized", bill)]
    same = checkouts.c.id == order.id
    connection.execute(sa.update(checkouts).where(same).values(invoice_external_id=told[-1].object["id"]))
    return [*told, made(house, "checkout.session.completed", session(order, order.amount, "unpaid"))]


def settled(house: House, connection: sa.Connection, row: sa.Row[Any], amount: int) -> list[Event]:
    """Return what happens when an invoice is paid: to it, to its subscription, to the order that it came of."""
    paid = {"amount_due": amount, "amount_paid": amount, "status": "paid"}
    told = [made(house, "invoice.paid", written(row) | paid)]
    if row.subscription_external_id is not None:
        same = subscriptions.c.external_id == row.subscription_external_id
        plan = connection.execute(sa.select(subscriptions.c.plan).where(same)).scalar_one()
        begun = subscription(house, row.organization_id, plan, row.subscription_external_id, "active")
        told.append(made(house, "customer.subscription.updated", begun))
    query = sa.select(checkouts).where(checkouts.c.invoice_external_id == row.external_id)
    order = connection.execute(query).one_or_none()
    if order is not None:
        succeeded = session(checkout_of(order), amount, "paid")
        told.append(made(house, "checkout.session.async_payment_succeeded", succeeded))
    return told


def subscribed(house: House, organization_id: int, plan: str, price: Price) -> tuple[str, list[Event]]:
    """Return the id of a new subscription that waits for its payment, and what happens."""
    external_id = f"sub_local_{secrets.token_hex(12)}"
    about = subscription(house, organization_id, plan, external_id, "incomplete")
    bill = invoice(house, organization_id, price, subject=plan, subscription_id=external_id)
    return external_id, [
        made(house, "customer.subscription.created", about),
        made(house, "invoice.finalized", bill),
    ]


def cancelled(house: House, connection: sa.Connection, one: Subscription) -> list[Event]:
    """Return what happens when a subscription is cancelled: paid for, it ends with its period, else at once."""
    assert one.external_id is not None  # noqa: S101  The free plan has no provider.
    about = subscription(house, one.organization_id, one.plan, one.external_id, one.status)
    about |= {"current_period_start": seconds(one.period_start), "current_period_end": seconds(one.period_end)}
    if one.status == "active":
        about["cancel_at_period_end"] = True
        return [made(house, "customer.subscription.updated", about)]
    return ended(house, connection, about)


def ended(house: House, connection: sa.Connection, about: dict[str, Any]) -> list[Event]:
    """Return what happens at the end of a subscription: what it still owes is owed no more."""
    open_ones = sa.select(invoices).where(
        invoices.c.subscription_external_id == about["id"], invoices.c.status == "open"
    )
    void = [written(row) | {"status": "void"} for row in connection.execute(open_ones)]
    told = [made(house, "invoice.finalized", one) for one in void]
    return [made(house, "customer.subscription.deleted", about), *told]


def subscription(house: House, organization_id: int, plan: str, external_id: str, status: str) -> dict[str, Any]:
    now = house.clock()
    period = {"current_period_start": now // SECOND, "current_period_end": (now + PERIOD_US) // SECOND}
    return {
        "id": external_id,
        "status": status,
        "metadata": {"organization_id": str(organization_id), "plan": plan},
        "cancel_at_period_end": False,
    } | (period if status == "active" else {})


def invoice(
    house: House, organization_id: int, price: Price, *, subject: str, subscription_id: str | None
) -> dict[str, Any]:
    now = house.clock() // SECOND
    return {
        "id": f"in_local_{secrets.token_hex(12)}",
        "subscription": subscription_id,
        "amount_due": price.amount or 0,
        "amount_paid": 0,
        "currency": price.currency,
        "status": "open",
        "description": subject,
        "period_start": now,
        "period_end": now + PERIOD_US // SECOND if subscription_id else now,
        "metadata": {"organization_id": str(organization_id)},
    }


def written(row: sa.Row[Any]) -> dict[str, Any]:
    """Return an invoice as an event shows it."""
    return {
        "id": row.external_id,
        "subscription": row.subscription_external_id,
        "amount_due": row.amount_due,
        "amount_paid": row.amount_paid,
        "currency": row.currency,
        "status": row.status,
        "description": row.description,
        "period_start": seconds(row.period_start),
        "period_end": seconds(row.period_end),
        "metadata": {"organization_id": str(row.organization_id)},
    }


def session(order: Checkout, amount: int | None, payment_status: str) -> dict[str, Any]:
    return {
        "id": order.id,
        "mode": order.mode,
        "payment_status": payment_status,
        "amount_total": amount,
        "currency": order.currency,
        "client_reference_id": order.reference,
        "metadata": {"organization_id": str(order.organization_id)},
    }


def seconds(value: int | None) -> int | None:
    return None if value is None else value // SECOND
