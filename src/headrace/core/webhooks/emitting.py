"""Events become messages, and messages deliveries and jobs, inside the transaction of what happened."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

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
FIRST_ROUND = 1
# Prepared once: what is announced is asked for wherever anything happens, and mostly nobody listens.
MESSAGE, DELIVERIES = messages.insert(), deliveries.insert()
ACTIVE: sa.Select[Any] = (
    sa.select(endpoints.c.id, endpoints.c.organization_id, endpoints.c.url, endpoints.c.events)
    .where(endpoints.c.organization_id == sa.bindparam("of_organization"), endpoints.c.is_active == 1)
    .order_by(endpoints.c.id)
)


class Message(NamedTuple):
    """What is sent: the bytes that are signed, in every attempt and to every receiver the same."""

    id: str
    organization_id: int
    event: str
    body: bytes


class Receiver(NamedTuple):
    """An endpoint; or without its id the URL of a callback, and the key whose secret signs it."""

    url: str
    endpoint_id: str | None = None
    key_id: int | None = None


def emit(house: House, connection: sa.Connection, *, organization_id: int, event: str, data: Any) -> int:
    """Tell an organization's active endpoints of an event; return how many subscribe to it."""
    chosen = subscribers(connection, organization_id, event)
    return len(enqueue_event(house, connection, chosen, event=event, data=data))


def subscribers(connection: sa.Connection, organization_id: int, event: str) -> list[sa.Row[Any]]:
    """Return an organization's active endpoints that subscribe to an event."""
    rows = connection.execute(ACTIVE, {"of_organization": organization_id})
    return [row for row in rows if subscribed(tuple(json.loads(row.events)), event)]


def heard(connection: sa.Connection, house: House, organization_id: int, event: str, data: Any) -> None:
    """Listen to what is announced."""
    emit(house, connection, organization_id=organization_id, event=event, data=data)


def enqueue_event(
    house: House, connection: sa.Connection, listening: Sequence[sa.Row[Any]], *, event: str, data: Any
) -> list[Delivery]:
    """Serialise an event once and put in one delivery for each of these endpoints, all of one organization."""
    if not listening:
        return []
    moment = house.clock()
    event_id = fresh("evt", moment)
    body = msgspec.json.encode({"event": event, "timestamp": show(moment), "data": data, "id": event_id})
    message = Message(event_id, listening[0].organization_id, event, body)
    return enqueue(house, connection, message, [Receiver(row.url, row.id) for row in listening])


def enqueue(house: House, connection: sa.Connection, message: Message, receivers: Sequence[Receiver]) -> list[Delivery]:
    """Store a message, a delivery of it to each receiver, and their jobs."""
    now = house.clock()
    connection.execute(MESSAGE, message._asdict() | {"created_at": now})
    common: dict[str, Any] = {
        "organization_id": message.organization_id,
        "message_id": message.id,
        "event": message.event,
        "status": PENDING,
        "round": FIRST_ROUND,
        "attempts": 0,
        "created_at": now,
        "last_attempt_at": None,
        "next_attempt_at": now,
        "response_status": None,
        "error": None,
    }
    rows = [
        {"id": fresh("msg", now), "kind": CALLBACK if one.endpoint_id is None else WEBHOOK, **one._asdict(), **common}
        for one in receivers
    ]
    connection.execute(DELIVERIES, rows)
    made = [Delivery(**{name: row[name] for name in Delivery.__struct_fields__}) for row in rows]
    for one in made:
        enqueue_job(house, connection, message.organization_id, one, FIRST_ROUND)
    return made


def enqueue_job(house: House, connection: sa.Connection, organization_id: int, delivery: Delivery, number: int) -> None:
    """Put in the job of a delivery's round; those in flight are counted by endpoint, of callbacks by origin."""
    jobs.enqueue(
        house,
        connection,
        kind=DELIVER,
        organization_id=organization_id,
        payload={"delivery": delivery.id, "round": number},
        lane=delivery.endpoint_id or origin_of(delivery.url),
    )


def origin_of(url: str) -> str:
    """The URL's origin; a long one by its hash."""
    origin = str(URL(url).origin())
    return origin if len(origin) <= LONGEST_LANE else hashlib.sha256(origin.encode()).hexdigest()


def delivery_of(row: sa.Row[Any]) -> Delivery:
    return Delivery(**{name: getattr(row, name) for name in Delivery.__struct_fields__})
