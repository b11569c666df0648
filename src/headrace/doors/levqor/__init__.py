"""The Levqor API (docs/api/levqor.md): jobs, users (records of people), connectors, checkout; the origin's front."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from headrace.doors.levqor import auth, billing, connect, description, front, jobs, users
from headrace.doors.levqor.envelope import Problem, render
from headrace.wire.door import Door

API = "/api/v1/"
EXACT = frozenset({"/", "/health", jobs.INTAKE, users.UPSERT})
BELOW = ("/public/", "/billing/", "/api/v1/status/", "/api/v1/connect/", f"{jobs.INTAKE}/", f"{users.UPSERT}/")
USERS = "/api/v1/users"
# What changes accounts, which are another door's users.
OF_ACCOUNTS = frozenset({"POST", "PUT", "DELETE"})
LONGEST_ACCOUNT_ID = 19


def owns(method: str, path: str, query: bytes) -> bool:
    """Tell whether a path is this door's. Users with a number for an id are accounts, and another door's."""
    if path in EXACT or path.startswith(BELOW):
        return True
    if path != USERS and not path.startswith(f"{USERS}/"):
        return False
    if method in OF_ACCOUNTS:
        return False
    if method == "PATCH":
        return True
    if path == USERS:
        return "email" in parse_qs(query.decode("latin-1"), keep_blank_values=True)
    user_id = path.split("/")[4]
    return not (user_id.isascii() and user_id.isdigit() and len(user_id) <= LONGEST_ACCOUNT_ID)


def reads(media: str) -> bool:
    return media.partition(";")[0].strip().lower() == "application/json"


def described(document: Callable[[], dict[str, Any]]) -> Door:
    """Return the door with a description of the whole origin, which `document` gives as OpenAPI 3.1."""
    return msgspec.structs.replace(DOOR, hot=(*DOOR.hot, description.route(document)))


DOOR = Door(
    name="levqor",
    title="Levqor",
    owns=owns,
    routes=(*front.ROUTES, *jobs.ROUTES, *users.ROUTES, *connect.ROUTES),
    hot=(*front.HOT, *jobs.HOT, *users.HOT, *billing.HOT),
    admit=auth.admit,
    peek=auth.peek,
    answered=auth.answered,
    render=render,
    reads=reads,
    security={"A": ("bearer", "key")},
    statuses=(400, 403, 413, 429, 500, 503),
    problem=Problem,
)
