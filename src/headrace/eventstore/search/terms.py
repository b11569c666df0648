"""What a typed value means to a field: words, a keyword, a fixed name, a number, a time; or to an attribute."""

import re
from collections.abc import Callable
from typing import TypeAlias

from headrace.eventstore.ids import read_public_id
from headrace.eventstore.search.fields import Field
from headrace.eventstore.search.lexer import Comparison, Interval, Value
from headrace.eventstore.search.nodes import (
    All,
    And,
    Attribute,
    AttributeExists,
    AttributeWithin,
    Bounds,
    Exists,
    Node,
    OneOf,
    SearchError,
    Text,
    Within,
    Words,
)
from headrace.kit import times

Operand: TypeAlias = Value | Comparison | Interval
Number: TypeAlias = int | float

NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,2})?")
DURATION = re.compile(r"(?P<number>[0-9.]+)(?P<unit>us|ms|s|m|h)")
MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "h": 3_600_000.0}
STATUS_CLASS = re.compile(r"([0-9])[xX]{2}")
DAY_ALONE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
LARGEST_ID = 2**64 - 1
MAX_SEGMENTS = 8  # Each dot of an attribute's path is one more place to look.


def anything(operand: Operand) -> bool:
    return isinstance(operand, Value) and operand.pieces == ("", "")


def attribute(path: str, operand: Operand, start: int) -> Node:
    if path.count(".") >= MAX_SEGMENTS:
        raise SearchError(f"an attribute's path has at most {MAX_SEGMENTS} parts", start)
    if anything(operand):
        return AttributeExists(path)
    if isinstance(operand, Value):
        return ranged(operand, double, lambda bounds: AttributeWithin(path, bounds)) or Attribute(path, operand.pieces)
    return AttributeWithin(path, bounds_of(operand, double))


def column(field: Field, operand: Operand, start: int) -> Node:
    """Read the operand as this field's kind. Raises SearchError at the value."""
    if anything(operand):
        return All() if field.absent is None else Exists(field.column)
    match field.kind:
        case "text" | "keyword":
            return textual(field, operand, start)
        case "name":
            return OneOf(field.column, names(field, operand))
        case "integer" | "number" | "time":
            return within(field, operand)


def textual(field: Field, operand: Operand, start: int) -> Node:
    if not isinstance(operand, Value):
        raise SearchError(f"{field.column} holds text and takes no range; numbers and times do", start)
    if field.kind == "text" and operand.text.strip():
        return Words(operand.pieces, field.column)
    return Text(field.column, operand.pieces)


def names(field: Field, operand: Operand) -> tuple[str, ...]:
    """Return the names meant, in the field's order; a range follows that order too."""
    if isinstance(operand, Value):
        wanted = operand.text.lower() if len(operand.pieces) == 1 else None
        if wanted is not None:
            return (field.names[rank(field, operand)],)
        like = re.compile(".*".join(re.escape(piece.lower()) for piece in operand.pieces), re.DOTALL)
        found = tuple(name for name in field.names if like.fullmatch(name))
        return found or unknown_name(field, operand)
    bounds = bounds_of(operand, lambda value: rank(field, value))
    return tuple(name for index, name in enumerate(field.names) if bounds.hold(index))


def rank(field: Field, value: Value) -> int:
    name = value.text.lower()
    name = dict(field.synonyms).get(name, name)
    if name not in field.names:
        unknown_name(field, value)
    return field.names.index(name)


def unknown_name(field: Field, value: Value) -> tuple[str, ...]:
    raise SearchError(f"{field.column} is never {value.text!r}; it is one of {', '.join(field.names)}", value.position)


