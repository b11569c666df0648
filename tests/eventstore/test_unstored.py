"""An event reads the same before it is stored as after, and the same selections have it."""

import datetime as dt
import itertools
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.eventstore import queries, search
from headrace.eventstore.engine import Engine
from headrace.eventstore.queries import Selection
from headrace.eventstore.rows import OBJECT_STACK, Group, MarkedEvent
from headrace.eventstore.unstored import Unstored, contains, selects
from tests.eventstore.conftest import ARRIVAL, SegmentOf

TENANTS = itertools.count(500_000)
FIRST_IDS = itertools.count(5_000_000_000_000_000, 1_000)
WORDS = [
    "",
    "Timeout",
    "time out",
    "TIMEOUT",
    "a.b.c",
    "Größe",
    "GRÖSSE",
    "İstanbul",
    "\u212a",
    "k",
    "日本",
    "ς",
    "x_y",
    "%",
]
TEXTS = st.none() | st.sampled_from(WORDS) | st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join)
STATUSES = st.sampled_from(
    [200, 404, 500.0, 5e2, 0, -1, 65_535, 65_536, 2**32 + 200, 2**70, 99.5, "500", True, None, [500]]
)
DURATIONS = st.sampled_from([0, 1, 1.5, 12.0, -1, -0.0, 2**53, 2**70, 1e300, "7", False, None, {"a": 1}])
ENDPOINTS = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["GET", "", 7, None]),
        "path": st.sampled_from(["/a", "/a/b", "", 'q"uote\\', [1]]),
        "status_code": STATUSES,
        "duration_ms": DURATIONS,
    },
)
ATTRIBUTES = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "service": st.sampled_from(["api", "", "ünï", 5, None, ["api"], 'a"b']),
        "host": st.sampled_from(["web-1", {"name": "x"}]),
        "endpoint": ENDPOINTS | st.sampled_from(["GET /", 5, None, [1]]),
        "user": st.sampled_from([17, "17", 17.0, 2**64, {"id": 17}, None]),
    },
)
EVENT = st.fixed_dictionaries(
    {
        "level": st.sampled_from(["debug", "info", "warning", "error", "critical"]),
        "log_type": st.sampled_from(["logger", "exception", "endpoint"]),
        "importance": st.sampled_from(["low", "standard"]),
        "message": TEXTS,
        "error_type": TEXTS,
        "error_message": TEXTS,
        "environment": st.none() | st.sampled_from(["", "production", "dev"]),
        "release": st.none() | st.sampled_from(["", "1.0"]),
        "platform": st.none() | st.just("python"),
        "stack_trace": st.none() | st.sampled_from(["", "at x", '{"frames":[]}' + OBJECT_STACK]),
        "attributes": ATTRIBUTES,
        "fingerprint": st.sampled_from(["", "f" * 64]),
        "ts": st.sampled_from([0, -1, 7_300_000_000_000_000_000 // 1000]),
    }
)
SELECTION = st.fixed_dictionaries(
    {},
    optional={
        "levels": st.sampled_from([(), ("error",), ("info", "debug", "critical")]),
        "log_types": st.sampled_from([("logger",), ("exception", "endpoint")]),
        "status_classes": st.sampled_from([(2,), (4, 5)]),
        "environment": st.sampled_from(["", "production", "\0", "none"]),
        "text": st.sampled_from(
            ["time", "TIME", "out t", "ö", "ß", "ss", "k", "\u212a", "i", "İ", ".b.", "_", "%", "本", "\0", "Σ"]
        ),
    },
)
QUERY = st.sampled_from(
    [
        *("timeout", "-timeout", "level:>=warning", "service:api", "service:*", "host:web-*", "env:production"),
        *("status:5xx", "status:[0 TO 70000]", "duration:>1", "duration:0", "-duration:*", "method:GET", "path:/a/*"),
        *("user:17", "user.id:17", "user:*", "endpoint.status_code:500", "fingerprint:*", "stack:frames", 'release:""'),
        *("error:Timeout", "timestamp:>2026-01-01", "-timestamp:>2026-01-01", "received:*", "platform:python"),
    ]
)
NOON = dt.datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=dt.UTC)


def made(fields: dict[str, Any]) -> MarkedEvent:
    attributes = fields.pop("attributes")
    raw = msgspec.Raw(json.dumps(attributes, ensure_ascii=False).encode())
    return MarkedEvent(timestamp=NOON, attributes=raw, **fields)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    events=st.lists(EVENT, min_size=1, max_size=40),
    asked=st.lists(st.tuples(SELECTION, st.none() | QUERY), min_size=4, max_size=8),
)
def test_before_and_after(
    engine: Engine, segment_of: SegmentOf, events: list[dict[str, Any]], asked: list[tuple[dict[str, Any], str | None]]
) -> None:
    tenant, first_id = next(TENANTS), next(FIRST_IDS)
    group = Group(len(events), tenant, 7, ARRIVAL, 30, first_id, [made(dict(one)) for one in events])
    segment = segment_of([msgspec.json.encode(group)])
    engine.insert_segment(segment.path, token=f"unstored-{tenant}")
    ones = [
        Unstored(event, tenant=tenant, project=7, received_at=ARRIVAL, event_id=first_id + number)
        for number, event in enumerate(group.events)
    ]
    stored = {row.id: row for row in queries.latest(engine, Selection(tenant=tenant, project=7), limit=1000)}
    for one in ones:
        assert one.row == stored[one.event_id]
    for fields, query in asked:
        node = None if query is None else search.parse(query)
        selection = Selection(tenant=tenant, project=7, search=None if node is None else search.compile(node), **fields)
        found = sorted(row.id for row in queries.latest(engine, selection, limit=1000))
        assert [one.event_id for one in ones if selects(selection, node, one)] == found, (fields, query)


def test_keys_beyond_the_most_come_back() -> None:
    sent = {f"k{number}": number for number in range(255)} | {"_overflow": {"a": 1, "b": 2}}
    one = Unstored(made({"level": "info", "attributes": sent}), tenant=1, project=1, received_at=1, event_id=1)
    assert one.row.attributes is not None
    assert len(one.row.attributes) == 257
    assert (one.row.attributes["a"], one.columns["attributes"]["_overflow"]) == (1, {"a": 1, "b": 2})


def test_a_number_that_is_out_of_range_ends_nothing() -> None:
    event = MarkedEvent(timestamp=NOON, level="info", attributes=msgspec.Raw(b'{"n":1e999}'))
    assert Unstored(event, tenant=1, project=1, received_at=1, event_id=1).row.attributes == {"n": float("inf")}


@pytest.mark.parametrize(
    ("text", "part", "found"), [("A\u212aB", "k", False), ("A\u212aB", "\u212a", True), ("aÖb", "öB", True)]
)
def test_letters(text: str, part: str, found: bool) -> None:
    assert contains(text, part) is found
