"""A receiver of requests on a free port of this machine: what it was sent, in order, and an answer that a test sets."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Self

from aiohttp import web
from standardwebhooks import Webhook

from tests.conftest import PATIENCE


class Received:
    """One request as it came. `at` is its place among all of this receiver."""

    def __init__(self, request: web.Request, body: bytes, at: int) -> None:
        self.method = request.method
        self.path = request.path
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in request.headers.items()}
        self.body = body
        self.at = at


def verify(secret: str | bytes, got: Received) -> None:
    """Check a signature by the official library, as of the time that it names: a test's clock may be far from now."""
    at = datetime.fromtimestamp(int(got.headers["webhook-timestamp"]), tz=UTC)
    signature = Webhook(secret).sign(got.headers["webhook-id"], at, got.body.decode())
    assert signature in got.headers["webhook-signature"].split()


Answer = Callable[[Received], web.StreamResponse]


class Receiver:
    """`answer` is a status or makes the response. While `hold` is set, requests to a path in it are not answered."""

    def __init__(self, answer: int | Answer = 200, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.requests: list[Received] = []
        self.hold: set[str] = set()
        self.inside: dict[str, int] = {}
        self.most_inside: dict[str, int] = {}
        self.url = ""
        self._tls = tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="receiver")
        self._up = threading.Event()
        self._released: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._up.wait(10 * PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def release(self) -> None:
        """Answer what is held, and hold nothing until `hold` is set anew, which may be right after this."""
        done = threading.Event()

        def let_go() -> None:
            self.hold.clear()
            assert self._released is not None
            self._released.set()
            self._released = asyncio.Event()
            done.set()

        self._loop.call_soon_threadsafe(let_go)
        assert done.wait(10 * PATIENCE)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = self._loop.run_until_complete(self._start())
        self._up.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._end(runner))
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _start(self) -> web.AppRunner:
        self._released = asyncio.Event()
        app = web.Application(client_max_size=1 << 26)
        app.router.add_route("*", "/{path:.*}", self._take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        port: Any = runner.addresses[0][1]
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{port}"
        return runner

    async def _end(self, runner: web.AppRunner) -> None:
        for site in list(runner.sites):
            await site.stop()
        # What was accepted just before has its beginning yet to come, and what is closed its end: a few turns each.
        await self._turns()
        for connection in list(runner.server.connections if runner.server else ()):
            if connection.transport is not None:
                # A plain close waits for a caller who reads no more.
                connection.transport.abort()
        await runner.cleanup()
        await self._turns()

    async def _turns(self) -> None:
        for _ in range(5):
            turned = self._loop.create_future()
            self._loop.call_soon(turned.set_result, None)
            await turned

    async def _take(self, request: web.Request) -> web.StreamResponse:
        got = Received(request, await request.read(), len(self.requests))
        self.requests.append(got)
        inside = self.inside[got.path] = self.inside.get(got.path, 0) + 1
        self.most_inside[got.path] = max(inside, self.most_inside.get(got.path, 0))
        try:
            if got.path in self.hold:
                assert self._released is not None
                await self._released.wait()
        finally:
            self.inside[got.path] -= 1
        return web.Response(status=self.answer) if isinstance(self.answer, int) else self.answer(got)
