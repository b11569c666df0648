"""Hostile and clumsy requests: refused in the door's own words, they harm nobody else and cost next to nothing."""

import contextlib
import gzip
import itertools
import json
import socket
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from headrace.core.refusals import Refusal
from headrace.doors.ledger import entries
from headrace.wire import body, jsons, listener
from tests.conftest import PATIENCE
from tests.doors.conftest import Origin, Tenant, bearer, caller, tenant_of

LOG = {"timestamp": "2026-01-01T00:00:00Z", "level": "info"}
RAW_LOG = json.dumps(LOG).encode()
SINGLE, BATCH = "/api/v1/ingest/single", "/api/v1/ingest/batch"
# What has to come, comes at once; this is for a machine that is busy.
SECONDS = 20.0 * PATIENCE
HEALTHY = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
DEEP = b'{"timestamp":"2026-01-01T00:00:00Z","level":"info","attributes":%s}'


def exchange(origin: Origin, *parts: bytes) -> bytes:
    """Send bytes as they are, and return everything that comes back until the server closes."""
    address = urlsplit(origin.url)
    with socket.create_connection((address.hostname, address.port), timeout=SECONDS) as connection:
        # Who has answered and closed resets what still comes in.
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
        return whole(connection)


def whole(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65_536):
            received += piece
    return received


def request(method: str, path: str, *headers: str, content: bytes = b"", close: bool = True) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *headers, *(["Connection: close"] if close else [])]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


def ingest(key: str, *headers: str, content: bytes = RAW_LOG, close: bool = True) -> bytes:
    length = () if any(header.startswith("Transfer") for header in headers) else (f"Content-Length: {len(content)}",)
    return request("POST", SINGLE, f"Authorization: Bearer {key}", *length, *headers, content=content, close=close)


def stored(client: httpx.Client, tenant: Tenant) -> int:
    page = client.get("/api/v1/logs", params={"project_id": tenant.project_id}, headers=bearer(tenant.key))
    assert page.status_code == 200, page.text
    return len(page.json()["logs"])


# -- below HTTP --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (request("GET", "/api/v1/projects/é"), 400),
        (request("GET", "http://evil.example:99999/health"), 400),
        (request("GET", "/health", "X-A: b", " folded"), 400),
        (request("GET", "/health", "X-A: b\0c"), 400),
        (request("GET", "/health", "X-A : b"), 400),
        (request("POST", SINGLE, "Content-Length: -1"), 400),
        (request("POST", SINGLE, "Content-Length: " + "9" * 5_000), 400),
        (request("POST", SINGLE, "Content-Length: 5", "Content-Length: 6"), 400),
        (request("POST", SINGLE, "Content-Length: 5", "Transfer-Encoding: chunked"), 400),
        (request("POST", SINGLE, "Transfer-Encoding: gzip"), 400),
        (request("POST", SINGLE, "Transfer-Encoding: chunked", content=b"zz\r\n{}\r\n0\r\n\r\n"), 400),
        (request("GET", "/health", "X-A: " + "y" * 70_000), 431),
        (request("GET", "/" + "y" * 70_000), 431),
        (request("GET", "/health", *(f"X-{number}: y" for number in range(8_000))), 431),
        (request("GET", "/health", *(f"X-{number}: y" for number in range(1_000))), 200),
        (request("TRACE", "/health"), 405),
        (request("CONNECT", "/health"), 405),
        (request("OPTIONS", "*"), 404),
    ],
)
def test_what_is_no_good_request(origin: Origin, sent: bytes, status: int) -> None:
    head, _, content = exchange(origin, sent).partition(b"\r\n\r\n")
    assert int(head.split(b" ")[1]) == status
    if status != 200:
        # A method that is none of a path's is its door's to refuse, everything before that nobody's.
        assert list(json.loads(content)) == ["error" if status == 405 else "detail"]
    for name in (b"x-request-id", b"strict-transport-security", b"content-security-policy", b"x-content-type-options"):
        assert name in head.lower()
    assert exchange(origin, HEALTHY).startswith(b"HTTP/1.1 200")


def test_a_head_without_an_end_is_cut_off(origin: Origin) -> None:
    address = urlsplit(origin.url)
    sent = 0
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection((address.hostname, address.port), timeout=SECONDS) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nX-A: ")
        while sent < 1 << 28:
            sent += connection.send(b"y" * 65_536)
    assert sent < 1 << 27


