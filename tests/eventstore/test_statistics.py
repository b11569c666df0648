"""Statistics of stored events, against plain Python over the same events."""

import math
import statistics as plain
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from headrace.eventstore import masks, messages, schema, statistics
from headrace.eventstore.engine import Engine, EngineOptions, QueryRefused
from headrace.eventstore.queries import Selection
from headrace.eventstore.search.attributes import found, spell
from tests.eventstore.conftest import ARRIVAL, DAY, TENANTS, SegmentOf, event, group

HOUR = 3_600_000_000
TIMES = [-1, 0, ARRIVAL - 40 * DAY, ARRIVAL - HOUR, ARRIVAL - 1, ARRIVAL]
TEXTS = ["a", 'it\'s "x"\\n\t', "日本", "", "a\nb", "{b:String}"]
SERVICES = [text for text in TEXTS if text]
NUMBERS = st.sampled_from([0, 1, 17, -3, 2.5, 1e-7, 12345.678])
FIELDS = ["level", "environment", "service", "status_code", "message"]
PATHS = ["attributes.k", "attributes.in.k", "attributes.n", "attributes.none"]

EVENTS = st.lists(
    st.fixed_dictionaries(
        {"ts": st.sampled_from(TIMES), "level": st.sampled_from(schema.LEVELS)},
        optional={
            "message": st.sampled_from(TEXTS),
            "environment": st.sampled_from(TEXTS),
            "attributes": st.fixed_dictionaries(
                {},
                optional={
                    "service": st.sampled_from(SERVICES),
                    "k": st.one_of(st.sampled_from([*TEXTS, "17", None, True]), NUMBERS),
                    "in": st.one_of(st.just("x"), st.fixed_dictionaries({}, optional={"k": st.sampled_from([1, "é"])})),
                    "n": st.one_of(NUMBERS, st.sampled_from(["12", None, [1]])),
                    "endpoint": st.fixed_dictionaries(
                        {"status_code": st.sampled_from([200, 404]), "duration_ms": st.sampled_from([0, 1.5, 80])}
                    ),
                },
            ),
        },
    ),
    min_size=1,
    max_size=40,
)


def values_of(one: dict[str, Any], field: str) -> Any:
    """The value that a field of an event has, None when absent."""
    attributes = one.get("attributes", {})
    match field:
        case "service":
            return attributes.get("service")
        case "status_code" | "duration_ms":
            return attributes.get("endpoint", {}).get(field)
    if not field.startswith("attributes."):
        return one.get(field)
    places = list(found(attributes, field.removeprefix("attributes.")))
    return (places[0] if isinstance(places[0], str) else spell(places[0])) if places else None


def shown(one: dict[str, Any], field: str) -> str | None:
    value = values_of(one, field)
    return value if value is None else str(value)


def numbers(events: list[dict[str, Any]], field: str) -> list[float]:
    attribute = field.removeprefix("attributes.")
    values = [
        values_of(one, field) if field == attribute else one.get("attributes", {}).get(attribute) for one in events
    ]
    return sorted(float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool))


def quantile(ordered: list[float], level: float) -> float:
    place = level * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def stored(engine: Engine, segment_of: SegmentOf, events: list[dict[str, Any]]) -> Selection:
    tenant = next(TENANTS)
    lines = [event(one["ts"]) | {name: value for name, value in one.items() if name != "ts"} for one in events]
    segment = segment_of([group(tenant, lines)])
    engine.insert_segment(segment.path, token=segment.name)
    return Selection(tenant=tenant, project=7)


