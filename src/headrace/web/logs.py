"""The log explorer: the page, and the parts that it asks for by itself (more rows, histogram, facets, one event)."""

import re
import time
from typing import Any

import msgspec

from headrace.core import events
from headrace.core.events import Filters
from headrace.core.events import export as exports
from headrace.core.refusals import Refusal, invalid
from headrace.eventstore.ids import public_id
from headrace.eventstore.queries import EventRow
from headrace.eventstore.search.fields import LEVELS
from headrace.kit import times
from headrace.web import facets, forms, hostile, live, period, query, shown, view
from headrace.web.rendering import fragment, page
from headrace.web.routing import project_of, route
from headrace.web.view import View
from headrace.wire.call import Answer, Call
from headrace.wire.exports import MEDIA, Rows, stream

PAGE = 100
# A page that holds so many rows gets no more of them: the next ones come as a page of their own.
MOST_ROWS = 5_000
LINES_AROUND = 20
MOST_OFFERED = 12
# A page asks whether something newer came: at first every few seconds, later seldom, and not forever. Seconds.
FIRST_DELAY, LATER_DELAY = 5, 30
FIRST_ASKS, MOST_ASKS = 24, 500
# Of a search that finds nothing so many terms are tried without.
MOST_WITHOUT = 6
# The beginning of a value in the search box: name, colon, what was typed of it.
VALUE_BEGUN = re.compile(
    r"(?P<minus>-?)(?P<name>(?:[^\W\d]|@)(?:[\w.@/$-]|\\.)*):\(?\"?(?P<begun>[^\s()\"]*)", re.DOTALL
)


def show(call: Call, slug: str = "") -> Answer:
    """Show the events of a project; without a `slug`, as its parts too, those of all of the organization's."""
    seen = _read(call, slug)
    if seen.problem is not None:
        return view.misunderstood(call, seen)
    given = forms.query(call)
    cursor = given.get("cursor") or None
    return page(
        call,
        "logs.html",
        project=seen.project,
        everywhere=seen.project is None,
        kept_since=_kept_since(call, seen),
        view=seen,
        event=_event(call, seen) if seen.event else None,
        histogram=_histogram(call, seen) if seen.plain else None,
        facets=_facets(call, seen) if seen.plain else None,
        **_newer(call, seen, cursor),
        **_rows(call, seen, cursor, 0),
    )


def _kept_since(call: Call, seen: View) -> str:
    """Say since when all projects keep their events, where the view of all of them asks for more; else nothing."""
    if seen.project is not None:
        return ""
    since = events.kept_since(call.house, call.who)
    return f"{seen.zone.shown(since)} {seen.zone.abbreviation(since)}" if seen.period.start < since else ""


def newer(call: Call, slug: str = "") -> Answer:
    """Say how many events of the view have arrived since it was shown; asked again and again."""
    seen = _understood(call, slug)
    given = forms.query(call)
    since = forms.number(given.get("since", ""), times.LAST)
    asked = forms.number(given.get("asked", ""), MOST_ASKS)
    filters = msgspec.structs.replace(seen.filters, received_from=since + 1)
    rows = _count(call, seen, filters)
    return fragment("newer.html", view=seen, rows=rows, **_asks(seen, since, asked + 1))


def _newer(call: Call, seen: View, cursor: str | None) -> dict[str, Any]:
    """Return what the first page of a period that goes on needs to notice what arrives; live mode shows it anyway."""
    goes_on = bool(seen.period.name) and not seen.live and not cursor
    return {"follows": goes_on, "rows": 0, **_asks(seen, call.house.clock(), 0)}


def _asks(seen: View, since: int, asked: int) -> dict[str, Any]:
    part = seen.url("/newer", since=str(since), asked=str(asked)) if asked < MOST_ASKS else ""
    return {"part": part, "delay": FIRST_DELAY if asked < FIRST_ASKS else LATER_DELAY}


def _count(call: Call, seen: View, filters: Filters) -> int:
    found = events.counts(call.house, call.who, project_id=seen.project_id, filters=filters, by="level")
    return sum(rows for _, rows in found)


def rows(call: Call, slug: str = "") -> Answer:
    """Return the next rows of the list."""
    seen = _understood(call, slug)
    given = forms.query(call)
    count = forms.number(given.get("before", ""), MOST_ROWS)
    return fragment("rows.html", view=seen, **_rows(call, seen, given.get("cursor") or None, count))


def histogram(call: Call, slug: str = "") -> Answer:
    seen = _understood(call, slug)
    return fragment("histogram.html", view=seen, histogram=_histogram(call, seen))


