"""Billing: orders, subscriptions and invoices, at Stripe or by the operator's own hand (`local`, the default).

Whatever happens, happens by an event: `events.receive` takes Stripe's, `local` makes its own.
"""

from headrace.core.billing import prices
from headrace.core.billing.checkouts import order, place, start_payment, start_plan
from headrace.core.billing.customers import customer, require_biller
from headrace.core.billing.events import define, receive
from headrace.core.billing.invoices import list_invoices, mark_paid
from headrace.core.billing.records import (
    Checkout,
    Customer,
    Invoice,
    Started,
    Subscription,
    shown_invoice,
    shown_subscription,
)
from headrace.core.billing.subscriptions import cancel, list_subscriptions, renew, subscribe

__all__ = [
    "Checkout",
    "Customer",
    "Invoice",
    "Started",
    "Subscription",
    "cancel",
    "customer",
    "define",
    "list_invoices",
    "list_subscriptions",
    "mark_paid",
    "order",
    "place",
    "prices",
    "receive",
    "renew",
    "require_biller",
    "shown_invoice",
    "shown_subscription",
    "start_payment",
    "start_plan",
    "subscribe",
]