@settings(
    max_examples=15,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(events=EVENTS)
def test_counts_are_those_of_a_plain_list(engine: Engine, segment_of: SegmentOf, events: list[dict[str, Any]]) -> None:
    selection = stored(engine, segment_of, events)
    assert statistics.extent(engine, selection) == (min(one["ts"] for one in events), max(one["ts"] for one in events))
    for field in FIELDS + PATHS:
        texts = [shown(one, field) for one in events]
        counts = Counter(text for text in texts if text is not None)
        top = statistics.top(engine, selection, field, limit=3)
        assert (top.total, top.present, top.distinct) == (len(events), counts.total(), len(counts)), field
        values = {("" if value == "\0" else value): -rows for rows, value in top.values}
        assert values.items() <= counts.items()
        assert sorted(values.values(), reverse=True) == sorted(counts.values(), reverse=True)[:3]
        names = [value for _, value in top.values]
        places = {value: place for place, value in enumerate(values, 1)}
        cells = statistics.cells(engine, selection, HOUR, field=field, values=names, limit=1000)
        expected = Counter(
            (one["ts"] // HOUR * HOUR, -1 if text is None else places.get(text, 0))
            for one, text in zip(events, texts, strict=True)
        )
        assert {(cell.start, cell.value): cell.rows for cell in cells} == expected
    levels = [0, 0.5, 0.95, 1]
    for field in ("duration_ms", "attributes.n"):
        ordered = numbers(events, field)
        (overall,) = statistics.spreads(engine, selection, field, levels, width_us=None, limit=1)
        assert overall.rows == len(ordered)
        if ordered:
            assert (overall.least, overall.most) == (ordered[0], ordered[-1])
            assert overall.mean == pytest.approx(plain.mean(ordered))
            assert overall.quantiles == pytest.approx([quantile(ordered, level) for level in levels])
        buckets = statistics.spreads(engine, selection, field, levels, width_us=DAY, limit=100)
        for bucket in buckets:
            own = numbers([one for one in events if one["ts"] // DAY * DAY == bucket.start], field)
            assert bucket.quantiles == pytest.approx([quantile(own, level) for level in levels])
        assert sum(bucket.rows for bucket in buckets) == len(ordered)


MESSAGES = st.lists(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    "took 30ms",
                    "1.5",
                    "10.0.0.7:8080",
                    "192.168.1.1",
                    "0xFF",
                    "deadbeefcafe0011",
                    "12345678",
                    "3f2b8c1e-1111-4222-8333-444455556666",
                    "fe80:0:0:0:1:2:3:4",
                    "worker3",
                    "é1",
                    "\u0661",
                    "a_1",
                ]
            ),
            st.text("ab01.-:x é\x1b[;m]", max_size=12),
            st.just("x" * 498),
        ),
        max_size=4,
    ).map(" ".join),
    min_size=1,
    max_size=30,
)


