"""Garbage against the real process: it answers, serves the next caller, and keeps what it acknowledged."""

import http.client
import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.program.conftest import SECONDS, Served

LIMITS = "key_per_minute = 1000000\nkey_per_hour = 10000000\nsegment_age_ms = 50\n"
PASSWORD = "SecurePass123"
# What the process may grow by under all of this; its buffers and caches fill in the first requests.
MOST_GROWTH_MIB = 250

numbers = count(1)
some_garbage = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


class Connection(http.client.HTTPConnection):
    """A kept connection, made anew where the server may be closing it: five seconds after its last answer."""

    answered = 0.0

    def request(self, *given: Any, **named: Any) -> None:
        if time.monotonic() - self.answered > 2:
            self.close()
        super().request(*given, **named)

    def getresponse(self) -> http.client.HTTPResponse:
        answer = super().getresponse()
        self.answered = time.monotonic()
        return answer


class Target(NamedTuple):
    """A server, the way to ask it, and the markers of the logs that it acknowledged."""

    served: Served
    connection: Connection
    token: str
    project_id: int
    key: str
    acknowledged: list[str]

    def ask(self, method: str, path: str, content: bytes = b"", headers: dict[str, str] | None = None) -> Any:
        """Return status and body; a connection that the server closed is opened anew by the next request."""
        self.connection.request(method, path, content, headers or {})
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def post(self, path: str, body: Any, token: str) -> Any:
        status, text = self.ask("POST", path, json.dumps(body).encode(), {"Authorization": f"Bearer {token}"})
        assert status in {200, 201}, text
        return json.loads(text)

    def healthy(self) -> None:
        status, text = self.ask("GET", "/health")
        assert (status, json.loads(text)["status"]) == (200, "healthy")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("garbage")
    config = folder / "headrace.toml"
    config.write_text(LIMITS)
    served = Served(folder / "data", ("--config", str(config))).ready()
    address = urlsplit(served.url)
    connection = Connection(address.hostname or "", address.port, timeout=SECONDS)
    try:
        bare = Target(served, connection, "", 0, "", [])
        account = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada Lovelace"}
        token = bare.post("/api/v1/accounts/register", account, "")["access_token"]
        project_id = bare.post("/api/v1/projects", {"name": "Garbage", "slug": "garbage"}, token)["project_id"]
        key = bare.post(f"/api/v1/projects/{project_id}/api-keys", {"name": "Garbage"}, token)["full_key"]
        yield Target(served, connection, token, project_id, key, [])
    finally:
        connection.close()
        served.kill()


def memory(pid: int) -> int:
    """Return the resident MiB of a process."""
    found = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(next(found).split()[1]) >> 10


@pytest.mark.parametrize(
    ("encoding", "size", "said"),
    [("identity", 30 << 20, (413, "Request body too large")), ("lzma", 900 << 10, (415, "Unsupported media type"))],
)
def test_who_sends_all_before_reading_gets_his_answer(
    target: Target, encoding: str, size: int, said: tuple[int, str]
) -> None:
    headers = {"Authorization": f"Bearer {target.key}", "Content-Encoding": encoding}
    for _ in range(2):
        status, text = target.ask("POST", "/api/v1/ingest/single", b" " * size, headers)
        assert (status, json.loads(text)["detail"]) == said
    target.healthy()


def test_who_leaves_while_his_requests_wait_is_no_fault(target: Target) -> None:
    address = urlsplit(target.served.url)
    path = f"/api/v1/logs/counts?project_id={target.project_id}"
    one = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {target.key}\r\n\r\n".encode()
    for _ in range(6):
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=SECONDS) as connection:
            connection.sendall(one * 20)
            connection.recv(20)
    target.healthy()
    assert "Exception in ASGI application" not in target.served.log.read_text() + target.served.output


def good(marker: str) -> dict[str, Any]:
    return {"timestamp": "2026-01-01T00:00:00Z", "level": "info", "message": marker, "attributes": {"a": 1}}


def keep(target: Target, logs: list[Any], status: int, text: bytes) -> None:
    """Note which logs an answer acknowledged."""
    assert status < 500, text
    if status != 202:
        assert json.loads(text)["detail"]
        return
    refused = {int(error.removeprefix("Log ").partition(":")[0]) for error in json.loads(text)["errors"] or ()}
    kept = [log for place, log in enumerate(logs) if place not in refused]
    assert len(kept) == json.loads(text)["accepted"]
    for log in kept:
        message = log.get("message")
        target.acknowledged.append(message if isinstance(message, str) else "")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [
    "timestamp",
    "level",
    "log_type",
    "importance",
    "error_type",
    "error_message",
    "stack_trace",
    "environment",
    "attributes",
]
HEADERS = [
    "Content-Type",
    "Content-Encoding",
    "X-Project-ID",
    "X-Request-ID",
    "Idempotency-Key",
    "Authorization",
    "X-API-Key",
    "Accept",
    "Expect",
    "Connection",
    "Upgrade",
    "Origin",
    "X-Forwarded-For",
    "Range",
]
PATHS = ["/api/v1/ingest/batch", "/api/v1/ingest/single", "/api/v1/accounts/login", "/api/v1/projects", "/api/v1/keys"]
visible = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=40)


