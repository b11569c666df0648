"""Live tail over the wire: what arrives, when it ends, and who may not."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest

from headrace.core import keys
from headrace.core.events import Filters, tail
from headrace.core.events.follow import Pace
from headrace.core.events.tail import Hub, Subscription
from headrace.core.house import Doubts
from headrace.core.identity import sessions
from headrace.doors.ledger import DOOR
from headrace.doors.ledger import tail as route
from headrace.wire.call import Call
from headrace.wire.door import routes_of
from headrace.wire.event_stream import BEAT
from tests.conftest import PATIENCE
from tests.doors.conftest import Origin, Tenant, bearer

PATH = "/api/v1/logs/tail"
# A test that waits for longer than this has failed, on the slowest machine too.
SECONDS = 20.0 * PATIENCE
NOON = "2026-01-01T12:00:00.123456Z"
Event = dict[str, str]


class Reader:
    """An open stream: `next()` gives the next event, its data decoded."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.lines = answer.iter_lines()
        self.place = ""

    def next(self) -> tuple[str, Any]:
        event: Event = {}
        for line in self.lines:
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
                continue
            self.place = event.get("id", self.place)
            if "data" in event:
                return event["event"], json.loads(event["data"])
            event = {}
        raise EOFError

    def opening(self) -> str:
        """Read the first block, which says where to go on from."""
        block = iter(self.lines)
        assert next(block) == "retry: 1000"
        line = next(block)
        if line:
            self.place = line.removeprefix("id: ")
            assert not next(block)
        return self.place


@contextmanager
def following(client: httpx.Client, tenant: Tenant, credential: str = "", **more: Any) -> Iterator[Reader]:
    headers = bearer(credential or tenant.key) | more.pop("headers", {})
    query = {"project_id": tenant.project_id} | more
    with client.stream("GET", PATH, params=query, headers=headers) as answer:
        if answer.status_code != 200:
            answer.read()
        assert answer.status_code == 200, answer.text
        reader = Reader(answer)
        reader.opening()
        yield reader


def send(client: httpx.Client, tenant: Tenant, *entries: dict[str, Any]) -> None:
    body = {"logs": [{"timestamp": NOON, "level": "info"} | entry for entry in entries]}
    answer = client.post("/api/v1/ingest/batch", json=body, headers=bearer(tenant.key))
    assert answer.status_code == 202, answer.text
    assert answer.json()["rejected"] == 0


def messages(reader: Reader, count: int) -> list[str]:
    return [reader.next()[1]["message"] for _ in range(count)]


def test_a_log_that_is_sent_meanwhile_arrives(
    client: httpx.Client, tenant: Tenant, new_tenant: Any, until: Any
) -> None:
    other = new_tenant()
    rich = {
        "message": "Größe",
        "error_type": "KeyError",
        "stack_trace": 'File "a.py", line 1, in f',
        "level": "error",
        "environment": "",
        "attributes": {
            "service": "api",
            "n": 1.5,
            "big": 2**70,
            "endpoint": {"method": "GET", "path": "/x", "status_code": 500, "duration_ms": 2},
        },
    }
    with following(client, tenant) as reader:
        headers = reader.answer.headers
        assert headers["content-type"] == "text/event-stream; charset=utf-8"
        assert (headers["cache-control"], headers["x-accel-buffering"]) == ("no-store", "no")
        assert int(headers["x-ratelimit-remaining"]) > 0
        assert headers["x-request-id"]
        send(client, other, {"message": "elsewhere"})
        send(client, tenant, rich)
        name, log = reader.next()
        assert (name, reader.place) == ("log", log["id"])
        send(client, tenant, {"message": "plain"})
        plain = reader.next()[1]
    for shown in (log, plain):
        where = f"/api/v1/logs/{shown['id']}"
        query = {"project_id": tenant.project_id}
        until(lambda where=where, query=query: client.get(where, params=query, headers=bearer(tenant.key)).is_success)
        assert client.get(where, params=query, headers=bearer(tenant.key)).json() == shown


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "level:error two"}, ["two"]),
        ({"level": ["error", "debug"]}, ["two", "three"]),
        ({"environment": "dev"}, ["three"]),
        ({"search": "WO"}, ["two"]),
        ({"status_class": "4xx"}, ["three"]),
        ({"log_type": "console", "q": "-one"}, ["three"]),
        ({"period": "today"}, ["one", "two", "three"]),
    ],
)
def test_filters(client: httpx.Client, tenant: Tenant, query: dict[str, Any], found: list[str]) -> None:
    with following(client, tenant, **query) as reader:
        send(
            client,
            tenant,
            {"message": "one", "log_type": "console"},
            {"message": "two", "level": "error"},
            {
                "message": "three",
                "level": "debug",
                "environment": "dev",
                "log_type": "console",
                "attributes": {"endpoint": {"status_code": 404}},
            },
        )
        assert messages(reader, len(found)) == found


def test_coming_back(client: httpx.Client, tenant: Tenant) -> None:
    with following(client, tenant) as reader:
        start = reader.place
    send(client, tenant, {"message": "missed"})
    with following(client, tenant, after=start) as reader:
        assert messages(reader, 1) == ["missed"]
        send(client, tenant, {"message": "seen"})
        assert messages(reader, 1) == ["seen"]
        place = reader.place
    send(client, tenant, {"message": "missed too"})
    # A browser asks the same address again; what it adds counts.
    with following(client, tenant, after=start, headers={"Last-Event-ID": place}) as reader:
        send(client, tenant, {"message": "new"})
        assert messages(reader, 2) == ["missed too", "new"]


