"""Events become messages, and messages deliveries and jobs, inside the transaction of what happened."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from yarl import URL

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.schema.webhooks import deliveries, endpoints, messages
from headrace.core.webhooks.events import subscribed
from headrace.core.webhooks.records import CALLBACK, PENDING, WEBHOOK, Delivery, fresh
from headrace.kit.times import show

DELIVER = "webhook.deliver"
LONGEST_LANE = 120

# Prepared once: it is asked wherever anything happens, and mostly nobody listens.
ACTIVE: sa.Select[Any] = (
    sa.select(endpoints.c.id, endpoints.c.organization_id, endpoints.c.url, endpoints.c.events)
    .where(endpoints.c.organization_id == sa.bindparam("of_organization"), endpoints.c.is_active == 1)
    .order_by(endpoints.c.id)
)


def emit(house: House, connection: sa.Connection, *, organization_id: int, event: str, data: Any) -> int:
    """Tell an organization's active endpoints of an event; return how many subscribe to it."""
    chosen = subscribers(connection, organization_id, event)
    return len(enqueue_message(house, connection, chosen, event=event, data=data))


def subscribers(connection: sa.Connection, organization_id: int, event: str) -> list[sa.Row[Any]]:
    """Return an organization's active endpoints that subscribe to an event."""
    rows = connection.execute(ACTIVE, {"of_organization": organization_id})
    return [row for row in rows if subscribed(tuple(json.loads(row.events)), event)]


def heard(connection: sa.Connection, house: House, organization_id: int, event: str, data: Any) -> None:
    """Listen to what is announced."""
    emit(house, connection, organization_id=organization_id, event=event, data=data)


def enqueue_message(
    house: House,
    connection: sa.Connection,
    receivers: Sequence[sa.Row[Any]],
    *,
    event: str,
    data: Any,
) -> list[Delivery]:
    """Serialise an event once and put in one delivery for each of these endpoints, all of one organization."""
    if not receivers:
        return []
    moment = house.clock()
    event_id = fresh("evt", moment)
    body = msgspec.json.encode({"event": event, "timestamp": show(moment), "data": data, "id": event_id})
    organization_id: int = receivers[0].organization_id
    store_message(house, connection, organization_id=organization_id, message_id=event_id, event=event, body=body)
    return [
        enqueue_delivery(
            house,
            connection,
            organization_id=organization_id,
            message_id=event_id,
            event=event,
            url=row.url,
            endpoint_id=row.id,
        )
        for row in receivers
    ]


def store_message(
    house: House, connection: sa.Connection, *, organization_id: int, message_id: str, event: str, body: bytes
) -> None:
    values = {"id": message_id, "organization_id": organization_id, "event": event, "body": body}
    connection.execute(messages.insert(), values | {"created_at": house.clock()})


def enqueue_delivery(
    house: House,
    connection: sa.Connection,
    *,
    organization_id: int,
    message_id: str,
    event: str,
    url: str,
    endpoint_id: str | None = None,
    key_id: int | None = None,
) -> Delivery:
    """Put in one delivery of a stored message, and its job; one without an endpoint is a callback."""
    now = house.clock()
    values = {
        "id": fresh("msg", now),
        "organization_id": organization_id,
        "kind": CALLBACK if endpoint_id is None else WEBHOOK,
        "endpoint_id": endpoint_id,
        "message_id": message_id,
        "event": event,
        "url": url,
        "key_id": key_id,
        "status": PENDING,
        "round": 1,
        "attempts": 0,
        "created_at": now,
        "next_attempt_at": now,
    }
    row = connection.execute(deliveries.insert().returning(deliveries), values).one()
    enqueue_job(house, connection, row)
    return delivery_of(row)


def enqueue_job(house: House, connection: sa.Connection, row: sa.Row[Any]) -> None:
    """Put in the job of a delivery's round; those in flight are counted by endpoint, of callbacks by origin."""
    jobs.enqueue(
        house,
        connection,
        kind=DELIVER,
        organization_id=row.organization_id,
        payload={"delivery": row.id, "round": row.round},
        lane=row.endpoint_id or origin_of(row.url),
    )


def origin_of(url: str) -> str:
    """The URL's origin; a long one by its hash."""
    origin = str(URL(url).origin())
    return origin if len(origin) <= LONGEST_LANE else hashlib.sha256(origin.encode()).hexdigest()


def delivery_of(row: sa.Row[Any]) -> Delivery:
    return Delivery(**{name: getattr(row, name) for name in Delivery.__struct_fields__})
