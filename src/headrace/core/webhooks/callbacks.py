"""Callbacks: the answer about a job, sent to the `callback_url` that it brought, and events about jobs that ended."""

from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import jobs, keys
from headrace.core.house import House
from headrace.core.jobs.states import SUCCEEDED
from headrace.core.principal import Principal
from headrace.core.schema.webhooks import secrets
from headrace.core.webhooks.emitting import Message, Receiver, enqueue, enqueue_event, subscribers
from headrace.core.webhooks.records import Delivery, fresh, require
from headrace.kit.keys import signing_secret
from headrace.kit.times import SECOND, show, shown

JOB_SUCCEEDED, JOB_FAILED = "job.succeeded", "job.failed"
# Receivers of many products refuse more; of a larger result an event names the job alone.
EVENT_BYTES = 20 << 10


def callback(
    house: House,
    connection: sa.Connection,
    *,
    organization_id: int,
    url: str,
    event: str,
    body: bytes,
    key_id: int | None = None,
) -> Delivery:
    """Put in one delivery of `body` to a URL without an endpoint; deliveries in flight count by the URL's origin.

    Signed with the `signing_secret` of the key `key_id`, else with the organization's.
    """
    sealed_secret(house, connection, organization_id)
    message = Message(fresh("evt", house.clock()), organization_id, event, body)
    (made,) = enqueue(house, connection, message, [Receiver(url, key_id=key_id)])
    return made


def job_ended(connection: sa.Connection, house: House, job: jobs.Job) -> None:
    """Tell, in the transaction that ends a job, its `callback_url` and the endpoints that subscribe to it."""
    good = job.state == SUCCEEDED
    event = JOB_SUCCEEDED if good else JOB_FAILED
    if job.callback_url is not None:
        body = msgspec.json.encode(answer(job))
        callback(
            house,
            connection,
            organization_id=job.organization_id,
            url=job.callback_url,
            event=event,
            body=body,
            key_id=job.key_id,
        )
    listening = subscribers(connection, job.organization_id, event)
    if not listening:
        return
    facts: dict[str, Any] = {
        "job_id": job.token,
        "name": job.name or job.kind,
        "state": job.state,
        "created_at": show(job.created_at),
        "finished_at": shown(job.finished_at),
        "error": None if good else _error(job),
        "result": job.result if good else None,
    }
    if len(msgspec.json.encode(facts)) > EVENT_BYTES:
        facts |= {"result": None, "result_omitted": True}
    enqueue_event(house, connection, listening, event=event, data=facts)


def answer(job: jobs.Job) -> dict[str, Any]:
    """The body of a callback: what a question about the job would be answered with."""
    good = job.state == SUCCEEDED
    return {
        "job_id": job.token,
        "status": SUCCEEDED if good else "failed",
        "created_at": job.created_at // SECOND,
        "result": job.result if good else None,
        "error": None if good else _error(job),
    }


def _error(job: jobs.Job) -> str:
    return "cancelled" if job.state == "cancelled" else job.error or "failed"


def organization_secret(house: House, who: Principal) -> str:
    """Return the secret that signs callbacks of jobs which no key made, making it at the first question."""
    require(who, "write")
    with house.db.write() as connection:
        return opened(house, sealed_secret(house, connection, who.organization_id), who.organization_id)


def callback_secret(house: House, connection: sa.Connection, *, organization_id: int, key_id: int | None) -> str:
    """The secret of the key that made the job, or the organization's; it has one since its first callback."""
    if key_id is not None:
        found = keys.signing_secret(house, connection, organization_id=organization_id, key_id=key_id)
        if found is not None:
            return found
    return opened(house, connection.execute(_secret_of(organization_id)).scalar_one(), organization_id)


def sealed_secret(house: House, connection: sa.Connection, organization_id: int) -> bytes:
    """The organization's secret as it is stored; made in this transaction when it has none."""
    sealed: bytes | None = connection.execute(_secret_of(organization_id)).scalar()
    if sealed is None:
        values = {
            "organization_id": organization_id,
            "secret": house.keyring.seal(signing_secret().encode(), _place(organization_id)),
            "created_at": house.clock(),
        }
        connection.execute(house.db.insert(secrets).values(values).on_conflict_do_nothing())
        sealed = connection.execute(_secret_of(organization_id)).scalar_one()
    return sealed


def opened(house: House, sealed: bytes, organization_id: int) -> str:
    return house.keyring.unseal(sealed, _place(organization_id)).decode()


def _secret_of(organization_id: int) -> sa.Select[Any]:
    return sa.select(secrets.c.secret).where(secrets.c.organization_id == organization_id)


def _place(organization_id: int) -> str:
    return f"webhook_secrets|secret|{organization_id}|{organization_id}"