def test_slow_heads_and_bodies(origin: Origin, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = b"GET /health HTTP/1.1\r\nX-A: "
    with monkeypatch.context() as patched:
        patched.setattr(listener, "HEAD_SECONDS", 0.1)
        assert exchange(origin) == b""
    # On a new connection the time runs from the connection on, and a sender who is put off may come too late with its
    # first byte. Behind an answer it runs from that byte on.
    address = urlsplit(origin.url)
    with socket.create_connection((address.hostname, address.port), timeout=SECONDS) as connection:
        connection.sendall(request("GET", "/health", close=False))
        received = b""
        while not received.endswith(b"}"):
            received += connection.recv(65_536)
        with monkeypatch.context() as patched:
            patched.setattr(listener, "HEAD_SECONDS", 0.1)
            connection.sendall(begun)
            assert whole(connection).startswith(b"HTTP/1.1 408")
    for name in ("IDLE_SECONDS", "WHOLE_SECONDS"):
        with monkeypatch.context() as patched:
            patched.setattr(body, name, 0.1)
            late = exchange(origin, ingest(tenant.key, "Transfer-Encoding: chunked", content=b"5\r\n{"))
        assert late.startswith(b"HTTP/1.1 400")
        assert b"did not arrive in time" in late


def test_trailers_are_no_headers(origin: Origin, tenant: Tenant) -> None:
    end = b"0\r\nAuthorization: Bearer x\r\nX-Project-ID: 999999\r\n\r\n"
    content = b"%x\r\n%s\r\n" % (len(RAW_LOG), RAW_LOG) + end
    assert exchange(origin, ingest(tenant.key, "Transfer-Encoding: chunked", content=content)).startswith(
        b"HTTP/1.1 202"
    )


def test_an_offer_to_upgrade_keeps_its_body(origin: Origin, tenant: Tenant) -> None:
    offer = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: x")
    one = ingest(tenant.key, *offer, close=False)
    assert exchange(origin, one, one, HEALTHY).count(b"HTTP/1.1 202") == 2
    assert exchange(origin, *(bytes([byte]) for byte in one), HEALTHY).count(b"HTTP/1.1 202") == 1
    closing = request("GET", "/health", "Connection: Upgrade, close", "Upgrade: h2c", close=False)
    assert exchange(origin, closing).startswith(b"HTTP/1.1 200")
    # The body is a body, not the next request.
    assert exchange(origin, ingest(tenant.key, *offer, content=HEALTHY, close=True)).count(b"HTTP/1.1") == 1


def test_requests_in_a_row(origin: Origin, tenant: Tenant) -> None:
    one = ingest(tenant.key, close=False)
    answers = exchange(origin, one * 50 + HEALTHY)
    assert (answers.count(b"HTTP/1.1 202"), answers.count(b"HTTP/1.1 200")) == (50, 1)
    # What comes before garbage is answered, and garbage takes nobody's answer.
    answers = exchange(origin, one + b"GARBAGE\r\n\r\n")
    assert (answers.count(b"HTTP/1.1 202"), answers.count(b"HTTP/1.1 ")) == (1, 1)


# -- bodies ------------------------------------------------------------------------------------------------------------


def test_the_depth_of_json_is_told_at_one_look() -> None:
    began = time.thread_time()
    for hostile in (b"[]" * 60 + b'"' + b'\\"' * 1_000_000, b'{"a":"' + b'"[' * 60 + b"\\\\" * 1_000_000):
        assert not jsons.too_deep(hostile)
    assert time.thread_time() - began < 5


def test_a_list_without_end_is_not_built() -> None:
    sent = b'{"x":[' + b"[]," * 1_000_000 + b'0],"logs":[' + b"0," * 2_000_000 + b"0]}"
    tracemalloc.start()
    try:
        logs = entries.logs_of(sent)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert logs is not None
    assert len(logs) == entries.MOST_LOGS + 1
    assert peak < 2 * len(sent)


def test_many_small_gzip_members() -> None:
    assert body.decompress("gzip", gzip.compress(b"a") * body.MAX_MEMBERS, 1 << 20) == b"a" * body.MAX_MEMBERS
    with pytest.raises(Refusal, match="Invalid gzip body"):
        body.decompress("gzip", gzip.compress(b"") * (body.MAX_MEMBERS + 1), 1 << 20)
    longest = gzip.compress(bytes(range(256)) * 1_000, 0)
    assert len(longest) > 2 * body.PIECE_BYTES
    assert body.decompress("gzip", longest * 3, 1 << 20) == bytes(range(256)) * 3_000


def test_a_second_deflate_stream_is_not_lost_in_silence() -> None:
    with pytest.raises(Refusal, match="Invalid deflate body"):
        body.decompress("deflate", zlib.compress(RAW_LOG) * 2, 1 << 20)


@pytest.mark.parametrize(
    "attributes",
    [
        b'{"a":1e999}',
        b'{"a":[1,-1E+400]}',
        b'{"a":1.8e308}',
        b'{"a":' + b"9" * 400 + b".5}",
        b'{"a":' + b"9" * 300 + b"e90}",
        b'{"a":' * 101 + b"1" + b"}" * 101,
    ],
)
def test_attributes_that_cannot_be_stored_are_refused_by_name(
    client: httpx.Client, tenant: Tenant, attributes: bytes
) -> None:
    sent = b'{"logs":[%s,%s,%s]}' % (RAW_LOG, DEEP % attributes, RAW_LOG)
    answer = client.post(BATCH, content=sent, headers=bearer(tenant.key))
    assert answer.status_code == 202
    assert (answer.json()["accepted"], answer.json()["rejected"]) == (2, 1)
    assert answer.json()["errors"][0].startswith("Log 1: body: ")
    alone = client.post(SINGLE, content=DEEP % attributes, headers=bearer(tenant.key))
    assert alone.status_code == 400
    assert alone.json()["detail"].startswith("Invalid log entry: body: ")


@pytest.mark.parametrize(
    "attributes",
    [
        b'{"a":1.7e308,"b":-1e-999,"c":123456789012345678901234567890}',
        b'{"id":"4e123","uuid":"a-4e12345","text":"up to 1e999"}',
        b'{"a":' + b"9" * 400 + b"}",
        b'{"a":' * 99 + b"1" + b"}" * 99,
        b'{"a":"\\ud800","b\\u0000":"\\u0000","a":[]}',
        b'{"":""}',
    ],
)
@pytest.mark.parametrize("first", ["0001-01-01T00:00:00Z", "1900-01-01", "2026-01-01T00:00:00+23:59"])
def test_what_is_acknowledged_is_found(
    client: httpx.Client, tenant: Tenant, until: Callable[..., None], attributes: bytes, first: str
) -> None:
    log = (DEEP % attributes).replace(b"2026-01-01T00:00:00Z", first.encode())
    answer = client.post(BATCH, content=b'{"logs":[%s,%s]}' % (log, RAW_LOG), headers=bearer(tenant.key))
    assert answer.json() == {"accepted": 2, "rejected": 0, "errors": None}
    until(lambda: stored(client, tenant) == 2)


@pytest.mark.parametrize("time_sent", ["0001-01-01T00:00:00+00:01", "0001-01-01T00:00:00+14:00", "0000-01-01"])
def test_times_before_the_first_year(client: httpx.Client, tenant: Tenant, time_sent: str) -> None:
    answer = client.post(SINGLE, json=LOG | {"timestamp": time_sent}, headers=bearer(tenant.key))
    assert answer.json() == {"detail": "Invalid log entry: Invalid timestamp format"}
    assert stored(client, tenant) == 0


# -- fields and parameters ---------------------------------------------------------------------------------------------

VALUES: list[Any] = [None, True, 0, -1, 1.5, 10**30, 2**63, "", " ", "x" * 300, "\0", "a\0b", "\ud800", "\u202e\r\n"]
VALUES += ["٣", [], ["x"], {}, {"a": 1}, [[]], [None]]
PANEL = {
    "name": "n",
    "index": 0,
    "project_id": "p",
    "time_range_from": "2026-01-01T00:00:00Z",
    "time_range_to": "2026-01-02T00:00:00Z",
    "type": "logs",
}
FORMS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/api/v1/accounts/refresh", {"refresh_token": "x"}),
    ("POST", "/api/v1/projects", {"name": "n", "slug": "s", "environment": "dev"}),
    ("PATCH", "/api/v1/projects/{project}", {"name": "n", "environment": "dev", "retention_days": 30}),
    ("PATCH", "/api/v1/projects/{project}", {"daily_quota": 1_000_000}),
    ("POST", "/api/v1/projects/{project}/api-keys", {"name": "n", "scopes": ["ingest"]}),
    ("PATCH", "/api/v1/api-keys/{key}", {"per_minute": 1_000, "per_hour": 50_000}),
    ("POST", "/api/v1/dashboard/panels", PANEL),
    ("POST", "/api/v1/keys", {"name": "n", "scopes": ["read"], "expires_days": 3}),
    ("PATCH", "/api/v1/error-groups/1/status?project_id={project}", {"status": "resolved", "resolved_in_release": "x"}),
    ("PATCH", "/api/v1/error-groups/1/assign?project_id={project}", {"assigned_to": 1}),
]