def test_head_and_refusals(client: httpx.Client, tenant: Tenant, new_tenant: Any, origin: Origin) -> None:
    query: dict[str, Any] = {"project_id": tenant.project_id}
    head = client.head(PATH, params=query, headers=bearer(tenant.key))
    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    for more, status, detail in (
        ({"after": "x"}, 400, "after"),
        ({"q": "level:eror"}, 400, "position 7"),
        ({"level": "loud"}, 400, "level"),
        ({"project_id": new_tenant().project_id}, 403, "own"),
    ):
        answer = client.get(PATH, params=query | more, headers=bearer(tenant.token))
        assert (answer.status_code, detail in answer.json()["detail"]) == (status, True), answer.text
    assert origin.house.part(Hub).projects.get(tenant.project_id) is None


def test_leaving_frees(client: httpx.Client, tenant: Tenant, origin: Origin, until: Callable[..., None]) -> None:
    hub = origin.house.part(Hub)
    # Who left before has been heard of by now, or soon will be.
    until(lambda: not hub.count)
    with following(client, tenant), following(client, tenant, credential=tenant.token):
        assert hub.count == 2
    until(lambda: tenant.project_id not in hub.projects)
    until(lambda: not hub.count)
    until(lambda: all(not count for place, count in origin.app.in_flight.items() if ("route", PATH) in place))


@contextmanager
def crowded(origin: Origin, tenant: Tenant, count: int) -> Iterator[None]:
    """So many watch the project already."""
    hub, who = origin.house.part(Hub), sessions.resolve(origin.house, tenant.token)
    wish = tail.wanted(origin.house, who, project_id=tenant.project_id, filters=Filters(), encode=route.shown)
    with closing(asyncio.new_event_loop()) as loop:
        made = [Subscription(loop) for _ in range(count)]
        for one in made:
            hub.add(wish, one)
        yield
        for one in made:
            hub.remove(wish, one)


def test_there_may_be_so_many(client: httpx.Client, tenant: Tenant, new_tenant: Any, origin: Origin) -> None:
    settings, query = origin.house.settings, {"project_id": tenant.project_id}
    with crowded(origin, tenant, settings.tails_per_project):
        answer = client.get(PATH, params=query, headers=bearer(tenant.key))
        assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (429, True)
        assert answer.json() == {"detail": "Too many live tails: at most 200 of one project"}
        with following(client, new_tenant()):
            pass


def test_a_slow_reader_is_told(client: httpx.Client, tenant: Tenant, origin: Origin) -> None:
    address = httpx.URL(origin.url)
    connection = HTTPConnection(address.host, address.port, timeout=SECONDS)
    connection.sock = socket.socket()
    with closing(connection):
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sock.settimeout(SECONDS)
        connection.sock.connect((address.host, address.port))
        connection.request("GET", f"{PATH}?project_id={tenant.project_id}", headers=bearer(tenant.key))
        answer = connection.getresponse()
        for _ in range(3):
            send(client, tenant, *[{"message": "x" * 9_000}] * 1000)
        shown = lost = 0
        for line in answer:
            shown += line.startswith(b'data: {"id"')
            lost += json.loads(line[6:])["dropped"] if line.startswith(b'data: {"dropped"') else 0
            if shown + lost == 3000:
                break
        assert lost > 0
        send(client, tenant, {"message": "fast again"})
        assert any(b'"fast again"' in line for line in answer)


@pytest.mark.parametrize("told", [True, False])
def test_who_may_read_no_longer_is_shown_out(
    client: httpx.Client, tenant: Tenant, origin: Origin, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """The same stream as over the wire: told of the change and never checked, or as from another process."""
    house = origin.house
    if not told:
        monkeypatch.setattr(house.part(Doubts), "all", [])
    headers = [(b"authorization", b"Bearer " + tenant.key.encode())]
    call = Call(house, {"method": "GET", "path": PATH, "headers": headers}, asyncio.Queue().get)
    call.route = next(one for one in routes_of(DOOR) if one.template == PATH)
    wish = tail.wanted(
        house, keys.resolve(house, tenant.key), project_id=tenant.project_id, filters=Filters(), encode=route.shown
    )
    revoked = threading.Event()

    async def read() -> list[bytes]:
        found = []
        with route.opened(call, wish, tenant.project_id, Pace(beat=0.02, check=600.0 if told else 0.02)) as pieces:
            async for piece in pieces:
                found.append(piece)
                if piece == BEAT and not revoked.is_set():
                    revoked.set()
                    path = f"/api/v1/api-keys/{tenant.key_id}"
                    await asyncio.to_thread(client.delete, path, headers=bearer(tenant.token))
        return found

    async def bounded() -> list[bytes]:
        async with asyncio.timeout(SECONDS):
            return await read()

    found = asyncio.run(bounded())
    assert revoked.is_set()
    assert found[-1] == b'event: end\ndata: {"reason":"Invalid or expired API key"}\n\n'
