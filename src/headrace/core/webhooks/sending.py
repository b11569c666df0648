"""One attempt: sign, send, judge the answer, say when to try again. Nothing is read or written here."""

import asyncio
import random
from email.utils import parsedate_to_datetime

import msgspec

from headrace.core.house import House
from headrace.core.outward import Outward
from headrace.core.settings import SettingError
from headrace.core.webhooks import signing
from headrace.core.webhooks.events import TEST
from headrace.core.webhooks.parcels import Parcel
from headrace.kit.outbound import OutboundError, Reply
from headrace.kit.times import DAY, SECOND

RESPONSE_BYTES = 4 << 10
JITTER = 0.1
LONGEST_RETRY_AFTER = 86_400
ASKS_TO_WAIT = (429, 503)
GONE_STATUS = 410
SUCCESS = range(200, 300)


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt and what is to be made of it: `wait_us` until the next one, None when there is none.

    `slowed_until`: the endpoint gets less until then, which it asked for by this answer.
    """

    parcel: Parcel
    at: int
    duration_us: int
    status: int | None
    error: str | None
    headers: dict[str, str]
    response: str | None
    wait_us: int | None = None
    slowed_until: int | None = None


def schedule(listed: tuple[str, ...]) -> tuple[float, ...]:
    good = listed and all(one.isascii() and one.isdigit() and int(one) <= DAY // SECOND for one in listed)
    if not good:
        raise SettingError("HEADRACE_WEBHOOK_RETRY_SECONDS must be a list of whole seconds, each a day at most")
    return tuple(map(float, listed))


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
