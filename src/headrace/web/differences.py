"""Differences: what the events of a view have more often than others, each value a search."""

from typing import NamedTuple

from headrace.core.events import stats
from headrace.core.events.stats import Difference
from headrace.core.refusals import invalid
from headrace.eventstore.queries import ATTRIBUTE_FIELD
from headrace.kit import times
from headrace.web import forms, hostile, query, view
from headrace.web.rendering import page
from headrace.web.routing import project_of, route
from headrace.web.view import View
from headrace.web.zones import GREENWICH
from headrace.wire.call import Answer, Call

# Fewer events than that on one side say little.
ENOUGH = 50
BASES = {"all": "all events of this time", "before": "the same search, as long a time before"}


class Row(NamedTuple):
    one: Difference
    name: str
    value: str
    include: str
    exclude: str


class Base(NamedTuple):
    """What the view is compared with: `span` is another period of the same search, None all events of its own."""

    name: str
    said: str
    span: tuple[int, int] | None


def show(call: Call, slug: str) -> Answer:
    seen = view.read(call, project_of(call, slug), "differences")
    if seen.problem is not None:
        return view.misunderstood(call, seen)
    base = _base(call, seen)
    found = stats.compare(
        call.house, call.who, project_id=seen.own.project_id, filters=seen.filters, baseline=base.span
    )
    return page(
        call,
        "differences.html",
        project=seen.project,
        view=seen,
        base=base,
        bases=[(name, said, seen.url(base=name)) for name, said in BASES.items() if name != "all" or seen.search],
        found=found,
        rows=[_row(seen, one) for one in found.differences if not _asked(seen, one)],
        enough=ENOUGH,
    )


def _base(call: Call, seen: View) -> Base:
    """Read what is compared with from the address; without a word a search is compared with all, a time with before."""
    given = forms.query(call)
    if given.get("base_from") and given.get("base_to"):
        start, end = (GREENWICH.read(given[name], name) for name in ("base_from", "base_to"))
        if start > end:
            raise invalid("base_from", "order", text="The period to compare with ends before it begins")
        return Base("", f"{seen.zone.shown(start)} to {seen.zone.shown(end)}", (start, end))
    name = given.get("base", "")
    name = name if name in BASES and (name != "all" or seen.search) else "all" if seen.search else "before"
    length = seen.period.end - seen.period.start
    earlier = max(times.FIRST, seen.period.start - length), seen.period.start - 1
    return Base(name, BASES[name], None if name == "all" else earlier)


def _field(one: Difference) -> str:
    """Return the name that a search gives the field."""
    plain = one.field.removeprefix(ATTRIBUTE_FIELD)
    return query.name(plain) if plain != one.field else plain


def _asked(seen: View, one: Difference) -> bool:
    """Tell whether the search asked for this very value: that it is frequent here says nothing."""
    return one.value in query.picked(seen.search, _field(one)).included


def _row(seen: View, one: Difference) -> Row:
    field, logs = _field(one), seen.on("logs")
    return Row(
        one,
        hostile.line(one.field.removeprefix(ATTRIBUTE_FIELD)),
        hostile.line(one.value),
        logs.toggle(field, one.value),
        logs.toggle(field, one.value, exclude=True),
    )


ROUTES = (route("GET", "/ui/projects/{slug}/differences", show),)
