"""Live tail as server-sent events: each new log of a project that matches, as it is acknowledged. Rules are core's."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from typing import Annotated

import msgspec
from litestar import get
from litestar.di import Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import HeaderParameter, QueryParameter

from headrace.core import keys
from headrace.core.events import tail
from headrace.core.events.follow import PACE, Pace, followed
from headrace.doors.ledger import auth, shapes
from headrace.doors.ledger.filters import ProjectId, tail_filters
from headrace.doors.ledger.logs import READ, TAGS, WHO, Narrowed, log
from headrace.eventstore.queries import EventRow
from headrace.wire.call import Call, Stream
from headrace.wire.door import Incoming, terms
from headrace.wire.event_stream import BEAT, HEADERS, MEDIA, RETRY, event

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
    call.stream = Stream(partial(opened, call, wish, project_id), MEDIA, HEADERS)


@contextmanager
def opened(call: Call, wish: tail.Wanted, project_id: int, pace: Pace = PACE) -> Iterator[AsyncIterator[bytes]]:
    with tail.subscribed(call.house, wish) as subscription:
        yield pieces(call, wish, subscription, partial(recheck, call, project_id), pace)


async def pieces(
    call: Call, wish: tail.Wanted, subscription: tail.Subscription, check: Callable[[], None], pace: Pace
) -> AsyncIterator[bytes]:
    """Give where it begins, the logs, signs of life, and why it ended."""
    # A block without data sets the id to go on from, should the connection break before the first log.
    yield RETRY + (b"\n" if wish.after else f"id: {tail.place(subscription)}\n\n".encode())
    async with aclosing(followed(call.house, wish, subscription, check, pace)) as turns:
        async for taken in turns:
            if isinstance(taken, str):
                yield event(b"end", ENCODE({"reason": taken}))
            else:
                yield b"".join(map(lined, taken)) or BEAT


def recheck(call: Call, project_id: int) -> None:
    """Refuse when the credential has ended since, or lost the project."""
    who = auth.credential(call)
    if call.route is not None:
        auth.reach(who, call.route.terms)
    keys.resolved_project(call.house, who, project_id)


def shown(row: EventRow) -> bytes:
    entry = log(row)
    return event(b"log", ENCODE(entry), entry.id.encode())


def lined(piece: tail.Piece) -> bytes:
    return piece if isinstance(piece, bytes) else event(b"dropped", ENCODE({"dropped": piece}))


ROUTES = (follow,)
