"""What a line of any program becomes before it is read as a log: one with the field names that the API knows.

The rules for values are the door's; here names are mapped, and what a log has no field for goes into its attributes.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, get_args

import msgspec
from msgspec import Raw

from headrace.eventstore.rows import Event, Level
from headrace.kit.json_text import repair
from headrace.kit.times import FIRST, LAST, show

FIELDS = Event.__struct_fields__
KNOWN = frozenset(FIELDS)
# Names that common loggers write, tried in this order when a line has no field of ours.
OTHER_NAMES = {
    "timestamp": ("time", "ts", "@timestamp", "datetime", "date"),
    "level": ("severity", "lvl", "levelname", "log_level", "loglevel"),
    "message": ("msg", "text", "body", "log"),
    "stack_trace": ("stack", "stacktrace", "traceback", "exc_info"),
}
OTHER_LEVELS = {
    **dict.fromkeys(("trace", "verbose"), "debug"),
    **dict.fromkeys(("notice", "information", "informational"), "info"),
    **dict.fromkeys(("warn",), "warning"),
    **dict.fromkeys(("err",), "error"),
    **dict.fromkeys(("fatal", "crit", "panic", "alert", "emerg", "emergency"), "critical"),
}
# Of pino and bunyan the tens, of syslog and journald the rest.
NUMBERED_LEVELS = {
    10: "debug",
    20: "debug",
    30: "info",
    40: "warning",
    50: "error",
    60: "critical",
    0: "critical",
    1: "critical",
    2: "critical",
    3: "error",
    4: "warning",
    5: "info",
    6: "info",
    7: "debug",
}
# A number of seconds is below the first of these, of milliseconds below the next, and so on; with the factor and
# divisor that make microseconds of it.
EPOCHS = ((10**11, 1_000_000, 1), (10**14, 1_000, 1), (10**17, 1, 1), (10**20, 1, 1_000))

NULL = b"null"
DECODER = msgspec.json.Decoder(dict[str, Raw])
ENCODER = msgspec.json.Encoder()
LEVELS = frozenset(map(ENCODER.encode, get_args(Level)))


class BadLineError(Exception):
    """The line cannot become a log at all; the text is the rule."""


class Rules(NamedTuple):
    """How lines are read: `names` is {field: the line's own name or dotted path}; the others fill what is absent."""

    names: Mapping[str, str]
    now: str | None = None
    level: str | None = None


def as_log(text: bytes | None, rules: Rules) -> bytes:
    """Return one log as JSON. The same line under the same rules gives the same bytes. Raises BadLineError."""
    if text is None:
        raise BadLineError("the line is too long")
    text, given = _decoded(text)
    if not rules.names and given.keys() <= KNOWN and _is_plain(given):
        return text
    fields = _named(given, rules.names)
    _mend_level(fields, rules.level)
    _mend_timestamp(fields, rules.now)
    return ENCODER.encode(_with_attributes(fields, given))


def _decoded(text: bytes) -> tuple[bytes, dict[str, Raw]]:
    """Read a line as the server would: broken UTF-8 and half a surrogate pair become U+FFFD, they spoil no line."""
    try:
        return text, DECODER.decode(text if text.isascii() else text.decode())
    except msgspec.ValidationError as problem:
        raise BadLineError("Log entry must be an object") from problem
    except RecursionError as problem:
        raise BadLineError(f"not JSON: {problem}") from problem
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        mended = repair(text.decode(errors="replace").encode())
        if mended != text:
            return _decoded(mended)
        raise BadLineError(f"not JSON: {problem}") from problem


def _is_plain(given: Mapping[str, Raw]) -> bool:
    level, timestamp = given.get("level"), given.get("timestamp")
    return level is not None and bytes(level) in LEVELS and timestamp is not None and bytes(timestamp)[:1] == b'"'


def _named(given: dict[str, Raw], names: Mapping[str, str]) -> dict[str, Raw]:
    """Take the fields of a log out of what was given; what is used leaves `given`."""
    fields = {}
    for field, source in names.items():
        value = given.pop(source, None) or _inside(given, source)
        if value is not None:
            fields[field] = value
    # In this order in every process: what is sent again under its key has to be the same bytes.
    for field in FIELDS:
        if field not in fields and field in given:
            fields[field] = given.pop(field)
    for field, others in OTHER_NAMES.items():
        if field not in fields or bytes(fields[field]) == NULL:
            found = next((other for other in others if other in given), None)
            if found is not None:
                fields[field] = given.pop(found)
    return fields


def _inside(given: Mapping[str, Raw], path: str) -> Raw | None:
    """Follow a dotted path; the value also stays where it is."""
    first, _, rest = path.partition(".")
    value = given.get(first)
    if value is None or not rest:
        return value
    try:
        return _inside(DECODER.decode(value), rest)
    except msgspec.DecodeError:
        return None


def _mend_level(fields: dict[str, Raw], default: str | None) -> None:
    raw = fields.get("level")
    if raw is None or bytes(raw) == NULL:
        if default is not None:
            fields["level"] = Raw(ENCODER.encode(default))
        return
    if bytes(raw) not in LEVELS:
        value = _value(raw)
        if isinstance(value, str):
            lowered = value.strip().lower()
            fields["level"] = Raw(ENCODER.encode(OTHER_LEVELS.get(lowered, lowered)))
        elif type(value) is int and value in NUMBERED_LEVELS:
            fields["level"] = Raw(ENCODER.encode(NUMBERED_LEVELS[value]))


def _mend_timestamp(fields: dict[str, Raw], now: str | None) -> None:
    raw = fields.get("timestamp")
    if raw is None or bytes(raw) == NULL:
        if now is not None:
            fields["timestamp"] = Raw(ENCODER.encode(now))
        return
    if bytes(raw)[:1] != b'"':
        value = _value(raw)
        if isinstance(value, int | float) and not isinstance(value, bool):
            fields["timestamp"] = Raw(ENCODER.encode(_epoch(value)))


def _value(raw: Raw) -> Any:
    """Return what was sent; None for a number that nobody can hold: the server names it."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.ValidationError:
        return None


def _epoch(value: float) -> str:
    for bound, factor, divisor in EPOCHS:
        if abs(value) < bound:
            moment = value * factor // divisor if isinstance(value, int) else round(value * factor / divisor)
            return show(moment) if FIRST <= moment <= LAST else str(value)
    return str(value)


def _with_attributes(fields: dict[str, Raw], rest: dict[str, Raw]) -> dict[str, Raw]:
    """Put what is left over into the attributes; attributes that are no object stay, for the server to name."""
    if not rest:
        return fields
    own = fields.get("attributes")
    if own is None or bytes(own) == NULL:
        fields["attributes"] = Raw(ENCODER.encode(rest))
    elif bytes(own)[:1] == b"{":
        fields["attributes"] = Raw(ENCODER.encode({**rest, **DECODER.decode(own)}))
    return fields
