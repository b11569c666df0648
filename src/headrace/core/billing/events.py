"""Events of a payment provider: each is recorded in the transaction of its effect, so that it has one, once.

The local provider's events come this way too. What an event changes stands in `effects.py`.
"""

import json
import secrets as random
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from headrace.core.billing import effects
from headrace.core.billing.effects import Event
from headrace.core.billing.signature import verified
from headrace.core.house import House
from headrace.core.refusals import Kind, Refusal, not_found
from headrace.core.schema.billing import billing_events, billing_objects
from headrace.kit.times import SECOND

LONGEST_ID, LONGEST_TYPE = 255, 128
# Events of one second arrive in any order; a later step of an object's life is never undone by an earlier one.
STEPS = {"created": 0, "finalized": 1, "completed": 1, "updated": 2, "payment_failed": 2}
LATE_STEP, LAST_STEP = 3, 4


def receive(house: House, *, secrets: Sequence[str], body: bytes, signature: str) -> str:
    """Take an event that Stripe sent to one of the endpoints; return what came of it (`repeated`, `stale`, ...).

    Refused with the fact `code`: `invalid_signature`, `invalid_payload`. Without a secret nobody is here.
    """
    if not secrets:
        raise not_found("Not found")
    if not verified(signature, body, secrets, house.clock() // SECOND):
        raise Refusal(Kind.INVALID, "Invalid signature", code="invalid_signature")
    event = parsed(body)
    with house.db.write() as connection:
        return apply(house, connection, event)


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
    if connection.execute(insert.returning(billing_events.c.id)).scalar() is None:
        return "repeated"
    effect = effects.EFFECTS.get(event.type)
    if effect is None:
        return "ignored"
    organization_id = effects.organization_of(connection, event)
    if organization_id is None:
        outcome = "unknown"
    elif not _newest(house, connection, event):
        outcome = "stale"
    else:
        outcome = effect(house, connection, organization_id, event)
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
