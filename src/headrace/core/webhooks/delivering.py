"""The job that sends one delivery: sign, send, judge the answer, write what came of it, say when to try again."""

import asyncio
import json
import random
import sys
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.jobs.states import SUCCEEDED
from headrace.core.outward import Outward
from headrace.core.schema.webhooks import attempts, deliveries, endpoints, messages
from headrace.core.settings import SettingError
from headrace.core.webhooks import signing
from headrace.core.webhooks.callbacks import callback_secret
from headrace.core.webhooks.emitting import DELIVER
from headrace.core.webhooks.events import TEST
from headrace.core.webhooks.health import failed, succeeded, switch_off
from headrace.core.webhooks.records import CALLBACK, DELIVERED, FAILED, GONE, PENDING, opened_headers, opened_secrets
from headrace.kit.outbound import OutboundError, Reply
from headrace.kit.times import DAY, SECOND

RESPONSE_BYTES = 4 << 10
JITTER = 0.1
LONGEST_RETRY_AFTER = 86_400
ASKS_TO_WAIT = (429, 503)
GONE_STATUS = 410
SUCCESS = range(200, 300)
# Longer than the client's own limit: what the job's limit ends would leave no line in the log.
TIMEOUT_SECONDS = 60.0
MOST_HANDED = 20_000


# Prepared once: building them anew costs as much as running them. What is set is what is given.
DELIVERY = (
    sa.select(deliveries, messages.c.body)
    .join(messages, messages.c.id == deliveries.c.message_id)
    .where(
        deliveries.c.id == sa.bindparam("of"),
        deliveries.c.round == sa.bindparam("in_round"),
        deliveries.c.status != DELIVERED,
    )
)
ENDPOINT = sa.select(endpoints).where(endpoints.c.id == sa.bindparam("of"))
NUMBER = sa.select(deliveries.c.attempts).where(deliveries.c.id == sa.bindparam("of"))
ATTEMPT = attempts.insert()
OUTCOME = sa.update(deliveries).where(
    deliveries.c.id == sa.bindparam("of"), deliveries.c.round == sa.bindparam("in_round")
)


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


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt and what is to be made of it: `wait_us` until the next one, None when there is none."""

    parcel: Parcel
    at: int
    duration_us: int
    status: int | None
    error: str | None
    headers: dict[str, str]
    response: str | None
    wait_us: int | None = None


class Handed(dict[str, Sent]):
    """Attempts that succeeded, by the fence of their job, until the transaction that ends the job writes them."""

    def __init__(self, house: House) -> None:
        super().__init__()
        del house

    def keep(self, fence: str, sent: Sent) -> None:
        # Of a job that another worker has by now nobody asks; such leftovers go, the oldest first.
        while len(self) >= MOST_HANDED:
            self.drop(next(iter(self), ""))
        self[fence] = sent

    def drop(self, fence: str) -> None:
        self.pop(fence, None)


def kind(house: House) -> jobs.Kind:
    """Describe the job to the engine; SettingError for waits that are none."""
    settings = house.settings
    waits = schedule(settings.webhook_retry_seconds)
    return jobs.Kind(
        name=DELIVER,
        run=deliver,
        isolation="async",
        timeout_seconds=TIMEOUT_SECONDS,
        tries=len(waits) + 1,
        schedule=waits,
        in_flight=settings.webhook_in_flight,
        per_lane=settings.webhook_in_flight_per_endpoint,
        retention_days=1,
        ended=ended,
    )


def schedule(listed: tuple[str, ...]) -> tuple[float, ...]:
    good = listed and all(one.isascii() and one.isdigit() and int(one) <= DAY // SECOND for one in listed)
    if not good:
        raise SettingError("HEADRACE_WEBHOOK_RETRY_SECONDS must be a list of whole seconds, each a day at most")
    return tuple(map(float, listed))


async def deliver(context: jobs.Context) -> str:
    """Make one attempt. What it came to stands in the log before the engine is told."""
    house, payload = context.house, context.payload
    parcel = await asyncio.to_thread(parcel_of, house, payload["delivery"], payload["round"])
    if parcel is None:
        return "nothing to send: deleted, sent again meanwhile, or kept until its endpoint is switched on"
    sent = await attempt(house, parcel, context.job.attempt, context.job.tries)
    if sent.error is None:
        house.part(Handed).keep(context.job.fence, sent)
        return f"HTTP {sent.status}"
    await asyncio.to_thread(house.db.submit, lambda connection: write(house, connection, sent))
    if sent.wait_us is None:
        raise jobs.NonRetryable(f"Not delivered: {sent.error}")
    raise jobs.Retry(f"Not delivered yet: {sent.error}", after_seconds=sent.wait_us / SECOND)


def ended(connection: sa.Connection, house: House, job: jobs.Job) -> None:
    """Write a success in the transaction that ends its job; say of a job that was lost or cancelled that it failed."""
    handed = house.part(Handed)
    sent = handed.get(job.fence)
    if sent is not None:
        # Also of a job that was cancelled meanwhile: the receiver has it.
        write(house, connection, sent)
        house.db.after_commit(lambda: handed.drop(job.fence))
    elif job.state != SUCCEEDED:
        mine = deliveries.c.id == job.payload["delivery"], deliveries.c.round == job.payload["round"]
        values = {"status": FAILED, "next_attempt_at": None, "error": sa.func.coalesce(deliveries.c.error, job.state)}
        connection.execute(sa.update(deliveries).where(*mine, deliveries.c.status == PENDING).values(values))


def parcel_of(house: House, delivery_id: str, number: int) -> Parcel | None:
    """Read what is to be sent; None when nothing is. For an endpoint that is off the delivery is kept."""
    with house.db.read() as connection:
        row = connection.execute(DELIVERY, {"of": delivery_id, "in_round": number}).one_or_none()
        if row is None:
            return None
        if row.kind == CALLBACK:
            secret = callback_secret(house, connection, organization_id=row.organization_id, key_id=row.key_id)
            return _parcel(row, row.url, [secret], {})
        endpoint = connection.execute(ENDPOINT, {"of": row.endpoint_id}).one()
    if endpoint.is_active:
        return _parcel(row, endpoint.url, opened_secrets(house, endpoint), opened_headers(house, endpoint))
    house.db.submit(lambda connection: _keep(connection, row))
    return None


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


def _keep(connection: sa.Connection, row: sa.Row[Any]) -> None:
    """Let a delivery wait for its endpoint; if that was switched on since, try again at once.

    The endpoint's row is locked, so that whoever switches it on sees this delivery among those that were kept.
    """
    active = sa.select(endpoints.c.is_active).where(endpoints.c.id == row.endpoint_id).with_for_update(read=True)
    if connection.execute(active).scalar():
        raise jobs.Retry("The endpoint was switched on just now", after_seconds=0.0)
    mine = deliveries.c.id == row.id, deliveries.c.round == row.round
    connection.execute(sa.update(deliveries).where(*mine).values(status=PENDING, next_attempt_at=None))


async def attempt(house: House, parcel: Parcel, number: int, tries: int) -> Sent:
    """Send once."""
    client, at = house.part(Outward).client, house.clock()
    stamp = at // SECOND
    signed = signing.headers(
        parcel.secrets, message_id=parcel.id, event=parcel.event, timestamp=stamp, attempt=number, body=parcel.body
    )
    shown = signed | {"User-Agent": client.user_agent} | dict.fromkeys(parcel.headers, "***")
    loop = asyncio.get_running_loop()
    started = loop.time()
    reply: Reply | None = None
    try:
        reply = await client.request(
            "POST",
            parcel.url,
            headers=parcel.headers | signed,
            body=parcel.body,
            limit_bytes=RESPONSE_BYTES,
            cut=True,
        )
        error = None if reply.status in SUCCESS else f"http_{reply.status // 100}xx"
    except OutboundError as problem:
        error = problem.reason
    again = error is not None and number < tries and parcel.event != TEST and not final(reply)
    return Sent(
        parcel=parcel,
        at=at,
        duration_us=round((loop.time() - started) * SECOND),
        status=None if reply is None else reply.status,
        error=error,
        headers=shown,
        # PostgreSQL stores no NUL.
        response=None if reply is None else reply.body.decode(errors="replace").replace("\0", "\ufffd"),
        wait_us=wait_us(house, number, reply) if again else None,
    )


def final(reply: Reply | None) -> bool:
    """Tell whether the receiver wants no further attempt."""
    return reply is not None and (
        reply.status == GONE_STATUS or reply.headers.get("webhook-delivery", "").strip().lower() == "abort-message"
    )


def wait_us(house: House, number: int, reply: Reply | None) -> int:
    """The wait after attempt `number`: of the list, +-10 %, or what the receiver asks for where that is longer."""
    listed = schedule(house.settings.webhook_retry_seconds)
    base = listed[min(number, len(listed)) - 1]
    seconds = base * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  Spreads load; guards nothing.
    if reply is not None and reply.status in ASKS_TO_WAIT:
        seconds = max(seconds, retry_after(reply.headers.get("retry-after", ""), house.clock()))
    return round(seconds * SECOND)


def retry_after(value: str, now: int) -> float:
    """Seconds of a `Retry-After`, as a number or as a date, a day at most; 0 for what is neither."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:12]), LONGEST_RETRY_AFTER))
    try:
        moment = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(0.0, moment - now / SECOND), LONGEST_RETRY_AFTER)


