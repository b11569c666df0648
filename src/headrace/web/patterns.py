"""Patterns: the messages of a view by what they have in common, each with a search for it."""

import msgspec

from headrace.core.events import Filters, stats
from headrace.core.events.stats import Pattern
from headrace.eventstore.masks import HOLE
from headrace.web import forms, hostile, query, view
from headrace.web.rendering import page
from headrace.web.routing import project_of, route
from headrace.web.view import View
from headrace.wire.call import Answer, Call

MOST = 200
STRETCHES = 30
SORTS = ("count", "newest", "new")


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """One row: the template's pieces with whether each stands for a change, its searches, its newest event."""

    pattern: Pattern
    pieces: list[tuple[str, bool]]
    share: float
    include: str
    exclude: str
    sample: str


def show(call: Call, slug: str) -> Answer:
    seen = view.read(call, project_of(call, slug), "patterns")
    if seen.problem is not None:
        return view.misunderstood(call, seen)
    found = stats.patterns(
        call.house,
        call.who,
        project_id=seen.own.project_id,
        filters=seen.filters,
        limit=MOST,
        stretches=STRETCHES,
        before=before(seen),
    )
    sort = forms.choice(forms.query(call), "sort", SORTS)
    return page(
        call,
        "patterns.html",
        project=seen.project,
        view=seen,
        found=found,
        rows=[_shown(seen, one, found.scanned) for one in ordered(found.patterns, sort)],
        sorts=[(name, seen.url(sort=None if name == SORTS[0] else name)) for name in SORTS],
        sort=sort,
    )


def before(seen: View) -> Filters | None:
    """Return the same search over as long a time just before; None where that time has no beginning."""
    start, length = seen.period.start, seen.period.end - seen.period.start
    if start - length <= 0:
        return None
    return msgspec.structs.replace(seen.filters, ts_from=start - length, ts_to=start - 1)


def ordered(patterns: list[Pattern], sort: str) -> list[Pattern]:
    if sort == "newest":
        return sorted(patterns, key=lambda one: -one.last_seen)
    if sort == "new":
        return sorted(patterns, key=lambda one: (not one.is_new, -one.first_seen))
    return patterns


def _shown(seen: View, one: Pattern, scanned: int) -> Shown:
    logs = seen.on("logs")
    term = query.of_pattern(one.template)
    include = exclude = ""
    if term:
        wanted, unwanted = query.added(seen.search, term), query.added(seen.search, f"NOT ({term})")
        include = logs.url(search=wanted) if query.readable(wanted) else ""
        exclude = seen.url(search=unwanted) if query.readable(unwanted) else ""
    return Shown(
        pattern=one,
        pieces=[(hostile.seen(text, hostile.LINE), hole) for text, hole in _pieces(one.template)],
        share=one.rows / max(scanned, one.rows),
        include=include,
        exclude=exclude,
        sample=logs.url(event=one.sample_id),
    )


def _pieces(template: str) -> list[tuple[str, bool]]:
    """Take a template apart at what changes."""
    found, at = [], 0
    for match in HOLE.finditer(template):
        found += [(template[at : match.start()], False), (match[0], True)]
        at = match.end()
    return [piece for piece in (*found, (template[at:], False)) if piece[0]]


ROUTES = (route("GET", "/ui/projects/{slug}/patterns", show),)
