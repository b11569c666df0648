"""Which attributes get a rollup, when one goes, and that parts of before are filled."""

from collections.abc import Callable
from typing import Any

import pytest

from headrace.eventstore import attribute_columns, deletion, learning, messages, queries, rollup, schema, search
from headrace.eventstore.engine import Engine
from headrace.eventstore.queries import Selection
from tests.eventstore.conftest import ARRIVAL, DAY, SegmentOf, event, group

REGION = rollup.group_of("region")


def test_attributes_with_few_values_are_learned(
    engine: Engine, tenant: int, segment_of: SegmentOf, monkeypatch: pytest.MonkeyPatch, until: Callable[..., Any]
) -> None:
    lines = [
        event(
            ARRIVAL - number * 1_000_000,
            attributes={"region": f"r{number % 3}", "id": number, "o": {"a": 1}, "service": "s", "text": "x" * 100}
            | ({"rare": 1} if number % 50 == 0 else {}),
        )
        for number in range(3000)
    ]
    before = segment_of([group(tenant, lines)])
    engine.insert_segment(before.path, token=before.name)
    engine.command("ALTER TABLE events DROP PROJECTION by_place")  # As a folder of an earlier release has none.
    assert learning.candidates(engine) == ([REGION], ["id"])
    learning.learn(engine)
    assert learning.known(engine) == {*rollup.GROUPS, REGION} - {"by_place"}
    engine.command(f"ALTER TABLE events {rollup.addition('by_place')}")
    after = segment_of([group(tenant, lines[:10])])
    engine.insert_segment(after.path, token=after.name)
    engine.known_until = 0.0
    assert REGION not in engine.groups()  # One of two parts has it.
    selection = Selection(tenant=tenant, project=7)
    found = [('"r0"', 1004), ('"r1"', 1003), ('"r2"', 1003)]
    assert queries.count_by(engine, selection, "attributes.region") == found
    until(lambda: not learning.backfill(engine))
    engine.known_until = 0.0
    assert {*rollup.GROUPS, REGION} == set(engine.groups())
    assert lacking(engine) == []
    assert queries.count_by(engine, selection, "attributes.region") == found

    # As if it had too many rows, and there were events enough to tell.
    monkeypatch.setattr(learning, "JUDGED_ROWS", 10)
    monkeypatch.setattr(learning, "MOST_ROWS_SHARE", 0.001)
    sizes = learning.SIZES + f" HAVING name = '{REGION}'"
    monkeypatch.setattr(learning, "SIZES", sizes)
    assert attribute_columns.name_of("region") in engine.learned()
    learning.learn(engine)
    assert REGION not in learning.known(engine)
    column = attribute_columns.name_of("region")
    engine.columns, engine.known_until = {column: attribute_columns.REPEATED}, float("inf")  # Not yet heard of.
    assert queries.count_by(engine, selection, "attributes.region") == found
    assert engine.learned() == {attribute_columns.name_of("id"): attribute_columns.VARIOUS}
    learning.learn(engine)
    assert REGION not in learning.known(engine)  # Nor is it learned again.
    assert queries.count_by(engine, selection, "attributes.region") == found


def test_messages_of_an_earlier_release_are_found_and_get_their_hashes(
    engine: Engine, tenant: int, segment_of: SegmentOf, until: Callable[..., Any]
) -> None:
    engine.command("ALTER TABLE events DROP COLUMN said_hash")
    lines = [event(message=f"message {number % 7}") for number in range(50)]
    segment = segment_of([group(tenant, lines)])
    engine.insert_segment(segment.path, token=segment.name)
    for statement in schema.MIGRATIONS:
        engine.command(statement)
    found = messages.top(engine, Selection(tenant=tenant), limit=2)
    assert found == [messages.TopMessage("message 0", 8, ARRIVAL), *found[1:]]
    assert "said_hash" in {name for _, names, _ in lacking(engine) for name in names}
    until(lambda: not learning.backfill(engine))
    assert "said_hash" not in {name for _, names, _ in lacking(engine) for name in names}
    assert messages.top(engine, Selection(tenant=tenant), limit=2) == found


def lacking(engine: Engine) -> list[Any]:
    return engine.query(learning.LACKING, row=list[Any])


