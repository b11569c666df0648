"""The short way gives the answers of the usual way, however the bytes arrive, and knows when it must not be taken."""

import errno
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.core import keys, projects
from headrace.core.identity import sessions
from headrace.core.limits import quota
from headrace.core.principal import Principal
from tests.doors.conftest import Origin, Tenant, bearer, caller, tenant_of
from tests.doors.raw import CHANGING, Wire, ask
from tests.eventstore.faulty import FaultyFiles

SINGLE = "/api/v1/ingest/single"
GOOD = {"timestamp": "2025-10-17T10:00:00Z", "level": "info", "message": "Started"}
BAD = {"timestamp": "2025-10-17T10:00:00Z", "level": "loud"}


def request(key: str, log: Any = GOOD, *more: str, path: str = SINGLE) -> bytes:
    body = log if isinstance(log, bytes) else json.dumps(log).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: here", f"Authorization: Bearer {key}", *more]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


def known(origin: Origin) -> int:
    return len(origin.app.express.heads)


def test_a_head_is_known_after_its_first_good_request(origin: Origin, tenant: Tenant, wire: Wire) -> None:
    before = known(origin)
    first, *more = (ask(wire, request(tenant.key, GOOD | {"message": "x" * size})) for size in (1, 30, 700))
    assert known(origin) == before + 1
    for one in more:
        assert (one.status, one.body) == (first.status, first.body) == (202, one.body)
        assert list(one.headers) == list(first.headers)
        assert {name: one.headers[name] for name in set(one.headers) - CHANGING} == {
            name: first.headers[name] for name in set(first.headers) - CHANGING
        }
    left = [int(one.headers["x-ratelimit-remaining"]) for one in (first, *more)]
    assert left == [left[0], left[0] - 1, left[0] - 2]
    assert len({one.headers["x-request-id"] for one in (first, *more)}) == 3


def operator(tenant: Tenant) -> Principal:
    return Principal(kind="operator", organization_id=tenant.organization_id)


def test_a_head_is_learned_again_when_what_is_known_of_its_key_is_old(
    origin: Origin, tenant: Tenant, wire: Wire
) -> None:
    def fresh() -> int:
        return sum(keys.fresh(origin.house, known.entry) for known in origin.app.express.heads.values())

    ask(wire, request(tenant.key))
    before = fresh()
    origin.clock.advance(61)
    assert fresh() == 0 < before
    assert ask(wire, request(tenant.key)).status == 202
    assert fresh() == 1
    keys.create_organization_key(origin.house, sessions.resolve(origin.house, tenant.token), name="Another")
    assert fresh() == 0, "a change of any credential counts at once"
    assert ask(wire, request(tenant.key)).status == 202
    assert fresh() == 1


@pytest.mark.parametrize(
    "more",
    [
        ("X-Request-ID: mine",),
        ("Idempotency-Key: once",),
        ("Origin: https://pages.example",),
        ("Expect: 100-continue",),
        ("X-Something: else",),
        ("Accept: a", "Accept: b"),
        ("Content-Encoding: identity",),
    ],
)
def test_other_lines_are_not_remembered(origin: Origin, tenant: Tenant, wire: Wire, more: tuple[str, ...]) -> None:
    before = known(origin)
    wire.send(request(tenant.key, GOOD, *more))
    assert wire.answer().status == 202
    assert known(origin) == before


def test_what_was_taken_is_stored_once(
    client: httpx.Client, tenant: Tenant, wire: Wire, until: Callable[..., None]
) -> None:
    for number in range(20):
        assert ask(wire, request(tenant.key, GOOD | {"message": f"number {number}"})).status == 202

    def stored() -> list[str]:
        query = f"project_id={tenant.project_id}&limit=50"
        return [
            log["message"] for log in client.get(f"/api/v1/logs?{query}", headers=bearer(tenant.key)).json()["logs"]
        ]

    until(lambda: len(stored()) >= 20)
    assert sorted(stored()) == sorted(f"number {number}" for number in range(20))


def test_a_bad_log_under_a_known_head_has_the_usual_answer(tenant: Tenant, wire: Wire) -> None:
    usual = ask(wire, request(tenant.key, BAD))
    ask(wire, request(tenant.key))
    swift = ask(wire, request(tenant.key, BAD))
    assert (swift.status, swift.body) == (usual.status, usual.body)
    assert swift.status == 400
    left = int(swift.headers["x-ratelimit-remaining"])
    assert int(ask(wire, request(tenant.key)).headers["x-ratelimit-remaining"]) == left - 1, "it counted once"


