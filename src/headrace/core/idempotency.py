"""Idempotency keys: for a day, the same key and body by the same caller get the first answer again.

Whether an answer is worth keeping (2xx and business 4xx) the door decides: it calls `finish`, or `drop`.
"""

import hashlib
import json
from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal, invalid
from headrace.core.schema import idempotency
from headrace.kit.times import DAY, SECOND

LONGEST = 255
# After that a request that never finished was cut off by a crash, and its key may be taken over.
STARTED_US = 60 * SECOND
# The first request is most likely done by then; only one whose process died holds the key for longer.
RETRY_SECONDS = 1
COLUMNS = [idempotency.c[name] for name in ("organization_id", "principal", "method", "route", "key")]


class Ticket(msgspec.Struct, frozen=True):
    """A request that runs under its key."""

    id: int
    started_at: int


class Replay(msgspec.Struct, frozen=True):
    """The first answer."""

    status: int
    headers: dict[str, str]
    body: bytes


def begin(house: House, who: Principal, *, method: str, route: str, key: str, body: bytes) -> Ticket | Replay:
    """Take the key for this request, or return the first answer to the same one.

    Refused: another body under the same key (invalid), the first request still running (conflict, with retry_after).
    """
    if not 1 <= len(key) <= LONGEST or not key.isascii() or not key.isprintable():
        raise invalid("Idempotency-Key", "must be 1-255 printable characters")
    now, digest = house.clock(), hashlib.sha256(body).digest()
    place = {
        "organization_id": who.organization_id,
        "principal": f"{who.kind}:{who.key_id or who.account_id or 0}",
        "method": method,
        "route": route,
        "key": key,
    }
    values = place | {"request_sha256": digest, "is_done": 0, "created_at": now}
    same = sa.and_(*(column == place[column.name] for column in COLUMNS))
    with house.db.write() as connection:
        over = sa.or_(
            idempotency.c.created_at <= now - DAY,
            sa.and_(idempotency.c.is_done == 0, idempotency.c.created_at <= now - STARTED_US),
        )
        connection.execute(sa.delete(idempotency).where(same, over))
        insert = house.db.insert(idempotency).values(values).on_conflict_do_nothing(index_elements=COLUMNS)
        made = connection.execute(insert.returning(idempotency.c.id)).scalar()
        if made is not None:
            return Ticket(made, now)
        first = connection.execute(sa.select(idempotency).where(same)).one()
    if first.request_sha256 != digest:
        raise invalid("Idempotency-Key", "reused", text="Idempotency-Key was already used with another body")
    if not first.is_done:
        raise Refusal(Kind.CONFLICT, "A request with this Idempotency-Key is still running", retry_after=RETRY_SECONDS)
    return Replay(first.status, json.loads(first.headers), first.body)


def finish(house: House, ticket: Ticket, *, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Keep the answer."""
    values = {"is_done": 1, "status": status, "headers": json.dumps(dict(headers)), "body": body}
    with house.db.write() as connection:
        connection.execute(sa.update(idempotency).where(_of(ticket)).values(values))


def drop(house: House, ticket: Ticket) -> None:
    """Free the key: the request came to nothing, and may be sent again."""
    with house.db.write() as connection:
        connection.execute(sa.delete(idempotency).where(_of(ticket), idempotency.c.is_done == 0))


def purge(house: House) -> int:
    """Delete what is older than a day; return how many."""
    with house.db.write() as connection:
        old = sa.delete(idempotency).where(idempotency.c.created_at <= house.clock() - DAY)
        return connection.execute(old).rowcount


def _of(ticket: Ticket) -> sa.ColumnElement[bool]:
    # The time too: a key that was taken over after a minute is another request's.
    return sa.and_(idempotency.c.id == ticket.id, idempotency.c.created_at == ticket.started_at)
