"""Conditions on a record, from JSON to a function: a comparison of one field, or `all`, `any`, `not` of others."""

from collections.abc import Callable
from typing import Any

from headrace.core.processing import values
from headrace.core.processing.values import ProcessingError, Record

Condition = Callable[[Record], bool]
Reader = Callable[[Record], Any]

DEEPEST = 10
MOST_PARTS = 100
MOST_CHOICES = 1_000
LONGEST_NAME = 255
ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "<": lambda found, wanted: found < wanted,
    "<=": lambda found, wanted: found <= wanted,
    ">": lambda found, wanted: found > wanted,
    ">=": lambda found, wanted: found >= wanted,
}
TEXTS: dict[str, Callable[[str, str], bool]] = {
    "contains": lambda found, wanted: wanted in found,
    "starts_with": lambda found, wanted: found.startswith(wanted),
    "ends_with": lambda found, wanted: found.endswith(wanted),
}
OPERATORS = ("=", "!=", *ORDERS, *TEXTS, "in", "is_null", "is_not_null")


def name(value: Any, place: str) -> str:
    """A field's name as it was given."""
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_NAME:
        raise ProcessingError(f"{place}: a field's name is a text of 1 to {LONGEST_NAME} characters")
    return value


def reader(field: str) -> Reader:
    """Return what reads a field: the one of that name, else the one that the dots lead to; null when there is none."""
    parts = field.split(".")
    if len(parts) == 1:
        return lambda record: record.get(field)

    def read(record: Record) -> Any:
        if field in record:
            return record[field]
        found: Any = record
        for part in parts:
            found = found.get(part) if isinstance(found, dict) else None
        return found

    return read


def members(given: Any, place: str, wanted: set[str], optional: set[str] | None = None) -> dict[str, Any]:
    """An object that has these members and no others."""
    if not isinstance(given, dict):
        raise ProcessingError(f"{place}: must be an object")
    for one in sorted(wanted - given.keys()):
        raise ProcessingError(f"{place}: {one} is missing")
    for one in sorted(given.keys() - wanted - (optional or set())):
        raise ProcessingError(f"{place}: there is no {one[:LONGEST_NAME]!r} here")
    return given


def condition(given: Any, place: str, depth: int = 0) -> Condition:
    """Read a condition; raises ProcessingError."""
    if depth > DEEPEST:
        raise ProcessingError(f"{place}: conditions are nested deeper than {DEEPEST}")
    if isinstance(given, dict) and len(given) == 1 and not given.keys().isdisjoint(("all", "any", "not")):
        ((word, inner),) = given.items()
        if word == "not":
            denied = condition(inner, place, depth + 1)
            return lambda record: not denied(record)
        if not isinstance(inner, list) or not 1 <= len(inner) <= MOST_PARTS:
            raise ProcessingError(f"{place}: {word} takes a list of 1 to {MOST_PARTS} conditions")
        parts = [condition(one, place, depth + 1) for one in inner]
        if word == "all":
            return lambda record: all(part(record) for part in parts)
        return lambda record: any(part(record) for part in parts)
    return _comparison(members(given, place, {"field"}, {"op", "value"}), place)


def _comparison(given: dict[str, Any], place: str) -> Condition:
    read = reader(name(given["field"], place))
    word, wanted = given.get("op", "="), given.get("value")
    if word not in OPERATORS:
        raise ProcessingError(f"{place}: op is one of {', '.join(OPERATORS)}")
    if word == "is_null":
        return lambda record: read(record) is None
    if word == "is_not_null":
        return lambda record: read(record) is not None
    if "value" not in given:
        raise ProcessingError(f"{place}: value is missing")
    if word == "=":
        return lambda record: values.same(read(record), wanted)
    if word == "!=":
        return lambda record: not values.same(read(record), wanted)
    if word == "in":
        return _in(read, wanted, place)
    if word in TEXTS:
        return _on_text(read, TEXTS[word], wanted, place, word)
    return _ordered(read, ORDERS[word], wanted, place, word)


def _in(read: Reader, wanted: Any, place: str) -> Condition:
    if not isinstance(wanted, list) or len(wanted) > MOST_CHOICES:
        raise ProcessingError(f"{place}: in takes a list of at most {MOST_CHOICES} values")
    texts = frozenset(one for one in wanted if isinstance(one, str))
    others = [one for one in wanted if not isinstance(one, str)]

    def chosen(record: Record) -> bool:
        found = read(record)
        return (isinstance(found, str) and found in texts) or any(values.same(found, one) for one in others)

    return chosen


def _on_text(read: Reader, holds: Callable[[str, str], bool], wanted: Any, place: str, word: str) -> Condition:
    if not isinstance(wanted, str):
        raise ProcessingError(f"{place}: {word} takes a text")

    def told(record: Record) -> bool:
        found = read(record)
        return isinstance(found, str) and holds(found, wanted)

    return told


def _ordered(read: Reader, holds: Callable[[Any, Any], bool], wanted: Any, place: str, word: str) -> Condition:
    if isinstance(wanted, str):
        return lambda record: isinstance(found := read(record), str) and holds(found, wanted)
    if isinstance(wanted, bool) or not isinstance(wanted, int | float):
        raise ProcessingError(f"{place}: {word} takes a number or a text")
    return lambda record: (found := values.number(read(record))) is not None and holds(found, wanted)