def refused_or_done(answer: httpx.Response) -> None:
    assert answer.status_code < 500, f"{answer.request.url} {answer.request.content!r}: {answer.text}"
    if answer.status_code >= 400:
        told = answer.json()
        assert isinstance(told["detail"], str)
        assert "Traceback" not in answer.text
        assert told["detail"]


@pytest.mark.parametrize(("method", "path", "form"), FORMS)
def test_wrong_values_of_every_field(
    client: httpx.Client, tenant: Tenant, method: str, path: str, form: dict[str, Any]
) -> None:
    url = path.format(project=tenant.project_id, key=tenant.key_id)
    for name, value in itertools.product(form, VALUES):
        sent = json.dumps(form | {name: value})
        refused_or_done(client.request(method, url, content=sent, headers=bearer(tenant.token)))


INTEGERS = ["0", "-1", "9223372036854775808", "9" * 30]
NO_INTEGERS = ["", "null", "1e3", "1E2", "1.0", "5.", "%2B5", "%205", "5%20", "5%0A", "0x1", "1_000", "x"]
NO_INTEGERS += ["%EF%BC%91", "%00", "NaN"]
PARAMETERS = [
    *(f"{name}={value}" for name in ("limit", "offset") for value in INTEGERS if (name, value) != ("offset", "0")),
    *(f"cursor={value}" for value in ("", "x", "%00", "MXwx", "LTF8LTE", "fA", "a" * 9_000, "%C3%A9")),
    "period=x",
    "periodFrom=x",
    "periodFrom=0001-01-01T00:00:00%2B14:00",
    "periodTo=9999-12-31T23:59:59-14:00",
    "periodFrom=2026-01-02&periodTo=2026-01-01",
    "level=x",
    "status_class=9xx",
    f"environment={'x' * 256}",
    f"search={'x' * 201}",
    f"q={'(' * 2_000}",
    f"q={'x' * 4_001}",
]


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_wrong_parameters(client: httpx.Client, tenant: Tenant, parameter: str) -> None:
    answer = client.get(f"/api/v1/logs?project_id={tenant.project_id}&{parameter}", headers=bearer(tenant.key))
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"]


