"""The VetrAI API (docs/api/vetrai.md): of it, the making of organization keys, and billing."""

from headrace.doors.vetrai import auth, billing, keys
from headrace.doors.vetrai.envelope import Problem, render
from headrace.wire import admission
from headrace.wire.door import Door

API = "/api/v1/"
NOUNS = frozenset(
    {
        "register",
        "login",
        "refresh",
        "logout",
        "me",
        "change-password",
        "organizations",
        "keys",
        "customers",
        "subscriptions",
        "checkout",
        "invoices",
        "tickets",
        "themes",
        "notifications",
        "preferences",
        "workflows",
    }
)


def owns(method: str, path: str, query: bytes) -> bool:
    """Tell whether a path is this door's."""
    del method, query
    if path == "/api/v1/webhooks/stripe":
        return True
    return path.startswith(API) and path[len(API) :].partition("/")[0] in NOUNS


DOOR = Door(
    name="vetrai",
    title="VetrAI",
    owns=owns,
    routes=(*keys.ROUTES, *billing.ROUTES),
    hot=billing.HOT,
    admit=auth.admit,
    peek=auth.peek,
    answered=admission.answered,
    render=render,
    problem=Problem,
    statuses=(401, 413, 415, 422, 429, 500, 503),
)
