"""Live mode: a project's new events as rows of the explorer, by server-sent events. Who gets what is core's."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from functools import partial

from headrace.core import keys
from headrace.core.events import Filters, tail
from headrace.core.events.follow import followed
from headrace.eventstore.ids import public_id
from headrace.eventstore.queries import EventRow
from headrace.web import browser, shown
from headrace.web.rendering import fragment
from headrace.web.view import View
from headrace.wire.call import Answer, Call, Stream
from headrace.wire.event_stream import BEAT, HEADERS, MEDIA, RETRY, event


def follow(call: Call, view: View) -> Answer:
    """Leave the stream of what matches the view's search from now on, or from the event that the browser saw last."""
    wish = tail.wanted(
        call.house,
        call.who,
        project_id=view.own.project_id,
        filters=Filters(query=view.search or None),
        encode=partial(_row, view),
        after=call.header("last-event-id") or None,
    )
    call.stream = Stream(partial(_opened, call, wish, view.own.project_id), MEDIA, HEADERS)
    return Answer(200)


@contextmanager
def _opened(call: Call, wish: tail.Wanted, project_id: int) -> Iterator[AsyncIterator[bytes]]:
    with tail.subscribed(call.house, wish) as subscription:
        yield _pieces(call, wish, subscription, project_id)


async def _pieces(
    call: Call, wish: tail.Wanted, subscription: tail.Subscription, project_id: int
) -> AsyncIterator[bytes]:
    """Give that it begins, the rows, signs of life, and why it ended."""
    yield RETRY + event(b"begin", b"", tail.place(subscription).encode() if wish.after is None else b"")
    async with aclosing(followed(call.house, wish, subscription, partial(_recheck, call, project_id))) as turns:
        async for taken in turns:
            yield event(b"end", taken.encode()) if isinstance(taken, str) else b"".join(map(_line, taken)) or BEAT


def _recheck(call: Call, project_id: int) -> None:
    """Refuse when the session has ended since."""
    keys.resolved_project(call.house, browser.person(call), project_id)


def _row(view: View, row: EventRow) -> bytes:
    html = fragment("row.html", one=shown.line(view, row, view.words, arrival=view.arrival)).body
    return event(b"row", html, public_id(row.ts, row.id).encode())


def _line(piece: tail.Piece) -> bytes:
    return piece if isinstance(piece, bytes) else event(b"lost", b"%d" % piece)
