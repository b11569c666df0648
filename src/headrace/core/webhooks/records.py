"""The records of webhooks, how rows become them, and who may see them."""

import json
import secrets
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import rules
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import not_found
from headrace.core.schema.webhooks import endpoints
from headrace.kit.times import MILLISECOND

RESOURCE = "webhooks"
# Status of a delivery. What is pending without a next attempt waits for its endpoint to be switched on.
PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"
STATUSES = (PENDING, DELIVERED, FAILED)
# Kinds: of an endpoint, or of the `callback_url` that a job brought.
WEBHOOK, CALLBACK = "webhook", "callback"
KINDS = (WEBHOOK, CALLBACK)
# Reasons for which an endpoint is off.
BY_HAND, GONE, FAILING = "by_hand", "gone", "failing"
UNSEEN = "Webhook endpoint not found"
# Each is a signature in every request; whoever rotates more often within a day does without the oldest.
MOST_PREVIOUS = 4


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where an organization wants its events. `headers` are names alone; times in microseconds.

    `failing_since` and `failures` speak of the attempts since the last one that succeeded. `disabled_reason` is
    `by_hand`, `gone` (the receiver answered 410) or `failing`. `previous_until`: until then the old secret signs too.
    `slowed_until`: the receiver said that it has too much; until then it gets less, and by and by as much as before.
    """

    id: str
    url: str
    events: tuple[str, ...]
    description: str | None
    headers: tuple[str, ...]
    is_active: bool
    disabled_reason: str | None
    disabled_at: int | None
    failing_since: int | None
    failures: int
    last_triggered_at: int | None
    slowed_until: int | None
    previous_until: int | None
    created_at: int
    updated_at: int


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint as it is made, or as its secret is rotated: `secret` is shown here and never again."""

    endpoint: Endpoint
    secret: str


class Previous(msgspec.Struct, frozen=True, array_like=True):
    """A secret that another took the place of, and until when it signs too."""

    secret: str
    until: int


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message to one receiver. `id` is the `webhook-id` that is sent, in every attempt the same.

    `kind` is webhook or callback, the latter without an endpoint; `status` pending, delivered or failed; `error` the
    class of the last failure: dns, connect, tls, timeout, ssrf_blocked, bad_url, protocol, http_3xx to http_5xx; of one
    that came to no answer `failed` (its worker was lost) or `cancelled`.
    """

    id: str
    kind: str
    endpoint_id: str | None
    event: str
    url: str
    status: str
    attempts: int
    created_at: int
    last_attempt_at: int | None
    next_attempt_at: int | None
    response_status: int | None
    error: str | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try. `response`: its first 4 KiB; `request_headers`: values of the endpoint's own as `***`."""

    number: int
    at: int
    duration_us: int
    response_status: int | None
    error: str | None
    request_headers: dict[str, str]
    response: str | None
    next_attempt_at: int | None


class Detail(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery with what was sent and how each attempt ended, the oldest first."""

    delivery: Delivery
    body: str
    attempts: tuple[Attempt, ...]


def require(who: Principal, action: str) -> None:
    """Webhooks carry what happens in the whole organization: they are its admins' business."""
    rules.require_admin(who, RESOURCE, action)


def fresh(prefix: str, now: int) -> str:
    """An id that grows with time: 48 bits of milliseconds, then 80 random ones, as in UUID version 7."""
    return f"{prefix}_{now // MILLISECOND:012x}{secrets.token_hex(10)}"


def place(column: str, organization_id: int, endpoint_id: str) -> str:
    """What a sealed column of an endpoint is bound to."""
    return f"webhook_endpoints|{column}|{organization_id}|{endpoint_id}"


def found(connection: sa.Connection, who: Principal, endpoint_id: str, *, lock: bool = False) -> sa.Row[Any]:
    """The endpoint's row, of the caller's organization."""
    query = sa.select(endpoints).where(
        endpoints.c.id == endpoint_id, endpoints.c.organization_id == who.organization_id
    )
    # An id is plain ASCII; what is not was never one, and a database need not be able to take it.
    row = None
    if endpoint_id.isascii() and endpoint_id.isprintable():
        row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise not_found(UNSEEN)
    return row


def endpoint_of(house: House, row: sa.Row[Any]) -> Endpoint:
    headers = opened_headers(house, row)
    now = house.clock()
    current = row.previous_until is not None and row.previous_until > now
    slowed = row.slowed_until is not None and row.slowed_until > now
    return Endpoint(
        id=row.id,
        url=row.url,
        events=tuple(json.loads(row.events)),
        description=row.description,
        headers=tuple(headers),
        is_active=bool(row.is_active),
        disabled_reason=row.disabled_reason,
        disabled_at=row.disabled_at,
        failing_since=row.failing_since,
        failures=row.failures,
        last_triggered_at=row.last_triggered_at,
        slowed_until=row.slowed_until if slowed else None,
        previous_until=row.previous_until if current else None,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def opened_headers(house: House, row: sa.Row[Any]) -> dict[str, str]:
    """An endpoint's own headers, with their values."""
    if row.headers is None:
        return {}
    plain = house.keyring.unseal(row.headers, place("headers", row.organization_id, row.id))
    opened: dict[str, str] = json.loads(plain)
    return opened


def opened_secrets(house: House, row: sa.Row[Any]) -> list[str]:
    """The secrets that sign now, the newest first: each one for a day after another took its place."""
    return [opened_secret(house, row), *(one.secret for one in previous_secrets(house, row))]


def opened_secret(house: House, row: sa.Row[Any]) -> str:
    return house.keyring.unseal(row.secret, place("secret", row.organization_id, row.id)).decode()


def previous_secrets(house: House, row: sa.Row[Any]) -> list[Previous]:
    """Return the secrets before the one of now that sign too, the newest first."""
    now = house.clock()
    if row.previous_secret is None or row.previous_until <= now:
        return []
    plain = house.keyring.unseal(row.previous_secret, place("secret", row.organization_id, row.id))
    try:
        found = msgspec.json.decode(plain, type=list[Previous])
    except msgspec.DecodeError:  # Of a rotation before there could be several.
        return [Previous(plain.decode(), row.previous_until)]
    return [one for one in found if one.until > now]


def sealed_previous(house: House, row: sa.Row[Any], until: int) -> bytes:
    """Seal the secret of now among those that go on signing, until that moment."""
    kept = [Previous(opened_secret(house, row), until), *previous_secrets(house, row)][:MOST_PREVIOUS]
    return house.keyring.seal(msgspec.json.encode(kept), place("secret", row.organization_id, row.id))
