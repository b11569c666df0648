"""An event before it is stored, as it will read once it is: what `schema` and `queries` say in SQL, here in Python.

Live tail asks. A test holds that both give the same rows and select the same events.
"""

import json
import re
from functools import cached_property
from typing import Any, Final

import msgspec

from headrace.eventstore.queries import MOST_ATTRIBUTES, OVERFLOW, EventRow, Selection
from headrace.eventstore.rows import OBJECT_STACK, Event
from headrace.eventstore.schema import TEXTS
from headrace.eventstore.search import Node, matches
from headrace.eventstore.search.attributes import spell
from headrace.eventstore.search.text import lower
from headrace.eventstore.substring import SEARCHED
from headrace.kit import times

DECODE = msgspec.json.decode
LARGEST_STATUS: Final = 65_535  # What the column holds.
LARGEST_WHOLE: Final = 2**53
DIGITS = re.compile(r"[0-9]{1,10}")


class Unstored:
    """One event of a group, and where it stands. Each view of it is made once, when it is first asked for."""

    def __init__(self, event: Event, *, tenant: int, project: int, received_at: int, event_id: int) -> None:
        self.event = event
        self.tenant, self.project, self.received_at, self.event_id = tenant, project, received_at, event_id

    @cached_property
    def ts(self) -> int:
        told: int = getattr(self.event, "ts", 0)
        return told or microseconds(self.event)

    @cached_property
    def attributes(self) -> dict[str, Any] | None:
        """The object as it is stored: keys beyond the most are folded into one."""
        found = decoded(self.event.attributes)
        return found if isinstance(found, dict) else None

    @cached_property
    def derived(self) -> dict[str, Any]:
        """The columns that attributes fill; absent is None."""
        attributes = self.attributes or {}
        endpoint = attributes.get("endpoint")
        endpoint = endpoint if isinstance(endpoint, dict) else {}
        return {
            "service": text(attributes.get("service")),
            "host": text(attributes.get("host")),
            "method": text(endpoint.get("method")),
            "path": text(endpoint.get("path")),
            "status_code": status(endpoint.get("status_code")),
            "duration_ms": duration(endpoint.get("duration_ms")),
        }

    @cached_property
    def columns(self) -> dict[str, Any]:
        """What a search compares, by the names of the table's columns."""
        event = self.event
        return {
            "ts": self.ts,
            "received_at": self.received_at,
            "id": self.event_id,
            "level": event.level,
            "log_type": event.log_type,
            "importance": event.importance,
            **{name: getattr(event, name) for name in TEXTS},
            "error_fingerprint": getattr(event, "fingerprint", ""),
            "attributes": self.attributes,
            **self.derived,
        }

    @cached_property
    def row(self) -> EventRow:
        sent = self.attributes
        if sent is not None and len(sent) == MOST_ATTRIBUTES and isinstance(sent.get(OVERFLOW), dict):
            sent = {name: value for name, value in sent.items() if name != OVERFLOW} | sent[OVERFLOW]
        stack = self.event.stack_trace
        columns = self.columns | {
            "tenant": self.tenant,
            "project": self.project,
            "error_fingerprint": self.columns["error_fingerprint"] or None,
            "stack_trace": None if stack is None else stack.rstrip(OBJECT_STACK),
            "stack_is_object": stack is not None and len(stack) > 1 and stack.endswith(OBJECT_STACK),
            "attributes": sent,
        }
        return EventRow(**columns)


def selects(selection: Selection, node: Node | None, one: Unstored) -> bool:
    """Tell whether a selection of the event's project, but for its times, and a search have the event.

    `node` is the search, which the selection itself has only as SQL. What costs nothing is asked first.
    """
    event = one.event
    if selection.levels and event.level not in selection.levels:
        return False
    if selection.log_types and event.log_type not in selection.log_types:
        return False
    wanted = selection.environment
    if wanted is not None and kept(event.environment) != kept(wanted):
        return False
    if selection.text and not any(contains(kept(getattr(event, name)), selection.text) for name in SEARCHED):
        return False
    if selection.status_classes and (one.derived["status_code"] or 0) // 100 not in selection.status_classes:
        return False
    return node is None or matches(node, one.columns)


def unnarrowed(selection: Selection) -> bool:
    """Tell whether a selection, but for its times, has every event of its project."""
    named = (selection.levels, selection.log_types, selection.text, selection.status_classes)
    return not any(named) and selection.environment is None


def kept(value: str | None) -> str:
    """Return a text as its column holds it: one that was sent empty is a NUL."""
    return "\0" if value == "" else value or ""


def contains(text: str, part: str) -> bool:
    """Ignore case as the engine does: of ASCII letters alone when the part is ASCII."""
    if part.isascii():
        return part.lower().encode() in text.encode().lower()
    return lower(part) in lower(text)


def decoded(raw: msgspec.Raw) -> Any:
    try:
        return DECODE(raw)
    except msgspec.DecodeError:  # A number like 1e999, which the engine reads as infinite.
        return json.loads(bytes(raw))


def microseconds(event: Event) -> int:
    moment = event.timestamp
    since = moment - (times.NAIVE_EPOCH if moment.tzinfo is None else times.EPOCH)
    return since // times.MICROSECOND


def text(value: Any) -> str | None:
    """Return a JSON string's text; any other value is no text, and an empty one is absent."""
    return value if isinstance(value, str) and value else None


def status(value: Any) -> int | None:
    """Read the engine's spelling of a JSON number: 200.0 is 200 there. Absent when 0, or too large for the column."""
    spelled = spell(value)
    found = int(spelled) if DIGITS.fullmatch(spelled) else 0
    return found if 0 < found <= LARGEST_STATUS else None


def duration(value: Any) -> int | float | None:
    """Read a JSON number of milliseconds; absent when it is negative or something else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not spell(value)[-1:].isdigit():
        return None
    number = float(value)
    if number < 0:
        return None
    return int(number) if number < LARGEST_WHOLE and number.is_integer() else number
