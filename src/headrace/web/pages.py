"""The browser's door: what lives on this origin beside the documented APIs."""

from collections.abc import Sequence

from headrace.core.refusals import Kind, Refusal
from headrace.wire.call import Answer, Call, answer
from headrace.wire.door import Door, HotRoute

STATUS = {
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.METHOD: 405,
    Kind.UNAVAILABLE: 503,
}
WORDS = {404: "Not Found", 405: "Method Not Allowed", 500: "Internal Server Error"}


def door(routes: Sequence[HotRoute]) -> Door:
    """Build the door of these routes; it owns their paths and nothing else."""
    paths = frozenset(route.path for route in routes)
    return Door(
        name="web",
        title="Origin",
        owns=lambda _method, path, _query: path in paths,
        hot=routes,
        admit=admit,
        peek=lambda _call: None,
        render=render,
        statuses=(500,),
    )


async def admit(call: Call) -> None:
    """Let everybody in; what is not for everybody asks by itself."""
    del call


def render(refusal: Refusal, call: Call) -> Answer:
    del call
    status = STATUS.get(refusal.kind, 500)
    return answer(status, {"detail": WORDS.get(status, refusal.text)})
