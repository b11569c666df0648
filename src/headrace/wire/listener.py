"""The listener's protocol: uvicorn's, with a short way for whole answers. What is answered, the origin decides.

The server interface takes an answer in two messages and checks each header by pattern; an answer that is known whole
goes out in one write, with its constant headers joined beforehand. That is a third of the cost of a small request.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from headrace.wire.headers import LINES, Header
from headrace.wire.ids import fresh_id

if TYPE_CHECKING:
    from uvicorn.protocols.http.flow_control import FlowControl

    from headrace.wire.express import Express

log = logging.getLogger(__name__)

EXTENSION = "headrace.exchange"
# At a stop, a stream whose reader takes nothing would hold the server for the whole grace that requests have.
STREAM_SECONDS = 1.0
# Request line and headers together: eight times what browsers and proxies send at most.
HEAD_BYTES = 64 * 1024
# Longer than the two parts of a request are apart that were sent together.
HELD_SECONDS = 1.0
# Whoever connects and is silent, or sends his headers letter by letter, holds a connection for nothing.
HEAD_SECONDS = 15.0
# A body that goes on after its answer is read to its end, so that the answer arrives; but not for ever.
UNWANTED_BYTES = 64 * 1024 * 1024
UNWANTED_SECONDS = 60.0
TOO_LARGE = (431, "Request headers too large")


class Exchange:
    """One request and its answer, past the server interface. Lives in the scope's extensions."""

    def __init__(self, cycle: RequestResponseCycle, candidate: bytes = b"") -> None:
        self.cycle = cycle
        # The name under which this request's head may be remembered; empty where it did not arrive in one piece.
        self.candidate = candidate
        self.is_stream = False

    @property
    def ready(self) -> bool:
        """Whether the body has arrived whole."""
        cycle = self.cycle
        return not cycle.more_body and not cycle.disconnected and not cycle.response_complete

    def body(self) -> bytes:
        """Take the body, once `ready`."""
        taken = bytes(self.cycle.body)
        self.cycle.body = bytearray()
        return taken

    async def send(self, status: int, head: bytes, headers: Iterable[Header], body: bytes) -> None:
        """Send a whole answer; `head` is constant header lines, `headers` the rest, trusted to hold no line end."""
        cycle = self.cycle
        flow: FlowControl = cycle.flow
        if flow.write_paused and not cycle.disconnected:
            await flow.drain()
        if cycle.disconnected:
            return
        lines = [STATUS_LINE[status]]
        for name, value in (*cycle.default_headers, *headers):
            if name == b"connection" and value == b"close":
                cycle.keep_alive = False
            else:
                lines += (name, b": ", value, b"\r\n")
        lines.append(head)
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        lines += (b"\r\n", body)
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(b"".join(lines))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