def test_integers_are_decimal_digits_at_every_door(client: httpx.Client, tenant: Tenant) -> None:
    key, me = bearer(tenant.organization_key), bearer(tenant.token)
    of_project = f"project_id={tenant.project_id}"
    rule = "must be an integer in decimal digits"
    plain = {"title": "Bad Request", "status": 400, "rule": rule}
    for value in NO_INTEGERS:
        for path in (f"/api/v1/logs?{of_project}&limit=", f"/api/v1/error-groups?{of_project}&limit=5&limit="):
            answer = client.get(path + value, headers=key)
            assert (answer.status_code, answer.json()) == (400, {"detail": f"limit: {rule}"}), value
        answer = client.get(f"/api/v1/error-groups?{of_project}&assigned_to={value}", headers=key)
        assert (answer.status_code, answer.json()) == (400, {"detail": f"assigned_to: {rule}"}), value
        answer = client.get(f"/api/v1/logs?project_id={value}", headers=key)
        assert (answer.status_code, answer.json()) == (400, {"detail": "project_id must be a positive integer"}), value
        answer = client.get(f"/apps/{tenant.project_id}/events?limit={value}", headers=me)
        wanted = [{"loc": ["query", "limit"], "msg": rule, "type": "value"}]
        assert (answer.status_code, answer.json()["detail"]) == (422, wanted), value
        answer = client.get(f"/api/v1/invoices?skip={value}", headers=me)
        wanted = [{"loc": ["query", "skip"], "msg": rule, "type": "value"}]
        assert (answer.status_code, answer.json()["errors"]) == (422, wanted), value
        answer = client.get(f"/api/v1/jobs?before={value}", headers=me)
        assert answer.json() == plain | {"detail": f"before: {rule}", "field": "before"}, value
    for end in (".0", "e0", "%20", "%0A"):
        answer = client.patch(f"/api/v1/projects/{tenant.project_id}{end}", json={"name": "x"}, headers=me)
        assert (answer.status_code, answer.json()) == (400, {"detail": "project_id must be a positive integer"}), end
        answer = client.get(f"/api/v1/error-groups/1{end}?{of_project}", headers=me)
        assert (answer.status_code, answer.json()) == (400, {"detail": "id: must be a positive integer"}), end
        assert client.get(f"/apps/{tenant.project_id}{end}/events", headers=me).status_code == 422, end
    assert client.get(f"/apps/{tenant.project_id}/events", headers=me).status_code == 200


