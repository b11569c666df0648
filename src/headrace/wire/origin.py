"""The ASGI application on the port: picks a door by path, runs the checks in order, answers in that door's envelope.

Order: path and method, the door's admission (budgets, credential, scope), size and encoding, content type, handler.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from headrace.core.refusals import Kind, Refusal
from headrace.kit.database import UnreachableError
from headrace.kit.times import SECOND
from headrace.wire import body, journal
from headrace.wire.call import Answer, Call, Message, Receive, Scope, Send, Stream
from headrace.wire.door import Door, Route, Terms, routes_of
from headrace.wire.express import Express
from headrace.wire.framework import Applications, dispatch
from headrace.wire.headers import FAMILIES, LINES, Header, cors, preflight, rate_headers
from headrace.wire.table import Table

if TYPE_CHECKING:
    from headrace.core.house import House
    from headrace.core.metrics import Labels

log = logging.getLogger(__name__)

# The caller left before there was anything to answer; nobody sees this status but the metrics.
GONE = 499
ACCEPTED = 202
UNAVAILABLE_SECONDS = 5
HANDLER_THREADS = 32
CRASHED = Answer(500, b'{"detail":"Internal Server Error"}')


class Origin:
    """One port, all doors."""

    def __init__(self, house: "House", doors: Sequence[Door]) -> None:
        self.house = house
        self.doors = doors
        self.tables = {door.name: Table(routes_of(door)) for door in doors}
        self.apps = Applications(doors)
        # Hot routes without a parameter are found without asking every door whether it owns the path.
        self.hot = {
            (route.method, route.template): (door, route) for door in doors for route in routes_of(door) if route.hot
        }
        self.origins = frozenset(origin.encode() for origin in house.settings.cors_origins)
        self.room = body.Room(house.settings.bodies_memory)
        self.in_flight: dict[Labels, float] = {}
        self.express = Express(house, self.in_flight)
        house.counters.gauge("requests_in_flight", lambda: dict(self.in_flight))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        call = Call(self.house, scope, receive)
        reply = Reply(self, call, send)
        started = time.perf_counter()
        try:
            await self._serve(call, reply)
        finally:
            if call.share is not None:
                call.share.release()
            self._count(call, reply.status, time.perf_counter() - started)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        # Handlers run in these: many more than cores, for most of their time they wait for a disk or a database.
        handlers = ThreadPoolExecutor(HANDLER_THREADS, thread_name_prefix="handler")
        asyncio.get_running_loop().set_default_executor(handlers)
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
            # The server answers from now on; whoever comes first to a door need not wait for it to be built.
            handlers.submit(self.apps.build)

    async def _serve(self, call: Call, reply: "Reply") -> None:
        try:
            answer = await self._outcome(call, reply)
        except body.Disconnected:
            return
        except Exception:  # The last resort of the process: whatever it was goes to the log, and to nobody else.
            log.exception("a bug answered request %s", call.request_id)
            answer = self._crashed(call)
        if answer is not None:
            if reply.status:
                raise ConnectionAbortedError("the answer broke off after its first part")
            await reply.whole(answer)

    async def _outcome(self, call: Call, reply: "Reply") -> Answer | None:
        """Answer a request, also where it is refused; None where that is done already."""
        try:
            return await self._answer(call, reply)
        except Refusal as refusal:
            return self._refused(refusal, call)
        except UnreachableError as error:
            log.warning("the database did not answer %s: %s", call.request_id, error)
            return self._refused(_timed_out(), call)
        except TimeoutError:
            log.warning("request %s took longer than its time", call.request_id)
            return self._refused(_timed_out(), call)

    def _crashed(self, call: Call) -> Answer:
        """Answer for a bug in the door's envelope; where that is what fails, in nobody's."""
        crash = call.route.terms.crash if call.route else "Internal server error"
        try:
            return self._refused(Refusal(Kind.BUG, crash), call)
        except Exception:  # The envelope is the door's code, and nothing stands behind this answer.
            log.exception("the door has no envelope for request %s", call.request_id)
            return CRASHED

    async def _answer(self, call: Call, reply: "Reply") -> Answer | None:
        """Answer a request, or have the framework do so (None)."""
        wanted = "GET" if call.method == "HEAD" else call.method
        found = self.hot.get((wanted, call.path))
        if found is None:
            door = self._door(call)
            if door is None:
                return Answer(404, b'{"detail":"Not Found"}')
            call.door = door
            route = self._route(call, door, wanted)
            if isinstance(route, Answer):
                return route
        else:
            door, route = found
            call.door = door
        call.route = route
        place = (("door", door.name), ("route", route.template))
        self.in_flight[place] = self.in_flight.get(place, 0) + 1
        try:
            return await self._checked(call, door, route, reply)
        finally:
            self.in_flight[place] -= 1

    async def _checked(self, call: Call, door: Door, route: Route, reply: "Reply") -> Answer | None:
        await door.admit(call)
        if route.terms.body is not None:
            await self._read(call, door, route.terms)
        if route.hot is not None:
            answer = await route.hot(call)
            if route.swift is not None and answer.status == ACCEPTED:
                self.express.learn(call, route, route.swift)
            if call.stream is None:
                return answer
            await reply.stream(call.stream)
            return None
        async with asyncio.timeout(self.house.settings.request_seconds):
            await dispatch(await self.apps.of(door.name), call, reply.pass_on)
        if call.stream is not None:
            await reply.stream(call.stream)
        return None

    def _door(self, call: Call) -> Door | None:
        query = call.scope["query_string"]
        method = "GET" if call.method == "HEAD" else call.method
        return next((door for door in self.doors if door.owns(method, call.path, query)), None)

    def _route(self, call: Call, door: Door, wanted: str) -> Route | Answer:
        methods = self.tables[door.name].find(call.path)
        if methods is None:
            raise Refusal(Kind.NOT_FOUND, "Not found", path=True)
        route = methods.get(wanted)
        if route is not None:
            return route
        allowed = ", ".join(sorted({*methods, *({"HEAD"} if "GET" in methods else ())}))
        asked = b"access-control-request-method" in call.headers
        if call.method == "OPTIONS" and asked and call.headers.get(b"origin") in self.origins:
            return Answer(204, b"", tuple(preflight(allowed)))
        raise Refusal(Kind.METHOD, "Method not allowed", allow=allowed)

    async def _read(self, call: Call, door: Door, terms: Terms) -> None:
        limit: int = getattr(self.house.settings, terms.body or "")
        call.share = self.room.share()
        call.body = await body.read(call.receive, call.headers, limit, call.share, call.exchange)
        media = call.header("content-type") or ""
        if not door.reads(media) and media.partition(";")[0].strip().lower() not in terms.media:
            raise Refusal(Kind.MEDIA_TYPE, "Unsupported media type", field="Content-Type")
        self.house.counters.add("request_bytes_total", (("door", door.name),), len(call.body))

    def _refused(self, refusal: Refusal, call: Call) -> Answer:
        door = call.door
        name = door.name if door else "none"
        self.house.counters.add("refusals_total", (("door", name), ("kind", refusal.kind.value)))
        if "allow" in refusal.facts:
            call.added.append((b"allow", refusal.facts["allow"].encode()))
        if "retry_after" in refusal.facts:
            call.added.append((b"retry-after", b"%d" % refusal.facts["retry_after"]))
        if refusal.facts.get("close"):
            call.added.append((b"connection", b"close"))
        if door is None:
            return CRASHED
        limited = call.route is None or call.route.terms.limited
        if limited and not call.rates and refusal.kind is not Kind.UNAVAILABLE:
            door.peek(call)
        return door.render(refusal, call)

    def _count(self, call: Call, status: int, seconds: float) -> None:
        door = call.door.name if call.door else "none"
        route = call.route.template if call.route else "none"
        answered = status or GONE
        counters = self.house.counters
        counters.add("requests_total", (("door", door), ("route", route), ("status", f"{answered // 100}xx")))
        counters.observe("request_seconds", (("door", door), ("route", route)), seconds)
        if call.door is not None and call.door.answered is not None:
            call.door.answered(call, answered, seconds)
        journal.answered(call, answered, seconds)


class Reply:
    """The way out: completes the headers of whatever answers, once, and keeps the status."""

    def __init__(self, origin: Origin, call: Call, send: Send) -> None:
        self.origin = origin
        self.call = call
        self.send = send
        self.status = 0

    def _varying(self) -> list[Header]:
        """Headers that differ from answer to answer; the family's come besides."""
        call = self.call
        headers: list[Header] = [(b"x-request-id", call.request_id.encode())]
        if call.rates:
            headers += rate_headers(call.rates, self.origin.house.clock() // SECOND)
        if self.origin.origins and b"origin" in call.headers:
            headers += cors(call.headers[b"origin"], self.origin.origins)
        return headers + call.added

    async def whole(self, answer: Answer) -> None:
        """Send an answer in one piece; to HEAD without its body."""
        self.status = answer.status
        call = self.call
        headers = [*answer.headers, *self._varying()]
        if answer.body or answer.status not in {204, 304}:
            headers.append((b"content-length", b"%d" % len(answer.body)))
            headers.append((b"content-type", answer.media))
        content = b"" if call.method == "HEAD" else answer.body
        if call.exchange is not None:
            await call.exchange.send(answer.status, LINES[call.family], headers, content)
            return
        headers += FAMILIES[call.family]
        await self.send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": content})

    async def pass_on(self, message: Message) -> None:
        """Send one message of the framework on, unless the handler left a stream to be sent instead."""
        if self.call.stream is not None:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], *self._varying(), *FAMILIES[self.call.family]]
            if self.status == 204:  # noqa: PLR2004
                headers = [pair for pair in headers if pair[0] not in {b"content-type", b"content-length"}]
            message = {**message, "headers": headers}
        elif self.call.method == "HEAD":
            message = {**message, "body": b""}
        await self.send(message)

    async def stream(self, stream: Stream) -> None:
        """Send a stream's pieces until it ends or the caller leaves; to HEAD none, and it is not opened."""
        if self.call.method == "HEAD":
            await self._begin(stream)
            await self.send({"type": "http.response.body", "body": b""})
            return
        with stream.opened() as pieces:
            await self._begin(stream)
            if self.call.exchange is not None:
                self.call.exchange.is_stream = True
            sending = asyncio.ensure_future(self._pump(pieces))
            leaving = asyncio.ensure_future(self._left())
            try:
                await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                both = (sending, leaving)
                for task in both:
                    task.cancel()
                outcomes = await asyncio.gather(*both, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _begin(self, stream: Stream) -> None:
        self.status = 200
        headers = [*stream.headers, (b"content-type", stream.media), *self._varying(), *FAMILIES[self.call.family]]
        await self.send({"type": "http.response.start", "status": self.status, "headers": headers})

    async def _pump(self, pieces: AsyncIterator[bytes]) -> None:
        async for piece in pieces:
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})
        await self.send({"type": "http.response.body", "body": b""})

    async def _left(self) -> None:
        while (await self.call.receive())["type"] != "http.disconnect":
            pass


def _timed_out() -> Refusal:
    return Refusal(Kind.UNAVAILABLE, "Service timeout", retry_after=UNAVAILABLE_SECONDS)
