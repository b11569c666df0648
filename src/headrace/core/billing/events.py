"""Events of a payment provider: each is recorded once, and its effect is noted in the transaction that makes it.

What Stripe sends is taken at once and has its effect as a job; the local provider's events have theirs where they are
made. What an event changes stands in `effects.py`.
"""

import json
import secrets as random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import jobs
from headrace.core.billing import effects
from headrace.core.billing.effects import Event
from headrace.core.billing.signature import verified
from headrace.core.house import House
from headrace.core.refusals import Kind, Refusal, not_found
from headrace.core.schema.billing import billing_events, billing_objects
from headrace.kit.times import SECOND

KIND = "billing.event"
TRIES = 12  # Over two and a half hours.
HOUSE = 0  # No organization has this number.
RECEIVED = "received"
LONGEST_ID, LONGEST_TYPE = 255, 128
# Events of one second arrive in any order; a later step of an object's life is never undone by an earlier one.
STEPS = {"created": 0, "finalized": 1, "completed": 1, "updated": 2, "payment_failed": 2}
LATE_STEP, LAST_STEP = 3, 4


def define(house: House) -> None:
    """Name the kind of job that gives events their effect, those of an organization one after the other."""
    jobs.define(
        house,
        jobs.Kind(
            name=KIND,
            run=run,
            timeout_seconds=60,
            tries=TRIES,
            backoff_seconds=5,
            backoff_cap_seconds=3600,
            per_lane=1,
        ),
    )


def run(context: jobs.Context) -> dict[str, str]:
    return {"outcome": settle(context.house, msgspec.convert(context.payload, Event))}


def receive(house: House, *, secrets: Sequence[str], body: bytes, signature: str) -> str:
    """Take an event that Stripe sent to one of the endpoints, and leave it to a job; return how it was taken.

    That is `received`, or what `apply` says of one that has no effect. One that is sent again, while its effect is
    still to come, gets another job: the first may have failed for good.
    Refused with the fact `code`: `invalid_signature`, `invalid_payload`. Without a secret nobody is here.
    """
    if not secrets:
        raise not_found("Not found")
    if not verified(signature, body, secrets, house.clock() // SECOND):
        raise Refusal(Kind.INVALID, "Invalid signature", code="invalid_signature")
    event = parsed(body)
    with house.db.write() as connection:
        taken = _take(house, connection, event, _leave)
        if taken == "repeated":
            outcome, organization_id = _known(connection, event)
            if outcome == RECEIVED:
                _leave(house, connection, organization_id, event)
        return taken


def settle(house: House, event: Event) -> str:
    """Give a received event its effect, once; return what came of it, now or before."""
    with house.db.write() as connection:
        outcome, organization_id = _known(connection, event)
        return outcome if outcome != RECEIVED else _effect(house, connection, organization_id, event)


def parsed(body: bytes) -> Event:
    """Read an event, or refuse it as `invalid_payload`."""
    wrong = Refusal(Kind.INVALID, "Invalid payload", code="invalid_payload")
    try:
        whole = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise wrong from None
    found = whole.get("data", {}) if isinstance(whole, dict) else {}
    about = found.get("object") if isinstance(found, dict) else None
    if not isinstance(about, dict):
        raise wrong
    known, kind, created = whole.get("id"), whole.get("type"), whole.get("created")
    ids = _named(known, LONGEST_ID) and _named(kind, LONGEST_TYPE) and _named(about.get("id"), LONGEST_ID)
    if (
        not ids
        or isinstance(created, bool)
        or not isinstance(created, int)
        or not 0 <= created <= effects.LATEST_SECONDS
    ):
        raise wrong
    return Event(id=known, type=kind, created_at=created * SECOND, object=about, source="stripe")


def apply(house: House, connection: sa.Connection, event: Event) -> str:
    """Record an event and do what it says; return `applied`, `ignored`, `repeated`, `stale` or `unknown`."""
    return _take(house, connection, event, _effect)


def _take(house: House, connection: sa.Connection, event: Event, then: effects.Effect) -> str:
    """Record an event, and go on with one that has an effect on an organization."""
    if not _record(house, connection, event):
        return "repeated"
    if event.type not in effects.EFFECTS:
        return "ignored"
    organization_id = effects.organization_of(connection, event)
    if organization_id is None:
        return _note(connection, event, None, "unknown")
    return then(house, connection, organization_id, event)


def _leave(house: House, connection: sa.Connection, organization_id: int, event: Event) -> str:
    """Leave an event to a job. It is the house's: what was paid is not the organization's to read, hold back or end."""
    left = msgspec.to_builtins(event)
    text = json.dumps(left, ensure_ascii=False).encode(errors="replace")  # Half a surrogate is no character.
    lane = str(organization_id)
    jobs.enqueue(house, connection, kind=KIND, organization_id=HOUSE, lane=lane, payload=left, encoded=text)
    return _note(connection, event, organization_id, RECEIVED)


def _known(connection: sa.Connection, event: Event) -> tuple[str, int]:
    """Return what came of a recorded event so far, and whose it is; its row is held until the commit."""
    table = billing_events
    query = sa.select(table.c.outcome, table.c.organization_id).where(table.c.external_id == event.id)
    outcome, organization_id = connection.execute(query.with_for_update()).one()
    return outcome, organization_id


def _record(house: House, connection: sa.Connection, event: Event) -> bool:
    """Note that an event came; tell whether it is the first time."""
    row = {
        "external_id": event.id,
        "source": event.source,
        "type": event.type,
        "organization_id": None,
        "outcome": "ignored",
        "created_at": event.created_at,
        "received_at": house.clock(),
    }
    insert = house.db.insert(billing_events).values(row).on_conflict_do_nothing(index_elements=["external_id"])
    return connection.execute(insert.returning(billing_events.c.id)).scalar() is not None


def _effect(house: House, connection: sa.Connection, organization_id: int, event: Event) -> str:
    newest = _newest(house, connection, event)
    outcome = effects.EFFECTS[event.type](house, connection, organization_id, event) if newest else "stale"
    return _note(connection, event, organization_id, outcome)


def _note(connection: sa.Connection, event: Event, organization_id: int | None, outcome: str) -> str:
    values = {"outcome": outcome, "organization_id": organization_id}
    connection.execute(sa.update(billing_events).where(billing_events.c.external_id == event.id).values(values))
    return outcome


def made(house: House, kind: str, about: Mapping[str, Any]) -> Event:
    """Build an event of the local provider, as of now."""
    event_id = f"evt_local_{random.token_hex(12)}"
    return Event(id=event_id, type=kind, created_at=house.clock(), object=dict(about), source="local")


def _named(value: object, most: int) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= most and value.isascii() and value.isprintable()


def _newest(house: House, connection: sa.Connection, event: Event) -> bool:
    """Tell whether nothing later happened to the object, and note that this did. The row is held until the commit."""
    objects = billing_objects
    word = event.type.rpartition(".")[2]
    step = LAST_STEP if word == "deleted" else STEPS.get(word, LATE_STEP)
    first = {"external_id": event.object["id"], "last_event_at": -1, "last_step": 0}
    connection.execute(house.db.insert(objects).values(first).on_conflict_do_nothing(index_elements=["external_id"]))
    same = objects.c.external_id == event.object["id"]
    last = connection.execute(sa.select(objects).where(same).with_for_update()).one()
    if (event.created_at, step) < (last.last_event_at, last.last_step):
        return False
    connection.execute(sa.update(objects).where(same).values(last_event_at=event.created_at, last_step=step))
    return True
