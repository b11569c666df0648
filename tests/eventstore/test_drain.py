"""Draining: each segment exactly once, whatever is repeated; what comes back is what was sent."""

import json
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from headrace.eventstore import deletion, quarantine, queries, retention
from headrace.eventstore.drain import Drain, Drained, ErrorSummary, ProjectDay, samples, summary
from headrace.eventstore.engine import Engine, EngineError
from headrace.eventstore.queries import Selection
from headrace.eventstore.schema import TEXTS
from headrace.eventstore.segments import Segment
from tests.eventstore.conftest import ARRIVAL, DAY, SegmentOf, event, group

HOUR = 3_600_000_000
MINUTE = 60_000_000


class Held:
    """A log with given segments, which keeps what is done."""

    def __init__(self, *segments: Segment) -> None:
        self.waiting, self.finished = list(segments), []  # type: ignore[var-annotated]

    def next_sealed(self, timeout: float) -> Segment | None:  # noqa: ARG002 - the drain gives it
        return self.waiting[0] if self.waiting else None

    def done(self, segment: Segment) -> None:
        self.waiting.remove(segment)
        self.finished.append(segment)


def stored(engine: Engine, tenant: int, **fields: Any) -> list[queries.EventRow]:
    rows = queries.latest(engine, Selection(tenant=tenant, **fields), limit=1000)
    return sorted(rows, key=lambda row: row.id)


def drained(engine: Engine, segment: Segment) -> Drained:
    told: list[Drained] = []
    Drain(engine, Held(segment), told.append).drain(segment)
    return told[0]


