"""What values of records are worth: numbers read from text, equality, order, and how large a value may grow."""

import json
import math
import re
from collections.abc import Iterable
from typing import Any

LARGEST_INTEGER = 1 << 63
LONGEST_TEXT = 64 << 10
# Longer runs of digits are names of something, and reading them costs the square of their length.
LONGEST_NUMBER = 40
NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
WHOLE = re.compile(r"[+-]?\d+", re.ASCII)

Record = dict[str, Any]
Number = int | float


class ProcessingError(ValueError):
    """What was asked for cannot be done with these records; the text says which step and why."""


def number(value: Any) -> Number | None:
    """Return the number that a value is, or that a text spells (files of text have no others); else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return bounded(value)
    if not isinstance(value, str) or len(value) > LONGEST_NUMBER:
        return None
    spelled = value.strip()
    if WHOLE.fullmatch(spelled):
        return bounded(int(spelled))
    return bounded(float(spelled)) if NUMBER.fullmatch(spelled) else None


def bounded(value: Number) -> Number | None:
    """Return a number that stays small however often it is squared; what is infinite or none is None."""
    if isinstance(value, int):
        if -LARGEST_INTEGER <= value < LARGEST_INTEGER:
            return value
        try:
            value = float(value)
        except OverflowError:
            return None
    return value if math.isfinite(value) else None


def text(value: Any) -> str:
    """Return a value as text; null is empty."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def joined(found: Iterable[Any]) -> str:
    """Return values as one text; what would be too long is not made."""
    parts, length = [], 0
    for one in found:
        parts.append(text(one))
        length += len(parts[-1])
        if length > LONGEST_TEXT:
            raise ProcessingError(f"a text became longer than {LONGEST_TEXT} characters")
    return "".join(parts)


def short(value: str) -> str:
    if len(value) > LONGEST_TEXT:
        raise ProcessingError(f"a text became longer than {LONGEST_TEXT} characters")
    return value


def same(found: Any, wanted: Any) -> bool:
    """Tell whether a value equals a wanted one: as numbers when a number is wanted, else kind and value."""
    if isinstance(wanted, bool) or wanted is None:
        return found is wanted
    if isinstance(wanted, int | float):
        return number(found) == wanted
    return type(found) is type(wanted) and bool(found == wanted)


def order(value: Any) -> tuple[int, Number, str]:
    """Return where a value stands among others: null, false, true, numbers (also those in text), texts, the rest."""
    if value is None:
        return (0, 0, "")
    if isinstance(value, bool):
        return (1, int(value), "")
    read = number(value)
    if read is not None:
        return (2, read, "")
    return (3, 0, value) if isinstance(value, str) else (4, 0, text(value))


def key(value: Any) -> Any:
    """Return a value by which records are grouped; `1`, `1.0` and `true` stay apart, `1` and `1.0` do not."""
    if isinstance(value, list | dict):
        return ("json", text(value))
    return (isinstance(value, bool), value)
