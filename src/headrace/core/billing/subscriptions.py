"""Subscriptions of an organization to a plan. What changes one is an event; here they are asked for and listed."""

from typing import Any

import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.billing import effects, events, local, prices, remote
from headrace.core.billing.customers import answered, customer, require_biller
from headrace.core.billing.records import GOOD, OVER, PLANS, Customer, Subscription, subscription_of
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal, conflict, not_found
from headrace.core.schema.billing import subscriptions
from headrace.kit.times import DAY

MOST = 100
LONGEST_METHOD = 255
TAKEN = "Organization already has an active subscription"
# So long a renewal may stay unpaid before the plan is gone.
GRACE_US = 14 * DAY


def subscribe(house: House, who: Principal, *, plan: Any, payment_method_id: Any = None) -> Subscription:
    """Subscribe the organization. A paid plan needs a payment method and waits, as `incomplete`, for its payment."""
    require_biller(who, "write")
    chosen = rules.choice(plan, "plan", PLANS)
    if chosen == PLANS[0]:
        return _free(house, who)
    method = rules.text(payment_method_id, "payment_method_id", least=1, most=LONGEST_METHOD)
    with house.db.read() as connection:
        _check_none(connection, who, paid_alone=True)
    known = customer(house, who)
    if house.settings.billing == "local":
        return _ordered(house, who, chosen)
    price_id = prices.of_plan(house.settings, chosen)
    try:
        about = remote.subscribe(house, known, plan=chosen, price_id=price_id, method=method)
    except Refusal as refusal:
        if refusal.kind is Kind.INVALID:
            # A card that was declined may be good tomorrow; what is merely not known is asked for under the same key.
            with house.db.write() as connection:
                answered(connection, known)
        raise
    return _told(house, who, "created", about, known)


def cancel(house: House, who: Principal, *, subscription_id: int) -> Subscription:
    """Have a subscription end: what is paid for with its period, anything else at once."""
    require_biller(who, "write")
    same = sa.and_(subscriptions.c.id == subscription_id, subscriptions.c.organization_id == who.organization_id)
    with house.db.read() as connection:
        row = connection.execute(sa.select(subscriptions).where(same)).one_or_none()
    if row is None:
        raise not_found("Subscription not found")
    one = subscription_of(row)
    if one.status in OVER:
        raise conflict("This subscription is over")
    if one.external_id is not None and not one.external_id.startswith("sub_local_"):
        return _told(house, who, "updated", remote.cancel(house, one.external_id))
    with house.db.write() as connection:
        if one.external_id is None:
            ended = {"status": "canceled", "updated_at": house.clock()}
            connection.execute(sa.update(subscriptions).where(same).values(ended))
            effects.settle(house, connection, who.organization_id)
        else:
            for event in local.cancelled(house, connection, one):
                events.apply(house, connection, event)
        audit.record(connection, house, who, "billing:subscription:cancelled", target=f"subscription:{one.id}")
        return subscription_of(connection.execute(sa.select(subscriptions).where(same)).one())


def list_subscriptions(
    house: House, who: Principal, *, limit: int = MOST, offset: int = 0
) -> tuple[list[Subscription], int]:
    """Return a page of the organization's subscriptions, the newest first, and how many there are."""
    require_biller(who, "read")
    mine = subscriptions.c.organization_id == who.organization_id
    page = sa.select(subscriptions).where(mine).order_by(subscriptions.c.id.desc()).limit(limit).offset(offset)
    with house.db.read() as connection:
        count = connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one()
        return [subscription_of(row) for row in connection.execute(page)], count


def renew(house: House) -> int:
    """End or renew the local subscriptions whose period is over; return how many. Stripe sees to its own."""
    over = sa.and_(
        subscriptions.c.external_id.like("sub\\_local\\_%", escape="\\"),
        subscriptions.c.status.in_(GOOD),
        subscriptions.c.period_end <= house.clock(),
    )
    with house.db.read() as connection:
        found = connection.execute(sa.select(subscriptions.c.id).where(over)).scalars().all()
    for number in found:
        with house.db.write() as connection:
            query = sa.select(subscriptions).where(subscriptions.c.id == number, over).with_for_update()
            row = connection.execute(query).one_or_none()
            for event in _next(house, connection, row) if row is not None else ():
                events.apply(house, connection, event)
    return len(found)


def _next(house: House, connection: sa.Connection, row: sa.Row[Any]) -> list[effects.Event]:
    one = subscription_of(row)
    assert one.external_id is not None  # noqa: S101  Only such were asked for.
    about = local.subscription(house, one.organization_id, one.plan, one.external_id, "past_due")
    about |= {
        "current_period_start": local.seconds(one.period_start),
        "current_period_end": local.seconds(one.period_end),
    }
    lapsed = one.status == "past_due" and (one.period_end or 0) + GRACE_US <= house.clock()
    if one.cancel_at_period_end or lapsed:
        return local.ended(house, connection, about)
    if one.status == "past_due":
        return []
    price = prices.local(house.settings, one.plan) or prices.Price(None, house.settings.currency)
    bill = local.invoice(house, one.organization_id, price, subject=one.plan, subscription_id=one.external_id)
    return [
        events.made(house, "customer.subscription.updated", about),
        events.made(house, "invoice.finalized", bill),
    ]


def _check_none(connection: sa.Connection, who: Principal, *, paid_alone: bool) -> None:
    mine = sa.and_(subscriptions.c.organization_id == who.organization_id, subscriptions.c.status.not_in(OVER))
    if paid_alone:
        # The free plan gives way to one that is paid for.
        mine = sa.and_(mine, subscriptions.c.external_id.is_not(None))
    if connection.execute(sa.select(subscriptions.c.id).where(mine).limit(1)).scalar() is not None:
        raise conflict(TAKEN)


def _free(house: House, who: Principal) -> Subscription:
    now = house.clock()
    with house.db.write() as connection:
        _check_none(connection, who, paid_alone=False)
        values = {
            "organization_id": who.organization_id,
            "plan": PLANS[0],
            "status": "active",
            "cancel_at_period_end": 0,
            "created_at": now,
            "updated_at": now,
        }
        row = connection.execute(subscriptions.insert().values(values).returning(subscriptions)).one()
        audit.record(connection, house, who, "billing:subscription:created", target=f"subscription:{row.id}")
        return subscription_of(row)


def _ordered(house: House, who: Principal, plan: str) -> Subscription:
    price = prices.local(house.settings, plan)
    if price is None:
        raise prices.unpriced(plan)
    with house.db.write() as connection:
        _check_none(connection, who, paid_alone=True)
        external_id, told = local.subscribed(house, who.organization_id, plan, price)
        for event in told:
            events.apply(house, connection, event)
        return _made(house, connection, who, external_id)


def _told(house: House, who: Principal, word: str, about: Any, buyer: Customer | None = None) -> Subscription:
    """Write down what Stripe answered. Its own event says the same again, and that is what webhooks are told."""
    event = events.made(house, f"customer.subscription.{word}", about)
    with house.db.write() as connection:
        if buyer is not None:
            answered(connection, buyer)
        effects.written(house, connection, who.organization_id, event)
        return _made(house, connection, who, str(about["id"]))


def _made(house: House, connection: sa.Connection, who: Principal, external_id: str) -> Subscription:
    same = sa.and_(subscriptions.c.external_id == external_id, subscriptions.c.organization_id == who.organization_id)
    row = connection.execute(sa.select(subscriptions).where(same)).one()
    audit.record(connection, house, who, "billing:subscription:changed", target=f"subscription:{row.id}")
    return subscription_of(row)
