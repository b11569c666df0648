"""Rollups give what a scan gives, whatever became of the rows: batches, replays, deletions, learned attributes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from headrace.eventstore import deletion, learning, queries, rollup, schema, statistics
from headrace.eventstore.engine import Engine
from headrace.eventstore.queries import Selection
from tests.eventstore.conftest import ARRIVAL, DAY, TENANTS, SegmentOf, event, group

HOUR = 3_600_000_000
QUARTER = rollup.QUARTER
BASE = ARRIVAL // HOUR * HOUR
MOMENTS = st.one_of(
    st.sampled_from([-1, 0, BASE - 3 * DAY, BASE - QUARTER, BASE - 1, BASE, BASE + 1]),
    st.integers(BASE - 5 * HOUR, BASE + HOUR),
)
ARRIVALS = st.sampled_from([ARRIVAL, ARRIVAL - 1, ARRIVAL - QUARTER, ARRIVAL - 3 * HOUR, ARRIVAL - 3 * DAY])
FACETS = ("level", "log_type", "status_class", "environment", "service", "error_type", "release")

EVENTS = st.lists(
    st.fixed_dictionaries(
        {"ts": MOMENTS, "level": st.sampled_from(schema.LEVELS)},
        optional={
            "environment": st.sampled_from(["", "prod", "it's"]),
            "error_type": st.sampled_from(["", "E"]),
            "release": st.sampled_from(["1", "2"]),
            "attributes": st.fixed_dictionaries(
                {},
                optional={
                    "service": st.sampled_from(["a", "b"]),
                    "re'gion": st.sampled_from(["eu", "us", 1, "1"]),
                    "endpoint": st.fixed_dictionaries({"status_code": st.sampled_from([0, 100, 200, 404, 599, 600])}),
                },
            ),
        },
    ),
    min_size=1,
    max_size=25,
)
BOUNDS = st.one_of(st.none(), st.integers(BASE - 4 * HOUR, BASE + HOUR), st.just(BASE), st.just(BASE - 3 * DAY))


@st.composite
def selections(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "ts_from": draw(BOUNDS),
        "ts_to": draw(BOUNDS),
        "received_from": draw(st.sampled_from([None, ARRIVAL - 2 * HOUR, ARRIVAL - DAY])),
        "received_to": draw(st.sampled_from([None, ARRIVAL])),
        "received_floor": draw(st.sampled_from([None, ARRIVAL - 3 * DAY, ARRIVAL - 3 * DAY + 1])),
        "levels": draw(st.sampled_from([(), ("info", "error")])),
        "status_classes": draw(st.sampled_from([(), (2, 4)])),
        "environment": draw(st.sampled_from([None, "", "prod"])),
        "errors": draw(st.booleans()),
    }


@contextmanager
def scanning(engine: Engine) -> Iterator[None]:
    """Have questions answered from the rows alone, attributes from what was sent."""
    known, engine.grouped, engine.columns = (engine.grouped, engine.columns), (), {}
    try:
        yield
    finally:
        engine.grouped, engine.columns = known


def answers(engine: Engine, selection: Selection) -> list[Any]:
    return [
        queries.count(engine, selection),
        *(queries.count_by(engine, selection, field) for field in ("level", "service", "attributes.re'gion")),
        queries.count_by_each(engine, selection, FACETS),
        queries.histogram(engine, selection, HOUR),
        queries.histogram(engine, selection, HOUR, column="received_at", split="level"),
        queries.histogram(engine, selection, 7 * QUARTER, split="environment"),
        statistics.extent(engine, selection),
        *(statistics.top(engine, selection, field, limit=5) for field in ("host", "status_code", "attributes.re'gion")),
        statistics.cells(engine, selection, QUARTER, field="level", values=["info"], limit=1000),
        statistics.cells(engine, selection, HOUR, field="attributes.re'gion", values=["eu", "1"], limit=1000),
    ]


@pytest.fixture(scope="module")
def grouped(engine: Engine) -> Engine:
    """An engine with a rollup of an attribute too, which questions are told to use however little it has."""
    engine.command(f"ALTER TABLE events {rollup.addition(rollup.group_of(chr(39).join(('re', 'gion'))))}")
    engine.look()
    engine.grouped, engine.known_until = tuple(learning.known(engine)), float("inf")
    return engine


def same(engine: Engine, selection: Selection) -> None:
    rolled = answers(engine, selection)
    with scanning(engine):
        assert answers(engine, selection) == rolled


@settings(
    max_examples=3,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(batches=st.lists(st.tuples(ARRIVALS, EVENTS), min_size=1, max_size=4), narrowed=selections(), data=st.data())
def test_rollups_are_what_a_scan_finds(
    grouped: Engine, segment_of: SegmentOf, batches: Any, narrowed: dict[str, Any], data: st.DataObject
) -> None:
    tenant = next(TENANTS)
    segments = []
    for received_at, events in batches:
        lines = [event(one["ts"]) | {name: value for name, value in one.items() if name != "ts"} for one in events]
        segments.append(segment_of([group(tenant, lines, received_at=received_at)]))
    for segment in (*segments, segments[0]):  # The first one a second time, as after a crash.
        grouped.insert_segment(segment.path, token=segment.name)
    everything = Selection(tenant=tenant, project=7)
    assert queries.count(grouped, everything) == sum(len(events) for _, events in batches)
    selection = Selection(tenant=tenant, project=7, **narrowed)
    same(grouped, selection)
    gone = Selection(tenant=tenant, project=7, levels=tuple(data.draw(st.sets(st.sampled_from(schema.LEVELS)))))
    if gone.levels:
        for partition, _ in deletion.counted(grouped, gone):
            deletion.remove(grouped, gone, partition)
        kept = [one for _, events in batches for one in events if one["level"] not in gone.levels]
        assert queries.count(grouped, everything) == len(kept)
        same(grouped, everything)
        same(grouped, selection)


def reading(engine: Engine, question: queries.Asked) -> set[str]:
    """Return what a question that counts by nothing reads: `events`, or a rollup's name."""
    sql = f"EXPLAIN {question.each('count() AS n')}"
    lines = engine.query(sql, question.params, row=tuple[str], settings=question.settings)
    return {line.rpartition("(")[2].rstrip(")") for (line,) in lines if "ReadFrom" in line}


