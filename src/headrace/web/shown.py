"""Events as pages show them: one line of the list, and one event whole, with a search for each of its values."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from headrace.eventstore.ids import public_id
from headrace.eventstore.queries import ATTRIBUTE_FIELD, EventRow
from headrace.kit import times
from headrace.web import hostile, query
from headrace.web.hostile import Piece
from headrace.web.view import View

# In the order in which people look for them.
FIELDS = (
    "level",
    "log_type",
    "importance",
    "service",
    "host",
    "environment",
    "release",
    "error_type",
    "error_message",
    "method",
    "path",
    "status_code",
    "duration_ms",
    "platform",
    "platform_version",
    "sdk_version",
    "error_fingerprint",
)
WHOLE = ("id", "timestamp", "ingested_at", "message", *FIELDS, "stack_trace", "attributes")
TEXTS = frozenset({"message", "error_message"})
MOST_FIELDS = 500
DEEPEST = 8
LONGEST_SEARCHED = 400


class Line(msgspec.Struct, frozen=True):
    """One line of the list. `url` is the view with this event open, `part` the event alone.

    In a list of all projects `project` is the name of the event's, `url` the time around it there, and `part` is empty.
    """

    id: str
    iso: str
    day: str
    clock: str
    title: str
    level: str
    service: str
    message: list[Piece]
    url: str
    part: str
    project: str = ""
    chosen: list[str] = []


class Field(msgspec.Struct, frozen=True):
    """One value of an event. `include` and `exclude` are empty when no search can ask for it, `column` without room."""

    name: str
    text: str
    include: str
    exclude: str
    column: str


def line(view: View, row: EventRow, words: re.Pattern[str] | None, *, arrival: bool = False) -> Line:
    """Return one line; its time is that of the event, or of its `arrival`."""
    log_id = public_id(row.ts, row.id)
    moment = row.received_at if arrival else row.ts
    day, clock = view.zone.fine(moment)
    happened, arrived = (" ".join(view.zone.fine(one)) for one in (row.ts, row.received_at))
    url, part, project = view.url(event=log_id), view.url("/event", event=log_id), ""
    if view.project is None:
        owner = view.projects.get(row.project)
        one = msgspec.structs.replace(view, project=owner)
        url, part = one.around(row.ts, search=view.search, event=log_id) if owner else "", ""
        project = hostile.line(owner.name) if owner else str(row.project)
    return Line(
        id=log_id,
        iso=times.show(row.ts),
        day=day,
        clock=clock,
        title=f"{happened} {view.zone.label}, arrived {arrived}",
        level=row.level,
        service=hostile.line(row.service or ""),
        message=hostile.pieces(hostile.line(said(row)), words),
        url=url,
        part=part,
        project=project,
        chosen=[hostile.line(cell(row, name)) for name in view.columns],
    )


def cell(row: EventRow, name: str) -> str:
    """Return what a column says of an event: one of its fields, or an attribute by its path."""
    if name == "status_class":
        return f"{row.status_code // 100}xx" if row.status_code else ""
    if not name.startswith(ATTRIBUTE_FIELD):
        value = getattr(row, name)
    else:
        value = row.attributes or {}
        path = name.removeprefix(ATTRIBUTE_FIELD)
        # An attribute may have the dots in its name.
        if path in value:
            value = value[path]
        else:
            for part in path.split("."):
                value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def said(row: EventRow) -> str:
    """What an event says in one line: its message, else its error, else its attributes."""
    if row.message:
        return row.message
    error = ": ".join(part for part in (row.error_type, row.error_message) if part)
    if error or not row.attributes:
        return error
    return msgspec.json.encode(row.attributes).decode()


def fields(view: View, row: EventRow) -> list[Field]:
    """Return the event's own fields that are there."""
    found = []
    for name in FIELDS:
        value = getattr(row, name)
        if value is not None:
            text = str(value)
            asked = query.phrase(text) if name in TEXTS else text
            column = "" if name in {"level", "service"} else view.column(name)
            found.append(_field(view, name, name, text, asked, column=column))
    return found


def attributes(view: View, row: EventRow) -> list[Field]:
    """Return the attributes, objects taken apart to dotted names."""
    found: list[Field] = []
    for path, value in _leaves(row.attributes or {}, ()):
        if len(found) == MOST_FIELDS:
            break
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        searched = isinstance(value, str | int | float)  # bool is an int.
        name = query.name(".".join(path))
        shown_name = ".".join(path)
        column = view.column(ATTRIBUTE_FIELD + shown_name) if name else ""
        found.append(_field(view, shown_name, name, text, text if searched else None, column=column))
    return found


def _leaves(value: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner and len(path) + 1 < DEEPEST:
            yield from _leaves(inner, (*path, key))
        else:
            yield (*path, key), inner


def _field(view: View, shown: str, name: str, text: str, asked: str | None, *, column: str) -> Field:
    usable = asked is not None and len(asked) <= LONGEST_SEARCHED
    include = view.toggle(name, asked) if usable and asked is not None else ""
    exclude = view.toggle(name, asked, exclude=True) if usable and asked is not None else ""
    return Field(hostile.line(shown), hostile.seen(text), include, exclude, column)


def stack(row: EventRow) -> str:
    """Return the stack as text; one that was sent as an object, as JSON."""
    text = row.stack_trace or ""
    if row.stack_is_object:
        text = msgspec.json.format(text, indent=2)
    return hostile.seen(text)


def pretty(value: Any) -> str:
    """Return a value as indented JSON."""
    return hostile.seen(msgspec.json.format(msgspec.json.encode(value), indent=2).decode("utf-8", "replace"))


def cells(row: EventRow) -> list[Any]:
    """Return the whole event in the order of WHOLE."""
    own = [getattr(row, name) for name in ("message", *FIELDS, "stack_trace", "attributes")]
    return [public_id(row.ts, row.id), times.show(row.ts), times.show(row.received_at), *own]


def whole(row: EventRow) -> dict[str, Any]:
    """Return the whole event, with the names that the API gives it; what is absent is left out."""
    return {name: value for name, value in zip(WHOLE, cells(row), strict=True) if value is not None}


def raw(row: EventRow) -> str:
    """Return the whole event as JSON."""
    return pretty(whole(row))
