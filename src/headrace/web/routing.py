"""A page's route: its handler is a plain function, run in a thread, that takes the call and what its path names."""

from collections.abc import Callable

from headrace.core import projects
from headrace.core.projects import Project
from headrace.web.packing import packed
from headrace.wire.call import Answer, Call
from headrace.wire.door import HotRoute, Terms
from headrace.wire.threads import within

ANYBODY, PERSON = "", "session"


def route(method: str, path: str, run: Callable[..., Answer], credential: str = PERSON) -> HotRoute:
    """Build the route of a page. `{name}` in its path is handed to `run` by that name."""
    places = {part[1:-1]: index for index, part in enumerate(path.split("/")) if part.startswith("{")}

    async def serve(call: Call) -> Answer:
        parts = call.path.split("/")
        named = {name: parts[index] for name, index in places.items()}
        return await within(call, answered, call, **named)

    def answered(call: Call, **named: str) -> Answer:
        return packed(call, run(call, **named))

    body = "body_limit" if method == "POST" else None
    return HotRoute(method=method, path=path, run=serve, terms=Terms(credential=credential, body=body), listed=False)


def project_of(call: Call, slug: str) -> Project:
    """Return the project that a page's path names, of the caller's organization."""
    return projects.get_by_slug(call.house, call.who, slug=slug)
