"""Facets: how the events of a view spread over the values of a field, each a link that narrows the search."""

from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.core import events
from headrace.core.refusals import invalid
from headrace.eventstore.queries import ATTRIBUTE_FIELD
from headrace.eventstore.search import BY_NAME
from headrace.web import query
from headrace.web.view import View
from headrace.wire.call import Call

# What is counted at once, and the name that each has in a search.
FIELDS = {
    "level": "level",
    "log_type": "log_type",
    "service": "service",
    "environment": "environment",
    "release": "release",
    "host": "host",
    "error_type": "error_type",
    "method": "method",
    "status_class": "status_code",
}
MOST_ATTRIBUTES = 24
SAMPLE = 100
WIDEST = 100


class Value(msgspec.Struct, frozen=True):
    """One value: its rows, its share of the most frequent one in percent, and where a click on it leads."""

    text: str
    rows: int
    share: int
    included: bool
    excluded: bool
    include: str
    exclude: str


class Facet(msgspec.Struct, frozen=True):
    """`part` is the address that counts a field which is not counted at once."""

    name: str
    values: list[Value]
    part: str = ""


def counted(call: Call, view: View, name: str) -> Facet:
    """Count one field: a name of FIELDS, or `attributes.<name>`. Its own terms of the search do not narrow it."""
    field = searched(name)
    filters = msgspec.structs.replace(view.filters, query=query.without(view.search, field) or None)
    found = events.counts(call.house, call.who, project_id=view.project_id, filters=filters, by=name)
    if name.startswith(ATTRIBUTE_FIELD):
        found = [(text, rows) for value, rows in found if (text := _scalar(value)) is not None]
    return _facet(view, name, found)


def searched(name: str) -> str:
    """Return the name that a search gives a field that is counted here."""
    if name.startswith(ATTRIBUTE_FIELD):
        return query.name(name.removeprefix(ATTRIBUTE_FIELD))
    if name not in FIELDS:
        raise invalid("field", "is counted here by no such name")
    return FIELDS[name]


def _facet(view: View, name: str, found: Sequence[tuple[str, int]]) -> Facet:
    field = searched(name)
    picked = query.picked(view.search, field)
    rows = dict(found)
    rows |= {one: 0 for one in (*picked.included, *picked.excluded) if one not in rows}
    most = max(rows.values(), default=0) or 1
    return Facet(name, [_value(view, field, picked, one, (many, most)) for one, many in rows.items()])


def _value(view: View, field: str, picked: query.Picked, text: str, rows: tuple[int, int]) -> Value:
    return Value(
        text=text,
        rows=rows[0],
        share=-(-rows[0] * WIDEST // rows[1]),
        included=text in picked.included,
        excluded=text in picked.excluded,
        include=view.toggle(field, text),
        exclude=view.toggle(field, text, exclude=True),
    )


def _scalar(raw: str) -> str | None:
    """Return an attribute's JSON text as the search compares it; None for a list or object."""
    try:
        value: Any = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return raw
    if isinstance(value, str):
        return value
    return None if isinstance(value, dict | list) or value is None else raw


def fields(call: Call, view: View) -> list[Facet]:
    """Count the fields that are always counted, in one pass but for those that the search narrows by itself.

    Those without a value are left out.
    """
    narrowed = {name for name, field in FIELDS.items() if any(query.picked(view.search, field))}
    together = [name for name in FIELDS if name not in narrowed]
    found = events.facets(call.house, call.who, project_id=view.project_id, filters=view.filters, fields=together)
    listed = [counted(call, view, name) if name in narrowed else _facet(view, name, found[name]) for name in FIELDS]
    return [one for one in listed if one.values]


def attributes(call: Call, view: View) -> list[Facet]:
    """List the attributes of the newest events; each is counted when it is opened."""
    page = events.search(call.house, call.who, project_id=view.project_id, filters=view.filters, limit=SAMPLE)
    seen: dict[str, int] = {}
    for row in page.rows:
        for key in row.attributes or {}:
            seen[key] = seen.get(key, 0) + 1
    names = sorted(seen, key=lambda key: (-seen[key], key))[:MOST_ATTRIBUTES]
    return [Facet(name, [], view.url("/values", field=ATTRIBUTE_FIELD + name)) for name in names]


def names(call: Call, view: View) -> list[str]:
    """Return what a search may be about: the fields, then the attributes of the newest events."""
    found = attributes(call, view)
    return [*BY_NAME, *(query.name(one.name) for one in found)]
