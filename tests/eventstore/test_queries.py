"""Questions about stored events, against a plain list of the same events."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from headrace.eventstore import deletion, messages, queries, search
from headrace.eventstore.engine import Engine
from headrace.eventstore.queries import Bucket, EventRow, Selection
from tests.eventstore.conftest import ARRIVAL, DAY, TENANTS, SegmentOf, event, group, write_segment

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR = 3_600_000_000
WORDS = ["disk full", "Disk is FULL on node-7", "timeout after 30 ms", "caf\u00e9 au lait", "CAF\u00c9", "", "a_b c.d"]
TIMES = [-1, 0, ARRIVAL - 40 * DAY, ARRIVAL - 3 * DAY, ARRIVAL - HOUR, ARRIVAL - 1, ARRIVAL]

EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "ts": st.sampled_from(TIMES),
            "level": st.sampled_from(["debug", "info", "warning", "error", "critical"]),
        },
        optional={
            "log_type": st.sampled_from(["console", "exception", "endpoint"]),
            "message": st.sampled_from(WORDS),
            "error_type": st.sampled_from(["TimeoutError", "DiskFull"]),
            "error_message": st.sampled_from(WORDS),
            "environment": st.sampled_from(["production", "dev", ""]),
            "status": st.sampled_from([200, 204, 301, 404, 500, 0]),
        },
    ),
    min_size=1,
    max_size=40,
)
QUESTIONS = st.fixed_dictionaries(
    {},
    optional={
        "ts_from": st.sampled_from(TIMES),
        "ts_to": st.sampled_from(TIMES),
        "received_from": st.sampled_from([ARRIVAL + 3, ARRIVAL + DAY]),
        "received_to": st.sampled_from([ARRIVAL + 3, ARRIVAL + DAY]),
        "received_floor": st.just(ARRIVAL + 1),
        "levels": st.sampled_from([("error",), ("info", "debug")]),
        "log_types": st.sampled_from([("exception", "logger"), ("console",)]),
        "status_classes": st.sampled_from([(2,), (4, 5)]),
        "environment": st.sampled_from(["production", "nowhere", ""]),
        "errors": st.booleans(),
        "text": st.sampled_from(["full", "k fu", "is full on nod", "CAF\u00c9", "timeout", "b C.", "%", "disk full"]),
    },
)


def line(given: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in given.items() if name not in {"ts", "status"}}
    if "status" in given:
        fields["attributes"] = {"endpoint": {"status_code": given["status"]}}
    return event(given["ts"]) | fields


def chosen(row: EventRow, question: dict[str, Any]) -> bool:
    texts = [(text or "").lower() for text in (row.message, row.error_type, row.error_message)]
    tests: dict[str, Callable[[Any], bool]] = {
        "ts_from": lambda bound: row.ts >= bound,
        "ts_to": lambda bound: row.ts <= bound,
        "received_from": lambda bound: row.received_at >= bound,
        "received_to": lambda bound: row.received_at <= bound,
        "received_floor": lambda bound: row.received_at >= bound,
        "levels": lambda names: row.level in names,
        "log_types": lambda names: row.log_type in names,
        "status_classes": lambda digits: (row.status_code or 0) // 100 in digits,
        "environment": lambda name: row.environment == name,
        "errors": lambda wanted: not wanted or row.level in {"error", "critical"} or row.log_type == "exception",
        "text": lambda part: any(part.lower() in text for text in texts),
    }
    return all(tests[name](value) for name, value in question.items())


@settings(
    max_examples=12,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(events=EVENTS, questions=st.lists(QUESTIONS, min_size=1, max_size=6))
def test_answers_are_those_of_a_plain_list(
    engine: Engine, segment_of: SegmentOf, events: list[dict[str, Any]], questions: list[dict[str, Any]]
) -> None:
    tenant = next(TENANTS)
    middle = len(events) // 2
    halves = [
        group(tenant, [line(one) for one in half], received_at=ARRIVAL + day * DAY + 3 * day)
        for day, half in enumerate((events[:middle], events[middle:]))
        if half
    ]
    segment = segment_of(halves)
    engine.insert_segment(segment.path, token=segment.name)
    rows = queries.latest(engine, Selection(tenant=tenant, project=7), limit=1000)
    assert Counter((row.ts, row.level, row.message) for row in rows) == Counter(
        (one["ts"], one["level"], one.get("message")) for one in events
    )
    for question in questions:
        expected = [row for row in rows if chosen(row, question)]
        check(engine, Selection(tenant=tenant, project=7, **question), expected)


def check(engine: Engine, selection: Selection, expected: list[EventRow]) -> None:
    by_arrival = sorted(expected, key=lambda row: (row.received_at, row.id))
    assert queries.count(engine, selection) == len(expected)
    assert queries.latest(engine, selection, limit=1000) == expected
    assert queries.latest(engine, selection, limit=5, offset=2) == expected[2:7]
    assert queries.latest(engine, selection, limit=1000, order="received_at") == by_arrival[::-1]
    if expected:
        first = expected[0]
        assert queries.latest(engine, selection, limit=1000, before=(first.ts, first.id)) == expected[1:]
        oldest = by_arrival[0]
        assert queries.after(engine, selection, oldest.received_at, oldest.id, limit=1000) == by_arrival[1:]
    assert dict(queries.count_by(engine, selection, "level")) == Counter(row.level for row in expected)
    assert dict(queries.count_by(engine, selection, "environment")) == Counter(
        row.environment for row in expected if row.environment is not None
    )
    assert dict(queries.count_by(engine, selection, "status_class")) == Counter(
        f"{row.status_code // 100}xx" for row in expected if row.status_code
    )
    fields = ("level", "environment", "status_class", "service")
    each = {field: queries.count_by(engine, selection, field, limit=2) for field in fields}
    assert queries.count_by_each(engine, selection, fields, limit=2) == each
    buckets = Counter(row.ts // DAY * DAY for row in expected)
    assert queries.histogram(engine, selection, DAY) == [Bucket(start, n) for start, n in sorted(buckets.items())]
    split = Counter((row.ts // HOUR * HOUR, row.level) for row in expected)
    assert {
        (bucket.start, bucket.value): bucket.rows
        for bucket in queries.histogram(engine, selection, HOUR, split="level")
    } == split


@pytest.fixture(scope="module")
def hour(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A tenant with 3,000 events of one project, a second apart, backwards in time."""
    tenant = next(TENANTS)
    events = [event(ARRIVAL - number * 1_000_000, message=f"m{number % 3}") for number in range(3000)]
    segment = write_segment(tmp_path_factory.mktemp("hour"), [group(tenant, events)])
    engine.insert_segment(segment.path, token=segment.name)
    return tenant