def test_the_middle_of_a_period_is_read_from_a_rollup(grouped: Engine, tenant: int, segment_of: SegmentOf) -> None:
    segment = segment_of([group(tenant, [event(BASE - minutes * 60_000_000) for minutes in range(600)])])
    grouped.insert_segment(segment.path, token=segment.name)
    cases: list[tuple[dict[str, Any], int]] = [
        ({}, 0),
        ({"ts_from": BASE - 5 * HOUR}, 0),
        ({"ts_from": BASE - 5 * HOUR + 1}, 1),
        ({"ts_from": BASE - 5 * HOUR + 1, "ts_to": BASE - HOUR, "received_floor": ARRIVAL - DAY + 1}, 2),
    ]
    for times, edges in cases:
        question = queries.asked(grouped, Selection(tenant=tenant, project=7, **times), ["level"])
        assert len(question.conditions) == 1 + edges
        first = queries.Asked(question.conditions[:1], question.params, question.settings)
        assert reading(grouped, first) < set(learning.known(grouped))
    scanned: list[dict[str, Any]] = [{"text": "x"}, {"ts_from": BASE - HOUR + 1, "ts_to": BASE - 1}]
    for unknown in scanned:
        assert not queries.asked(grouped, Selection(tenant=tenant, project=7, **unknown), ["level"]).from_rollup
    assert not queries.asked(grouped, Selection(tenant=tenant, project=7, levels=("info",)), ["service"]).from_rollup
