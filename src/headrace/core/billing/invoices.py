"""Invoices of an organization: listed; and those of the local provider marked as paid, by the operator alone."""

from typing import Any

import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.billing import events, local
from headrace.core.billing.customers import require_biller
from headrace.core.billing.records import Invoice, invoice_of
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import conflict, forbidden, invalid, not_found
from headrace.core.schema.billing import invoices

MOST = 100
MOST_AMOUNT = 10**12


def list_invoices(house: House, who: Principal, *, limit: int = MOST, offset: int = 0) -> tuple[list[Invoice], int]:
    """Return a page of the organization's invoices, the newest first, and how many there are."""
    require_biller(who, "read")
    mine = invoices.c.organization_id == who.organization_id
    with house.db.read() as connection:
        count = connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one()
        page = sa.select(invoices).where(mine).order_by(invoices.c.id.desc()).limit(limit).offset(offset)
        return [invoice_of(connection, row) for row in connection.execute(page)], count


def mark_paid(house: House, who: Principal, *, invoice: str, amount: Any = None) -> Invoice:
    """Say that a local invoice was paid; `amount`, in minor units, where the order had no price.

    That goes the way of a Stripe event: the invoice is paid, its subscription active, the order's person has paid.
    """
    if who.kind != "operator":
        raise forbidden("Insufficient permissions")
    same = sa.and_(invoices.c.external_id == invoice, invoices.c.organization_id == who.organization_id)
    with house.db.write() as connection:
        row = connection.execute(sa.select(invoices).where(same).with_for_update()).one_or_none()
        if row is None:
            raise not_found(f"there is no invoice {invoice} in this organization")
        if not row.external_id.startswith("in_local_"):
            raise conflict(f"{invoice} is Stripe's, and Stripe says when it is paid")
        if row.status != "open":
            raise conflict(f"{invoice} is {row.status} already")
        if amount is not None:
            rules.integer(amount, "amount", 0, MOST_AMOUNT)
        elif row.amount_due == 0:
            raise invalid("amount", "missing", text=f"{invoice} has no amount; say how much was paid")
        for event in local.settled(house, connection, row, row.amount_due if amount is None else amount):
            events.apply(house, connection, event)
        audit.record(connection, house, who, "billing:invoice:paid", target=f"invoice:{row.id}")
        return invoice_of(connection, connection.execute(sa.select(invoices).where(same)).one())
