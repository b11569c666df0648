"""The listener's protocol: uvicorn's, with a short way for whole answers. What is answered, the origin decides.

The server interface takes an answer in two messages and checks each header by pattern; an answer that is known whole
goes out in one write, with its constant headers joined beforehand. That is a third of the cost of a small request.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from headrace.wire.headers import Header

if TYPE_CHECKING:
    from uvicorn.protocols.http.flow_control import FlowControl

EXTENSION = "headrace.exchange"
# At a stop, a stream whose reader takes nothing would hold the server for the whole grace that requests have.
STREAM_SECONDS = 1.0


class Exchange:
    """One request and its answer, past the server interface. Lives in the scope's extensions."""

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self.cycle = cycle
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
            lines += (name, b": ", value, b"\r\n")
            if name == b"connection" and value == b"close":
                cycle.keep_alive = False
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


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol that offers an Exchange."""

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]
        scope["extensions"] = {EXTENSION: Exchange(cycle)}
        super()._start_asgi_task(cycle, app)

    def shutdown(self) -> None:
        super().shutdown()
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete and cycle.scope["extensions"][EXTENSION].is_stream:
            self.loop.call_later(STREAM_SECONDS, self.transport.abort)
