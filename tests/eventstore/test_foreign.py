"""What lines of other programs' logs become."""

import json
from typing import Any

import msgspec
import pytest

from headrace.eventstore.foreign import FIELDS, BadLineError, Rules, as_log

PLAIN = Rules({})
LOG = {"timestamp": "2026-01-01T00:00:00Z", "level": "info", "message": "m"}


def log(entry: dict[str, Any], rules: Rules = PLAIN) -> dict[str, Any]:
    return json.loads(as_log(json.dumps(entry).encode(), rules))


def test_a_log_goes_out_byte_for_byte() -> None:
    text = b'{"level": "info",  "timestamp":"2026-01-01T00:00:00Z", "attributes": {"big": 123456789012345678901}}'
    assert as_log(text, PLAIN) is text


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (LOG | {"level": "WARN"}, {"level": "warning"}),
        (LOG | {"level": " Error "}, {"level": "error"}),
        (LOG | {"level": "FATAL"}, {"level": "critical"}),
        (LOG | {"level": "odd"}, {"level": "odd"}),
        (LOG | {"level": 30}, {"level": "info"}),
        (LOG | {"level": 60}, {"level": "critical"}),
        (LOG | {"level": 3}, {"level": "error"}),
        (LOG | {"level": 35}, {"level": 35}),
        (LOG | {"level": True}, {"level": True}),
        (LOG | {"timestamp": 1767225600}, {"timestamp": "2026-01-01T00:00:00Z"}),
        (LOG | {"timestamp": 1767225600.25}, {"timestamp": "2026-01-01T00:00:00.25Z"}),
        (LOG | {"timestamp": 1767225600123}, {"timestamp": "2026-01-01T00:00:00.123Z"}),
        (LOG | {"timestamp": 1767225600123456}, {"timestamp": "2026-01-01T00:00:00.123456Z"}),
        (LOG | {"timestamp": 1767225600123456789}, {"timestamp": "2026-01-01T00:00:00.123456Z"}),
        (LOG | {"timestamp": True}, {"timestamp": True}),
        ({"time": "2026-01-01", "severity": "INFO", "msg": "hello"}, {"timestamp": "2026-01-01", "message": "hello"}),
        (LOG | {"user": 7, "deep": {"a": [1]}}, {"attributes": {"user": 7, "deep": {"a": [1]}}}),
        (LOG | {"user": 7, "attributes": {"user": 8, "a": 1}}, {"attributes": {"user": 8, "a": 1}}),
        (LOG | {"user": 7, "attributes": None}, {"attributes": {"user": 7}}),
        (LOG | {"user": 7, "attributes": "odd"}, {"attributes": "odd"}),
        (LOG | {"big": 123456789012345678901234567890}, {"attributes": {"big": 123456789012345678901234567890}}),
    ],
)
def test_other_spellings_become_a_log(entry: dict[str, Any], expected: dict[str, Any]) -> None:
    made = log(entry)
    assert {name: made.get(name) for name in expected} == expected


def test_fields_have_one_order_in_every_process() -> None:
    """A set's order differs from process to process; a resumed import repeats a batch byte for byte."""
    given = {field: "x" for field in reversed(FIELDS) if field != "attributes"} | {"level": "WARN", "own": 1}
    assert list(log(given)) == list(FIELDS)


def test_names_are_mapped() -> None:
    rules = Rules({"timestamp": "when", "message": "event.text", "level": "event.grade"})
    made = log({"when": "2026-01-01", "event": {"text": "hello", "grade": "ERR"}, "message": "other"}, rules)
    assert made["timestamp"] == "2026-01-01"
    assert made["message"] == "hello"
    assert made["level"] == "error"
    assert made["attributes"]["message"] == "other"


def test_what_is_absent_is_filled_only_on_request() -> None:
    assert log({"message": "m"}) == {"message": "m"}
    rules = Rules({}, now="2026-01-01T00:00:00Z", level="info")
    assert log({"message": "m"}, rules) == {"message": "m", "timestamp": rules.now, "level": "info"}
    assert log(LOG, rules) == LOG


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (b"not json", "not JSON"),
        (b'{"a":', "not JSON"),
        (b"[1]", "Log entry must be an object"),
        (b"17", "Log entry must be an object"),
        (b"[" * 100_000, "not JSON|must be an object"),
        (None, "too long"),
    ],
)
def test_what_cannot_become_a_log_is_named(text: bytes | None, rule: str) -> None:
    with pytest.raises(BadLineError, match=rule):
        as_log(text, PLAIN)


@pytest.mark.parametrize("when", ["-99999999999", "1e400", "1e300", "123456789012345678901234567890", "9" * 400])
def test_a_time_that_no_calendar_holds_is_left_for_the_server_to_name(when: str) -> None:
    made = as_log(b'{"ts":%s,"level":"info"}' % when.encode(), PLAIN)
    assert set(msgspec.json.decode(made, type=dict[str, msgspec.Raw])) == {"timestamp", "level"}


def test_a_level_that_no_number_holds_is_left_for_the_server_to_name() -> None:
    assert as_log(b'{"ts":0,"level":9e999}', PLAIN) == b'{"level":9e999,"timestamp":"1970-01-01T00:00:00Z"}'


@pytest.mark.parametrize("spoilt", [rb"\ud800", b"\xff"])
def test_spoilt_text_becomes_replacement_characters_as_it_does_at_the_server(spoilt: bytes) -> None:
    line = b'{"ts":0,"level":"WARN","msg":"a%b","%b":1,"attributes":{"%b":"%b"},"x":1}'
    assert json.loads(as_log(line.replace(b"%b", spoilt), PLAIN)) == {
        "timestamp": "1970-01-01T00:00:00Z",
        "level": "warning",
        "message": "a\ufffd",
        "attributes": {"\ufffd": "\ufffd", "x": 1},
    }


def test_a_field_that_is_null_leaves_room_for_its_other_names() -> None:
    sent = {"timestamp": None, "time": LOG["timestamp"], "level": None, "severity": "WARN", "message": "m"}
    assert log(sent) == {"timestamp": LOG["timestamp"], "level": "warning", "message": "m"}