@pytest.mark.parametrize(
    "parameter",
    [
        "search=%00",
        "search=%ff",
        "search=%ed%a0%80",
        "environment=%00",
        "environment='%20OR%201=1",
        "q=%00",
        f"q={'NOT%20' * 900}a",
        f"q={'a%20OR%20' * 600}b",
        "q=/(a%2B)%2B$/",
        "offset=9223372036854775807",
        "&".join(["level=info"] * 500),
    ],
)
def test_odd_parameters(client: httpx.Client, tenant: Tenant, parameter: str) -> None:
    for path in ("/api/v1/logs", "/api/v1/logs/facets", "/api/v1/logs/histogram", "/api/v1/errors/list"):
        answer = client.get(f"{path}?project_id={tenant.project_id}&{parameter}", headers=bearer(tenant.key))
        refused_or_done(answer)


def test_ids_that_were_never_ours(client: httpx.Client, tenant: Tenant) -> None:
    for odd in ("%00", "a%00b", "%ff", "%ed%a0%80", "..%2f..", "x" * 5_000, "f" * 32, "%2e%2e"):
        for method, path in (
            ("GET", f"/api/v1/projects/{odd}"),
            ("GET", f"/api/v1/logs/{odd}?project_id={tenant.project_id}"),
            ("DELETE", f"/api/v1/dashboard/panels/{odd}"),
            ("GET", f"/api/v1/error-groups/{odd}?project_id={tenant.project_id}"),
        ):
            answer = client.request(method, path, headers=bearer(tenant.token))
            assert answer.status_code in {400, 404}, answer.text
        answer = client.put(f"/api/v1/dashboard/panels/{odd}", json=PANEL, headers=bearer(tenant.token))
        assert answer.status_code == 404


@pytest.mark.parametrize("named", ["", "0", "-1", "1e3", "9223372036854775808", "9" * 30, "1,2", "1.0", "+1", "0x1"])
def test_project_headers(client: httpx.Client, tenant: Tenant, named: str) -> None:
    headers = bearer(tenant.organization_key) | {"X-Project-ID": named}
    answer = client.post(SINGLE, json=LOG, headers=headers)
    assert (answer.status_code, answer.json()) == (400, {"detail": "X-Project-ID must be a positive integer"})


@pytest.mark.parametrize("key", [b"", b"a" * 256, "é".encode(), b"a\tb"])
def test_idempotency_keys(client: httpx.Client, tenant: Tenant, key: bytes) -> None:
    headers = {b"Authorization": f"Bearer {tenant.key}".encode(), b"Idempotency-Key": key}
    answer = client.post(SINGLE, json=LOG, headers=headers)
    assert answer.json() == {"detail": "Idempotency-Key: must be 1-255 printable characters"}


@pytest.mark.parametrize("given", ["", "a" * 129, "<script>", "a b", "../..", "%0d%0aX: y", "é"])
def test_request_ids_are_sane(client: httpx.Client, given: str) -> None:
    answer = client.get("/health", headers={b"X-Request-ID": given.encode()})
    assert answer.headers["x-request-id"].startswith("req_")


# -- guesses -----------------------------------------------------------------------------------------------------------


def test_a_good_log_in_clears_no_address(origin: Origin, client: httpx.Client) -> None:
    somebody = tenant_of(client)
    good = {"email": somebody.email, "password": "SecurePass123"}
    for number in range(10):
        guess = {"email": f"nobody{number}@example.com", "password": "WrongPass1"}
        assert client.post("/api/v1/accounts/login", json=guess).status_code == 401
        if number == 8:
            assert client.post("/api/v1/accounts/login", json=good).status_code == 200
    answer = client.post("/api/v1/accounts/login", json=good)
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 1
    with caller(origin, "198.51.100.77") as elsewhere:
        assert elsewhere.post("/api/v1/accounts/login", json=good).status_code == 200
