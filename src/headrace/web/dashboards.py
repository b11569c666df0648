"""The dashboard of a person: their panels in this organization, each with a chart that is asked for by itself."""

from collections.abc import Sequence
from typing import Any

import msgspec

from headrace.core import projects
from headrace.core.dashboards import panels
from headrace.core.dashboards.panels import Panel
from headrace.core.events import Filters, stats
from headrace.core.events.stats import Stacks
from headrace.core.projects import Project
from headrace.core.refusals import Refusal, not_found
from headrace.eventstore.search.fields import LEVELS
from headrace.kit import times
from headrace.web import forms, hostile, period
from headrace.web.rendering import fragment, moved, page
from headrace.web.routing import route
from headrace.wire.call import Answer, Call

PATH = "/ui/dashboards"
KINDS = {"logs": "logs by level", "errors": "errors by type", "metrics": "durations"}
ERRORS = "level:(error OR critical) OR log_type:exception"
QUANTILES = {0.5: "median", 0.95: "95 %", 0.99: "99 %"}
# Told apart in both themes; the last is that of everything else.
COLOURS = ("error", "warning", "info", "good", "critical", "accent", "mark", "debug", "soft")
# Lengths of time that a form may ask for, up to now.
RECENT = ("1h", "4h", "24h", "7d", "30d")


def show(call: Call) -> Answer:
    return _page(call)


def create(call: Call) -> Answer:
    """Add a panel behind the others."""
    given = forms.fields(call)
    try:
        last = max((one.index for one in panels.list_all(call.house, call.who)), default=-1)
        panels.create(call.house, call.who, index=last + 1, **_read(call, given))
    except Refusal as refusal:
        return _page(call, given=given, refused=forms.said(refusal))
    return moved(PATH)


def update(call: Call, panel_id: str) -> Answer:
    given = forms.fields(call)
    try:
        index = _panel(call, panel_id).index
        panels.update(call.house, call.who, panel_id=panel_id, index=index, **_read(call, given))
    except Refusal as refusal:
        return _page(call, refused=forms.said(refusal))
    return moved(f"{PATH}#{panel_id}")


def move(call: Call, panel_id: str) -> Answer:
    by = -1 if forms.fields(call).get("to") == "earlier" else 1
    panels.move(call.house, call.who, panel_id=panel_id, by=by)
    return moved(f"{PATH}#{panel_id}")


def delete(call: Call, panel_id: str) -> Answer:
    panels.delete(call.house, call.who, panel_id=panel_id)
    return moved(PATH)


def chart(call: Call, panel_id: str) -> Answer:
    """Return a panel's chart, or why there is none."""
    panel = _panel(call, panel_id)
    project = _named(projects.list_all(call.house, call.who), panel.project_id)
    if project is None:
        return fragment("panel_chart.html", panel=panel, chart="", total=0, colours=[], said="names no project here")
    drawn = DRAWN[panel.type](call, project, Filters(ts_from=panel.time_range_from, ts_to=panel.time_range_to))
    colours = [(one["label"], one["colour"]) for one in drawn["series"]]
    total = drawn.pop("total")
    text = msgspec.json.encode(drawn).decode()
    return fragment("panel_chart.html", panel=panel, chart=text, total=total, colours=colours, said="")


def _logs(call: Call, project: Project, filters: Filters) -> dict[str, Any]:
    found = stats.histogram(
        call.house, call.who, project_id=project.project_id, filters=filters, width_us=None, by="level", fill=True
    )
    places = {name: place for place, name in enumerate(found.values)}
    named = [
        (level, level, [one.counts[places[level]] for one in found.buckets]) for level in LEVELS if level in places
    ]
    return _stack(found, named)


def _errors(call: Call, project: Project, filters: Filters) -> dict[str, Any]:
    only = msgspec.structs.replace(filters, query=ERRORS)
    found = stats.histogram(
        call.house, call.who, project_id=project.project_id, filters=only, width_us=None, by="error_type", fill=True
    )
    named = [
        (hostile.line(name) or "no name", COLOURS[place], [one.counts[place] for one in found.buckets])
        for place, name in enumerate(found.values)
    ]
    rest = [one.other + one.absent for one in found.buckets]
    return _stack(found, [*named, ("other", COLOURS[-1], rest)] if any(rest) else named)


def _metrics(call: Call, project: Project, filters: Filters) -> dict[str, Any]:
    """Return quantiles of `duration_ms` over time."""
    found = stats.quantiles(
        call.house,
        call.who,
        project_id=project.project_id,
        filters=filters,
        field="duration_ms",
        levels=list(QUANTILES),
        by_time=True,
    )
    series = [
        {
            "label": f"{name}, ms",
            "colour": COLOURS[2 - place],
            "values": [one.quantiles[place] for one in found.buckets],
        }
        for place, name in enumerate(QUANTILES.values())
    ]
    return {"x": [one.start // times.SECOND for one in found.buckets], "series": series, "total": found.overall.rows}


DRAWN = {"logs": _logs, "errors": _errors, "metrics": _metrics}


def _stack(found: Stacks, named: list[tuple[str, str, list[int]]]) -> dict[str, Any]:
    return {
        "x": [one.start // times.SECOND for one in found.buckets],
        "series": [{"label": label, "colour": colour, "values": values} for label, colour, values in named],
        "stacked": True,
        "width": found.width_us / times.SECOND,
        "total": sum(one.rows for one in found.buckets),
    }


def _page(call: Call, *, given: dict[str, str] | None = None, refused: Refusal | None = None) -> Answer:
    known = projects.list_all(call.house, call.who)
    return page(
        call,
        "dashboards.html",
        listed=[(one, _named(known, one.project_id)) for one in panels.list_all(call.house, call.who)],
        given=given or {},
        refused=refused,
        kinds=KINDS,
        recent={name: period.PRESETS[name] for name in RECENT},
    )


def _read(call: Call, given: dict[str, str]) -> dict[str, Any]:
    """Return the fields of a panel. A length of time is kept as such, with the times that it has now."""
    now, first, last = call.house.clock(), given.get("from", ""), given.get("to", "")
    recent = period.PRESETS[given["recent"]][1] if given.get("recent") in RECENT else None
    if recent is not None:
        first, last = times.show(now - recent), times.show(now)
    return {
        "name": given.get("name"),
        "project_id": given.get("project_id"),
        "type": given.get("type"),
        "time_range_from": first or None,
        "time_range_to": last or None,
        "recent": recent,
    }


def _panel(call: Call, panel_id: str) -> Panel:
    found = next((one for one in panels.list_all(call.house, call.who) if one.id == panel_id), None)
    if found is None:
        raise not_found("Panel not found")
    return found


def _named(known: Sequence[Project], text: str) -> Project | None:
    """Return the project, of the organization's, that a panel's text names, by its id or its slug."""
    return next((one for one in known if text in {str(one.project_id), one.slug}), None)


ROUTES = (
    route("GET", PATH, show),
    route("POST", PATH, create),
    route("POST", PATH + "/{panel_id}", update),
    route("POST", PATH + "/{panel_id}/move", move),
    route("POST", PATH + "/{panel_id}/delete", delete),
    route("GET", PATH + "/{panel_id}/chart", chart),
)
