"""The Ledger API (docs/api/ledger.md): accounts, projects, keys, panels, logs."""

from urllib.parse import parse_qs

from headrace.doors.ledger import (
    accounts,
    auth,
    deletions,
    export,
    group_work,
    groups,
    health,
    ingest,
    keys,
    lines,
    logs,
    panels,
    projects,
    queue,
    stats,
    tail,
)
from headrace.doors.ledger.envelope import Problem, render
from headrace.wire import admission
from headrace.wire.door import Door

API = "/api/v1/"
HEALTH = frozenset({"/health/deep", "/api/v1/health/deep"})
EXACT = frozenset({"settings"})
NOUNS = frozenset(
    {"accounts", "projects", "api-keys", "dashboard", "ingest", "queue", "errors", "error-groups", "logs"}
)
# Of these the bare path is nobody's or another door's.
ONLY_BELOW = frozenset({"accounts", "dashboard", "ingest", "queue", "errors", "logs", "api-keys"})


def owns(method: str, path: str, query: bytes) -> bool:
    """Tell whether a path is this door's. `/api/v1/logs` itself is, when the query names a project."""
    del method
    if not path.startswith(API):
        return path in HEALTH
    if path in HEALTH:
        return True
    noun, slash, _ = path[len(API) :].partition("/")
    if noun == "logs" and not slash:
        return "project_id" in parse_qs(query.decode("latin-1"), keep_blank_values=True)
    if noun in NOUNS:
        return bool(slash) or noun not in ONLY_BELOW
    return noun in EXACT and not slash


DOOR = Door(
    name="ledger",
    title="Ledger",
    owns=owns,
    routes=(
        *health.ROUTES,
        *accounts.ROUTES,
        *projects.ROUTES,
        *keys.ROUTES,
        *panels.ROUTES,
        *queue.ROUTES,
        *logs.ROUTES,
        *stats.ROUTES,
        *tail.ROUTES,
        *export.ROUTES,
        *deletions.ROUTES,
        *groups.ROUTES,
        *group_work.ROUTES,
    ),
    hot=(*ingest.HOT, *lines.HOT),
    admit=auth.admit,
    peek=auth.peek,
    answered=admission.answered,
    render=render,
    problem=Problem,
)
