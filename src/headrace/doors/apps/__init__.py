"""The Log Handler API (docs/api/log_handler.md): applications (which are projects), their events, statistics."""

from headrace.doors.apps import applications, auth, ingest, listing, statistics
from headrace.doors.apps.envelope import Problem, render
from headrace.wire import admission
from headrace.wire.door import Door


def owns(method: str, path: str, query: bytes) -> bool:
    """Tell whether a path is this door's."""
    del method, query
    return path == "/apps" or path.startswith("/apps/")


DOOR = Door(
    name="apps",
    title="Log Handler",
    owns=owns,
    routes=(*applications.ROUTES, *listing.ROUTES, *statistics.ROUTES),
    hot=(*applications.HOT, *ingest.HOT),
    admit=auth.admit,
    peek=auth.peek,
    answered=admission.answered,
    render=render,
    security={"M": ("bearer", "key"), "I": ("ingest",)},
    statuses=(400, 401, 404, 413, 415, 422, 429, 500, 503),
    problem=Problem,
)