def facet_list(call: Call, slug: str = "") -> Answer:
    seen = _understood(call, slug)
    return fragment("facets.html", view=seen, facets=_facets(call, seen))


def values(call: Call, slug: str = "") -> Answer:
    """Return the values of one field, counted."""
    seen = _understood(call, slug)
    facet = facets.counted(call, seen, forms.query(call).get("field", ""))
    return fragment("values.html", facet=facet)


def event(call: Call, slug: str) -> Answer:
    seen = _understood(call, slug)
    return fragment("event.html", view=seen, event=_event(call, seen))


def context(call: Call, slug: str) -> Answer:
    """Return what the project's events were just before and after one of them, of all, or of its service or host."""
    seen = _understood(call, slug)
    project_id = seen.own.project_id
    row = events.get(call.house, call.who, project_id=project_id, log_id=seen.event)
    given = forms.query(call).get("scope", "")
    scope = given if given in {"service", "host"} and getattr(row, given) else ""
    asked = f"{scope}:{query.value(getattr(row, scope))}" if scope else None
    near = events.surroundings(
        call.house, call.who, project_id=project_id, log_id=seen.event, filters=Filters(query=asked), lines=LINES_AROUND
    )
    lines = [shown.line(seen, one, None) for one in (*near.newer, row, *near.older)]
    scopes = [(name, seen.url("/context", event=seen.event, scope=name)) for name in ("", "service", "host")]
    usable = [(name, url) for name, url in scopes if not name or getattr(row, name)]
    return fragment("context.html", view=seen, lines=lines, scope=scope, scopes=usable)


def follow(call: Call, slug: str) -> Answer:
    """Send new events as they come."""
    seen = _understood(call, slug)
    return live.follow(call, seen)


def export(call: Call, slug: str) -> Answer:
    """Send every event of the view as a file, within the limits of exports."""
    seen = _understood(call, slug)
    form = forms.choice(forms.query(call), "format", MEDIA)
    wanted = exports.begin(call.house, call.who, project_id=seen.own.project_id, filters=seen.filters)
    rows_of_file = Rows(shown.whole, shown.WHOLE, shown.cells)
    call.stream = stream(call, wanted, form, rows_of_file, title=seen.own.slug)
    return Answer(200)


def completion(call: Call, slug: str = "") -> Answer:
    """Offer what the word that is being typed may become: names of fields, or values of one."""
    seen = _understood(call, slug)
    begun = forms.query(call).get("text", "")
    found = VALUE_BEGUN.fullmatch(begun)
    if found is None:
        minus, start = ("-", begun[1:]) if begun.startswith("-") else ("", begun)
        names = [name for name in facets.names(call, seen) if name.lower().startswith(start.lower())]
        offered = [(f"{minus}{name}:", "") for name in names]
    else:
        offered = _values(call, seen, found)
    return fragment("completion.html", offered=offered[:MOST_OFFERED])


def _values(call: Call, seen: View, found: re.Match[str]) -> list[tuple[str, str]]:
    """Offer the most frequent values of a field that begin as typed, each with its count."""
    by = {name: facet for facet, name in facets.FIELDS.items()} | {"status": "status_class", "env": "environment"}
    name = by.get(
        found["name"].lower(), "attributes." + re.sub(r"\\(.)", r"\1", found["name"]).removeprefix("attributes.")
    )
    facet = facets.counted(call, msgspec.structs.replace(seen, search=""), name)
    start = found["begun"].lower()
    fitting = [one for one in facet.values if one.text.lower().startswith(start)]
    return [(f"{found['minus']}{found['name']}:{query.value(one.text)}", f"{one.rows:,}") for one in fitting]


def _read(call: Call, slug: str) -> View:
    return view.read(call, project_of(call, slug)) if slug else view.everywhere(call)


def _understood(call: Call, slug: str) -> View:
    seen = _read(call, slug)
    if seen.problem is not None:
        raise invalid("q", seen.problem.sentence, text=f"The search cannot be understood: {seen.problem}")
    return seen


def _rows(call: Call, seen: View, cursor: str | None, before: int) -> dict[str, Any]:
    found = events.search(
        call.house,
        call.who,
        project_id=seen.project_id,
        filters=seen.filters,
        limit=PAGE,
        cursor=cursor,
        order=seen.order,
    )
    words = seen.words
    count = before + len(found.rows)
    onwards = seen.url(cursor=found.next_cursor) if found.next_cursor else ""
    more = seen.url("/rows", cursor=found.next_cursor, before=str(count)) if onwards and count < MOST_ROWS else ""
    return {
        "lines": [shown.line(seen, row, words, arrival=seen.arrival) for row in found.rows],
        "more": more,
        "onwards": onwards,
        "total_before": before,
        "nearest": [] if found.rows or before or cursor else _nearest(call, seen),
        "without": [] if found.rows or before or cursor else _without(call, seen),
    }


