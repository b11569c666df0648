"""Stacks that were sent as objects: stored as JSON text with a mark, so that they come back as objects."""

from typing import Any

import msgspec

from headrace.eventstore.rows import OBJECT_STACK

ENCODE = msgspec.json.Encoder().encode


def stored(stack: dict[str, Any]) -> str:
    """Return the text to keep as an event's `stack_trace`."""
    return ENCODE(stack).decode() + OBJECT_STACK


def frames(stack: dict[str, Any]) -> str:
    """Return every text inside, one per line, for the fingerprint: frames that stand escaped in JSON are none to it."""
    found: list[str] = []
    collect(stack, found)
    return "\n".join(found)


def collect(value: Any, found: list[str]) -> None:
    if isinstance(value, str):
        found.append(value)
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            collect(inner, found)
