"""Attributes of an event as raw JSON text: cleaned, limited, and the same when read back."""

from typing import Any

import msgspec

MOST_KEYS = 256
OVERFLOW = "_overflow"
DEEPEST = 100

ENCODE = msgspec.json.Encoder().encode


class Unfit(Exception):  # noqa: N818  It names a rule that one entry breaks; the request goes on.
    """One entry breaks a rule; the text names it."""


def raw_attributes(attributes: dict[str, Any], most_bytes: int) -> msgspec.Raw:
    """Return the compact text of attributes, NUL removed, keys beyond the 256th folded into `_overflow`.

    Raises Unfit when the text is longer than `most_bytes`.
    """
    cleaned = without_nul(attributes, DEEPEST)
    encoded = ENCODE(cleaned)
    if len(encoded) > most_bytes:
        raise Unfit("Attributes exceed maximum size")
    if len(cleaned) > MOST_KEYS:
        pairs = list(cleaned.items())
        encoded = ENCODE(dict([*pairs[: MOST_KEYS - 1], (OVERFLOW, dict(pairs[MOST_KEYS - 1 :]))]))
    return msgspec.Raw(encoded)


def without_nul(value: Any, deeper: int) -> Any:
    """Remove NUL from every text inside: the engine's strings and the terminals of its readers stop there."""
    if deeper < 0:
        raise Unfit(f"Attributes are nested deeper than {DEEPEST}")
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {key.replace("\0", ""): without_nul(inner, deeper - 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_nul(inner, deeper - 1) for inner in value]
    return value
