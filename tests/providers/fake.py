"""A local server that stands for a provider: it answers in that provider's shapes, and remembers what it was asked."""

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit


class Seen(NamedTuple):
    """One request as it arrived; names of `headers` are lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    @property
    def fields(self) -> Any:
        """What the body says: JSON or a form; raw bytes otherwise."""
        media = self.headers.get("content-type", "").partition(";")[0]
        if media == "application/json":
            return json.loads(self.body or b"null")
        if media == "application/x-www-form-urlencoded":
            return {name: values[-1] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}
        return self.body


class Said(NamedTuple):
    """One answer; `hold` keeps the caller waiting until the server stops."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012  A tuple's default, never written to.
    hold: bool = False


class Fake:
    """`seen` is what was asked; `planned` are answers that come first, before the provider's own."""

    def __init__(self, answer: Callable[["Fake", Seen], Said]) -> None:
        self.answer = answer
        self.url = ""
        self.seen: list[Seen] = []
        self.planned: deque[Said] = deque()
        self.stopping = threading.Event()

    def plan(self, *answers: Said) -> None:
        self.planned.extend(answers)

    def take(self) -> list[Seen]:
        """Return what was asked since the last time."""
        taken, self.seen = self.seen, []
        return taken


@contextmanager
def serving(answer: Callable[[Fake, Seen], Said]) -> Iterator[Fake]:
    fake = Fake(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            parts = urlsplit(self.path)
            seen = Seen(
                self.command,
                parts.path,
                parse_qs(parts.query, keep_blank_values=True),
                {name.lower(): value for name, value in self.headers.items()},
                self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            )
            fake.seen.append(seen)
            said = fake.planned.popleft() if fake.planned else fake.answer(fake, seen)
            if said.hold:
                fake.stopping.wait(30)
                self.close_connection = True
                return
            body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_one  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        fake.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()
