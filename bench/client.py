"""A client that costs little: prebuilt requests over kept connections, one thread, answers hardly parsed."""

import contextlib
import http.client
import json
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NamedTuple, Self, TypeVar
from urllib.parse import urlencode

Tag = TypeVar("Tag")
Address = tuple[str, int]


class Answer(NamedTuple, Generic[Tag]):
    """`started` by time.perf_counter; status 0: the connection broke first, so the request was done or not."""

    tag: Tag
    status: int
    body: bytes
    started: float
    seconds: float


def request(method: str, path: str, key: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
    if body:
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


class Lane(Generic[Tag]):
    """One connection, with one request under way at most."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, timeout=10)
        self.socket.setblocking(False)  # noqa: FBT003 - the socket module's own way
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.tag: Tag | None = None
        self.unsent = memoryview(b"")
        self.received = b""
        self.started = 0.0

    def send(self, tag: Tag, data: bytes) -> bool:
        """Begin a request; True when part of it waits for room."""
        self.tag, self.unsent, self.started = tag, memoryview(data), time.perf_counter()
        return self.push()

    def push(self) -> bool:
        while self.unsent:
            try:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]
            except BlockingIOError:
                return True
        return False

    def pull(self) -> tuple[int, bytes] | None:
        """Read; returns status and body once the answer is whole. Raises ConnectionError when the server hangs up."""
        try:
            data = self.socket.recv(65_536)
        except BlockingIOError:
            return None
        if not data:
            raise ConnectionResetError
        self.received = self.received + data if self.received else data
        end = self.received.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = self.received[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.received) < end + 4 + length:
            return None
        body, self.received = self.received[end + 4 : end + 4 + length], b""
        return int(head[9:12]), body


def drive(
    address: Address,
    requests: Iterable[tuple[Tag, bytes]],
    answered: Callable[[Answer[Tag]], None],
    *,
    connections: int,
) -> None:
    """Send all requests, one at a time per connection. Each gets exactly one call of `answered`.

    A connection that cannot be made or breaks is not made again; when none is left, no more requests are sent.
    """
    pending = iter(requests)
    poll = select.epoll()
    lanes: dict[int, Lane[Tag]] = {}
    for _ in range(connections):
        with contextlib.suppress(OSError):
            lane = Lane[Tag](address)
            lanes[lane.socket.fileno()] = lane
    for number, lane in list(lanes.items()):
        poll.register(number, select.EPOLLIN)
        advance(lanes, poll, lane, pending, answered)
    while lanes:
        for number, events in poll.poll(30):
            if number not in lanes:
                continue
            lane = lanes[number]
            try:
                if events & select.EPOLLOUT and not lane.push():
                    poll.modify(number, select.EPOLLIN)
                result = lane.pull() if events & ~select.EPOLLOUT else None
            except OSError:
                lose(lanes, poll, lane, answered)
                continue
            if result is not None and lane.tag is not None:
                answered(Answer(lane.tag, *result, lane.started, time.perf_counter() - lane.started))
                lane.tag = None
                advance(lanes, poll, lane, pending, answered)
    poll.close()


def advance(
    lanes: dict[int, Lane[Tag]],
    poll: select.epoll,
    lane: Lane[Tag],
    pending: Iterator[tuple[Tag, bytes]],
    answered: Callable[[Answer[Tag]], None],
) -> None:
    """Send the next request, or hang up."""
    item = next(pending, None)
    if item is None:
        lose(lanes, poll, lane, answered)
        return
    try:
        poll.modify(lane.socket.fileno(), select.EPOLLIN | (select.EPOLLOUT if lane.send(*item) else 0))
    except OSError:
        lose(lanes, poll, lane, answered)


def lose(
    lanes: dict[int, Lane[Tag]], poll: select.epoll, lane: Lane[Tag], answered: Callable[[Answer[Tag]], None]
) -> None:
    poll.unregister(lane.socket.fileno())
    del lanes[lane.socket.fileno()]
    lane.socket.close()
    if lane.tag is not None:
        answered(Answer(lane.tag, 0, b"", lane.started, time.perf_counter() - lane.started))


class RefusedError(Exception):
    """The server answered with another status than wanted."""


class Caller:
    """One kept connection for plain calls with JSON answers; made again when it breaks, closed by `with`."""

    def __init__(self, address: Address, key: str = "") -> None:
        self.connection = http.client.HTTPConnection(*address, timeout=60)
        self.key = key

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(self, method: str, path: str, body: Any = None, **parameters: Any) -> tuple[int, Any]:
        """Return status and decoded answer. Raises OSError when there is none."""
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        data = None if body is None else json.dumps(body)
        if data is not None:
            headers["content-type"] = "application/json"
        url = path + ("?" + urlencode(parameters, doseq=True) if parameters else "")
        try:
            self.connection.request(method, url, data, headers)
            answer = self.connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as problem:
            self.connection.close()
            raise ConnectionError(str(problem)) from problem
        try:
            return answer.status, json.loads(content) if content else None
        except json.JSONDecodeError:
            return answer.status, content.decode(errors="replace")

    def get(self, path: str, **parameters: Any) -> Any:
        status, answer = self.ask("GET", path, **parameters)
        if status != 200:
            raise RefusedError(f"GET {path} {parameters}: {status} {answer}")
        return answer

    def post(self, path: str, body: Any) -> Any:
        status, answer = self.ask("POST", path, body)
        if status not in {200, 201, 202}:
            raise RefusedError(f"POST {path}: {status} {answer}")
        return answer
