"""What attempts came to: written into the log, into the deliveries, and into the records of their endpoints."""

from collections.abc import Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.rules import LARGEST
from headrace.core.schema.webhooks import attempts, deliveries
from headrace.core.webhooks.health import failed, succeeded, switch_off
from headrace.core.webhooks.records import DELIVERED, FAILED, GONE, PENDING
from headrace.core.webhooks.sending import GONE_STATUS, Sent

# A delivery that is being written about is not deleted meanwhile.
NUMBERS = (
    sa.select(deliveries.c.id, deliveries.c.attempts)
    .where(deliveries.c.id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(deliveries.c.id)
    .with_for_update(read=True, key_share=True)
)
ATTEMPT = attempts.insert()
# One that was sent again meanwhile is the next round's to judge; that it was tried stands in the log.
OUTCOME = sa.update(deliveries).where(
    deliveries.c.id == sa.bindparam("of"), deliveries.c.round == sa.bindparam("in_round")
)


def write(house: House, given: Sequence[Sent]) -> list[None]:
    """Write attempts in one durable transaction, which others that write at the same moment share."""
    # In one order everywhere: of two transactions that take the same rows one then waits for the other.
    ordered = sorted(given, key=lambda sent: (sent.parcel.endpoint_id or "", sent.parcel.id))
    house.db.submit(lambda connection: _write(house, connection, ordered))
    return [None] * len(given)


def _write(house: House, connection: sa.Connection, given: Sequence[Sent]) -> None:
    now = house.clock()
    # The endpoints first, as everywhere.
    _judge(house, connection, given, now)
    rows = connection.execute(NUMBERS, {"ids": [sent.parcel.id for sent in given]})
    numbers = {row.id: row.attempts for row in rows}
    there = [sent for sent in given if sent.parcel.id in numbers]
    if there:
        connection.execute(ATTEMPT, [_line(sent, numbers[sent.parcel.id] + 1, now) for sent in there])
        connection.execute(OUTCOME, [_outcome(sent, numbers[sent.parcel.id] + 1, now) for sent in there])


def _judge(house: House, connection: sa.Connection, given: Sequence[Sent], now: int) -> None:
    good = dict.fromkeys(one.parcel.endpoint_id for one in given if one.error is None)
    succeeded(connection, [one for one in good if one is not None], now)
    for sent in given:
        endpoint_id = sent.parcel.endpoint_id
        if endpoint_id is not None and sent.error is not None:
            failed(house, connection, endpoint_id, now, sent.slowed_until)
            if sent.status == GONE_STATUS:
                switch_off(house, connection, endpoint_id, reason=GONE)


def _line(sent: Sent, number: int, now: int) -> dict[str, Any]:
    return {
        "delivery_id": sent.parcel.id,
        "number": number,
        "at": sent.at,
        "duration_us": min(sent.duration_us, LARGEST),
        "response_status": sent.status,
        "error": sent.error,
        "request_headers": msgspec.json.encode(sent.headers).decode(),
        "response": sent.response,
        "next_attempt_at": _due(sent, now),
    }


def _outcome(sent: Sent, number: int, now: int) -> dict[str, Any]:
    due = _due(sent, now)
    return {
        "of": sent.parcel.id,
        "in_round": sent.parcel.round,
        "status": DELIVERED if sent.error is None else FAILED if due is None else PENDING,
        "attempts": number,
        "url": sent.parcel.url,
        "last_attempt_at": sent.at,
        "next_attempt_at": due,
        "response_status": sent.status,
        "error": sent.error,
    }


def _due(sent: Sent, now: int) -> int | None:
    return None if sent.wait_us is None else now + sent.wait_us
