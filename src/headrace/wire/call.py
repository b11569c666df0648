"""One request on its way through a door, and the answer to it."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from headrace.core.principal import Principal
from headrace.wire import address
from headrace.wire.headers import Header
from headrace.wire.ids import fresh_id
from headrace.wire.listener import EXTENSION, Exchange

if TYPE_CHECKING:
    from headrace.core.house import House
    from headrace.core.limits.windows import Standing
    from headrace.wire.body import Share
    from headrace.wire.door import Door, Route

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

JSON = b"application/json"

_SLASH = re.compile(rb"%2[fF]")
_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")


class Answer(msgspec.Struct, frozen=True, gc=False):
    """A whole answer. `headers` come on top of those that every answer of its door and family has."""

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = ()
    media: bytes = JSON


def answer(status: int, record: Any, *headers: Header) -> Answer:
    """Build the answer that carries `record` as JSON."""
    return Answer(status, msgspec.json.encode(record), headers)


class Stream(msgspec.Struct, frozen=True):
    """An answer that goes on until it ends or the caller leaves. A handler leaves it in `call.stream`.

    `opened` is entered on the event loop, before anything is sent: it may still refuse. Its pieces are sent as they
    come; leaving it frees what it holds, whichever way the stream ended.
    """

    opened: Callable[[], AbstractContextManager[AsyncIterator[bytes]]]
    media: bytes
    headers: tuple[Header, ...] = ()


class Call:
    """One request. `principal` is set by the door's admission, `body` (decompressed) before the handler runs.

    `rates` are the budgets it was counted in; `added` are headers for the answer, whoever makes it.
    """

    def __init__(self, house: "House", scope: Scope, receive: Receive) -> None:
        self.house = house
        self.scope = scope
        self.receive = receive
        self.exchange: Exchange | None = scope["extensions"].get(EXTENSION) if "extensions" in scope else None
        self.method: str = scope["method"]
        self.raw_path: bytes = scope.get("raw_path") or b""
        if _SLASH.search(self.raw_path):
            # What is encoded is part of a name; decoded it would be the path of something else.
            scope["path"] = unquote(_SLASH.sub(b"%252F", self.raw_path).decode("latin-1"))
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        given = self.headers.get(b"x-request-id", b"")
        self.request_id: str = given.decode() if _SANE_ID.fullmatch(given) else fresh_id()
        self.door: Door | None = None
        self.route: Route | None = None
        self.family = "api"
        self.principal: Principal | None = None
        self.rates: tuple[Standing, ...] = ()
        self.added: list[Header] = []
        self.body = b""
        self.share: Share | None = None
        self.stream: Stream | None = None

    @property
    def who(self) -> Principal:
        """The caller; only a route that asks for a credential has one."""
        if self.principal is None:
            raise LookupError(f"{self.path} asks who calls, but its terms demand no credential")
        return self.principal

    @cached_property
    def peer(self) -> str:
        client = self.scope.get("client")
        return client[0] if client and client[0] else address.LOCAL

    @cached_property
    def address(self) -> str:
        """The caller's address, through trusted proxies."""
        return address.client(self.peer, self.headers, self.house.settings.trusted_proxies)

    @property
    def bucket(self) -> str:
        """The name under which the caller's address is counted."""
        return address.bucket(self.address)

    def part(self, number: int) -> str:
        """Return one part of the path (the first is 1), decoded whole; in `path` an encoded slash stays encoded."""
        parts = self.raw_path.decode("latin-1").split("/")
        return unquote(parts[number]) if self.raw_path else self.path.split("/")[number]

    def header(self, name: str) -> str | None:
        value = self.headers.get(name.lower().encode())
        return None if value is None else value.decode("latin-1")
