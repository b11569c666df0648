"""What is to be sent: deliveries with their bodies, read together; their secrets and headers, opened one by one."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.schema.webhooks import deliveries, endpoints, messages
from headrace.core.webhooks import signing
from headrace.core.webhooks.callbacks import callback_secret
from headrace.core.webhooks.records import DELIVERED, PENDING, opened_headers, opened_secrets

# Prepared once: building them anew costs as much as running them.
WAITING = (
    sa.select(deliveries, messages.c.body)
    .join(messages, messages.c.id == deliveries.c.message_id)
    .where(deliveries.c.id.in_(sa.bindparam("ids", expanding=True)), deliveries.c.status != DELIVERED)
)
RECEIVERS = sa.select(endpoints).where(endpoints.c.id.in_(sa.bindparam("ids", expanding=True)))


class Question(NamedTuple):
    """A delivery, and the round whose job asks."""

    delivery_id: str
    round: int


class Found(NamedTuple):
    """The row of a delivery with the body of its message, and that of its endpoint, which a callback has none of."""

    row: sa.Row[Any]
    endpoint: sa.Row[Any] | None


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt needs, as it was just before."""

    id: str
    round: int
    endpoint_id: str | None
    event: str
    url: str
    body: bytes
    secrets: list[bytes]
    headers: dict[str, str]


def read(house: House, asked: Sequence[Question]) -> list[Found | None]:
    """Read what is to be sent; None for what is deleted, delivered, or another round's by now."""
    with house.db.read() as connection:
        rows = {row.id: row for row in connection.execute(WAITING, {"ids": [one.delivery_id for one in asked]})}
        wanted = sorted({row.endpoint_id for row in rows.values() if row.endpoint_id is not None})
        receivers = {row.id: row for row in connection.execute(RECEIVERS, {"ids": wanted})} if wanted else {}
    return [_found(rows.get(one.delivery_id), one.round, receivers) for one in asked]


def _found(row: sa.Row[Any] | None, number: int, receivers: Mapping[str, sa.Row[Any]]) -> Found | None:
    if row is None or row.round != number:
        return None
    if row.endpoint_id is None:
        return Found(row, None)
    # It may have been deleted between the two statements, and its deliveries with it.
    endpoint = receivers.get(row.endpoint_id)
    return None if endpoint is None else Found(row, endpoint)


def for_endpoint(house: House, row: sa.Row[Any], endpoint: sa.Row[Any]) -> Parcel:
    return _parcel(row, endpoint.url, opened_secrets(house, endpoint), opened_headers(house, endpoint))


def for_callback(house: House, row: sa.Row[Any]) -> Parcel:
    with house.db.read() as connection:
        secret = callback_secret(house, connection, organization_id=row.organization_id, key_id=row.key_id)
    return _parcel(row, row.url, [secret], {})


def _parcel(row: sa.Row[Any], url: str, secrets: list[str], headers: dict[str, str]) -> Parcel:
    return Parcel(
        id=row.id,
        round=row.round,
        endpoint_id=row.endpoint_id,
        event=row.event,
        url=url,
        body=row.body,
        secrets=[signing.key(secret) for secret in secrets],
        headers=headers,
    )


def keep(house: House, row: sa.Row[Any]) -> None:
    """Let a delivery wait for its endpoint; if that was switched on since, try again at once.

    The endpoint's row is locked, so that whoever switches it on sees this delivery among those that were kept.
    """
    house.db.submit(lambda connection: _keep(connection, row))


def _keep(connection: sa.Connection, row: sa.Row[Any]) -> None:
    active = sa.select(endpoints.c.is_active).where(endpoints.c.id == row.endpoint_id).with_for_update(read=True)
    if connection.execute(active).scalar():
        raise jobs.Retry("The endpoint was switched on just now", after_seconds=0.0)
    mine = deliveries.c.id == row.id, deliveries.c.round == row.round
    connection.execute(sa.update(deliveries).where(*mine).values(status=PENDING, next_attempt_at=None))
