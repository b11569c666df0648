"""Projects: the list that a visit begins with, and making one."""

from headrace.core import projects
from headrace.core.identity.organizations import slug_of
from headrace.core.refusals import Refusal
from headrace.web import forms
from headrace.web.rendering import moved, page
from headrace.web.routing import route
from headrace.wire.call import Answer, Call


def list_all(call: Call) -> Answer:
    return _page(call, {})


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
        return _page(call, given, forms.said(refusal))
    return moved(f"/ui/projects/{made.slug}/keys")


def _page(call: Call, given: dict[str, str], refused: Refusal | None = None) -> Answer:
    return page(call, "projects.html", refused=refused, given=given, environments=projects.ENVIRONMENTS)


ROUTES = (route("GET", "/ui/projects", list_all), route("POST", "/ui/projects", create))
