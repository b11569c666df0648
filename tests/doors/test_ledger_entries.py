"""Reading log entries: every rule of the document, and the fast way against the exact one."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core.events.fingerprint import fingerprint
from headrace.core.refusals import Refusal
from headrace.doors.ledger import entries
from headrace.eventstore.rows import Event, MarkedEvent
from headrace.kit import times
from headrace.wire import jsons

NOW = times.parse("2026-01-01T00:00:00Z")
GOOD = {"timestamp": "2025-10-17T10:00:00Z", "level": "info", "message": "Application started"}


def decode(body: bytes) -> Any:
    return jsons.decode(body, Any)


def read(*logs: Any, exact: bool = False) -> entries.Read:
    body = json.dumps({"logs": list(logs)}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if exact:  # A line end sends the body the exact way.
        body = b"\n" + body
    return entries.read_batch(body, NOW, fingerprint, decode)


def texts(read: entries.Read) -> list[str]:
    return [f"Log {place}: {text}" for place, text in read.rejected]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"timestamp": None}, "Missing required field: timestamp"),
        ({"level": None}, "Missing required field: level"),
        ({"timestamp": "yesterday"}, "Invalid timestamp format"),
        ({"timestamp": 1760695200}, "Invalid timestamp format"),
        ({"timestamp": "2025-13-01T00:00:00Z"}, "Invalid timestamp format"),
        ({"timestamp": "2026-01-01T00:05:01Z"}, "Timestamp cannot be more than 5 minutes in the future"),
        ({"timestamp": "2262-04-12T00:00:00Z"}, "Timestamp cannot be more than 5 minutes in the future"),
        ({"level": "fatal"}, "Invalid level: must be one of debug, info, warning, error, critical"),
        ({"level": "INFO"}, "Invalid level: must be one of debug, info, warning, error, critical"),
        ({"level": 5}, "Invalid level: must be one of debug, info, warning, error, critical"),
        (
            {"log_type": "x"},
            "Invalid log_type: must be one of console, logger, exception, custom, network, database, endpoint",
        ),
        ({"importance": "x"}, "Invalid importance: must be one of low, standard, high, critical"),
        ({"message": "a" * 10_001}, "Message exceeds maximum length"),
        ({"error_message": "a" * 5_001}, "Error message exceeds maximum length"),
        ({"stack_trace": "a" * 50_001}, "Stack trace exceeds maximum length"),
        ({"release": "a" * 256}, "release exceeds maximum length"),
        ({"platform": "a" * 256}, "platform exceeds maximum length"),
        ({"message": 5}, "message must be a string"),
        ({"attributes": [1]}, "Attributes must be an object"),
        ({"attributes": "x"}, "Attributes must be an object"),
        ({"attributes": {"a": "x" * 102_400}}, "Attributes exceed maximum size"),
    ],
)
def test_a_bad_entry_is_named_and_the_good_ones_stay(change: dict[str, Any], text: str) -> None:
    got = read(GOOD, {**GOOD, **change}, GOOD)
    assert texts(got) == [f"Log 1: {text}"]
    assert [event.message for event in got.events] == ["Application started"] * 2
    assert got.places == [0, 2]


@pytest.mark.parametrize(
    "change",
    [
        {"timestamp": "2026-01-01T00:05:00Z"},
        {"timestamp": "1900-01-01T00:00:00Z"},
        {"timestamp": "0001-01-01T00:00:00Z"},
        {"timestamp": "2025-10-17"},
        {"timestamp": "2025-10-17 10:00:00+02:00"},
        {"timestamp": "2025-10-17T10:00:00"},
        {"log_type": None, "importance": None, "message": None, "attributes": None},
        {"message": "ä" * 10_000},
        {"attributes": {"a": "x" * (102_400 - 8)}},
        {"attributes": {}},
        {"log_type": "exception"},
        {"unknown": {"a": [1]}},
    ],
)
def test_what_the_rules_allow_is_taken(change: dict[str, Any]) -> None:
    for exact in (False, True):
        got = read({**GOOD, **change}, exact=exact)
        assert not got.rejected
        assert len(got.events) == 1


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "Invalid JSON body"),
        (b"", "Invalid JSON body"),
        (b'{"logs":[]}', "Batch must contain at least one log entry"),
        (b'{"logs":{}}', "logs: field required"),
        (b'{"logs":null}', "logs: field required"),
        (b"{}", "logs: field required"),
        (b"[]", "logs: field required"),
        (b'{"logs":[' + b",".join([b"1"] * 1001) + b"]}", "Batch exceeds maximum of 1000 logs"),
    ],
)
def test_a_body_that_is_no_batch(body: bytes, text: str) -> None:
    with pytest.raises(Refusal, match=text):
        entries.read_batch(body, NOW, fingerprint, decode)


@pytest.mark.parametrize("deep", [b"[" * 5_000 + b"]" * 5_000, b'{"a":' * 5_000 + b"1" + b"}" * 5_000])
def test_an_entry_beyond_any_depth_spoils_only_itself(deep: bytes) -> None:
    good = b'{"timestamp":"2025-10-17T10:00:00Z","level":"info","message":"]}["}'
    bad = b'{"timestamp":"2025-10-17T10:00:00Z","level":"info","attributes":{"a":' + deep + b"}}"
    got = entries.read_batch(b'{"logs":[' + b",".join([good, bad, good]) + b"]}", NOW, fingerprint, decode)
    assert (got.places, got.rejected) == ([0, 2], [(1, "body: must not be nested deeper than 100")])
    with pytest.raises(Refusal, match="Invalid JSON body"):
        entries.read_batch(b'{"logs":[' + good + b"," + deep[:5_000], NOW, fingerprint, decode)


def line(event: Event) -> dict[str, Any]:
    return msgspec.json.decode(msgspec.json.encode(event))


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b'{"a":"x\\u0000y"}', {"a": "xy"}),
        (b'{"a":"\\ud800"}', {"a": "\ufffd"}),
        (b'{"a":"\\ude00x"}', {"a": "\ufffdx"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
        (b'{"a":"\xff"}', {"a": "\ufffd"}),
        (b'{\n"a":\n1}', {"a": 1}),
        (b'{"a":1,"a":2}', {"a": 2}),
    ],
)
def test_odd_text_in_attributes_is_mended(sent: bytes, stored: dict[str, Any]) -> None:
    body = b'{"logs":[{"timestamp":"2025-10-17T10:00:00Z","level":"info","attributes":' + sent + b"}]}"
    got = entries.read_batch(body, NOW, fingerprint, decode)
    assert not got.rejected
    assert json.loads(bytes(got.events[0].attributes)) == stored


def test_a_number_out_of_range_spoils_only_its_own_entry() -> None:
    head = b'{"timestamp":"2025-10-17T10:00:00Z","level":'
    body = b'{"logs":[' + head + b"1e999}," + head + b'"info"}]}'
    got = entries.read_batch(body, NOW, fingerprint, decode)
    assert [place for place, _ in got.rejected] == [0]
    assert len(got.events) == 1


def test_deep_attributes_are_refused() -> None:
    deep: Any = 1
    for _ in range(120):
        deep = [deep]
    got = read(GOOD, {**GOOD, "attributes": {"a": deep}})
    assert [place for place, _ in got.rejected] == [1]


def test_more_than_256_keys_are_folded() -> None:
    got = read({**GOOD, "attributes": {f"k{number}": number for number in range(300)}})
    stored = json.loads(bytes(got.events[0].attributes))
    assert len(stored) == 256
    assert stored["_overflow"] == {f"k{number}": number for number in range(255, 300)}


def test_an_error_is_marked_with_its_group_and_nobody_else_can_mark() -> None:
    error = {**GOOD, "level": "error", "error_type": "ValueError", "fingerprint": "mine", "ts": 5}
    for exact in (False, True):
        got = read(error, {**GOOD, "fingerprint": "mine", "ts": 5}, exact=exact)
        assert isinstance(got.events[0], MarkedEvent)
        assert len(got.events[0].fingerprint) == 64
        assert "fingerprint" not in line(got.events[1])
        assert "ts" not in line(got.events[1])


words = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
moments = st.datetimes(timezones=st.none() | st.just(__import__("datetime").UTC)).map(lambda moment: moment.isoformat())
garbage = st.dictionaries(
    st.sampled_from(["timestamp", "level", "log_type", "message", "error_type", "stack_trace", "attributes", "x"]),
    st.one_of(words, values, st.sampled_from(["error", "info", "exception"]), moments),
)
plausible = st.fixed_dictionaries(
    {"timestamp": moments, "level": st.sampled_from(["info", "error", "critical"])},
    optional={
        "message": st.none() | words,
        "error_type": words,
        "log_type": st.sampled_from(["exception", "console"]),
        "attributes": st.dictionaries(words, values, max_size=5),
    },
)


@settings(max_examples=300)
@given(st.lists(plausible | garbage | values, min_size=1, max_size=4))
def test_both_ways_give_the_same_events(logs: list[Any]) -> None:
    fast, exact = read(*logs), read(*logs, exact=True)
    assert fast.rejected == exact.rejected
    assert len(fast.events) + len(fast.rejected) == len(logs)
    for one, other in zip(fast.events, exact.events, strict=True):
        assert moment(one) == moment(other)
        assert {**line(one), "timestamp": 0, "attributes": 0} == {**line(other), "timestamp": 0, "attributes": 0}
        assert json.loads(bytes(one.attributes)) == json.loads(bytes(other.attributes))


def moment(event: Event) -> int:
    if isinstance(event, MarkedEvent) and event.ts:
        return event.ts
    return entries.microseconds(event.timestamp.isoformat())


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_garbage_is_refused_or_rejected_never_a_crash(body: bytes) -> None:
    for reader in (entries.read_batch, entries.read_single):
        try:
            got = reader(body, NOW, fingerprint, decode)
        except Refusal:
            continue
        assert not got.events
