"""Jobs that are taken in the short way: what is answered, stored and counted is what the usual way would have made."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from headrace.core import jobs, keys, uptime
from headrace.core.identity import sessions
from headrace.core.jobs import Job
from headrace.core.limits.windows import Budget
from headrace.core.principal import Principal
from headrace.core.schema.people import uptime_minutes as minutes
from headrace.doors.levqor import auth
from headrace.wire import address
from tests.doors.conftest import Origin, Tenant, caller, tenant_of
from tests.doors.raw import CHANGING, Answer, Wire, ask

GOOD: dict[str, Any] = {"workflow": "echo", "payload": {"input": [1, "ü"]}}
# A line that the short way does not know.
USUAL = ("X-Something: else",)
ROUTE = "/api/v1/intake"


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    # Jobs stay as they were taken in.
    return {"outbound_allow": ("127.0.0.1/32",), "jobs_workers": 0, "levqor_writes_per_address": 10_000}


@pytest.fixture(scope="module")
def shared(origin: Origin) -> Tenant:
    with caller(origin) as client:
        return tenant_of(client)


@pytest.fixture
def swift(origin: Origin, shared: Tenant, wire: Wire) -> Wire:
    """A connection to which the short way is open: its head is known."""
    assert ask(wire, request(shared, GOOD)).status == 202
    return wire


def request(tenant: Tenant, job: Any, *more: str, address: str = "203.0.113.9") -> bytes:
    body = job if isinstance(job, bytes) else json.dumps(job).encode()
    head = [f"POST {ROUTE} HTTP/1.1", "Host: here", f"X-Api-Key: {tenant.organization_key}"]
    head += ["Content-Type: application/json", f"X-Forwarded-For: {address}", *more]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


def owner(origin: Origin, tenant: Tenant) -> Principal:
    return sessions.resolve(origin.house, tenant.token)


def stored(origin: Origin, tenant: Tenant, answer: Answer) -> Job | None:
    """The job that was taken in, without what no two have in common."""
    if answer.status != 202:
        return None
    job = jobs.by_token(origin.house, owner(origin, tenant), token=answer.body["job_id"])
    return msgspec.structs.replace(job, id=0, token="", run_at=0, created_at=0)


def same(origin: Origin, tenant: Tenant, job: Any) -> Answer:
    """Have both ways answer, and compare all there is to compare."""
    answers = []
    for more in (USUAL, ()):
        wire = Wire(origin.url)
        answers.append(ask(wire, request(tenant, job, *more)))
        wire.close()
    usual, swift = answers
    assert swift.status == usual.status
    assert list(swift.headers) == list(usual.headers)
    assert {name: swift.headers[name] for name in swift.headers.keys() - CHANGING} == {
        name: usual.headers[name] for name in usual.headers.keys() - CHANGING
    }
    left = [int(one.headers["x-ratelimit-remaining"]) for one in answers]
    assert left[1] == left[0] - 1, "each counts once"
    assert swift.body.keys() == usual.body.keys()
    assert swift.body | {"job_id": ""} == usual.body | {"job_id": ""}
    assert stored(origin, tenant, swift) == stored(origin, tenant, usual)
    return swift


WRONG: tuple[Any, ...] = ("urgent", 5, "", [])
NO_OBJECT: tuple[Any, ...] = ([], "text", 5, None)
JOBS: list[tuple[Any, int]] = [
    (GOOD, 202),
    *((GOOD | {"priority": word}, 202) for word in ("low", "normal", "high", None)),
    *((GOOD | {"priority": value}, 400) for value in WRONG),
    (GOOD | {"callback_url": "https://example.com/done"}, 202),
    (GOOD | {"callback_url": "http://127.0.0.1:8080/done"}, 202),
    (GOOD | {"callback_url": None}, 202),
    (GOOD | {"callback_url": "http://169.254.169.254/"}, 400),
    (GOOD | {"callback_url": "ftp://example.com/"}, 400),
    (GOOD | {"callback_url": "nowhere"}, 400),
    (GOOD | {"callback_url": ""}, 400),
    (GOOD | {"callback_url": "https://example.com/" + "x" * 1_005}, 400),
    (GOOD | {"workflow": "nobody serves it"}, 202),
    (GOOD | {"workflow": "w" * 128}, 202),
    (GOOD | {"workflow": "w" * 129}, 400),
    (GOOD | {"workflow": ""}, 400),
    (GOOD | {"workflow": "\0"}, 400),
    (GOOD | {"workflow": None}, 400),
    (GOOD | {"extra": 1}, 400),
    ({"workflow": "echo"}, 400),
    ({"payload": {}}, 400),
    ([], 400),
    (None, 400),
    *((GOOD | {"payload": value}, 400) for value in NO_OBJECT),
    (GOOD | {"payload": {"a": "x" * 60_000}}, 202),
    (GOOD | {"payload": {"a": "x" * 204_792}}, 202),
    (GOOD | {"payload": {"a": "x" * 204_793}}, 400),
    (GOOD | {"payload": {"a": "x" * 600_000}}, 413),
    (b'{"workflow":"echo","payload":{"a":' + b"9" * 300 + b"}}", 202),
    (b'{"workflow":"echo","payload":{"a":' + b"1e9," * 12_000 + b"1}}", 400),
    (b'{"workflow":"echo","payload":{"a":[' + b"1e15," * 12_000 + b"1]}}", 400),
    (b'{"workflow":"echo","payload":{"a":1,"a":2}}', 202),
    (b'{"workflow":"echo","payload":{"a":"\\ud800"}}', 202),
    (b'\xef\xbb\xbf{"workflow":"echo","payload":{}}', 202),
    (b' {"workflow" : "echo", "payload" : {} } \n', 202),
    (b'{"workflow":"echo","payload":{"a":' + b"[" * 98 + b"]" * 98 + b"}}", 202),
    (b'{"workflow":"echo","payload":{"a":' + b"[" * 99 + b"]" * 99 + b"}}", 400),
    (b'{"workflow":"echo","payload":{"a":NaN}}', 400),
    (b'{"workflow":"echo","payload":{"a":"\xff"}}', 400),
    (b'{"workflow":"echo"', 400),
    (b"", 400),
]


@pytest.mark.parametrize(("job", "status"), JOBS, ids=range(len(JOBS)))
@pytest.mark.usefixtures("swift")
def test_both_ways_say_the_same(origin: Origin, shared: Tenant, job: Any, status: int) -> None:
    assert same(origin, shared, job).status == status


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "workflow": st.sampled_from(["echo", "http_request", "other", ""]) | VALUES,
        "payload": st.dictionaries(st.text(max_size=5), VALUES, max_size=3) | VALUES,
        "priority": st.sampled_from(["low", "high"]) | VALUES,
        "callback_url": st.sampled_from(["https://example.com/", "http://10.0.0.1/"]) | VALUES,
    },
)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example({})
@given(FIELDS)
@pytest.mark.usefixtures("swift")
def test_whatever_is_sent(origin: Origin, shared: Tenant, fields: dict[str, Any]) -> None:
    same(origin, shared, GOOD | fields)


def spend(origin: Origin, budget: Budget, left: int) -> None:
    origin.house.limits.take_all((budget,), cost=origin.house.limits.peek(budget).remaining - left)


def test_the_budget_is_that_of_the_address(origin: Origin, shared: Tenant) -> None:
    """Two send the same head; who they are, their connections tell."""
    body = json.dumps(GOOD).encode()
    head = f"POST {ROUTE} HTTP/1.1\r\nHost: here\r\nX-Api-Key: {shared.organization_key}\r\n"
    data = f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    one, other = Wire(origin.url), Wire(origin.url, "127.0.0.2")
    known = len(origin.app.express.heads)
    assert [ask(line, data).status for line in (one, other, one, other)] == [202] * 4
    assert len(origin.app.express.heads) == known + 1
    origin.clock.advance(180)
    assert ask(one, data).status == 202
    spend(origin, auth.of_writes(origin.house, address.bucket("127.0.0.2")), 2)
    answers = [ask(other, data) for _ in range(3)]
    assert [one.status for one in answers] == [202, 202, 429]
    assert answers[-1].body == {"error": "rate_limited"}
    assert answers[-1].headers["retry-after"] == "60"
    assert ask(one, data).status == 202
    one.close()
    other.close()


def test_the_budget_of_all(origin: Origin, shared: Tenant, swift: Wire) -> None:
    origin.clock.advance(180)
    assert ask(swift, request(shared, GOOD)).status == 202
    spend(origin, auth.of_door(origin.house), 2)
    assert [ask(swift, request(shared, GOOD)).status for _ in range(3)] == [202, 202, 429]
    spent = auth.of_writes(origin.house, address.bucket("203.0.113.9"))
    assert origin.house.limits.peek(spent).remaining == spent.limit - 3, "who is refused for all pays nothing"
    origin.clock.advance(180)


def test_both_ways_are_counted_alike(
    origin: Origin, new_tenant: Callable[[], Tenant], until: Callable[..., None]
) -> None:
    def accounted() -> tuple[float, ...]:
        uptime.mark(origin.house)
        keys.usage.flush(origin.house)
        with origin.house.db.read() as connection:
            row = connection.execute(sa.select(sa.func.sum(minutes.c.writes), sa.func.sum(minutes.c.recorded))).one()
        value, place = origin.house.counters.value, (("door", "levqor"), ("route", ROUTE))
        requests = value("requests_total", (*place, ("status", "2xx")))
        return requests, value("request_bytes_total", place[:1]), *(row[0] or 0, row[1] or 0)

    size = len(json.dumps(GOOD).encode())
    for more in (USUAL, ()):
        tenant, wire = new_tenant(), Wire(origin.url)
        ask(wire, request(tenant, GOOD, *more))
        (key,) = [one for one in keys.list_organization_keys(origin.house, owner(origin, tenant)) if one.name == "Wide"]
        until(lambda key=key: used(origin, key.key_id) == 1)
        before = accounted()
        for _ in range(7):
            assert ask(wire, request(tenant, GOOD, *more)).status == 202
        wanted = tuple(number + 7 * each for number, each in zip(before, (1, size, 1, 1), strict=True))
        until(lambda wanted=wanted: accounted() == wanted)
        until(lambda key=key: used(origin, key.key_id) == 8)
        wire.close()


def used(origin: Origin, key_id: int) -> int:
    keys.usage.flush(origin.house)
    return sum(one.requests for one in keys.usage.of_key(origin.house, key_id))


def test_what_was_answered_is_on_disk(origin: Origin, shared: Tenant, swift: Wire) -> None:
    """Another connection to the file sees it, as another process would."""
    answer = ask(swift, request(shared, GOOD))
    with closing(sqlite3.connect(origin.house.settings.data / "headrace.db")) as file:
        rows = file.execute("SELECT state FROM jobs WHERE token = ?", (answer.body["job_id"],)).fetchall()
    assert rows == [("ready",)]


def test_a_database_that_refuses_gives_everything_back(
    origin: Origin, shared: Tenant, swift: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ask(swift, request(shared, GOOD))
    before = jobs.counts(origin.house, owner(origin, shared))
    with origin.house.db.write() as connection:
        connection.exec_driver_sql(
            "CREATE TEMP TRIGGER full BEFORE INSERT ON jobs BEGIN SELECT RAISE(ABORT, 'full'); END"
        )
    try:
        refused = ask(swift, request(shared, GOOD))
    finally:
        with origin.house.db.write() as connection:
            connection.exec_driver_sql("DROP TRIGGER full")
    assert (refused.status, refused.body) == (500, {"error": "internal_error"})
    again = ask(swift, request(shared, GOOD))
    left = [int(one.headers["x-ratelimit-remaining"]) for one in (first, refused, again)]
    assert left == [left[0], left[0] - 1, left[0] - 2]
    after = jobs.counts(origin.house, owner(origin, shared))
    assert after == before | {"ready": before["ready"] + 1}


def test_a_key_that_was_revoked(origin: Origin, tenant: Tenant, wire: Wire) -> None:
    assert [ask(wire, request(tenant, GOOD)).status for _ in range(3)] == [202, 202, 202]
    who = owner(origin, tenant)
    (wide,) = [key for key in keys.list_organization_keys(origin.house, who) if key.name == "Wide"]
    keys.revoke(origin.house, who, key_id=wide.key_id)
    refused = ask(wire, request(tenant, GOOD))
    assert (refused.status, refused.body) == (403, {"error": "forbidden"})


KINDS = {"good": 202, "bad": 400, "malformed": 400, "other key": 403, "get": 200}


def written(kind: str, tenant: Tenant) -> bytes:
    match kind:
        case "bad":
            return request(tenant, GOOD | {"extra": 1})
        case "malformed":
            return request(tenant, b'{"workflow":')
        case "other key":
            return request(tenant._replace(organization_key="vetrai_" + "0" * 40), GOOD)
        case "get":
            return b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"
        case _:
            return request(tenant, GOOD)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(wanted=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=8), data=st.data())
def test_bytes_may_arrive_as_they_like(origin: Origin, shared: Tenant, wanted: list[str], data: st.DataObject) -> None:
    """Pipelined, cut anywhere: each request has its own answer, in order."""
    stream = b"".join(written(kind, shared) for kind in wanted)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6), label="cuts"))
    wire = Wire(origin.url)
    try:
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            wire.send(stream[start:end])
        assert [wire.answer().status for _ in wanted] == [KINDS[kind] for kind in wanted]
    finally:
        wire.close()
