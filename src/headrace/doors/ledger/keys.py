"""API keys of a project: create (shown once), list, revoke."""

from litestar import delete, get, patch, post
from litestar.params import JSONBody

from headrace.core import keys
from headrace.core.keys import Key
from headrace.doors.ledger import shapes
from headrace.doors.ledger.projects import Id
from headrace.kit import times
from headrace.wire.door import Incoming, terms

TAGS = ["api-keys"]


@post(
    "/api/v1/projects/{project_id:str}/api-keys",
    opt=terms("J", body="body_limit", crash="Failed to create API key", errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def create(call: Incoming, project_id: Id, data: JSONBody[shapes.NewKey]) -> shapes.KeyMade:
    """Create a key for a project. The full key is shown only here."""
    made = keys.create_project_key(call.house, call.who, project_id=project_id, name=data.name, scopes=data.scopes)
    return shapes.KeyMade(key_id=made.key_id, full_key=made.full_key, key_prefix=made.key_prefix)


@get(
    "/api/v1/projects/{project_id:str}/api-keys",
    opt=terms("J", errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def list_all(call: Incoming, project_id: Id) -> shapes.KeyList:
    """List a project's keys, newest first: all of them for an admin, otherwise those the caller made."""
    found = [_shown(one) for one in keys.list_project_keys(call.house, call.who, project_id=project_id)]
    return shapes.KeyList(found, len(found))


@delete(
    "/api/v1/api-keys/{key_id:str}",
    opt=terms("J", crash="Failed to revoke API key", errors=(403, 404)),
    tags=TAGS,
    status_code=200,
    sync_to_thread=True,
)
def revoke(call: Incoming, key_id: Id) -> shapes.Done:
    """Revoke a key at once and for good."""
    keys.revoke(call.house, call.who, key_id=key_id)
    return shapes.Done(message=f"API key {key_id} has been revoked")


@patch(
    "/api/v1/api-keys/{key_id:str}",
    opt=terms("J", body="body_limit", errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def set_limits(call: Incoming, key_id: Id, data: JSONBody[shapes.KeyLimits]) -> shapes.LimitedKey:
    """Set a key's own rate limits; null or absent gives it the default again."""
    key = keys.set_limits(call.house, call.who, key_id=key_id, per_minute=data.per_minute, per_hour=data.per_hour)
    return shapes.LimitedKey(
        key_id=key.key_id, name=key.name, status=key.status, per_minute=key.per_minute, per_hour=key.per_hour
    )


def _shown(key: Key) -> shapes.KeyOut:
    return shapes.KeyOut(
        key_id=key.key_id,
        project_id=key.project_id or 0,
        name=key.name,
        key_prefix=key.key_prefix,
        status=key.status,
        created_at=times.show(key.created_at),
        last_used_at=times.shown(key.last_used_at),
    )


ROUTES = (create, list_all, revoke, set_limits)