def test_an_event_comes_back_as_it_was_sent(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    endpoint = {"method": "GET", "path": "/a/b?c=\u00e9", "status_code": 404, "duration_ms": 12.5}
    attributes = {"service": 'pay"ments', "host": "n-1", "endpoint": endpoint, "n": 1, "deep": {"a": [1, None, "x"]}}
    texts: dict[str, Any] = {name: f"{name} \u00e9\U0001f600\n" for name in TEXTS}
    full = event(level="error", log_type="exception", importance="high", fingerprint="ab" * 32) | texts
    segment = segment_of([group(tenant, [full | {"attributes": attributes}, event()], retention_days=90)])
    drained(engine, segment)
    first, second = stored(engine, tenant)
    assert {name: getattr(first, name) for name in texts} == texts
    assert first.attributes == attributes
    assert (first.service, first.host, first.error_fingerprint) == ('pay"ments', "n-1", "ab" * 32)
    assert (first.method, first.path, first.status_code, first.duration_ms) == ("GET", "/a/b?c=\u00e9", 404, 12.5)
    assert (first.level, first.log_type, first.importance) == ("error", "exception", "high")
    assert (first.id, first.ts, first.received_at) == (segment.first_id, ARRIVAL, ARRIVAL)
    absent = {name for name in queries.EventRow.__struct_fields__ if getattr(second, name) is None}
    assert absent == {*texts, "service", "host", "error_fingerprint", *endpoint, "attributes"}
    assert (second.log_type, second.importance, second.id) == ("logger", "standard", segment.first_id + 1)


def test_empty_and_absent_stay_apart(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    empty = event(ARRIVAL, attributes={}) | dict.fromkeys(TEXTS, "")
    drained(engine, segment_of([group(tenant, [empty, event()])]))
    first, second = stored(engine, tenant)
    assert [getattr(first, name) for name in TEXTS] == [""] * len(TEXTS)
    assert (first.attributes, second.attributes, second.message) == ({}, None, None)


@pytest.mark.parametrize(
    ("attributes", "columns"),
    [
        ({"service": 5, "host": ["a"]}, (None, None, None, None, None, None)),
        ({"service": None, "host": {"a": "b"}}, (None, None, None, None, None, None)),
        ({"service": "\u00e9\n\\/\"'", "host": ""}, ("\u00e9\n\\/\"'", None, None, None, None, None)),
        ({"endpoint": "GET /"}, (None, None, None, None, None, None)),
        ({"endpoint": [1, "a", 3, 4]}, (None, None, None, None, None, None)),
        ({"endpoint": {"method": 1, "path": None, "status_code": "404", "duration_ms": "9"}}, (None,) * 6),
        ({"endpoint": {"status_code": 70000, "duration_ms": -4}}, (None,) * 6),
        ({"endpoint": {"status_code": 200.5, "duration_ms": True}}, (None,) * 6),
        ({"endpoint": {"status_code": 200.0, "duration_ms": 0}}, (None, None, None, None, 200, 0)),
        ({"endpoint": {"method": "P", "path": "/", "status_code": 65535, "duration_ms": 1e300}},
         (None, None, "P", "/", 65535, 1e300)),
    ],
)  # fmt: skip
def test_attributes_that_fill_columns(
    engine: Engine, tenant: int, segment_of: SegmentOf, attributes: dict, columns: tuple
) -> None:
    drained(engine, segment_of([group(tenant, [event(attributes=attributes)])]))
    (row,) = stored(engine, tenant)
    assert (row.service, row.host, row.method, row.path, row.status_code, row.duration_ms) == columns
    assert row.attributes == attributes


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
NUMBER = st.one_of(
    st.integers(), st.integers(-(2**80), 2**80), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)
VALUE = st.recursive(
    st.one_of(st.none(), NUMBER, TEXT),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
)


@settings(
    max_examples=25,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(many=st.lists(st.dictionaries(TEXT, VALUE, max_size=6), min_size=1, max_size=20))
def test_any_attributes_come_back_equal(engine: Engine, segment_of: SegmentOf, many: list[dict[str, Any]]) -> None:
    segment = segment_of([group(4_000_000_000, [event(attributes=attributes) for attributes in many])])
    engine.insert_segment(segment.path, token=segment.name)
    ids = [(7, ARRIVAL, segment.first_id + number) for number in range(len(many))]
    rows = queries.fetch(engine, 4_000_000_000, ids)
    assert all(same(row.attributes, sent) for row, sent in zip(rows, many, strict=True)), rows


def same(stored: Any, sent: Any) -> bool:
    """Equal as JSON: 1e22 may come back as a whole number of as many digits."""
    if isinstance(sent, dict):
        return stored.keys() == sent.keys() and all(same(stored[key], value) for key, value in sent.items())
    if isinstance(sent, list):
        return len(stored) == len(sent) and all(map(same, stored, sent))
    if isinstance(sent, float):
        return float(stored) == sent
    return type(stored) is type(sent) and bool(stored == sent)


def test_attributes_beyond_the_limit_are_unfolded(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    sent = {f"k{number}": number for number in range(300)}
    pairs = list(sent.items())
    folded = dict(pairs[:255]) | {"_overflow": dict(pairs[255:])}
    drained(engine, segment_of([group(tenant, [event(attributes=folded), event(attributes={"_overflow": {"a": 1}})])]))
    assert [row.attributes for row in stored(engine, tenant)] == [sent, {"_overflow": {"a": 1}}]


def test_the_last_of_duplicate_keys_is_shown(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    line = json.dumps(group(tenant, [event()]) | {"rows": 1, "first_id": 5_000_000})
    segment = segment_of([line.replace('"level": "info"', '"level":"info","attributes":{"a":1,"a":2}').encode()])
    engine.insert_segment(segment.path, token=segment.name)
    assert [row.attributes for row in stored(engine, tenant)] == [{"a": 2}]


TIMES = [
    -62_135_596_800_000_000,  # 0001-01-01
    -315_619_200_000_001,  # 1959, one microsecond before 1960
    -1,
    0,
    1,
    2**32 * 1_000_000,  # 2106
    5_680_281_600_000_000,  # 2150
    7_258_118_399_999_999,  # the end of 2199
    253_402_300_799_999_999,  # the end of 9999
]


def test_no_time_is_wrapped_or_clamped(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    drained(engine, segment_of([group(tenant, [event(ts) for ts in TIMES])]))
    assert [row.ts for row in stored(engine, tenant)] == TIMES
    for low in TIMES:
        for high in TIMES:
            chosen = Selection(tenant=tenant, ts_from=low, ts_to=high)
            expected = [ts for ts in TIMES if low <= ts <= high]
            assert queries.count(engine, chosen) == len(expected)
            assert [row.ts for row in queries.latest(engine, chosen, limit=20)] == expected[::-1]
    assert [bucket.start for bucket in queries.histogram(engine, Selection(tenant=tenant), DAY)] == sorted(
        {ts // DAY * DAY for ts in TIMES}
    )


def test_a_segment_of_many_partitions_is_stored_once(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    groups = [
        group(tenant, [event(message=f"{day} {kept}")] * 3, received_at=ARRIVAL + day * DAY, retention_days=kept)
        for day in range(5)
        for kept in (7, 30, 90, 365)
    ]
    segment = segment_of(groups)
    for _ in range(3):
        told = drained(engine, segment)
        assert told.projects == [ProjectDay(tenant, 7, (ARRIVAL // DAY) + day, 12) for day in range(5)]
    assert queries.count(engine, Selection(tenant=tenant)) == 60


def test_the_summary_of_errors(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    def failure(ts: int, mark: str, **fields: Any) -> dict[str, Any]:
        return event(ts, level="error", fingerprint=mark, error_type="E", **fields)

    start = ARRIVAL + 1
    events = [
        failure(start, "aa", error_message="first", platform="python"),
        failure(start + 10, "aa", error_message="last"),
        failure(start + HOUR, "aa", error_message=""),
        failure(-1, "bb"),
        event(level="error"),
    ]
    segment = segment_of([group(tenant, events), group(tenant, [failure(start, "aa")], project=8)])
    told = drained(engine, segment)
    first = segment.first_id
    assert all(error.minutes == ((error.first_ts // MINUTE,), (error.rows,)) for error in told.errors)
    assert [msgspec.structs.replace(error, minutes=((), ())) for error in told.errors] == [
        ErrorSummary(tenant, 7, "aa", ARRIVAL, 2, start, start + 10, "E", "last", None, start + 10, first + 1),
        ErrorSummary(
            tenant, 7, "aa", ARRIVAL + HOUR, 1, start + HOUR, start + HOUR, "E", "", None, start + HOUR, first + 2
        ),
        ErrorSummary(tenant, 7, "bb", -HOUR, 1, -1, -1, "E", None, None, -1, first + 3),
        ErrorSummary(tenant, 8, "aa", ARRIVAL, 1, start, start, "E", None, None, start, first + 5),
    ]
    assert (told.name, told.first_id, told.last_id) == (segment.name, first, first + 6)


def test_releases_users_and_minutes_of_errors(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    def failure(ts: int, **fields: Any) -> dict[str, Any]:
        return event(ts, level="error", fingerprint="aa", error_type="E", **fields)

    users: list[Any] = [
        {"user_id": 17},
        {"user_id": "17"},
        {"user": {"id": "17", "email": "a@b.cd"}},
        {"user": {"email": "a@b.cd"}},
        {"user": "eve"},
        {"enduser.id": "x"},
        {"user": None},
        {"user": {}},
        {},
    ]
    events = [failure(ARRIVAL + place * MINUTE, release="1", attributes=one) for place, one in enumerate(users)]
    events += [
        failure(ARRIVAL, environment="staging"),
        failure(ARRIVAL, attributes={"release": "2", "environment": "dev"}),
    ]
    told = drained(engine, segment_of([group(tenant, events)]))
    places = {(error.release, error.environment): error for error in told.errors}
    assert {place: error.rows for place, error in places.items()} == {
        ("1", None): 9,
        (None, "staging"): 1,
        ("2", "dev"): 1,
    }
    first = places["1", None]
    assert first.minutes == (tuple(ARRIVAL // MINUTE + place for place in range(9)), (1,) * 9)
    assert len(first.users[0]) == 4  # 17, a@b.cd, eve, x
    assert all(place < 1024 and 1 <= rank <= 64 for place, rank in zip(*first.users, strict=True))
    assert places["2", "dev"].users == ((), ())


def test_samples_are_what_fingerprints_are_made_of(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    texts: dict[str, Any] = {
        "error_type": "E",
        "error_message": "",
        "stack_trace": 'File "a", line 1, in f',
        "platform": "python",
    }
    chosen = event(level="error", fingerprint="aa", attributes={"fingerprint": ["a", 1]}, **texts)
    segment = segment_of([group(tenant, [event(), chosen, event()])])
    told = drained(engine, segment)
    (sample,) = samples(engine, told, [segment.first_id + 1]).values()
    assert {name: getattr(sample, name) for name in texts} == texts
    assert (sample.message, json.loads(bytes(sample.attributes))) == (None, {"fingerprint": ["a", 1]})


def test_a_failing_caller_delays_but_loses_and_doubles_nothing(
    engine: Engine, tenant: int, segment_of: SegmentOf
) -> None:
    segments = [segment_of([group(tenant, [event(message=str(n))] * 5)]) for n in range(3)]
    told: list[str] = []

    def fold(one: Drained) -> None:
        told.append(one.name)
        if len(told) in {1, 2, 4}:
            raise RuntimeError("the metadata database is away")

    log = Held(*segments)
    drain = Drain(engine, log, fold)
    drain.start()
    assert drain.wait(segments[-1].last_id, 60)
    drain.stop()
    names = [segment.name for segment in segments]
    assert told == [names[0]] * 3 + [names[1]] * 2 + [names[2]]
    assert [segment.name for segment in log.finished] == names
    assert (drain.segments, drain.rows, drain.failures, drain.trouble) == (3, 15, 3, None)
    assert queries.count(engine, Selection(tenant=tenant)) == 15


def test_rows_that_the_engine_forgot_are_inserted_again(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    segment = segment_of([group(tenant, [event()] * 10)])
    drained(engine, segment)
    lost = f"ALTER TABLE events DELETE WHERE tenant = {tenant} AND id % 2 = 0 SETTINGS mutations_sync = 2"
    engine.command(lost)
    assert drained(engine, segment).projects[0].rows == 10
    assert [row.id - segment.first_id for row in stored(engine, tenant)] == list(range(10))


def test_deleted_rows_stay_deleted_when_a_segment_comes_again(
    engine: Engine, tenant: int, segment_of: SegmentOf
) -> None:
    segment = segment_of([group(tenant, [event()] * 4)])
    drained(engine, segment)
    before = Selection(tenant=tenant, project=7, received_to=ARRIVAL)
    ((partition, rows),) = deletion.counted(engine, before)
    assert rows == 4
    deletion.remove(engine, before, partition)
    assert drained(engine, segment).projects[0].rows == 4
    assert stored(engine, tenant) == []


BAD_EVENTS = [
    {"timestamp": "soon", "level": "info"},
    {"timestamp": "2026-01-01T00:00:00Z", "level": "loud"},
    {"timestamp": "2026-01-01T00:00:00Z", "level": "info", "attributes": {"n": 1e300}, "ts": "never"},
]


@pytest.mark.parametrize("bad", BAD_EVENTS, ids=["time", "level", "ts"])
def test_a_bad_event_goes_to_the_quarantine_and_the_others_are_stored(
    engine: Engine, tenant: int, segment_of: SegmentOf, bad: dict
) -> None:
    good = [event(message=str(number)) for number in range(9)]
    events = [*good[:4], bad, *good[4:]]
    segment = segment_of([group(tenant, [event(message="before")]), group(tenant, events)])
    told: list[Drained] = []
    drain = Drain(engine, Held(segment), told.append)
    for _ in range(2):  # The second time as after a crash before the file was deleted.
        drain.wal = Held(segment)
        drain.persist(segment)
    assert [row.message for row in stored(engine, tenant)] == ["before", *(str(number) for number in range(9))]
    (aside,) = quarantine.listed(engine, tenant, 7)
    assert aside.id == segment.first_id + 5
    assert json.loads(aside.raw) == bad
    assert aside.reason.startswith("Code: ")
    assert told[0] == told[1]
    assert told[0].errors == summary(engine, segment).errors
    # It was acknowledged, so it counts for the project that sent it.
    assert sum(part.rows for part in told[0].projects) == 11
    assert drain.quarantined == 2


def test_a_torn_line_does_not_hold_its_segment_up(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    whole = group(tenant, [event()] * 3)
    segment = segment_of([whole, b'{"rows":2,"tenant":1,"proj', b"\0" * 100, whole])
    drain = Drain(engine, Held(segment), lambda _: None)
    drain.persist(segment)
    assert queries.count(engine, Selection(tenant=tenant)) == 6
    assert [one.segment for one in quarantine.listed(engine, 0, 0)].count(segment.name) == 2
    assert not list(segment.path.parent.glob("*.sift"))


def test_a_segment_without_a_readable_line_arrived_when_it_was_set_aside(engine: Engine, segment_of: SegmentOf) -> None:
    segment = segment_of([b"\0" * 100, b"torn"])
    Drain(engine, Held(segment), lambda _: None).persist(segment)
    found = [one for one in quarantine.listed(engine, 0, 0) if one.segment == segment.name]
    assert [one.received_at for one in found] == [engine.clock()] * 2
    # Kept as long as all others, not dropped at once with a day of 1970.
    retention.drop_expired(engine, engine.clock())
    assert [one for one in quarantine.listed(engine, 0, 0) if one.segment == segment.name] == found


def test_an_engine_in_trouble_is_waited_for_not_sifted(
    engine: Engine, tenant: int, segment_of: SegmentOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = segment_of([group(tenant, [event()] * 3)])
    hidden = segment.path.with_suffix(".away")
    segment.path.rename(hidden)
    drain = Drain(engine, Held(segment), lambda _: None)
    thread = threading.Thread(target=drain.persist, args=(segment,))
    thread.start()
    while drain.failures < 4:
        thread.join(0.01)
    hidden.rename(segment.path)
    thread.join(60)
    assert (drain.segments, drain.quarantined) == (1, 0)
    assert queries.count(engine, Selection(tenant=tenant)) == 3


def test_questions_do_not_hold_the_drain_up(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    segment = segment_of([group(tenant, [event()])])
    with engine.client(), engine.client():
        assert drained(engine, segment).projects[0].rows == 1


def test_a_missing_file_is_named(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="nowhere"):
        engine.insert_segment(tmp_path / "nowhere", token="none")
