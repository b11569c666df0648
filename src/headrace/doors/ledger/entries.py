"""Log entries as the Ledger document sends them, turned into events: a fast way for whole good batches, an exact one.

The fast way decodes a batch in one go and leaves attributes raw; whatever it cannot vouch for goes the exact way, which
reads entry by entry and names each bad one. Both give the same events. Rules: the contract's chapter on ingest.
"""

import codecs
import datetime as dt
import re
from collections.abc import Callable
from functools import cache
from operator import itemgetter
from typing import Annotated, Any, NamedTuple, get_args

import msgspec

from headrace.core.events.attributes import DEEPEST, MOST_KEYS, Unfit, raw_attributes
from headrace.core.refusals import Kind, Refusal
from headrace.eventstore.rows import NO_ATTRIBUTES, Event, Importance, Level, LogType, MarkedEvent
from headrace.kit import times
from headrace.kit.json_text import repair
from headrace.wire import jsons

AHEAD = 5 * times.MINUTE
MOST_LOGS = 1000
MOST_ATTRIBUTE_BYTES = 102_400
TEXT_LIMITS = {"message": 10_000, "error_message": 5_000, "stack_trace": 50_000}
SHORT_LIMIT = 255
SHORT_TEXTS = ("error_type", "environment", "release", "sdk_version", "platform", "platform_version")
ENUMS: dict[str, tuple[str, ...]] = {
    "level": get_args(Level),
    "log_type": get_args(LogType),
    "importance": get_args(Importance),
}
NAMES = {"message": "Message", "error_message": "Error message", "stack_trace": "Stack trace"}

# Shorter bodies cannot hold so many entries that building them all costs memory to speak of.
MANY_BYTES = 1 << 20
# Attributes shorter than this cannot break a rule that needs a look inside: depth 100 takes 200 bytes.
PLAIN_BYTES = 200
# Nor can attributes shorter than this have more than 256 keys.
MANY_KEYS_BYTES = 1_500
NUL_OR_LONE_SURROGATE = re.compile(
    rb"\\u(?:0000|[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u)[dD][c-fC-F])"
)
# A number too large for a double, which the engine cannot read, has an exponent of three digits or 200 digits in a row.
# Both are looked for in the text with every digit as 0 and E as e.
SHAPES = bytes.maketrans(b"123456789E", b"000000000e")
LARGE = (b"0e000", b"0e+000")
LONG = b"0" * 200
BEFORE_NUMBER = frozenset({b":", b",", b"[", b" ", b"\t"})
OBJECT_OR_NULL = frozenset(b"{n")
FIRST_BYTE = itemgetter(0)
FIRST_PLAIN = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

Short = Annotated[str, msgspec.Meta(max_length=SHORT_LIMIT)] | None


class Entry(Event, omit_defaults=True, gc=False):
    """An event with the limits of this document."""

    message: Annotated[str, msgspec.Meta(max_length=TEXT_LIMITS["message"])] | None = None
    error_message: Annotated[str, msgspec.Meta(max_length=TEXT_LIMITS["error_message"])] | None = None
    stack_trace: Annotated[str, msgspec.Meta(max_length=TEXT_LIMITS["stack_trace"])] | None = None
    error_type: Short = None
    environment: Short = None
    release: Short = None
    sdk_version: Short = None
    platform: Short = None
    platform_version: Short = None


class Batch(msgspec.Struct, gc=False):
    logs: list[Entry]


class RawBatch(msgspec.Struct, gc=False):
    logs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Read(NamedTuple):
    """What a body held: the good events in order with their places, and `(place, text)` of each bad entry."""

    events: list[Event]
    places: list[int] | None  # None: event i is entry i.
    rejected: list[tuple[int, str]]


BATCH = msgspec.json.Decoder(Batch)
RAW_BATCH = msgspec.json.Decoder(RawBatch)
SINGLE = msgspec.json.Decoder(Entry)
Fingerprint = Callable[[Event], str]


