"""Saved searches: the list, the one in the explorer's menu, saving what an address says, opening, deleting."""

from urllib.parse import parse_qsl, urlsplit

from headrace.core import rules, searches
from headrace.core.projects import Project
from headrace.core.refusals import Refusal, invalid
from headrace.core.searches import SavedSearch
from headrace.kit import times
from headrace.web import forms
from headrace.web.period import DEFAULT
from headrace.web.rendering import fragment, moved, page
from headrace.web.routing import project_of, route
from headrace.wire.call import Answer, Call

PAGES = {"logs": "events", "patterns": "patterns"}
MOST_IN_MENU = 12


def show(call: Call, slug: str) -> Answer:
    return _page(call, project_of(call, slug))


def menu(call: Call, slug: str) -> Answer:
    """Return the first saved searches, for the explorer's menu."""
    project = project_of(call, slug)
    found = searches.list_all(call.house, call.who, project_id=project.project_id)
    listed = [(one, address(project, one)) for one in found[:MOST_IN_MENU]]
    return fragment("saved.html", project=project, listed=listed, total=len(found))


def create(call: Call, slug: str) -> Answer:
    """Save what an address of the explorer says, and go back there."""
    project = project_of(call, slug)
    given = forms.fields(call)
    back = forms.own(given.get("back", ""))
    try:
        fields = said(back, project)
        searches.create(
            call.house,
            call.who,
            project_id=project.project_id,
            name=given.get("name"),
            is_shared=given.get("is_shared") == "1",
            **fields,
        )
    except Refusal as refusal:
        return _page(call, project, refused=forms.said(refusal))
    return moved(back)


def delete(call: Call, slug: str, search_id: str) -> Answer:
    project = project_of(call, slug)
    searches.delete(call.house, call.who, search_id=rules.path_id(search_id, "search_id"))
    return moved(f"/ui/projects/{project.slug}/searches")


def said(back: str, project: Project) -> dict[str, str | list[str] | None]:
    """Read the fields of a search from an address of the explorer."""
    parts = urlsplit(back)
    where = parts.path.removeprefix(f"/ui/projects/{project.slug}/")
    if where not in {*PAGES, "differences"}:
        raise invalid("back", "is no page of the explorer", text="Only a view of the explorer can be saved")
    given = dict(parse_qsl(parts.query))
    ends = "from" in given or "to" in given
    return {
        "query": given.get("q", ""),
        "period": None if ends else given.get("period"),
        "time_from": given.get("from"),
        "time_to": given.get("to"),
        "columns": [name for name in given.get("columns", "").split(",") if name],
        "view": PAGES.get(where, "events"),
    }


def address(project: Project, one: SavedSearch) -> str:
    """Return the address that shows a saved search."""
    where = next(name for name, view in PAGES.items() if view == one.view)
    ends = {"from": times.shown(one.time_from), "to": times.shown(one.time_to)}
    columns = ",".join(one.columns) or None
    path = f"/ui/projects/{project.slug}/{where}"
    named = None if one.period == DEFAULT else one.period
    return forms.address(path, q=one.query, period=named, columns=columns, **ends)


def _page(call: Call, project: Project, *, refused: Refusal | None = None) -> Answer:
    found = searches.list_all(call.house, call.who, project_id=project.project_id)
    return page(
        call,
        "searches.html",
        project=project,
        refused=refused,
        listed=[(one, address(project, one)) for one in found],
        mine=call.who.account_id,
    )


ROUTES = (
    route("GET", "/ui/projects/{slug}/searches", show),
    route("POST", "/ui/projects/{slug}/searches", create),
    route("POST", "/ui/projects/{slug}/searches/{search_id}/delete", delete),
    route("GET", "/ui/projects/{slug}/logs/saved", menu),
)
