"""Headrace's own API: what the five documents have no words for, on paths that none of them owns."""

from litestar.handlers import HTTPRouteHandler

from headrace.doors.native import alerts, audit, auth, jobs, pauses, schedules, searches, webhooks, workers, workflows
from headrace.doors.native.envelope import Problem, render
from headrace.wire import admission
from headrace.wire.door import Door

API = "/api/v1/"
NOUNS = frozenset(
    {
        "alerts",
        "audit",
        "job-pauses",
        "jobs",
        "saved-searches",
        "webhook-deliveries",
        "webhook-endpoints",
        "workers",
        "workflow-definitions",
        "workflow-schedules",
    }
)
ROUTES: tuple[HTTPRouteHandler, ...] = (
    *alerts.ROUTES,
    *audit.ROUTES,
    *jobs.ROUTES,
    *pauses.ROUTES,
    *searches.ROUTES,
    *webhooks.ROUTES,
    *workflows.ROUTES,
    *schedules.ROUTES,
    *workers.ROUTES,
)


def owns(method: str, path: str, query: bytes) -> bool:
    """Tell whether a path is this door's."""
    del method, query
    return path.startswith(API) and path[len(API) :].partition("/")[0] in NOUNS


DOOR = Door(
    name="native",
    title="Headrace",
    owns=owns,
    routes=ROUTES,
    hot=workers.HOT,
    admit=auth.admit,
    peek=auth.peek,
    answered=admission.answered,
    render=render,
    problem=Problem,
    security={"A": ("bearer", "key")},
    statuses=(400, 401, 403, 413, 415, 429, 500, 503),
)