@cache
def first_logs(most: int) -> msgspec.json.Decoder[Any]:
    """Read a list as a record: entries beyond the last field are passed over, not built, however many a body holds."""
    fields = [(f"log{place}", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for place in range(most + 1)]
    return msgspec.json.Decoder(msgspec.defstruct("FirstLogs", fields, array_like=True, gc=False))


def read_batch(body: bytes, now: int, fingerprint: Fingerprint, decode: Callable[[bytes], Any]) -> Read:
    """Read `{"logs": [...]}`. `decode` is the exact JSON reader. Raises a refusal when the body is no batch."""
    return read_good_batch(body, now, fingerprint) or read_mixed_batch(body, now, fingerprint, decode)


def read_good_batch(body: bytes, now: int, fingerprint: Fingerprint, *, most: int = MOST_LOGS) -> Read | None:
    """Read a batch in which all is well; None when it needs the exact way."""
    if not clean(body) or (len(body) > MANY_BYTES and body.count(b'"timestamp"') > most):
        return None
    try:
        batch = BATCH.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    events = marked(batch.logs, now, fingerprint)
    return None if events is None or not 0 < len(events) <= most else Read(events, None, [])


def read_mixed_batch(body: bytes, now: int, fingerprint: Fingerprint, decode: Callable[[bytes], Any]) -> Read:
    """Read a batch the exact way."""
    logs = logs_of(utf8(body))
    if logs is None:
        raise Refusal(Kind.INVALID, "logs: field required", field="logs", rule="field required", type="missing")
    if not logs:
        raise Refusal(Kind.INVALID, "Batch must contain at least one log entry", field="logs", rule="too short")
    if len(logs) > MOST_LOGS:
        raise Refusal(Kind.INVALID, f"Batch exceeds maximum of {MOST_LOGS} logs", field="logs", rule="too long")
    return read_entries(logs, now, fingerprint, decode)


def logs_of(body: bytes) -> list[bytes] | None:
    """Return each log as JSON text of its own, one more than a batch may hold at most; None: there is no list of them.

    Nothing is built but these: a body of the largest size may hold millions of values. Raises malformed.
    """
    try:
        return found_logs(body)
    except RecursionError:
        # One entry is deeper than the decoder goes; the others are not to suffer for it.
        return found_logs(jsons.pruned(body))


def found_logs(body: bytes) -> list[bytes] | None:
    try:
        try:
            sent = RAW_BATCH.decode(body)
        except msgspec.ValidationError:
            return None
        except msgspec.DecodeError:
            sent = RAW_BATCH.decode(repair(body))
        return listed(sent.logs, MOST_LOGS) if isinstance(sent.logs, msgspec.Raw) else None
    except msgspec.ValidationError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise jsons.malformed() from None


def listed(array: bytes | msgspec.Raw, most: int) -> list[bytes]:
    """Return the entries of a JSON array, one more than `most` at most. Raises the decoder's errors."""
    found = first_logs(most).decode(array)
    logs = (getattr(found, name) for name in found.__struct_fields__)
    return [bytes(log) for log in logs if log is not msgspec.UNSET]


def read_single(body: bytes, now: int, fingerprint: Fingerprint, decode: Callable[[bytes], Any]) -> Read:
    """Read one entry."""
    return read_good_single(body, now, fingerprint) or read_entries([utf8(body)], now, fingerprint, decode)


def read_good_single(body: bytes, now: int, fingerprint: Fingerprint) -> Read | None:
    """Read an entry in which all is well; None when it needs the exact way."""
    if not clean(body):
        return None
    try:
        entry = SINGLE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    events = marked([entry], now, fingerprint)
    return None if events is None else Read(events, None, [])


def utf8(body: bytes) -> bytes:
    """Return the body without byte order mark, each broken byte as U+FFFD."""
    return body.removeprefix(codecs.BOM_UTF8).decode(errors="replace").encode()


def clean(body: bytes) -> bool:
    """Tell whether raw parts of the body may be stored as they are: one line, UTF-8, no NUL, no lone surrogate."""
    if b"\n" in body or b"\r" in body:
        return False
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            return False
    return NUL_OR_LONE_SURROGATE.search(body) is None


def marked(entries: list[Entry], now: int, fingerprint: Fingerprint) -> list[Event] | None:
    """Mark the errors among decoded entries; None when one of them needs the exact way.

    What all entries need is asked of all at once: a call per entry costs as much as its decoding.
    """
    latest = FIRST_PLAIN + dt.timedelta(microseconds=now + AHEAD)
    moments = [entry.timestamp for entry in entries]
    try:
        if entries and not FIRST_PLAIN <= min(moments) <= max(moments) <= latest:
            return None
    except TypeError:  # A time without zone cannot be compared.
        return None
    attributes = [bytes(entry.attributes) for entry in entries]
    # The decoder has read them as JSON: what begins with n is null.
    if not OBJECT_OR_NULL.issuperset(map(FIRST_BYTE, attributes)):
        return None
    if not all(plain(raw) for raw in attributes if len(raw) > PLAIN_BYTES) or extreme_number(b",".join(attributes)):
        return None
    events: list[Event] = entries  # type: ignore[assignment]
    errors = [
        place
        for place, entry in enumerate(entries)
        if entry.error_type is not None or entry.stack_trace is not None or entry.log_type == "exception"
    ]
    for place in errors:
        group = fingerprint(events[place])
        if group:
            events[place] = with_mark(events[place], group, 0)
    return events


def extreme_number(raw: bytes) -> bool:
    """Tell whether a number may stand in the text, outside its strings, that the engine cannot hold.

    One with an exponent of three digits, or a text with 200 digits in a row. In strings the former is common (`4e123`
    in an id), so what stands before it decides.
    """
    shapes = raw.translate(SHAPES)
    for shape in LARGE:
        place = shapes.find(shape)
        while place >= 0:
            digits = raw[max(0, place - 31) : place + 1]
            before = digits.rstrip(b"0123456789.")
            if not before or (len(before) < len(digits) and before.removesuffix(b"-")[-1:] in BEFORE_NUMBER):
                return True
            place = shapes.find(shape, place + 1)
    return LONG in shapes


def plain(raw: bytes) -> bool:
    """Tell whether longer attributes keep these rules for certain: size, depth, number of keys."""
    return (
        len(raw) <= MOST_ATTRIBUTE_BYTES
        and raw.count(b"{") + raw.count(b"[") < DEEPEST
        and (len(raw) < MANY_KEYS_BYTES or raw.count(b":") <= MOST_KEYS)
    )


def with_mark(event: Event, fingerprint: str, ts: int) -> MarkedEvent:
    return MarkedEvent(
        event.timestamp,
        event.level,
        event.log_type,
        event.importance,
        event.message,
        event.error_type,
        event.error_message,
        event.stack_trace,
        event.environment,
        event.release,
        event.sdk_version,
        event.platform,
        event.platform_version,
        event.attributes,
        fingerprint,
        ts,
    )


# -- the exact way -----------------------------------------------------------------------------------------------------


def read_entries(logs: list[bytes], now: int, fingerprint: Fingerprint, decode: Callable[[bytes], Any]) -> Read:
    """Read entries one by one, each JSON text of its own, so that a bad one spoils no other."""
    events: list[Event] = []
    places: list[int] = []
    rejected: list[tuple[int, str]] = []
    for place, log in enumerate(logs):
        try:
            event = exact(decode(log), now)
        except Unfit as unfit:
            rejected.append((place, str(unfit)))
            continue
        except Refusal as refusal:
            if len(logs) == 1 and refusal.kind is Kind.MALFORMED:
                raise
            rejected.append((place, refusal.text))
            continue
        group = fingerprint(event)
        events.append(with_mark(event, group, event.ts) if group else event)
        places.append(place)
    return Read(events, places, rejected)


def exact(log: Any, now: int) -> MarkedEvent:
    """Check one decoded entry rule by rule; raises Unfit with the text of the first rule broken."""
    if not isinstance(log, dict):
        raise Unfit("Log entry must be an object")
    sent = {name: value for name, value in log.items() if value is not None}
    for name in ("timestamp", "level"):
        if name not in sent:
            raise Unfit(f"Missing required field: {name}")
    ts = timestamp(sent["timestamp"], now)
    for name, allowed in ENUMS.items():
        if name in sent and sent[name] not in allowed:
            raise Unfit(f"Invalid {name}: must be one of {', '.join(allowed)}")
    texts = {name: text(name, sent[name]) for name in (*TEXT_LIMITS, *SHORT_TEXTS) if name in sent}
    attributes = NO_ATTRIBUTES
    if "attributes" in sent:
        if not isinstance(sent["attributes"], dict):
            raise Unfit("Attributes must be an object")
        attributes = raw_attributes(sent["attributes"], MOST_ATTRIBUTE_BYTES)
    representable = ts >= 0
    return MarkedEvent(
        timestamp=FIRST_PLAIN + dt.timedelta(microseconds=ts) if representable else FIRST_PLAIN,
        ts=0 if representable else ts,
        level=sent["level"],
        log_type=sent.get("log_type", "logger"),
        importance=sent.get("importance", "standard"),
        attributes=attributes,
        **texts,
    )


def timestamp(value: Any, now: int) -> int:
    try:
        ts = microseconds(value)
    except (ValueError, TypeError):
        raise Unfit("Invalid timestamp format") from None
    if ts > now + AHEAD:
        raise Unfit("Timestamp cannot be more than 5 minutes in the future")
    return ts


def microseconds(value: Any) -> int:
    """Read a time as the fast way does where that can read it, else by the house's wider rule."""
    try:
        moment = msgspec.convert(value, dt.datetime)
    except msgspec.ValidationError:
        return times.parse(value)
    since = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)) - FIRST_PLAIN
    ts = since // dt.timedelta(microseconds=1)
    if not times.FIRST <= ts <= times.LAST:
        raise ValueError("outside the years 1 to 9999 once its offset is taken off")
    return ts


def text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Unfit(f"{name} must be a string")
    limit = TEXT_LIMITS.get(name, SHORT_LIMIT)
    if len(value) > limit:
        raise Unfit(f"{NAMES.get(name, name)} exceeds maximum length")
    return value.replace("\0", "")
