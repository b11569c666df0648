"""Deleting events: what the search of the address finds is counted, and deleted once somebody names the project."""

from headrace.core import rules
from headrace.core.events import Filters, deletions
from headrace.core.refusals import Refusal, invalid
from headrace.kit import times
from headrace.web import forms, view
from headrace.web.rendering import moved, page
from headrace.web.routing import project_of, route
from headrace.web.view import View
from headrace.wire.call import Answer, Call

PAGE = "deletions"


def show(call: Call, slug: str) -> Answer:
    """Count what the search of the address finds, and show what was deleted before."""
    return _page(call, view.read(call, project_of(call, slug), PAGE))


def create(call: Call, slug: str) -> Answer:
    """Delete what was counted: the address says the same search and the same two moments."""
    seen = view.read(call, project_of(call, slug), PAGE)
    try:
        if forms.fields(call).get("named") != seen.own.slug:
            raise invalid("named", "must be the project's name", text=f"To delete, write {seen.own.slug}")
        deletions.create(call.house, call.who, project_id=seen.own.project_id, filters=_between(seen))
    except Refusal as refusal:
        return _page(call, seen, refused=forms.said(refusal))
    return moved(seen.path)


def cancel(call: Call, slug: str, deletion_id: str) -> Answer:
    project = project_of(call, slug)
    deletions.cancel(call.house, call.who, deletion_id=rules.path_id(deletion_id, "deletion_id"))
    return moved(f"/ui/projects/{project.slug}/{PAGE}")


def _between(seen: View) -> Filters:
    if seen.problem is not None:
        raise invalid("q", seen.problem.sentence, text=f"The search cannot be understood: {seen.problem}")
    return Filters(ts_from=seen.period.start, ts_to=seen.period.end, query=seen.search or None)


def _page(call: Call, seen: View, *, refused: Refusal | None = None) -> Answer:
    project_id = seen.own.project_id
    ends = {"from": times.show(seen.period.start), "to": times.show(seen.period.end)}
    matched = None
    listed = deletions.list_all(call.house, call.who, project_id=project_id)
    try:
        matched = deletions.preview(call.house, call.who, project_id=project_id, filters=_between(seen))
    except Refusal as refusal:
        refused = refused or forms.said(refusal)
    return page(
        call,
        "deletions.html",
        project=seen.project,
        view=seen,
        matched=matched,
        target=forms.address(seen.path, q=seen.search, **ends),
        listed=listed,
        open_states=deletions.OPEN,
        refused=refused,
    )


ROUTES = (
    route("GET", "/ui/projects/{slug}/deletions", show),
    route("POST", "/ui/projects/{slug}/deletions", create),
    route("POST", "/ui/projects/{slug}/deletions/{deletion_id}/cancel", cancel),
)
