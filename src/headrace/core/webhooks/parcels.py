"""What is to be sent: deliveries with their bodies, secrets and headers, read together."""

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
from headrace.kit.keyring import BrokenSealError

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


class Found(NamedTuple):
    """A delivery's row and what is to be sent of it: nothing while its endpoint is off."""

    row: sa.Row[Any]
    parcel: Parcel | None = None
    slowed_until: int | None = None


def read(house: House, asked: Sequence[Question]) -> list[Found | BrokenSealError | None]:
    """Read what is to be sent; None for what is deleted, delivered, or another round's by now."""
    with house.db.read() as connection:
        rows = {row.id: row for row in connection.execute(WAITING, {"ids": [one.delivery_id for one in asked]})}
        wanted = sorted({row.endpoint_id for row in rows.values() if row.endpoint_id is not None})
        receivers = {row.id: row for row in connection.execute(RECEIVERS, {"ids": wanted})} if wanted else {}
        found: list[Found | BrokenSealError | None] = []
        for delivery_id, number in asked:
            row = rows.get(delivery_id)
            mine = row is not None and row.round == number
            found.append(_found(house, connection, row, receivers) if row is not None and mine else None)
    return found


def _found(
    house: House, connection: sa.Connection, row: sa.Row[Any], receivers: Mapping[str, sa.Row[Any]]
) -> Found | BrokenSealError | None:
    # A secret that cannot be opened is the trouble of its own delivery alone.
    try:
        if row.endpoint_id is None:
            secret = callback_secret(house, connection, organization_id=row.organization_id, key_id=row.key_id)
            return Found(row, _parcel(row, row.url, [secret], {}))
        endpoint = receivers.get(row.endpoint_id)
        if endpoint is None:
            # It was deleted between the two statements, and its deliveries with it.
            return None
        if not endpoint.is_active:
            return Found(row)
        parcel = _parcel(row, endpoint.url, opened_secrets(house, endpoint), opened_headers(house, endpoint))
        return Found(row, parcel, endpoint.slowed_until)
    except BrokenSealError as error:
        return error


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
