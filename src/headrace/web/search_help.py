"""How to search, shown by searches that find something: they are made of what the newest events of the view say."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from headrace.core import events
from headrace.eventstore.queries import EventRow
from headrace.kit import times
from headrace.web import query, view
from headrace.web.rendering import page
from headrace.web.routing import project_of, route
from headrace.web.view import View
from headrace.wire.call import Answer, Call

SAMPLE = 100
WORDS = re.compile(r"(?<![\w.])[A-Za-z]{3,20}(?: [A-Za-z]{3,20})+(?![\w.])")
STEM = re.compile(r"[A-Za-z0-9]{2,12}(?=[^\w])")
LONGEST_VALUE = 40
# What a project without events is shown: they parse, and find nothing yet.
PHRASE = "timed out"
# Attributes that a field holds already.
KNOWN = frozenset({"service", "host", "endpoint"})


class Example(NamedTuple):
    search: str
    says: str
    url: str


def show(call: Call, slug: str = "") -> Answer:
    """Show the examples as a page; the explorer takes its part of them into a menu."""
    seen = view.read(call, project_of(call, slug)) if slug else view.everywhere(call)
    filters = msgspec.structs.replace(seen.filters, query=None)
    newest = events.search(call.house, call.who, project_id=seen.project_id, filters=filters, limit=SAMPLE).rows
    listed = [(title, _linked(seen, made(newest))) for title, made in SECTIONS]
    return page(call, "search_help.html", project=seen.project, view=seen, listed=[one for one in listed if one[1]])


def _linked(seen: View, found: Iterator[tuple[str, str]]) -> list[Example]:
    return [Example(search, says, seen.url(search=search)) for search, says in found if query.readable(search)]


def words(rows: Sequence[EventRow]) -> Iterator[tuple[str, str]]:
    found = (WORDS.search(row.message or "") for row in rows)
    one, other = next((match[0] for match in found if match), PHRASE).split()[:2]
    yield one, "events with this word"
    yield f"{one} {other}", "with both words, anywhere"
    yield f'"{one} {other}"', "with the phrase"
    yield f"{one} OR {other}", "with either word"
    yield f"-{one}", "without the word"
    yield f"{one[:3]}*", "with a word that begins so"


def fields(rows: Sequence[EventRow]) -> Iterator[tuple[str, str]]:
    yield "level:error", "a field has a value"
    yield "level:(error OR critical)", "one of several values"
    yield "level:>=warning", "levels have an order"
    for name in ("service", "environment", "host", "release"):
        value = usual(rows, attrgetter(name))
        if value is not None:
            yield f"{name}:{query.value(value)}", "what most of the newest events have"
            yield f"-{name}:{query.value(value)}", "another value, or none"
            stem = STEM.match(value)
            if stem is not None:
                yield f"{name}:{stem[0]}*", "a value that begins so"
            break
    for name in ("release", "error_type"):
        if any(getattr(row, name) for row in rows):
            yield f"{name}:*", "the field is there"
    if any(row.status_code for row in rows):
        yield "status:5xx", "a class of HTTP statuses"
        yield "status:400..499", "a range"
    if any(row.duration_ms is not None for row in rows):
        yield "duration:>500ms", "units us, ms, s, m, h"


def attributes(rows: Sequence[EventRow]) -> Iterator[tuple[str, str]]:
    """Of the attributes that most events have one of each kind: a text, a number, one inside of an object."""
    counted = Counter(name for row in rows for name in row.attributes or {} if name not in KNOWN)
    newest = {name: value for row in reversed(rows) for name, value in (row.attributes or {}).items()}
    kinds: dict[str, tuple[str, str]] = {}
    for name, _ in counted.most_common():
        kind, path, value = scalar(name, newest[name])
        if query.name(path) and 0 < len(value) <= LONGEST_VALUE:
            kinds.setdefault(kind, (query.name(path), value))
    if "text" in kinds:
        name, value = kinds["text"]
        yield f"{name}:{query.value(value)}", "an attribute has a value"
        yield f"{name}:*", "the attribute is there"
    if "number" in kinds:
        name, value = kinds["number"]
        yield f"{name}:{query.value(value)}", "a number, or the same as a text"
        yield f"{name}:>={value}", "compared as numbers"
    if "inner" in kinds:
        name, value = kinds["inner"]
        yield f"{name}:{query.value(value)}", "an attribute inside of another"


def scalar(name: str, value: Any) -> tuple[str, str, str]:
    """Return what kind of attribute it is, its path, and its value as a search has it; "" when it has none."""
    if isinstance(value, dict) and value:
        inner = next(iter(value))
        _, path, found = scalar(f"{name}.{inner}", value[inner])
        return "inner", path, found
    if isinstance(value, bool):
        return "text", name, "true" if value else "false"
    if isinstance(value, int | float):
        return "number", name, str(value)
    return "text", name, value if isinstance(value, str) else ""


def together(rows: Sequence[EventRow]) -> Iterator[tuple[str, str]]:
    yield "(level:error OR level:critical) -timeout", "parentheses group; a minus turns around"
    if rows:
        yield f"timestamp:>={times.show(rows[0].ts)[:10]}", "from a day on, within the period that is shown"


def usual(rows: Sequence[EventRow], read: Callable[[EventRow], str | None]) -> str | None:
    """Return the value that most rows have, unless it is too long to be an example."""
    counted = Counter(value for row in rows if (value := read(row)) and len(value) <= LONGEST_VALUE)
    return next((value for value, _ in counted.most_common(1)), None)


SECTIONS = (("Words", words), ("Fields", fields), ("Attributes", attributes), ("Together", together))
ROUTES = (route("GET", "/ui/projects/{slug}/logs/help", show), route("GET", "/ui/logs/help", show))