def test_pages_by_cursor_and_by_offset_agree(engine: Engine, hour: int) -> None:
    selection = Selection(tenant=hour, project=7)
    pages: list[EventRow] = []
    while page := queries.latest(engine, selection, limit=700, before=(pages[-1].ts, pages[-1].id) if pages else None):
        pages += page
    assert [row.ts for row in pages] == [ARRIVAL - number * 1_000_000 for number in range(3000)]
    for offset in (0, 999, 1001, 2990, 3000, 4000):
        assert queries.latest(engine, selection, limit=50, offset=offset) == pages[offset : offset + 50]


def test_one_event_is_found_by_its_place(engine: Engine, hour: int) -> None:
    (row,) = queries.latest(engine, Selection(tenant=hour, project=7), limit=1, offset=1234)
    assert queries.by_id(engine, hour, 7, row.ts, row.id) == row
    assert queries.by_id(engine, hour, 7, row.ts, row.id, received_floor=ARRIVAL + 1) is None
    for tenant, project, ts, event_id in [
        (hour + 1, 7, row.ts, row.id),
        (hour, 8, row.ts, row.id),
        (hour, 7, row.ts + 1, row.id),
        (hour, 7, row.ts, row.id + 1),
    ]:
        assert queries.by_id(engine, tenant, project, ts, event_id) is None


def test_the_whole_tenant_and_no_other(engine: Engine, segment_of: SegmentOf) -> None:
    one, other = next(TENANTS), next(TENANTS)
    segment = segment_of(
        [group(one, [event()]), group(one, [event()], project=9), group(other, [event()])],
    )
    engine.insert_segment(segment.path, token=segment.name)
    assert {row.project for row in queries.latest(engine, Selection(tenant=one), limit=10)} == {7, 9}
    assert queries.count(engine, Selection(tenant=other)) == 1