def test_an_attribute_of_many_values_has_a_column_while_events_have_it(
    engine: Engine, tenant: int, segment_of: SegmentOf, until: Callable[..., Any]
) -> None:
    def send(arrival: int, *keys: str) -> None:
        lines = [event(arrival, attributes=dict.fromkeys(keys, f"{n}") | {"user_id": n}) for n in range(3000)]
        segment = segment_of([group(tenant, lines, received_at=arrival)])
        engine.insert_segment(segment.path, token=segment.name)

    def found(text: str) -> int:
        return queries.count(engine, Selection(tenant=tenant, search=search.compile(search.parse(text))))

    later = ARRIVAL + 2 * DAY
    engine.clock = lambda: later
    send(later, "request_id")
    learning.learn(engine)
    names = {attribute_columns.name_of(key) for key in ("request_id", "user_id")}
    assert engine.learned().keys() >= names
    send(later, "request_id")  # Some parts have the column, some do not.
    for _ in range(2):
        assert found("request_id:17 user_id:17") == 2
        assert found("request_id:17 OR user_id:2999") == 4
        assert found("-request_id:17") == 5998
        assert found("request_id:1*7") == 222
        assert found("user_id:[10 TO 19]") == 20
        assert found("user_id:nobody") == 0
        until(lambda: not learning.backfill(engine))
    sql = "EXPLAIN indexes = 1 SELECT count() FROM events WHERE attributes[{k:String}] IN {v:Array(String)}"
    told = str(engine.query(sql, {"k": "request_id", "v": ['"nobody"']}, row=list[Any]))
    assert attribute_columns.name_of("request_id") in told
    assert "i_values" in told, "the index over all values tells what need not be read"

    engine.clock = lambda: later + 2 * DAY
    send(later + 2 * DAY, "trace_id")
    learning.learn(engine)
    assert engine.learned().keys() >= {attribute_columns.name_of(key) for key in ("trace_id", "user_id")}
    assert attribute_columns.name_of("request_id") not in engine.learned()
    assert found("request_id:17") == 2
    assert found("trace_id:17") == 1
    engine.clock = lambda: ARRIVAL


def test_a_rollup_of_an_earlier_release_is_made_anew(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    zone = rollup.group_of("zone")
    body = rollup.body(zone).replace(attribute_columns.name_of("zone"), "attributes['zone']")
    engine.command(f"ALTER TABLE events ADD PROJECTION {zone} ({body})")
    lines = [event(ARRIVAL, attributes={"zone": number % 4}) for number in range(3000)]
    segment = segment_of([group(tenant, lines)])
    engine.insert_segment(segment.path, token=segment.name)
    learning.learn(engine)
    assert zone in learning.known(engine)
    assert attribute_columns.name_of("zone") in engine.learned()
    assert queries.count_by(engine, Selection(tenant=tenant, project=7), "attributes.zone")[0] == ("0", 750)
    engine.command(f"ALTER TABLE events {rollup.removal(zone)}")


def test_a_deletion_keeps_the_rollups(
    engine: Engine, tenant: int, segment_of: SegmentOf, until: Callable[..., Any]
) -> None:
    engine.command(f"ALTER TABLE events {rollup.addition(REGION)}")
    lines = [event(ARRIVAL, level=level, attributes={"region": "r"}) for level in ("info", "error") * 20]
    segment = segment_of([group(tenant, lines, retention_days=7), group(tenant, lines, project=8, retention_days=30)])
    engine.insert_segment(segment.path, token=segment.name)

    def groups(kept: int = 7) -> set[str]:
        sql = f"SELECT DISTINCT name FROM system.projection_parts WHERE active AND endsWith(partition_id, '-{kept}')"
        return {name for (name,) in engine.query(sql, row=tuple[str])}

    selection, errors = Selection(tenant=tenant, project=7), Selection(tenant=tenant, project=7, levels=("error",))
    (partition,) = [partition for partition, _ in deletion.counted(engine, errors)]
    assert set(groups()) == {*rollup.GROUPS, REGION}
    deletion.remove(engine, errors, partition)
    assert set(groups()) == {*rollup.GROUPS, REGION}
    until(lambda: not learning.backfill(engine))  # Nothing of it that could not be filled is tried for ever.
    engine.grouped, engine.known_until = tuple(learning.known(engine)), float("inf")
    assert queries.count_by(engine, selection, "level") == [("info", 20)]
    assert queries.count_by(engine, selection, "attributes.region") == [('"r"', 20)]
