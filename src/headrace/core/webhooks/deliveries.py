"""The log of deliveries: lists, one with its attempts, and the end of what is old."""

import json
from typing import Any

import sqlalchemy as sa

from headrace.core import rules
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import not_found
from headrace.core.schema.webhooks import attempts, deliveries, messages
from headrace.core.webhooks.emitting import delivery_of
from headrace.core.webhooks.records import KINDS, STATUSES, Attempt, Delivery, Detail, require
from headrace.kit.times import DAY, MILLISECOND

UNSEEN = "Webhook delivery not found"
MOST = 200
PURGED = 500


def list_all(
    house: House,
    who: Principal,
    *,
    endpoint_id: str | None = None,
    status: str | None = None,
    kind: str | None = None,
    event: str | None = None,
    since: int | None = None,
    until: int | None = None,
    limit: int = 50,
    before: str | None = None,
) -> list[Delivery]:
    """The organization's deliveries, newest first; `before` is the id of the last one seen; times in microseconds."""
    require(who, "read")
    query = sa.select(deliveries).where(deliveries.c.organization_id == who.organization_id)
    if status is not None:
        query = query.where(deliveries.c.status == rules.choice(status, "status", STATUSES))
    if kind is not None:
        query = query.where(deliveries.c.kind == rules.choice(kind, "kind", KINDS))
    for name, value in (("endpoint_id", endpoint_id), ("event", event)):
        if value is not None:
            query = query.where(deliveries.c[name] == rules.text(value, name))
    # Ids begin with the time they were made: they bound the range that is read.
    if since is not None:
        query = query.where(deliveries.c.id >= _first(since), deliveries.c.created_at >= since)
    if until is not None:
        query = query.where(deliveries.c.created_at < until)
    if before is not None:
        query = query.where(deliveries.c.id < rules.text(before, "before"))
    query = query.order_by(deliveries.c.id.desc()).limit(rules.integer(limit, "limit", 1, MOST))
    with house.db.read() as connection:
        return [delivery_of(row) for row in connection.execute(query)]


def get(house: House, who: Principal, *, delivery_id: str) -> Detail:
    """One delivery with what was sent and each attempt."""
    require(who, "read")
    with house.db.read() as connection:
        row = found(connection, who, delivery_id)
        body = connection.execute(sa.select(messages.c.body).where(messages.c.id == row.message_id)).scalar_one()
        tried = sa.select(attempts).where(attempts.c.delivery_id == delivery_id).order_by(attempts.c.id)
        rows = connection.execute(tried).all()
    return Detail(delivery=delivery_of(row), body=body.decode(), attempts=tuple(map(_attempt, rows)))


def found(connection: sa.Connection, who: Principal, delivery_id: str, *, lock: bool = False) -> sa.Row[Any]:
    """The delivery's row, of the caller's organization."""
    row = None
    if delivery_id.isascii() and delivery_id.isprintable():
        mine = deliveries.c.id == delivery_id, deliveries.c.organization_id == who.organization_id
        query = sa.select(deliveries).where(*mine)
        row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise not_found(UNSEEN)
    return row


def purge(house: House) -> int:
    """Delete what is older than the setting's days, in pieces; return how many deliveries."""
    over, gone = house.clock() - house.settings.webhook_days * DAY, 0
    while True:
        with house.db.write() as connection:
            old = sa.select(deliveries.c.id).where(deliveries.c.id < _first(over)).limit(PURGED)
            ids = connection.execute(old.order_by(deliveries.c.id)).scalars().all()
            if ids:
                connection.execute(sa.delete(attempts).where(attempts.c.delivery_id.in_(ids)))
                connection.execute(sa.delete(deliveries).where(deliveries.c.id.in_(ids)))
            else:
                used = sa.select(deliveries.c.id).where(deliveries.c.message_id == messages.c.id).exists()
                connection.execute(sa.delete(messages).where(messages.c.created_at < over, ~used))
        gone += len(ids)
        if not ids:
            return gone


def _first(at: int) -> str:
    """The least id that is made at that moment or later."""
    return f"msg_{max(0, at) // MILLISECOND:012x}"


def _attempt(row: sa.Row[Any]) -> Attempt:
    values = {name: getattr(row, name) for name in Attempt.__struct_fields__}
    return Attempt(**values | {"request_headers": json.loads(row.request_headers)})
