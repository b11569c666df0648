"""The records of billing, how a row becomes one, and how webhooks show them. Amounts in minor units of the currency."""

from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core.schema.billing import subscriptions
from headrace.kit.times import show, shown

PLANS = ("free", "pro", "enterprise")
# Statuses are Stripe's words. With these the plan is had, with those nothing will change any more.
GOOD = frozenset({"active", "trialing", "past_due"})
OVER = frozenset({"canceled", "incomplete_expired"})


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """One order. `item` is a price id (mode `payment`) or a plan; `amount` None: the operator names it."""

    id: str
    organization_id: int
    provider: str
    mode: str
    item: str
    email: str | None
    reference: str | None
    amount: int | None
    currency: str
    success_url: str
    cancel_url: str
    status: str
    invoice_external_id: str | None
    created_at: int
    expires_at: int


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A checkout that a buyer can go on with at `url`."""

    session_id: str
    url: str


class Customer(msgspec.Struct, frozen=True, kw_only=True):
    """`answers` counts how often the provider has said what came of a subscription that was asked for."""

    id: int
    organization_id: int
    provider: str
    external_id: str
    answers: int
    created_at: int


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """`external_id` is None for the free plan."""

    id: int
    organization_id: int
    external_id: str | None
    plan: str
    status: str
    period_start: int | None
    period_end: int | None
    cancel_at_period_end: bool
    created_at: int


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    organization_id: int
    subscription_id: int | None
    external_id: str
    amount_due: int
    amount_paid: int
    currency: str
    status: str
    description: str | None
    invoice_pdf: str | None
    hosted_invoice_url: str | None
    period_start: int | None
    period_end: int | None
    created_at: int


def checkout_of(row: sa.Row[Any]) -> Checkout:
    return Checkout(**{name: getattr(row, name) for name in Checkout.__struct_fields__})


def customer_of(row: sa.Row[Any]) -> Customer:
    values = {name: getattr(row, name) for name in Customer.__struct_fields__}
    return Customer(**values | {"answers": row.answers or 0})


def subscription_of(row: sa.Row[Any]) -> Subscription:
    values = {name: getattr(row, name) for name in Subscription.__struct_fields__}
    return Subscription(**values | {"cancel_at_period_end": bool(row.cancel_at_period_end)})


def invoice_of(connection: sa.Connection, row: sa.Row[Any]) -> Invoice:
    """The invoice, with our own number of its subscription where that is known."""
    names = [name for name in Invoice.__struct_fields__ if name != "subscription_id"]
    number = None
    if row.subscription_external_id is not None:
        same = sa.and_(
            subscriptions.c.external_id == row.subscription_external_id,
            subscriptions.c.organization_id == row.organization_id,
        )
        number = connection.execute(sa.select(subscriptions.c.id).where(same)).scalar()
    return Invoice(subscription_id=number, **{name: getattr(row, name) for name in names})


def shown_subscription(one: Subscription) -> dict[str, Any]:
    return {
        "id": one.id,
        "organization_id": one.organization_id,
        "stripe_subscription_id": one.external_id,
        "plan": one.plan,
        "status": one.status,
        "current_period_start": shown(one.period_start),
        "current_period_end": shown(one.period_end),
        "cancel_at_period_end": one.cancel_at_period_end,
        "created_at": show(one.created_at),
    }


def shown_invoice(one: Invoice) -> dict[str, Any]:
    return {
        "id": one.id,
        "organization_id": one.organization_id,
        "subscription_id": one.subscription_id,
        "stripe_invoice_id": one.external_id,
        "amount_due": one.amount_due,
        "amount_paid": one.amount_paid,
        "currency": one.currency,
        "status": one.status,
        "invoice_pdf": one.invoice_pdf,
        "hosted_invoice_url": one.hosted_invoice_url,
        "period_start": shown(one.period_start),
        "period_end": shown(one.period_end),
        "created_at": show(one.created_at),
    }
