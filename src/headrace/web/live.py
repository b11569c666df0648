"""Live mode: a project's new events as rows of the explorer, by server-sent events. Who gets what is core's."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partial

from headrace.core import keys
from headrace.core.events import Filters, tail
from headrace.core.refusals import Refusal
from headrace.eventstore.ids import public_id
from headrace.eventstore.queries import EventRow
from headrace.kit.database import UnreachableError
from headrace.web import browser, shown
from headrace.web.rendering import fragment
from headrace.web.view import View
from headrace.wire.call import Answer, Call, Stream

MEDIA = b"text/event-stream; charset=utf-8"
HEADERS = ((b"x-accel-buffering", b"no"),)  # A proxy that collects answers would keep the news.
BEAT_SECONDS = 15.0
# How long a page whose session has ended may read on.
CHECK_SECONDS = 5.0


def follow(call: Call, view: View) -> Answer:
    """Leave the stream of what matches the view's search from now on, or from the event that the browser saw last."""
    wish = tail.wanted(
        call.house,
        call.who,
        project_id=view.project.project_id,
        filters=Filters(query=view.search or None),
        encode=partial(_row, view),
        after=call.header("last-event-id") or None,
    )
    call.stream = Stream(partial(_opened, call, wish, view.project.project_id), MEDIA, HEADERS)
    return Answer(200)


@contextmanager
def _opened(call: Call, wish: tail.Wanted, project_id: int) -> Iterator[AsyncIterator[bytes]]:
    with tail.subscribed(call.house, wish) as subscription:
        yield _pieces(call, wish, subscription, project_id)


async def _pieces(
    call: Call, wish: tail.Wanted, subscription: tail.Subscription, project_id: int
) -> AsyncIterator[bytes]:
    """Give what was missed, then what comes, with a sign of life between, until the session or the server ends."""
    hub = call.house.part(tail.Hub)
    yield b"retry: 1000\n" + _event(b"begin", b"", tail.place(subscription).encode() if wish.after is None else b"")
    reason: str | None
    checked = beaten = time.monotonic()
    try:
        for piece in await tail.missed(call.house, wish, subscription):
            yield _line(piece)
        while subscription.ended is None:
            taken = b"".join(map(_line, await subscription.take(CHECK_SECONDS)))
            now = time.monotonic()
            if now >= checked + CHECK_SECONDS:
                await asyncio.to_thread(_recheck, call, project_id)
                checked = now
            if taken or now >= beaten + BEAT_SECONDS:
                yield taken or b": still here\n\n"
                beaten = now
            await asyncio.sleep(hub.pause(len(taken)))
        reason = subscription.ended
    except Refusal as refusal:
        reason = refusal.text
    except UnreachableError:
        reason = "the database does not answer"
    yield _event(b"end", (reason or "").encode())


def _recheck(call: Call, project_id: int) -> None:
    """Refuse when the session has ended since."""
    keys.resolved_project(call.house, browser.person(call), project_id)


def _row(view: View, row: EventRow) -> bytes:
    html = fragment("row.html", one=shown.line(view, row, view.words)).body
    return _event(b"row", html, public_id(row.ts, row.id).encode())


def _line(piece: tail.Piece) -> bytes:
    return piece if isinstance(piece, bytes) else _event(b"lost", b"%d" % piece)


def _event(name: bytes, data: bytes, last: bytes = b"") -> bytes:
    """Write one server-sent event; each line of its data is a line of its own."""
    ident = b"id: %s\n" % last if last else b""
    lines = b"".join(b"data: %s\n" % line for line in data.split(b"\n"))
    return b"%sevent: %s\n%s\n" % (ident, name, lines)