class HeadTooLargeError(Exception):
    """A request's line and headers are longer than anybody's honest ones."""


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol that offers an Exchange, and bounds what a request may cost before it is one.

    A head is limited in size and time; fields after a body (trailers) are dropped, for they would count as headers; an
    offer to upgrade is not taken up, and the request answered as if it were not there.
    """

    in_head = False
    running: RequestResponseCycle | None = None
    head_bytes = 0
    head_timer: asyncio.TimerHandle | None = None
    without_offer = b""
    unwanted_bytes = 0
    refusal = (400, "Invalid HTTP request")
    # Of the short way: what knows heads, the name of the head that arrives now, the beginning of a request, what came
    # in behind a request that waits for its answer, and whether one does.
    express: "Express | None" = None
    candidate = b""
    held = b""
    held_timer: asyncio.TimerHandle | None = None
    behind = b""
    waits = False
    leaving = False
    used_at = 0.0
    peer = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.express = getattr(self.app, "express", None)
        self.peer = self.client[0] if self.client else ""
        self.head_timer = self.loop.call_later(HEAD_SECONDS, self._head_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_in_time()
        if self.held_timer is not None:
            self.held_timer.cancel()
        super().connection_lost(exc)
        # Of several requests that were sent at once, the last is told above; the one that is being answered is here.
        if self.running is not None and not self.running.response_complete:
            self.running.disconnected = True
            self.running.message_event.set()

    def data_received(self, data: bytes) -> None:
        if self.waits:
            self.behind += data
            if len(self.behind) > HEAD_BYTES:
                self.flow.pause_reading()
            return
        if self.held:
            data = self._release() + data
        if self.express is not None and self._between() and self._taken(self.express, data):
            self._head_in_time()
            return
        self.again(data)

    def _taken(self, express: "Express", data: bytes) -> bool:
        try:
            return express.take(self, data)
        except Exception:  # What fails here would cost the connection; the usual way has words for it.
            log.exception("a bug in the short way of a request")
            return self.waits

    def _between(self) -> bool:
        """Tell whether the next byte begins a request, and none before it still waits for its answer."""
        cycle: RequestResponseCycle | None = self.cycle
        return not self.in_head and (cycle is None or (cycle.response_complete and not cycle.more_body))

    def hold(self, data: bytes) -> None:
        """Keep the beginning of a request for a moment: clients send head and body apart, one right after the other."""
        self.held = data
        self.held_timer = self.loop.call_later(HELD_SECONDS, self._held_long)

    def _release(self) -> bytes:
        if self.held_timer is not None:
            self.held_timer.cancel()
            self.held_timer = None
        held, self.held = self.held, b""
        return held

    def _held_long(self) -> None:
        # The parser has timers of its own for whoever is slow.
        data = self._release()
        if not self.transport.is_closing():
            self.again(data)

    def wait(self) -> None:
        """Take nothing more from this connection until `answer` or `again`."""
        self.waits = True

    def answer(self, head: bytes, tail: bytes) -> None:
        """Send a whole answer to the request that waits."""
        self.waits = False
        if self.transport.is_closing():
            return
        if self.leaving:
            head += b"connection: close\r\n"
        self.transport.write(b"%s%s%s%s" % (STATUS_LINE[202], self._default_lines(), head, tail))
        self.server_state.total_requests += 1
        self.used_at = self.loop.time()
        if self.leaving:
            self.transport.close()
        elif self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        self._go_on()

    def _default_lines(self) -> bytes:
        return b"".join([b"%s: %s\r\n" % header for header in self.server_state.default_headers])

    def _go_on(self) -> None:
        behind, self.behind = self.behind, b""
        if behind and not self.transport.is_closing():
            self.flow.resume_reading()
            self.data_received(behind)

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that is idle. The short way does not turn the clock back, but says when it was used."""
        self.timeout_keep_alive_task = None
        left = self.used_at + self.timeout_keep_alive - self.loop.time()
        if self.waits or self.held or left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(max(left, 1.0), self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def again(self, data: bytes) -> None:
        """Take data the usual way: the parser's."""
        if self.transport.is_closing():
            return
        rest, self.waits = data, False
        if self.behind:
            rest, self.behind = data + self.behind, b""
            self.flow.resume_reading()
        self._unset_keepalive_if_required()
        self._parse(rest)
        if self.leaving:
            self.shutdown()

    def _parse(self, data: bytes) -> None:
        rest = data
        while rest:
            try:
                self.parser.feed_data(rest)
                break
            except httptools.HttpParserUpgrade as offer:
                # This parser takes what follows for another protocol; but whoever offers one sends his body first.
                rest = self.without_offer + rest[offer.args[0] :] if self.without_offer else b""
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            except httptools.HttpParserError:
                self._refuse(*self.refusal)
                return
        if self.in_head and not self.transport.is_closing():
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_BYTES:
                self._refuse(*TOO_LARGE)
            elif self.head_timer is None:
                self.head_timer = self.loop.call_later(HEAD_SECONDS, self._head_late)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.in_head, self.head_bytes = True, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.in_head:
            super().on_header(name, value.strip(b" \t"))

    def on_headers_complete(self) -> None:
        self.in_head = False
        self._head_in_time()
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_BYTES:
            self.refusal = TOO_LARGE
            raise HeadTooLargeError
        offers = self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"
        self.without_offer = self._head_again() if offers else b""
        if not offers:
            super().on_headers_complete()

    def _head_again(self) -> bytes:
        """Write the request's head as it would be without its offer to upgrade."""
        first = b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())
        lines = [first]
        for name, value in self.headers:
            if name == b"connection":
                tokens = [token.strip() for token in value.split(b",")]
                value = b", ".join(token for token in tokens if token.lower() != b"upgrade")  # noqa: PLW2901
            if name != b"upgrade":
                lines.append(name + b": " + value)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_message_complete(self) -> None:
        if not self.without_offer:
            super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]
        scope["extensions"] = {EXTENSION: Exchange(cycle, self.candidate)}
        self.candidate = b""
        self.running = cycle
        super()._start_asgi_task(cycle, app)

    def _refuse(self, status: int, detail: str) -> None:
        """Answer what is no request, and close. Whole requests before it get their own answers first, and it none."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                cycle.keep_alive = False
                self.flow.pause_reading()
                return
            if self.pipeline or cycle.response_started:
                self.transport.close()
                return
            # It broke off in its own body: this is its answer.
            cycle.disconnected = True
            cycle.message_event.set()
        body = msgspec.json.encode({"detail": detail})
        own = b"x-request-id: %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        head = (STATUS_LINE[status], LINES["api"], own % (fresh_id().encode(), len(body)))
        self.transport.write(b"".join((*head, body)))
        self.transport.close()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.cycle.response_complete:
            self.unwanted_bytes += len(body)
            if self.unwanted_bytes > UNWANTED_BYTES:
                self.transport.close()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.unwanted_bytes = 0
        if self.cycle.more_body and not self.transport.is_closing():
            self.loop.call_later(UNWANTED_SECONDS, self._unwanted_late, self.cycle)

    def _unwanted_late(self, cycle: RequestResponseCycle) -> None:
        if self.cycle is cycle and not self.transport.is_closing():
            self.transport.close()

    def _head_in_time(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _head_late(self) -> None:
        self.head_timer = None
        if not self.transport.is_closing():
            if self.in_head:
                self._refuse(408, "Request did not arrive in time")
            else:
                self.transport.close()

    def shutdown(self) -> None:
        if self.waits or self.held:
            self.leaving = True
            return
        super().shutdown()
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete and cycle.scope["extensions"][EXTENSION].is_stream:
            self.loop.call_later(STREAM_SECONDS, self.transport.abort)
