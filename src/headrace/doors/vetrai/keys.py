"""Keys of an organization: made here, shown once."""

from typing import Annotated

import msgspec
from litestar import post
from litestar.params import JSONBody

from headrace.core import keys
from headrace.kit import times
from headrace.wire.door import Incoming, terms

TAGS = ["keys"]


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


ROUTES = (create,)
