"""Projects: the list that a visit begins with, and making one."""

from headrace.core import projects
from headrace.core.identity.organizations import slug_of
from headrace.core.refusals import Kind, Refusal
from headrace.web import forms
from headrace.web.rendering import moved, page
from headrace.web.routing import route
from headrace.wire.call import Answer, Call

SAID = {Kind.INVALID: 400, Kind.CONFLICT: 409, Kind.FORBIDDEN: 403}


def list_all(call: Call) -> Answer:
    return page(call, "projects.html", complaint="", given={}, environments=projects.ENVIRONMENTS)


def create(call: Call) -> Answer:
    """Make a project and go on to its first key. Without a slug it gets one from its name."""
    given = forms.fields(call)
    name = given.get("name", "")
    try:
        made = projects.create(
            call.house,
            call.who,
            name=name,
            slug=given.get("slug") or slug_of(name),
            environment=given.get("environment") or None,
        )
    except Refusal as refusal:
        if refusal.kind not in SAID:
            raise
        return page(
            call,
            "projects.html",
            status=SAID[refusal.kind],
            complaint=refusal.text,
            given=given,
            environments=projects.ENVIRONMENTS,
        )
    return moved(f"/ui/projects/{made.slug}/keys")


ROUTES = (route("GET", "/ui/projects", list_all), route("POST", "/ui/projects", create))