def _without(call: Call, seen: View) -> list[tuple[str, int, str]]:
    """Return the terms without which a search that finds nothing finds something: how much, and where to see it."""
    terms = query.terms(seen.search)
    if not 1 < len(terms) <= MOST_WITHOUT:
        return []
    found = []
    for place, term in enumerate(terms):
        search = query.replaced(seen.search, place)
        rows = _count(call, seen, msgspec.structs.replace(seen.filters, query=search))
        if rows:
            found.append((term, rows, seen.url(search=search)))
    return found


def _nearest(call: Call, seen: View) -> list[tuple[str, str, str]]:
    """Return the newest event that matches, and the last before the period where that is another one.

    Of each what it is, its moment in words and where it is seen.
    """
    search = seen.search or None
    ends = {"newest": None, "last before this period": seen.period.start - 1}
    found: dict[int, tuple[str, str, str]] = {}
    for name, end in ends.items():
        filters = Filters(query=search, ts_to=end)
        rows = events.search(call.house, call.who, project_id=seen.project_id, filters=filters, limit=1).rows
        if not rows:
            break
        moment = rows[0].ts
        words = f"{seen.zone.shown(moment)} {seen.zone.abbreviation(moment)}"
        found.setdefault(moment, (name, words, seen.around(moment, search=seen.search)))
    return list(found.values())


def _histogram(call: Call, seen: View) -> dict[str, Any]:
    """Count per bucket and level, zeros included."""
    width = seen.period.width
    began = time.perf_counter()
    found = events.histogram(
        call.house,
        call.who,
        project_id=seen.project_id,
        filters=seen.filters,
        interval=width,
        time=seen.order,
        split="level",
    )
    step = width * times.SECOND
    end = max([seen.period.end, *(one.start for one in found)])
    first = seen.period.start // step * step if seen.period.start else min((one.start for one in found), default=end)
    starts = range(first, end + 1, step)[: 10 * 100]
    counted = {(one.start, one.value): one.rows for one in found}
    series = {level: [counted.get((start, level), 0) for start in starts] for level in LEVELS}
    return {
        "total": sum(one.rows for one in found),
        "took": round((time.perf_counter() - began) * 1_000),
        "levels": [(level, sum(rows)) for level, rows in series.items() if any(rows)],
        "data": msgspec.json.encode(
            {"starts": [start // times.SECOND for start in starts], "width": width, "series": series}
        ).decode(),
    }


def _facets(call: Call, seen: View) -> dict[str, Any]:
    return {"fields": facets.fields(call, seen), "attributes": facets.attributes(call, seen)}


def _event(call: Call, seen: View) -> dict[str, Any]:
    try:
        row = events.get(call.house, call.who, project_id=seen.own.project_id, log_id=seen.event)
    except Refusal as refusal:
        return {"row": None, "text": refusal.text}
    return _whole(seen, row, call.house.clock())


def _whole(seen: View, row: EventRow, now: int) -> dict[str, Any]:
    log_id = public_id(row.ts, row.id)
    return {
        "row": row,
        "id": log_id,
        "message": hostile.seen(row.message or ""),
        "fields": shown.fields(seen, row),
        "attributes": shown.attributes(seen, row),
        "stack": shown.stack(row),
        "raw": shown.raw(row),
        "permalink": seen.around(row.ts, event=log_id),
        "context": seen.url("/context", event=log_id),
        "group": f"error_fingerprint:{row.error_fingerprint}" if row.error_fingerprint else "",
        "iso": times.show(row.ts),
        "happened": f"{' '.join(seen.zone.fine(row.ts))} {seen.zone.abbreviation(row.ts)}",
        "ago": period.ago(row.ts, now),
        "arrived": times.show(row.received_at),
        "lag": (row.received_at - row.ts) / times.SECOND,
        "closed": seen.url(),
    }


PARTS = (
    ("", show),
    ("/rows", rows),
    ("/newer", newer),
    ("/histogram", histogram),
    ("/facets", facet_list),
    ("/values", values),
    ("/completion", completion),
)
ROUTES = (
    *(route("GET", f"/ui/projects/{{slug}}/logs{path}", run) for path, run in PARTS),
    *(route("GET", f"/ui/logs{path}", run) for path, run in PARTS),
    route("GET", "/ui/projects/{slug}/logs/event", event),
    route("GET", "/ui/projects/{slug}/logs/context", context),
    route("GET", "/ui/projects/{slug}/logs/live", follow),
    route("GET", "/ui/projects/{slug}/logs/export", export),
)