def within(field: Field, operand: Operand) -> Node:
    """A range of a number or time column. A day alone, and a class such as 5xx, stand for all that lies in them."""
    spans: dict[str, Callable[[Value], tuple[Number, Number]]] = {
        "status_code": status_span,
        "duration_ms": lambda value: (milliseconds(value),) * 2,
        "id": lambda value: (identifier(value),) * 2,
        "ts": time_span,
        "received_at": time_span,
    }
    span = spans[field.column]
    if isinstance(operand, Value):
        both = ranged(operand, span, lambda bounds: Within(field.column, bounds))
        if both is not None:
            return both
        found = Within(field.column, Bounds(*span(operand)))
        public = read_public_id(operand.text.lower()) if field.column == "id" else None
        # The time in a public id is the way to the row by the primary key.
        return found if public is None else And((Within("ts", Bounds(public[0], public[0])), found))
    return Within(field.column, bounds_of(operand, span))


def ranged(value: Value, read: "Reader", make: Callable[[Bounds], Node]) -> Node | None:
    """Read the short form `low..high`; None when the value is none."""
    if value.quoted or len(value.pieces) != 1:
        return None
    low, dots, high = value.text.partition("..")
    if not (dots and low and high):
        return None
    position = value.position + len(low) + len(dots)
    ends = Value((low,), quoted=False, position=value.position), Value((high,), quoted=False, position=position)
    try:
        return make(bounds_of(Interval(*ends, low_open=False, high_open=False), read))
    except SearchError:
        return None


Reader: TypeAlias = Callable[[Value], Number | tuple[Number, Number]]


def bounds_of(operand: Comparison | Interval, read: Reader) -> Bounds:
    """Turn a comparison or interval into bounds; of a value that is a span, the operator picks the end."""

    def ends(value: Value) -> tuple[Number, Number]:
        found = read(value)
        return found if isinstance(found, tuple) else (found, found)

    if isinstance(operand, Interval):
        low = None if anything(operand.low) else ends(operand.low)[operand.low_open]
        high = None if anything(operand.high) else ends(operand.high)[not operand.high_open]
        return Bounds(low, high, operand.low_open and low is not None, operand.high_open and high is not None)
    first, last = ends(operand.value)
    match operand.operator:
        case ">":
            return Bounds(low=last, low_open=True)
        case ">=":
            return Bounds(low=first)
        case "<":
            return Bounds(high=first, high_open=True)
        case "<=":
            return Bounds(high=last)


def number(value: Value) -> Number:
    text = value.text
    if len(value.pieces) != 1 or NUMBER.fullmatch(text) is None:
        raise SearchError(
            f"a number is needed here, not {text!r}" if text else "a number is missing here", value.position
        )
    return float(text) if re.search(r"[.eE]", text) else int(text)


def double(value: Value) -> float:
    """An attribute's number is compared as the engine does: 64-bit floating point."""
    return float(number(value))


def status_span(value: Value) -> tuple[Number, Number]:
    found = STATUS_CLASS.fullmatch(value.text)
    if found is not None and found[1] not in "12345":
        raise SearchError(f"a class of status is 1xx to 5xx, not {value.text!r}", value.position)
    if found is not None:
        return int(found[1]) * 100, int(found[1]) * 100 + 99
    return (number(value),) * 2


def milliseconds(value: Value) -> Number:
    found = DURATION.fullmatch(value.text)
    if found is None:
        return number(value)
    return number(Value((found["number"],), quoted=False, position=value.position)) * MILLISECONDS[found["unit"]]


def identifier(value: Value) -> int:
    text = value.text
    public = read_public_id(text.lower())
    if public is not None:
        return public[1]
    if not re.fullmatch("[0-9]{1,20}", text) or int(text) > LARGEST_ID:
        raise SearchError(f"an id is a whole number or 32 hex digits, not {text!r}", value.position)
    return int(text)


def time_span(value: Value) -> tuple[int, int]:
    """Return the first and last microsecond meant: of a day when the date stands alone."""
    try:
        moment = times.parse(value.text)
    except ValueError:
        sentence = f"a time such as 2026-01-31 or 2026-01-31T10:00:00Z is needed here, not {value.text!r}"
        raise SearchError(sentence, value.position) from None
    return moment, moment + (times.DAY - 1 if DAY_ALONE.fullmatch(value.text) else 0)