def write(house: House, connection: sa.Connection, sent: Sent) -> None:
    """Put an attempt into the log, the delivery where it is now, and judge the endpoint by it."""
    parcel, now = sent.parcel, house.clock()
    due = None if sent.wait_us is None else now + sent.wait_us
    number = connection.execute(NUMBER, {"of": parcel.id}).scalar()
    if number is None:
        return
    # The endpoint first, as everywhere: of two transactions that take the same rows one then waits for the other.
    if parcel.endpoint_id is not None and sent.error is None:
        succeeded(connection, parcel.endpoint_id, now)
    elif parcel.endpoint_id is not None:
        failed(house, connection, parcel.endpoint_id, now)
        if sent.status == GONE_STATUS:
            switch_off(house, connection, parcel.endpoint_id, reason=GONE)
    connection.execute(
        ATTEMPT,
        {
            "delivery_id": parcel.id,
            "number": number + 1,
            "at": sent.at,
            "duration_us": min(sent.duration_us, sys.maxsize),
            "response_status": sent.status,
            "error": sent.error,
            "request_headers": json.dumps(sent.headers),
            "response": sent.response,
            "next_attempt_at": due,
        },
    )
    values = {
        "status": DELIVERED if sent.error is None else FAILED if due is None else PENDING,
        "attempts": number + 1,
        "url": parcel.url,
        "last_attempt_at": sent.at,
        "next_attempt_at": due,
        "response_status": sent.status,
        "error": sent.error,
    }
    # One that was sent again meanwhile is the next round's to judge; that it was tried stands in the log.
    connection.execute(OUTCOME, {"of": parcel.id, "in_round": parcel.round, **values})
