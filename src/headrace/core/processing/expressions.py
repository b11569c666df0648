"""Expressions that make a new field, from JSON to a function: a fixed list of operations; no code is evaluated."""

from collections.abc import Callable, Sequence
from typing import Any

from headrace.core.processing import values
from headrace.core.processing.conditions import members, name, reader
from headrace.core.processing.values import Number, ProcessingError, Record

Expression = Callable[[Record], Any]

DEEPEST = 10
MOST_ARGUMENTS = 20
MOST_PLACES = 10


def expression(given: Any, place: str, depth: int = 0) -> Expression:
    """Read `{"field": name}`, `{"value": anything}` or `{"op": operation, "of": [expressions]}`."""
    if depth > DEEPEST:
        raise ProcessingError(f"{place}: expressions are nested deeper than {DEEPEST}")
    if isinstance(given, dict) and "field" in given:
        return reader(name(members(given, place, {"field"})["field"], place))
    if isinstance(given, dict) and "value" in given:
        constant = members(given, place, {"value"})["value"]
        return lambda _record: constant
    asked = members(given, place, {"op", "of"})
    word, of = asked["op"], asked["of"]
    if not isinstance(word, str) or word not in OPERATIONS:
        raise ProcessingError(f"{place}: op is one of {', '.join(OPERATIONS)}")
    least, most, run = OPERATIONS[word]
    if not isinstance(of, list) or not least <= len(of) <= most:
        count = f"{least}" if least == most else f"{least} to {most}"
        raise ProcessingError(f"{place}: {word} takes a list of {count} expressions")
    parts = [expression(one, place, depth + 1) for one in of]
    return lambda record: run([part(record) for part in parts])


def _numbers(found: Sequence[Any]) -> list[Number] | None:
    """All of them as numbers; None when one is none, and then the result is null."""
    read = [values.number(one) for one in found]
    known = [one for one in read if one is not None]
    return known if len(known) == len(read) else None


def _arithmetic(step: Callable[[Number, Number], Number]) -> Callable[[Sequence[Any]], Number | None]:
    def run(found: Sequence[Any]) -> Number | None:
        numbers = _numbers(found)
        if numbers is None:
            return None
        total: Number | None = numbers[0]
        for one in numbers[1:]:
            try:
                total = None if total is None else values.bounded(step(total, one))
            except (ZeroDivisionError, OverflowError):
                return None
        return total

    return run


def _round(found: Sequence[Any]) -> Number | None:
    numbers = _numbers(found)
    if numbers is None:
        return None
    places = min(MOST_PLACES, max(0, int(numbers[1]))) if len(numbers) > 1 else 0
    return round(numbers[0], places) if places else round(numbers[0])


def _on_text(run: Callable[[str], Any]) -> Callable[[Sequence[Any]], Any]:
    def on(found: Sequence[Any]) -> Any:
        value = found[0]
        if value is None:
            return None
        return run(value if isinstance(value, str) else values.short(values.text(value)))

    return on


def _absolute(found: Sequence[Any]) -> Number | None:
    read = values.number(found[0])
    return None if read is None else abs(read)


def _first(found: Sequence[Any]) -> Any:
    return next((one for one in found if one is not None), None)


# Least and most arguments, and what is done with their values.
OPERATIONS: dict[str, tuple[int, int, Callable[[Sequence[Any]], Any]]] = {
    "+": (2, MOST_ARGUMENTS, _arithmetic(lambda one, two: one + two)),
    "-": (2, MOST_ARGUMENTS, _arithmetic(lambda one, two: one - two)),
    "*": (2, MOST_ARGUMENTS, _arithmetic(lambda one, two: one * two)),
    "/": (2, 2, _arithmetic(lambda one, two: one / two)),
    "%": (2, 2, _arithmetic(lambda one, two: one % two)),
    "abs": (1, 1, _absolute),
    "round": (1, 2, _round),
    "number": (1, 1, lambda found: values.number(found[0])),
    "text": (1, 1, _on_text(str)),
    "lower": (1, 1, _on_text(str.lower)),
    "upper": (1, 1, _on_text(lambda one: values.short(one.upper()))),
    "trim": (1, 1, _on_text(str.strip)),
    "length": (1, 1, _on_text(len)),
    "concat": (1, MOST_ARGUMENTS, values.joined),
    "coalesce": (1, MOST_ARGUMENTS, _first),
}
