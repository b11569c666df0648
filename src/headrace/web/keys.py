"""A project's keys, and getting started: make a key, send with it, see the first event arrive."""

from typing import Any

from headrace.core import events, keys, rules
from headrace.core.events import Filters
from headrace.core.keys import NewKey
from headrace.core.projects import Project
from headrace.core.refusals import Refusal
from headrace.eventstore.ids import public_id
from headrace.web import forms, senders
from headrace.web.rendering import fragment, moved, page
from headrace.web.routing import project_of, route
from headrace.wire import site
from headrace.wire.call import Answer, Call

# A page that waits asks every two seconds; after this many times a person has to say that they still wait.
MOST_ASKS = 300
ASKS_UNTIL_HINTS = 30


def show(call: Call, slug: str) -> Answer:
    return _keys(call, project_of(call, slug))


def create(call: Call, slug: str) -> Answer:
    """Make a key; the answer is the one page that ever shows it."""
    project = project_of(call, slug)
    given = forms.fields(call)
    try:
        made = keys.create_project_key(call.house, call.who, project_id=project.project_id, name=given.get("name"))
    except Refusal as refusal:
        return _keys(call, project, refused=forms.said(refusal))
    return _keys(call, project, made=made)


def revoke(call: Call, slug: str, key_id: str) -> Answer:
    project = project_of(call, slug)
    keys.revoke(call.house, call.who, key_id=rules.path_id(key_id, "key_id"))
    return moved(f"/ui/projects/{project.slug}/keys")


def first(call: Call, slug: str) -> Answer:
    """Say whether an event has arrived; asked again and again while a page waits for one."""
    project = project_of(call, slug)
    asked = forms.number(forms.query(call).get("asked", ""), MOST_ASKS)
    return fragment("first_event.html", **_arrived(call, project), project=project, asked=asked + 1)


def _keys(call: Call, project: Project, *, made: NewKey | None = None, refused: Refusal | None = None) -> Answer:
    return page(
        call,
        "keys.html",
        project=project,
        keys=keys.list_project_keys(call.house, call.who, project_id=project.project_id),
        made=made,
        refused=refused,
        base=site.base(call),
        asked=0,
        senders=senders.ready(call),
        **_arrived(call, project),
    )


def _arrived(call: Call, project: Project) -> dict[str, Any]:
    found = events.search(call.house, call.who, project_id=project.project_id, filters=Filters(), limit=1).rows
    row = found[0] if found else None
    log_id = public_id(row.ts, row.id) if row else ""
    return {"newest": row, "log_id": log_id, "most_asks": MOST_ASKS, "hints_from": ASKS_UNTIL_HINTS}


ROUTES = (
    route("GET", "/ui/projects/{slug}/keys", show),
    route("POST", "/ui/projects/{slug}/keys", create),
    route("POST", "/ui/projects/{slug}/keys/{key_id}/revoke", revoke),
    route("GET", "/ui/projects/{slug}/first", first),
)
