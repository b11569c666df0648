"""Jobs come in: inside the caller's transaction, or by themselves in one that many callers share."""

import os
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.jobs.bell import Bell
from headrace.core.jobs.record import NORMAL, PAYLOAD_BYTES, PRIORITIES, Job, Kinds
from headrace.core.jobs.statements import INSERT, SAME, UNIQUE, job_of, run
from headrace.core.jobs.states import READY, SCHEDULED
from headrace.core.refusals import invalid
from headrace.kit.times import MILLISECOND, SECOND

# A point of priority is worth this much waiting: HIGH overtakes what LOW enqueued up to 30 minutes before, and nothing
# waits for ever.
POINT_US = 30 * SECOND
LONGEST = {"name": 128, "view": 16, "lane": 128, "callback_url": 2048, "unique": 255}


def enqueue(
    house: House,
    connection: sa.Connection,
    *,
    kind: str,
    organization_id: int,
    payload: Any,
    name: str | None = None,
    priority: int = NORMAL,
    tries: int | None = None,
    run_at: int | None = None,
    lane: str | None = None,
    account_id: int | None = None,
    key_id: int | None = None,
    view: str | None = None,
    callback_url: str | None = None,
    unique: str | None = None,
    encoded: bytes | None = None,
) -> Job:
    """Put one job into the caller's transaction. With `unique`: the job that has it already, if there is one.

    `lane` is what fairness and `per_lane` count by, inside the organization; `tries` are the kind's unless given;
    `encoded` is the payload as JSON where the caller has it.
    LookupError for an unknown kind.
    """
    text = _text(msgspec.json.encode(payload) if encoded is None else encoded)
    _bounded(name=name, view=view, lane=lane, callback_url=callback_url, unique=unique)
    if not 0 <= priority <= PRIORITIES:
        raise invalid("priority", f"must be 0-{PRIORITIES}")
    now, known = house.clock(), house.part(Kinds)[kind]
    due = now if run_at is None else run_at
    values = {
        "token": token_at(now) + os.urandom(10).hex(),
        "organization_id": organization_id,
        "kind": kind,
        "name": name,
        "view": view,
        "lane": lane_of(organization_id, lane),
        "state": READY if due <= now else SCHEDULED,
        "priority": priority,
        "payload": text,
        "tries": known.tries if tries is None else tries,
        "run_at": due,
        "callback_url": callback_url,
        "account_id": account_id,
        "key_id": key_id,
        "created_at": now,
        "ord": order(due, priority),
        "unique_key": unique,
    }
    job_id = _inserted(connection, values)
    if job_id is None:
        return job_of(run(connection, SAME, **values).fetchone())
    bell, here = house.part(Bell), known.run is not None
    house.db.after_commit(lambda: bell.ring(None if due <= now else due, here=here))
    return _made(job_id, values, payload)


def submit(house: House, **values: Any) -> Job:
    """Put one job into a durable transaction that callers who come at once share. Takes what `enqueue` takes."""
    return house.db.submit(lambda connection: enqueue(house, connection, **values), single=True)


def order(run_at: int, priority: int) -> int:
    return run_at - priority * POINT_US


def lane_of(organization_id: int, lane: str | None) -> str:
    return str(organization_id) if lane is None else f"{organization_id}/{lane}"


def _inserted(connection: sa.Connection, values: dict[str, Any]) -> int | None:
    statement = INSERT if values["unique_key"] is None else INSERT + UNIQUE
    row = run(connection, statement + " RETURNING id", **values).fetchone()
    return None if row is None else int(row[0])


def _made(job_id: int, values: dict[str, Any], payload: Any) -> Job:
    return Job(
        id=job_id,
        token=values["token"],
        organization_id=values["organization_id"],
        kind=values["kind"],
        name=values["name"],
        view=values["view"],
        lane=values["lane"],
        state=values["state"],
        priority=values["priority"],
        payload=payload,
        attempt=0,
        tries=values["tries"],
        run_at=values["run_at"],
        callback_url=values["callback_url"],
        account_id=values["account_id"],
        key_id=values["key_id"],
        created_at=values["created_at"],
    )


def token_at(time: int) -> str:
    """Return how the tokens of a time begin: their index grows at its end, and tells what came when."""
    return f"{max(0, time // MILLISECOND):012x}"


def _text(encoded: bytes) -> str:
    if len(encoded) > PAYLOAD_BYTES:
        raise invalid("payload", f"must be at most {PAYLOAD_BYTES} bytes as JSON")
    return encoded.decode()


def _bounded(**values: str | None) -> None:
    for field, value in values.items():
        if value is not None and (len(value) > LONGEST[field] or "\0" in value):
            raise invalid(field, f"must be at most {LONGEST[field]} characters, without null characters")