def test_a_revoked_key_is_refused_on_the_next_request(origin: Origin, tenant: Tenant, wire: Wire) -> None:
    assert [ask(wire, request(tenant.key)).status for _ in range(3)] == [202, 202, 202]
    keys.revoke(origin.house, sessions.resolve(origin.house, tenant.token), key_id=tenant.key_id)
    assert ask(wire, request(tenant.key)).status == 401


def test_a_spent_budget_and_a_spent_quota_are_refused(origin: Origin, tenant: Tenant, wire: Wire) -> None:
    who = sessions.resolve(origin.house, tenant.token)
    projects.set_limits(origin.house, operator(tenant), project_id=tenant.project_id, daily_quota=4)
    assert [ask(wire, request(tenant.key)).status for _ in range(4)] == [202] * 4
    refused = ask(wire, request(tenant.key))
    assert (refused.status, refused.body["detail"]) == (429, "Daily quota exceeded: 4 logs per day")
    keys.set_limits(origin.house, who, key_id=tenant.key_id, per_minute=7)
    projects.set_limits(origin.house, operator(tenant), project_id=tenant.project_id, daily_quota=1000)
    # The five before count, the refused one too: it was refused for its quota, not for its rate.
    assert [ask(wire, request(tenant.key)).status for _ in range(4)] == [202, 202, 429, 429]


def test_a_disk_that_refuses_gives_everything_back(origin: Origin, tenant: Tenant, wire: Wire) -> None:
    first = ask(wire, request(tenant.key))
    used = quota.usage(origin.house, tenant.project_id)
    wal = origin.house.store.wal

    def never(call: str, _: int) -> int | None:
        return errno.EIO if call == "sync" else None

    files = wal.files
    wal.files = FaultyFiles(never)
    try:
        refused = ask(wire, request(tenant.key))
    finally:
        wal.files = files
    assert (refused.status, refused.headers["retry-after"]) == (503, "60")
    assert quota.usage(origin.house, tenant.project_id) == used
    again = ask(wire, request(tenant.key))
    assert again.status == 202
    left = [int(one.headers["x-ratelimit-remaining"]) for one in (first, refused, again)]
    assert left == [left[0], left[0] - 1, left[0] - 2]


kinds = st.sampled_from(["good", "long", "bad", "malformed", "other key", "unknown path", "batch", "get"])
WANTED = {
    "good": 202,
    "long": 202,
    "bad": 400,
    "malformed": 400,
    "other key": 401,
    "unknown path": 404,
    "batch": 202,
    "get": 200,
}


def written(kind: str, key: str) -> bytes:
    """Write a request of a kind, each of which has one status."""
    match kind:
        case "long":
            return request(key, GOOD | {"message": "y" * 5_000})
        case "bad":
            return request(key, BAD)
        case "malformed":
            return request(key, b'{"timestamp":')
        case "other key":
            return request(key[:-7] + "0000000")
        case "unknown path":
            return request(key, path="/api/v1/ingest/none")
        case "batch":
            return request(key, {"logs": [GOOD, GOOD]}, path="/api/v1/ingest/batch")
        case "get":
            return b"GET /health HTTP/1.1\r\nHost: here\r\n\r\n"
        case _:
            return request(key)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(wanted=st.lists(kinds, min_size=1, max_size=8), data=st.data())
def test_bytes_may_arrive_as_they_like(origin: Origin, shared: Tenant, wanted: list[str], data: st.DataObject) -> None:
    """Pipelined, cut anywhere: each request has its own answer, in order."""
    stream = b"".join(written(kind, shared.key) for kind in wanted)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6), label="cuts"))
    wire = Wire(origin.url)
    try:
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            wire.send(stream[start:end])
        assert [wire.answer().status for _ in wanted] == [WANTED[kind] for kind in wanted]
    finally:
        wire.close()


@pytest.fixture(scope="module")
def shared(origin: Origin) -> Tenant:
    with caller(origin) as client:
        made = tenant_of(client)
    keys.set_limits(origin.house, operator(made), key_id=made.key_id, per_minute=1_000_000, per_hour=10_000_000)
    return made