@some_garbage
@given(path=st.sampled_from(PATHS), content=st.binary(max_size=300) | json_values.map(lambda v: json.dumps(v).encode()))
def test_garbage_bodies(target: Target, path: str, content: bytes) -> None:
    token = target.key if "ingest" in path else target.token
    status, text = target.ask("POST", path, content, {"Authorization": f"Bearer {token}"})
    assert 400 <= status < 500, (content, text)
    assert json.loads(text)["detail"]
    target.healthy()


@some_garbage
@given(st.lists(st.none() | st.tuples(st.sampled_from(FIELDS), json_values), min_size=1, max_size=5))
def test_batches_with_some_bad_logs(target: Target, changes: list[tuple[str, Any] | None]) -> None:
    logs = [good(f"marker-{next(numbers)}") | ({change[0]: change[1]} if change else {}) for change in changes]
    body = json.dumps({"logs": logs}).encode()
    if b"NaN" in body or b"Infinity" in body:
        body = body.replace(b"-Infinity", b"-1e999").replace(b"Infinity", b"1e999").replace(b"NaN", b"null")
    status, text = target.ask("POST", "/api/v1/ingest/batch", body, {"Authorization": f"Bearer {target.key}"})
    keep(target, logs, status, text)
    if any(change is None for change in changes):
        assert status == 202
    target.healthy()


@some_garbage
@given(st.data())
def test_batches_with_broken_bytes(target: Target, data: st.DataObject) -> None:
    """Bytes of a good batch are changed, dropped and doubled; what is acknowledged all the same is a whole log."""
    body = bytearray(json.dumps({"logs": [good("x") | {"message": "broken"} for _ in range(3)]}).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(body) - 1))
        body[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    status, text = target.ask("POST", "/api/v1/ingest/batch", bytes(body), {"Authorization": f"Bearer {target.key}"})
    assert status < 500, (bytes(body), text)
    if status == 202:
        target.acknowledged.extend([""] * json.loads(text)["accepted"])
    target.healthy()


@some_garbage
@given(st.dictionaries(st.sampled_from(HEADERS), visible, max_size=5), st.sampled_from(PATHS))
def test_odd_headers(target: Target, headers: dict[str, str], path: str) -> None:
    marker = f"marker-{next(numbers)}"
    sent = {"Authorization": f"Bearer {target.key}"} | headers
    try:
        status, text = target.ask("POST", path, json.dumps(good(marker)).encode(), sent)
    except (http.client.HTTPException, ConnectionError):
        pytest.fail(f"no answer to {sent}")
    assert status < 500, (sent, text)
    if status == 202:
        target.acknowledged.append(marker)
    target.connection.close()
    target.healthy()


@some_garbage
@given(st.binary(max_size=200), st.integers(0, 300))
def test_garbage_on_the_wire(target: Target, junk: bytes, place: int) -> None:
    """Anything within a request, which then breaks off: answered or not, the next caller is."""
    request = (
        f"POST /api/v1/ingest/single HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {target.key}\r\n"
        "Content-Length: 99\r\n\r\n{"
    ).encode()
    with socket.create_connection((target.connection.host, target.connection.port or 0), timeout=SECONDS) as connection:
        connection.sendall(request[:place] + junk + request[place:])
    target.healthy()


def test_all_that_was_acknowledged_is_found_once(target: Target, until: Callable[..., None]) -> None:
    """Comes last: it looks for what the tests before it stored, and for one log more: they may have run elsewhere."""
    last = [good(f"marker-{next(numbers)}")]
    content = json.dumps({"logs": last}).encode()
    status, answer = target.ask("POST", "/api/v1/ingest/batch", content, {"Authorization": f"Bearer {target.key}"})
    keep(target, last, status, answer)

    def found() -> list[str]:
        messages: list[str] = []
        cursor = ""
        while True:
            path = f"/api/v1/logs?project_id={target.project_id}&limit=1000{cursor}"
            status, text = target.ask("GET", path, headers={"Authorization": f"Bearer {target.key}"})
            assert status == 200, text
            page = json.loads(text)
            messages += [log["message"] or "" for log in page["logs"]]
            if page["next_cursor"] is None:
                return messages
            cursor = f"&cursor={page['next_cursor']}"

    assert target.acknowledged
    until(lambda: len(found()) >= len(target.acknowledged), seconds=20)
    stored = Counter(message for message in found() if message.startswith("marker-"))
    assert stored == Counter(message for message in target.acknowledged if message.startswith("marker-"))
    assert len(found()) == len(target.acknowledged)
    log = target.served.log.read_text()
    assert "a bug answered" not in log
    assert "quarantine" not in log
    assert target.key not in log
    assert memory(target.served.pid) < 400 + MOST_GROWTH_MIB
