"""Live tail as server-sent events: each new log of a project that matches, as it is acknowledged. Rules are core's."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, NamedTuple

import msgspec
from litestar import get
from litestar.di import Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter

from headrace.core import keys
from headrace.core.events import tail
from headrace.core.refusals import Refusal
from headrace.doors.ledger import auth, shapes
from headrace.doors.ledger.filters import ProjectId, tail_filters
from headrace.doors.ledger.logs import READ, TAGS, WHO, Narrowed, log
from headrace.eventstore.queries import EventRow
from headrace.kit.database import UnreachableError
from headrace.wire.call import Call, Stream
from headrace.wire.door import Incoming, terms

RETRY = b"retry: 1000\n"
BEAT = b": still here\n\n"
HEADERS = ((b"x-accel-buffering", b"no"),)  # A proxy that collects answers would keep the news.
ENCODE = msgspec.json.Encoder().encode

After = Annotated[str | None, QueryParameter(description="Id of the last log seen: first what was received since.")]
LastEventId = Annotated[
    str | None, HeaderParameter(name="Last-Event-ID", description="Like `after`, and before it; browsers send it.")
]
ANSWER = ResponseSpec(
    shapes.LogEntry,
    generate_examples=False,
    media_type="text/event-stream",
    description=(
        'Events `log` (data: a log as in GET /api/v1/logs, id: the log\'s), `dropped` (data: {"dropped": n}, how many '
        'logs a slow reader missed at that place) and `end` (data: {"reason": ...}), until either side ends it.'
    ),
)


class Pace(NamedTuple):
    """Seconds: the longest silence, and how long somebody whose key was revoked or session ended may read on."""

    beat: float = 15.0
    check: float = 5.0


PACE = Pace()


@get(
    "/api/v1/logs/tail",
    dependencies={"narrowed": Provide(tail_filters, sync_to_thread=False)},
    opt=terms(WHO, READ, errors=(403, 404)),
    tags=TAGS,
    responses={200: ANSWER},
    sync_to_thread=True,
)
def follow(
    call: Incoming,
    *,
    project_id: ProjectId,
    narrowed: Narrowed,
    after: After = None,
    last_event_id: LastEventId = None,
) -> None:
    """Stream new logs as server-sent events."""
    wish = tail.wanted(
        call.house, call.who, project_id=project_id, filters=narrowed, encode=shown, after=last_event_id or after
    )
    call.stream = Stream(partial(opened, call, wish, project_id), b"text/event-stream; charset=utf-8", HEADERS)


@contextmanager
def opened(call: Call, wish: tail.Wanted, project_id: int, pace: Pace = PACE) -> Iterator[AsyncIterator[bytes]]:
    with tail.subscribed(call.house, wish) as subscription:
        yield pieces(call, wish, subscription, partial(recheck, call, project_id), pace)


async def pieces(
    call: Call, wish: tail.Wanted, subscription: tail.Subscription, check: Callable[[], None], pace: Pace
) -> AsyncIterator[bytes]:
    """Give what was missed, then what comes, with a sign of life between, until `check` refuses or the server stops."""
    hub = call.house.part(tail.Hub)
    # A block without data sets the id to go on from, should the connection break before the first log.
    yield RETRY + (b"\n" if wish.after else f"id: {tail.place(subscription)}\n\n".encode())
    reason: str | None = None
    checked = beaten = time.monotonic()
    try:
        for lines in map(lined, await tail.missed(call.house, wish, subscription)):
            yield lines
        while subscription.ended is None:
            now = time.monotonic()
            if now >= checked + pace.check:
                await asyncio.to_thread(check)
                checked = now
            patience = min(checked + pace.check, beaten + pace.beat) - now
            if taken := b"".join(map(lined, await subscription.take(max(patience, 0.0)))):
                yield taken
                beaten = time.monotonic()
                await asyncio.sleep(hub.pause(len(taken)))
            elif time.monotonic() >= beaten + pace.beat:
                yield BEAT
                beaten = time.monotonic()
        reason = subscription.ended
    except Refusal as refusal:
        reason = refusal.text
    except UnreachableError:
        reason = "the database does not answer"
    yield event(b"end", {"reason": reason})


def recheck(call: Call, project_id: int) -> None:
    """Refuse when the credential has ended since, or lost the project."""
    who = auth.credential(call)
    if call.route is not None:
        auth.reach(who, call.route.terms)
    keys.resolved_project(call.house, who, project_id)


def shown(row: EventRow) -> bytes:
    entry = log(row)
    return b"id: %s\nevent: log\ndata: %s\n\n" % (entry.id.encode(), ENCODE(entry))


def lined(piece: tail.Piece) -> bytes:
    return piece if isinstance(piece, bytes) else event(b"dropped", {"dropped": piece})


def event(name: bytes, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name, ENCODE(data))


ROUTES = (follow,)
