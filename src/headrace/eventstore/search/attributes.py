"""Attributes: where a dotted path may point, and the engine's spelling of a JSON value. No SQL here.

The engine keeps each top-level value as JSON text of its own spelling: no spaces, numbers shortest, strings escaped
only where they must be. Equality is a comparison of such texts, so a literal has to be spelled the same way.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

LOWEST_INTEGER, HIGHEST_INTEGER = -(2**63), 2**64 - 1
PLAIN_LOWEST, PLAIN_HIGHEST = -7, 21  # Decimal exponents between which the engine writes no `e`.
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
ESCAPED = re.compile('["\\\\\x00-\x1f\u2028\u2029]')


def spell(value: Any) -> str:
    """Write a decoded JSON value as the engine does. An integer that 64 bits do not hold becomes a string there."""
    match value:
        case None | bool():
            return json.dumps(value)
        case int():
            return str(value) if LOWEST_INTEGER <= value <= HIGHEST_INTEGER else f'"{value}"'
        case float():
            return spell_float(value)
        case str():
            return spell_string(value)
        case Mapping():
            return "{" + ",".join(f"{spell_string(key)}:{spell(item)}" for key, item in value.items()) + "}"
        case _:
            return "[" + ",".join(map(spell, value)) + "]"


def spell_string(text: str) -> str:
    return '"' + ESCAPED.sub(lambda found: ESCAPES.get(found[0], f"\\u{ord(found[0]):04X}"), text) + '"'


def spell_float(value: float) -> str:
    """Shortest digits that read back the same; an exponent without `+` or leading zeros where it is large."""
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    point = len(text) + int(exponent)  # Digits before the decimal point.
    if PLAIN_LOWEST < point - 1 < PLAIN_HIGHEST:
        if point <= 0:
            text = "0." + "0" * -point + text
        elif point >= len(text):
            text += "0" * (point - len(text))
        else:
            text = f"{text[:point]}.{text[point:]}"
    else:
        text = f"{text[0]}.{text[1:]}" if len(text) > 1 else text
        text += f"e{point - 1}"
    return "-" * sign + text


@lru_cache(maxsize=4096)
def spellings(text: str) -> tuple[str, ...]:
    """Return what a typed value may stand for: `17` is the number 17 and the string "17"."""
    string = spell_string(text)
    if text in ("true", "false", "null"):
        return text, string
    if NUMBER.fullmatch(text) is None:
        return (string,)
    value = json.loads(text)
    if not value:
        # Two zeros, which are one number.
        return "0", "-0", string
    return (spell(value), string) if not isinstance(value, float) or math.isfinite(value) else (string,)


@lru_cache(maxsize=4096)
def places(path: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return where a path may point: (top-level key, keys below it). `a.b` is the key `a.b`, or `b` inside `a`."""
    parts = path.split(".")
    return tuple((".".join(parts[:count]), tuple(parts[count:])) for count in range(len(parts), 0, -1))


def decoded(attributes: Any) -> Mapping[str, Any]:
    """Accept decoded attributes, their JSON text, or nothing."""
    if isinstance(attributes, str | bytes | msgspec.Raw):
        attributes = msgspec.json.decode(attributes) if attributes else None
    return attributes if isinstance(attributes, Mapping) else {}


def found(attributes: Mapping[str, Any], path: str) -> Iterator[Any]:
    """Yield the value at each place of the path that exists."""
    for top, below in places(path):
        value: Any = attributes
        for key in (top, *below):
            if not isinstance(value, Mapping) or key not in value:
                break
            value = value[key]
        else:
            yield value
