"""The tree against one event in plain Python: what live tail asks. Same meaning as `sql`, held together by a test."""

from collections.abc import Mapping
from typing import Any, assert_never

from headrace.eventstore.search import attributes
from headrace.eventstore.search.fields import BY_COLUMN, TEXT_COLUMNS
from headrace.eventstore.search.nodes import (
    All,
    And,
    Attribute,
    AttributeExists,
    AttributeWithin,
    Exists,
    Node,
    Not,
    OneOf,
    Or,
    Text,
    Within,
    Words,
)
from headrace.eventstore.search.text import fold, pattern


def matches(node: Node, event: Mapping[str, Any]) -> bool:
    """Tell whether an event matches.

    The event has the names of the table's columns, times in microseconds; what is missing or None is absent.
    `attributes` is a decoded object or its JSON text.
    """
    return holds(node, event, attributes.decoded(event.get("attributes")))


def holds(  # noqa: C901, PLR0912  One case for each kind of node.
    node: Node, event: Mapping[str, Any], extra: Mapping[str, Any]
) -> bool:
    match node:
        case All():
            return True
        case And(parts):
            return all(holds(part, event, extra) for part in parts)
        case Or(parts):
            return any(holds(part, event, extra) for part in parts)
        case Not(part):
            return not holds(part, event, extra)
        case Words(pieces, column):
            return pattern(pieces).regex.search(fold(text_of(event, column))) is not None
        case Text(column, pieces):
            return like(event.get(column) or "", pieces)
        case OneOf(column, names):
            return event.get(column) in names
        case Exists(column):
            return event.get(column) not in (None, "", BY_COLUMN[column].absent)
        case Within(column, bounds):
            value = event.get(column)
            return value is not None and value != BY_COLUMN[column].absent and bounds.hold(value)
        case Attribute(path, pieces):
            return any(same(value, pieces) for value in attributes.found(extra, path))
        case AttributeExists(path):
            return any(True for _ in attributes.found(extra, path))
        case AttributeWithin(path, bounds):
            return any(is_number(value) and bounds.hold(float(value)) for value in attributes.found(extra, path))
        case _:
            assert_never(node)


def text_of(event: Mapping[str, Any], column: str | None) -> str:
    if column is not None:
        return event.get(column) or ""
    return "\n".join(event.get(name) or "" for name in TEXT_COLUMNS)


def like(text: str, pieces: tuple[str, ...]) -> bool:
    """Tell whether the pieces stand in the text in this order, the first at its start and the last at its end."""
    first, *others = pieces
    if not others:
        return text == first
    *middle, last = others
    if not text.startswith(first):
        return False
    at = len(first)
    for piece in middle:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return text.endswith(last) and len(text) - len(last) >= at


def same(value: Any, pieces: tuple[str, ...]) -> bool:
    if len(pieces) == 1:
        return attributes.spell(value) in attributes.spellings(pieces[0])
    text = value if isinstance(value, str) else attributes.spell(value).strip('"')
    return like(text, pieces)


def is_number(value: Any) -> bool:
    """Tell whether the engine reads a number here; it keeps an integer beyond 64 bits as a string."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, float) or attributes.LOWEST_INTEGER <= value <= attributes.HIGHEST_INTEGER
