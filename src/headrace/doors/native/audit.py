"""The audit log of the organization, for its admins: who changed what. It is only read here."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import QueryParameter
from msgspec import Meta

from headrace.core import audit, rules
from headrace.core.audit import AuditEvent
from headrace.wire.door import Incoming, terms
from headrace.wire.moments import Time, timed

Action = Annotated[
    str | None,
    QueryParameter(
        max_length=audit.LONGEST_ACTION,
        description="An action, or its beginning up to a colon: `apikey`, `apikey:key`.",
    ),
]
Account = Annotated[int | None, QueryParameter(ge=1, le=rules.LARGEST, description="Who did it.")]
Limit = Annotated[int, QueryParameter(ge=1, le=audit.MOST)]
Before = Annotated[int | None, QueryParameter(ge=1, le=rules.LARGEST, description="`before` of the last page.")]


class AuditOut(msgspec.Struct, kw_only=True):
    """`actor_id` is an account's for `user`, a key's for `key`. Of an address its network alone is kept."""

    id: int
    at: Time
    actor_kind: Annotated[str, Meta(description="user, key, operator, anonymous or system")]
    actor_id: int | None
    action: Annotated[str, Meta(description="source:subject:action")]
    target: str | None
    outcome: str
    door: str | None
    address_network: str | None
    data: dict[str, Any]


class AuditList(msgspec.Struct):
    """Newest first; `before` is null on the last page."""

    events: Sequence[AuditOut]
    before: int | None


@get("/api/v1/audit", opt=terms("A", ("users", "admin")), tags=["audit log"], sync_to_thread=True)
def list_all(
    call: Incoming,
    action: Action = None,
    account_id: Account = None,
    limit: Limit = 100,
    before: Before = None,
) -> AuditList:
    """List what was changed in the organization, and by whom. For admins of the organization."""
    page = audit.list_all(call.house, call.who, action=action, account_id=account_id, limit=limit, before=before)
    return AuditList([out(one) for one in page.events], page.before)


def out(event: AuditEvent) -> AuditOut:
    fields = timed(event, "at")
    return AuditOut(**{name: fields[name] for name in AuditOut.__struct_fields__})


ROUTES = (list_all,)
