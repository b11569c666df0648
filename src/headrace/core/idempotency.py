"""Idempotency keys: for a day, the same key and body by the same caller get the first answer again.

What happens in the metadata database alone runs in one transaction with its key and its answer (`once`). Around any
other effect the key is taken before and the answer kept after (`begin`, `finish` or `drop`); where a crash came between
the two nobody knows what happened, and the key is refused.
"""

import hashlib
import threading
from collections.abc import Callable

import msgspec
import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal, invalid
from headrace.core.schema import idempotency
from headrace.kit.times import DAY, SECOND

LONGEST = 255
# After that a request that never finished was cut off by a crash: repeating it may do its work twice.
STARTED_US = 60 * SECOND
# The first request is most likely done by then.
RETRY_SECONDS = 1
RUNNING = "A request with this Idempotency-Key is still running"
UNKNOWN = (
    "The first request with this Idempotency-Key broke off, and whether it took effect is unknown: look, and if it did "
    "not, send it under another key"
)
COLUMNS = [idempotency.c[name] for name in ("organization_id", "principal", "method", "route", "key")]


class Ticket(msgspec.Struct, frozen=True):
    """A request that runs under its key, which was first taken `at` (us); `is_again`: another process was cut off."""

    id: int
    at: int
    is_again: bool = False


class Replay(msgspec.Struct, frozen=True):
    """The first answer."""

    status: int
    body: bytes


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The request that names itself: who asks what of which place, under which key."""

    who: Principal
    method: str
    route: str
    key: str
    body: bytes


def once(house: House, asked: Asked, run: Callable[[], Replay]) -> tuple[Replay, bool]:
    """Run what writes to the metadata database alone, or return the first answer, and whether that is what it is.

    Effect and answer are committed together: whatever breaks off leaves neither, and the key is free.
    Refused: another body under the same key (invalid).
    """
    with house.db.whole() as connection:
        begun = _begun(house, connection, asked)
        if isinstance(begun, Replay):
            return begun, True
        answer = run()
        _keep(connection, begun, answer)
        return answer, False


class Life:
    """The tickets that this process holds, and since when it may hold some."""

    def __init__(self, house: House) -> None:
        self.began = house.clock()
        self.lock = threading.Lock()
        self.held: set[tuple[int, int]] = set()

    def hold(self, ticket: Ticket) -> bool:
        place = (ticket.id, ticket.at)  # A database may give the id of a row that is gone to another one.
        with self.lock:
            is_free = place not in self.held
            self.held.add(place)
            return is_free

    def release(self, ticket: Ticket) -> None:
        with self.lock:
            self.held.discard((ticket.id, ticket.at))


def begin(house: House, asked: Asked, *, traced: bool = False) -> Ticket | Replay:
    """Take the key for this request, or return the first answer to the same one.

    Refused: another body under the same key (invalid), the first request still running (conflict, with retry_after),
    or broken off (conflict). With `traced` the caller can tell what one that broke off has left: where this is the
    only process of the database, a request of an earlier one is given its ticket again.
    """
    life = house.part(Life)
    with house.db.write() as connection:
        begun = _begun(house, connection, asked, lone=traced and house.db.dialect == "sqlite")
    if isinstance(begun, Ticket) and not life.hold(begun):
        raise Refusal(Kind.CONFLICT, RUNNING, retry_after=RETRY_SECONDS)
    return begun


def _begun(house: House, connection: sa.Connection, asked: Asked, *, lone: bool = False) -> Ticket | Replay:
    key, who = asked.key, asked.who
    if not 1 <= len(key) <= LONGEST or not key.isascii() or not key.isprintable():
        raise invalid("Idempotency-Key", "must be 1-255 printable characters")
    now, digest = house.clock(), hashlib.sha256(asked.body).digest()
    place = {
        "organization_id": who.organization_id,
        "principal": f"{who.kind}:{who.key_id or who.account_id or 0}",
        "method": asked.method,
        "route": asked.route,
        "key": key,
    }
    values = place | {"request_sha256": digest, "is_done": 0, "created_at": now}
    same = sa.and_(*(column == place[column.name] for column in COLUMNS))
    connection.execute(sa.delete(idempotency).where(same, idempotency.c.created_at <= now - DAY))
    insert = house.db.insert(idempotency).values(values).on_conflict_do_nothing(index_elements=COLUMNS)
    made = connection.execute(insert.returning(idempotency.c.id)).scalar()
    if made is not None:
        return Ticket(made, now)
    first = connection.execute(sa.select(idempotency).where(same)).one()
    if first.request_sha256 != digest:
        raise invalid("Idempotency-Key", "reused", text="Idempotency-Key was already used with another body")
    if not first.is_done and lone and first.created_at < house.part(Life).began:
        return Ticket(first.id, first.created_at, is_again=True)
    if not first.is_done:
        if first.created_at <= now - STARTED_US:
            raise Refusal(Kind.CONFLICT, UNKNOWN)
        raise Refusal(Kind.CONFLICT, RUNNING, retry_after=RETRY_SECONDS)
    return Replay(first.status, first.body)


def finish(house: House, ticket: Ticket, answer: Replay) -> None:
    """Keep the answer."""
    with house.db.write() as connection:
        _keep(connection, ticket, answer)
    house.part(Life).release(ticket)


def _keep(connection: sa.Connection, ticket: Ticket, answer: Replay) -> None:
    values = {"is_done": 1, "status": answer.status, "body": answer.body}
    connection.execute(sa.update(idempotency).where(idempotency.c.id == ticket.id).values(values))


def drop(house: House, ticket: Ticket) -> None:
    """Free the key: the request came to nothing, and may be sent again."""
    with house.db.write() as connection:
        connection.execute(sa.delete(idempotency).where(idempotency.c.id == ticket.id, idempotency.c.is_done == 0))
    house.part(Life).release(ticket)


def purge(house: House) -> int:
    """Delete what is older than a day; return how many."""
    with house.db.write() as connection:
        old = sa.delete(idempotency).where(idempotency.c.created_at <= house.clock() - DAY)
        return connection.execute(old).rowcount