@settings(
    max_examples=15,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(texts=MESSAGES)
def test_masks_are_those_of_python(engine: Engine, segment_of: SegmentOf, texts: list[str]) -> None:
    events: list[dict[str, Any]] = [
        {"ts": ARRIVAL - number, "message": text, "level": schema.LEVELS[number % 5]}
        for number, text in enumerate(texts)
    ]
    selection = stored(engine, segment_of, events)
    rows = messages.masked(engine, selection, rows=20, limit=1000)
    newest = events[:20]
    assert {row.mask: row.rows for row in rows} == Counter(masks.mask(one["message"]) for one in newest)
    for row in rows:
        own = [one for one in newest if masks.mask(one["message"]) == row.mask]
        assert (row.first_seen, row.last[0]) == (own[-1]["ts"], own[0]["ts"])
        assert row.levels == [sum(one["level"] == level for one in own) for level in schema.LEVELS]


def test_masks() -> None:
    text = "10.0.0.7:80 took 30ms of 1.5s, 0xFF deadbeef 12345678 3f2b8c1e-1111-4222-8333-444455556666"
    assert masks.mask(text) == "<IP> took <NUM>ms of <NUM>s, <HEX> <HEX> <NUM> <UUID>"
    assert masks.mask("\x1b[32mINFO\x1b[0m \x1b]8;;http://a/7\x07link\x1b]8;;\x1b\\ 7") == "<*>INFO<*> <*>link<*> <NUM>"


def test_both_sides_are_weighed(engine: Engine, segment_of: SegmentOf) -> None:
    events = [
        {"ts": ARRIVAL - number, "level": "error" if number % 4 == 0 else "info"}
        | {"attributes": {"id": number, "zone": "ab"[number % 2], "few": [1], "a'b": "'", "service": "s"}}
        for number in range(100)
    ]
    every = stored(engine, segment_of, events)
    errors = Selection(tenant=every.tenant, project=7, levels=("error",))
    keys = statistics.common_keys(engine, every, rows=1000, values=10, limit=5)
    assert keys == ["a'b", "zone"]
    cells = statistics.weighed(engine, errors, every, ["level", "service", "host"], keys, rows=1000)
    assert {(cell.field, cell.value): (cell.selected, cell.baseline) for cell in cells} == {
        (0, ""): (25, 100),
        (1, "error"): (25, 25),
        (2, "s"): (25, 100),
        (4, "'"): (25, 100),
        (5, "a"): (25, 50),
    }
    few = statistics.weighed(engine, errors, every, ["level"], [], rows=10)
    assert [(cell.selected, cell.baseline) for cell in few] == [(10, 10), (10, 3)]


def test_too_much_is_refused(engine: Engine, segment_of: SegmentOf, monkeypatch: pytest.MonkeyPatch) -> None:
    selection = stored(engine, segment_of, [{"ts": ARRIVAL, "message": str(number)} for number in range(2000)])
    with monkeypatch.context() as changed:
        changed.setattr(statistics, "MOST_GROUPS", 100)
        with pytest.raises(QueryRefused, match="too many rows"):
            statistics.top(engine, selection, "message", limit=3)
    monkeypatch.setattr(engine, "options", EngineOptions(query_rows=100))
    for ask in (
        lambda: statistics.top(engine, selection, "message", limit=3),
        lambda: statistics.cells(engine, selection, HOUR - 1, field=None, values=(), limit=10),
        lambda: statistics.spreads(engine, selection, "duration_ms", [0.5], width_us=None, limit=1),
        lambda: statistics.extent(engine, msgspec.structs.replace(selection, text="1")),
    ):
        with pytest.raises(QueryRefused, match="too many rows"):
            ask()


def test_arrivals_are_counted_around_a_moment(engine: Engine, segment_of: SegmentOf) -> None:
    selection = stored(engine, segment_of, [{"ts": ARRIVAL - number, "message": "late"} for number in range(5)])
    early = [event(ARRIVAL + number, message="early") for number in range(3)]
    segment = segment_of([group(selection.tenant, early, received_at=ARRIVAL - HOUR)])
    engine.insert_segment(segment.path, token=segment.name)
    found = statistics.tally(engine, selection, ARRIVAL - 1, rows=1_000)
    assert (found.after, found.before, found.last[0]) == (5, 3, ARRIVAL)
    cells = statistics.arrivals(engine, selection, HOUR, rows=1_000)
    hour = ARRIVAL // HOUR * HOUR
    assert [(cell.start, cell.rows) for cell in cells] == [(hour - HOUR, 3), (hour, 5)]
    with pytest.raises(QueryRefused, match="too many rows"):
        statistics.tally(engine, selection, 0, rows=1)


def test_what_was_said_before(engine: Engine, segment_of: SegmentOf) -> None:
    texts = ["order 17 of 5% failed_", "a\nb 7 \\ c", "plain", "sd9 full"]
    selection = stored(engine, segment_of, [{"ts": ARRIVAL, "message": text} for text in texts])
    wanted = {
        "order <NUM> of <NUM>% failed_": True,
        "order <NUM> of <NUM>x failed_": False,
        "order <NUM> of <NUM>% failedx": False,
        "a\nb <NUM> \\ c": True,
        "a\nb <NUM> % c": False,
        "<*>": True,
        "plai": True,
        "lain": False,
        "sd<NUM> full": True,
        "Plain": False,
    }
    found = messages.said_before(engine, selection, list(wanted), rows=1_000)
    assert dict(zip(wanted, found, strict=True)) == wanted


def test_masks_over_time(engine: Engine, segment_of: SegmentOf) -> None:
    moments = [ARRIVAL - 100, ARRIVAL, ARRIVAL + 9, ARRIVAL + 10, ARRIVAL + 1_000]
    selection = stored(engine, segment_of, [{"ts": ts, "message": "m"} for ts in moments])
    (one,) = messages.masked(engine, selection, rows=100, limit=10, grid=(ARRIVAL, 10, 4))
    assert dict(zip(*one.spread, strict=True)) == {0: 3, 1: 1, 3: 1}
