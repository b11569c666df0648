"""A connection on which a test writes bytes as it likes, and what comes back on it."""

import json
import socket
from typing import Any, NamedTuple

from tests.conftest import PATIENCE

# Each differs by its own rule from answer to answer.
CHANGING = {"x-request-id", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit", "date", "content-length"}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any


class Wire:
    """A connection on which a test writes bytes as it likes."""

    def __init__(self, url: str, source: str = "127.0.0.1") -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=20 * PATIENCE, source_address=(source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> Answer:
        status = int(self.file.readline().split()[1])
        headers: dict[str, str] = {}
        while (line := self.file.readline().decode().strip()) != "":
            name, _, value = line.partition(": ")
            headers[name] = value
        return Answer(status, headers, json.loads(self.file.read(int(headers["content-length"]))))

    def close(self) -> None:
        self.file.close()
        self.socket.close()


def ask(wire: Wire, data: bytes) -> Answer:
    wire.send(data)
    return wire.answer()
