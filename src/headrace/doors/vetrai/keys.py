"""Keys of an organization: made here, shown once; how one is used."""

from collections import Counter
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import JSONBody, PathParameter

from headrace.core import keys
from headrace.core.rules import LARGEST
from headrace.kit import times
from headrace.wire.door import Incoming, terms

TAGS = ["keys"]
# Of the classes 1xx to 5xx, those from here on are failures.
FAILED_CLASS = 4
Id = Annotated[int, PathParameter(ge=1, le=LARGEST)]


class NewKey(msgspec.Struct, kw_only=True):
    name: Annotated[str, msgspec.Meta(extra_json_schema={"minLength": 1, "maxLength": 255})]
    scopes: list[str] = msgspec.field(default_factory=lambda: ["read"])
    expires_days: int | None = None


class KeyMade(msgspec.Struct, kw_only=True):
    """`key` and `signing_secret` are shown only here. Times are ISO 8601, UTC."""

    id: int
    organization_id: int
    user_id: int | None
    name: str
    key: str
    key_prefix: str
    scopes: tuple[str, ...]
    is_active: bool
    expires_at: str | None
    last_used_at: str | None
    usage_count: int
    created_at: str
    signing_secret: str | None


@post(
    "/api/v1/keys",
    opt=terms("A", ("keys", "admin"), body="body_limit_single", errors=(403,)),
    tags=TAGS,
    sync_to_thread=True,
)
def create(call: Incoming, data: JSONBody[NewKey]) -> KeyMade:
    """Make an organization key: it acts as its owner, within its scopes."""
    made = keys.create_organization_key(
        call.house, call.who, name=data.name, scopes=data.scopes, expires_days=data.expires_days
    )
    key = made.key
    return KeyMade(
        id=key.key_id,
        organization_id=key.organization_id,
        user_id=key.owner_id,
        name=key.name,
        key=made.full_key,
        key_prefix=key.key_prefix,
        scopes=key.scopes,
        is_active=key.status == "active",
        expires_at=times.shown(key.expires_at),
        last_used_at=None,
        usage_count=key.usage_count,
        created_at=times.show(key.created_at),
        signing_secret=made.signing_secret,
    )


class KeyUse(msgspec.Struct, kw_only=True):
    """Of the last 400 days. `success_requests`: with a status below 400; endpoints by the template of their path."""

    total_requests: int
    success_requests: int
    failed_requests: int
    avg_response_time_ms: float
    requests_by_endpoint: dict[str, int]


@get(
    "/api/v1/keys/{key_id:str}/usage",
    opt=terms("A", ("keys", "read"), errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def show_use(call: Incoming, key_id: Id) -> KeyUse:
    """How often a key was used, counted request by request."""
    key = keys.get(call.house, call.who, key_id=key_id)
    hours = keys.usage.of_key(call.house, key.key_id)
    total, taken = sum(one.requests for one in hours), sum(one.sum_us for one in hours)
    good = sum(one.requests for one in hours if one.status_class < FAILED_CLASS)
    endpoints = Counter[str]()
    for one in hours:
        endpoints[one.route] += one.requests
    return KeyUse(
        total_requests=total,
        success_requests=good,
        failed_requests=total - good,
        avg_response_time_ms=round(taken / total / times.MILLISECOND, 2) if total else 0.0,
        requests_by_endpoint=dict(endpoints.most_common()),
    )


ROUTES = (create, show_use)
