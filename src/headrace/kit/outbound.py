"""The one way out: every outgoing HTTP request of the program. Addresses are judged when the socket is made.

Which destinations are refused stands in `kit/destinations.py`. Redirects are never followed, the environment's proxies
and credentials never used, cookies never kept, bodies never decompressed.
"""

import asyncio
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import msgspec
import uvloop
from yarl import URL

from headrace.kit.destinations import PORTS, DestinationError, Destinations

if TYPE_CHECKING:
    # Loaded by the first request: it takes a fifth of a second, and most starts of the program send nothing.
    import aiohttp
    from aiohttp.abc import AbstractResolver

CONNECT_SECONDS = 3.0
TOTAL_SECONDS = 15.0
READ_BYTES = 64 << 10
# The callers bound what is under way; a connection that waits for a free one would be counted as a slow receiver.
CONNECTIONS = 0
DEFAULT_HEADERS = {"Accept-Encoding": "identity"}

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]


class OutboundError(Exception):
    """A request that got no answer. The text is for whoever gave the URL: it never tells what a name resolved to.

    `reason`: dns, connect, tls, timeout, ssrf_blocked, too_large, bad_url or protocol.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class BlockedError(OSError):
    """Raised where a socket would be made; one text for all, so that nobody learns an address from it."""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as it came. Names of `headers` are lower case, repeated ones joined by commas; `seconds` in all."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


class Outbound:
    """One client for a process: sessions and their connections live on a loop of its own, started at the first request.

    `allow` and `ports` as in Destinations. `tls` and `resolver` replace the system's (a private authority; tests).
    """

    def __init__(
        self,
        allow: Sequence[str] = (),
        *,
        ports: Sequence[str] = PORTS,
        https_only: bool = False,
        user_agent: str = "Headrace",
        tls: ssl.SSLContext | None = None,
        resolver: "AbstractResolver | None" = None,
    ) -> None:
        self.destinations = Destinations(allow, ports, https_only=https_only)
        self.user_agent = user_agent
        self._tls = tls
        self._resolver = resolver
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    def check(self, url: str) -> None:
        """Refuse at registration what could never be sent: OutboundError (bad_url, ssrf_blocked)."""
        try:
            self.destinations.check(url)
        except DestinationError as error:
            raise OutboundError(error.reason, str(error)) from error

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_seconds: float = TOTAL_SECONDS,
        limit_bytes: int = READ_BYTES,
        cut: bool = False,
        operators_own: bool = False,
    ) -> Reply:
        """Send one request from any running loop; any status is a Reply, no answer is an OutboundError.

        An answer beyond `limit_bytes` is `too_large`, or cut there. `operators_own`: the URL comes from the settings
        and is not guarded; never pass it for one that came with a request.
        """
        sent = self._begin(method, url, headers or {}, body, timeout_seconds, limit_bytes, cut, operators_own)
        return await asyncio.wrap_future(sent)

    def call(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        timeout_seconds: float = TOTAL_SECONDS,
        limit_bytes: int = READ_BYTES,
        cut: bool = False,
        operators_own: bool = False,
    ) -> Reply:
        """`request` for a thread: wait for the answer."""
        return self._begin(method, url, headers or {}, body, timeout_seconds, limit_bytes, cut, operators_own).result()

    def close(self) -> None:
        """End what is under way, and the loop; nothing is sent after that."""
        with self._lock:
            self._closed = True
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is not None and thread is not None:
            asyncio.run_coroutine_threadsafe(self._end(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

    def _begin(self, *request: Any) -> Future[Reply]:
        """Hand a request to the loop; under the lock, so that it stands before `_end` there and is ended by it."""
        with self._lock:
            if self._closed:
                raise RuntimeError("this client is closed")
            if self._loop is None:
                self._loop = uvloop.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._loop,), name="outbound", daemon=True)
                self._thread.start()
            return asyncio.run_coroutine_threadsafe(self._send(*request), self._loop)

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for session in self._sessions.values():
            await session.close()

    async def _send(  # noqa: PLR0917  Private; the two public forms name everything.
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        timeout_seconds: float,
        limit_bytes: int,
        cut: bool,  # noqa: FBT001
        operators_own: bool,  # noqa: FBT001
    ) -> Reply:
        import aiohttp  # noqa: PLC0415

        started = time.monotonic()
        try:
            target = self.destinations.url(url) if operators_own else self.destinations.judged(url)
            session = self._session("own" if operators_own else self._trust(target))
            timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_SECONDS)
            async with session.request(
                method, target, headers=headers, data=body or None, timeout=timeout, allow_redirects=False
            ) as response:
                content = await _read(response, limit_bytes, cut=cut)
                return Reply(
                    status=response.status,
                    headers=_plain(response.headers),
                    body=content,
                    seconds=time.monotonic() - started,
                )
        except DestinationError as error:
            raise OutboundError(error.reason, str(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _told(error) from error

    def _trust(self, target: URL) -> str:
        return "listed" if target.raw_host in self.destinations.hosts else "guarded"

    def _session(self, trust: str) -> "aiohttp.ClientSession":
        """One pool for each degree of trust, so that no connection made under one is used under another."""
        import aiohttp  # noqa: PLC0415

        session = self._sessions.get(trust)
        if session is None:
            connector = aiohttp.TCPConnector(
                limit=CONNECTIONS,
                resolver=self._resolver,
                ssl=self._tls or True,
                socket_factory=None if trust == "own" else self._factory(listed_host=trust == "listed"),
            )
            session = self._sessions[trust] = aiohttp.ClientSession(
                connector=connector,
                headers={"User-Agent": self.user_agent, **DEFAULT_HEADERS},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return session

    def _factory(self, *, listed_host: bool) -> Any:
        """What makes the sockets: between this look at the address and its use there is nothing."""

        def make(info: AddressInfo) -> socket.socket:
            family, kind, protocol, _, address = info
            if not self.destinations.permits(ipaddress.ip_address(address[0]), listed_host=listed_host):
                raise BlockedError("ssrf_blocked")
            return socket.socket(family, kind, protocol)

        return make


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _read(response: "aiohttp.ClientResponse", limit: int, *, cut: bool) -> bytes:
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            # The rest is not read, so that the connection cannot be used again.
            response.close()
            if not cut:
                raise OutboundError("too_large", f"the answer is larger than {limit} bytes")
            break
    return b"".join(pieces)[:limit]


def _plain(headers: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.items():
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found


def _told(error: Exception) -> OutboundError:
    """Turn what the client raises into a reason and a sentence of our own; theirs may hold addresses."""
    import aiohttp  # noqa: PLC0415

    match error:
        case TimeoutError():
            return OutboundError("timeout", "the receiver did not answer in time")
        case aiohttp.ClientConnectorDNSError():
            return OutboundError("dns", "the host's name could not be resolved")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientSSLError() | ssl.SSLError():
            return OutboundError(
                "tls", "no secure connection could be made: the certificate or the protocol is refused"
            )
        case aiohttp.ClientConnectorError() if "ssrf_blocked" in str(error.os_error):
            return OutboundError("ssrf_blocked", "the host's address is not allowed")
        case aiohttp.ClientConnectorError():
            return OutboundError("connect", "no connection could be made")
        case aiohttp.InvalidURL():
            return OutboundError("bad_url", "the URL cannot be sent to")
        case aiohttp.ClientResponseError() | aiohttp.ClientPayloadError():
            return OutboundError("protocol", "the answer is not valid HTTP")
        case _:
            return OutboundError("connect", "the connection ended before an answer came")