def test_top_messages(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    events = [
        event(message="a"),
        event(message="a"),
        event(error_message="b", error_type="T"),
        event(error_type="T"),
        event(),
        event(message=""),
    ]
    late = group(tenant, [event(ARRIVAL - 5, message="c")], received_at=ARRIVAL + 5)
    segment = segment_of([group(tenant, events), late])
    engine.insert_segment(segment.path, token=segment.name)
    selection = Selection(tenant=tenant)
    assert messages.top(engine, selection, limit=3) == [
        messages.TopMessage("", 2, ARRIVAL),
        messages.TopMessage("a", 2, ARRIVAL),
        messages.TopMessage("c", 1, ARRIVAL + 5),
    ]
    assert {top.message for top in messages.top(engine, selection)} == {"a", "b", "T", "", "c"}
    assert messages.top(engine, selection, column="ts", limit=1)[0].rows == 2


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=40),
    limit=st.integers(1, 12),
    table=st.tuples(st.sampled_from([1, 4, 1 << 16]), st.integers(1, 20), st.integers(1, 40)),
)
def test_the_most_frequent_are_found_whatever_bucket_they_are_in(
    engine: Engine, segment_of: SegmentOf, counts: list[int], limit: int, table: tuple[int, int, int]
) -> None:
    tenant, (buckets, fullest, at_once) = next(TENANTS), table
    said = [f"message {number}" for number, count in enumerate(counts) for _ in range(count)]
    segment = segment_of([group(tenant, [event(message=text) for text in said])])
    engine.insert_segment(segment.path, token=segment.name)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(messages, "FULLEST", fullest)
        patched.setattr(messages, "COUNTED_ROWS", at_once)
        patched.setattr(messages, "BUCKET", f"bitAnd(toUInt16(said_hash), {buckets - 1})")
        found = messages.top(engine, Selection(tenant=tenant), limit=limit)
    counted = Counter(said)  # All were seen last at the same moment: of equally frequent ones any will do.
    assert [top.rows for top in found] == sorted(counted.values(), reverse=True)[:limit]
    assert {top.message: top.rows for top in found}.items() <= counted.items()
    assert len({top.message for top in found}) == len(found)


def test_attributes_are_counted(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    events = [event(attributes={"k": "x"}), event(attributes={"k": 1}), event(attributes={"k": "x"}), event()]
    segment = segment_of([group(tenant, events)])
    engine.insert_segment(segment.path, token=segment.name)
    assert queries.count_by(engine, Selection(tenant=tenant), "attributes.k") == [('"x"', 2), ("1", 1)]


def test_a_search_narrows(engine: Engine, hour: int) -> None:
    compiled = search.compile(search.parse("m1"))
    selection = Selection(tenant=hour, project=7, search=compiled)
    assert queries.count(engine, selection) == 1000
    assert {row.message for row in queries.latest(engine, selection, limit=20)} == {"m1"}


def test_a_project_is_deleted_up_to_a_time(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    groups = [
        group(tenant, [event()] * 2),
        group(tenant, [event()] * 3, received_at=ARRIVAL + 10),
        group(tenant, [event()] * 4, project=8),
    ]
    segment = segment_of(groups)
    engine.insert_segment(segment.path, token=segment.name)
    before = Selection(tenant=tenant, project=7, received_to=ARRIVAL + 9)
    ((partition, rows),) = deletion.counted(engine, before)
    assert rows == 2
    deletion.remove(engine, before, partition)
    assert queries.count(engine, Selection(tenant=tenant, project=7)) == 3
    assert queries.count(engine, Selection(tenant=tenant, project=8)) == 4
    assert deletion.counted(engine, before) == []


def test_the_engine_knows_how_old_its_oldest_events_are(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    segment = segment_of([group(tenant, [event()])])
    engine.insert_segment(segment.path, token=segment.name)
    engine.oldest_until = 0.0
    assert engine.holds_before(ARRIVAL)
    assert 0 < engine.oldest <= ARRIVAL
    assert not engine.holds_before(engine.oldest)
    engine.arrived(engine.oldest - DAY)
    assert not engine.holds_before(engine.oldest)
    assert engine.holds_before(engine.oldest + 1)
