"""Who may call what at this door, in the order of checks: credential, the application's own budget, scope.

The words of `Terms.credential`: `M` an access token or a key, on an open instance nobody's too; `I` the ingest key of
the application alone. There are no budgets but those the operator gives to an ingest key, and no rate headers.
"""

import asyncio

from headrace.core import keys
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal, beyond_scope, forbidden, invalid, unauthenticated
from headrace.doors.apps.applications import path_id
from headrace.wire import admission
from headrace.wire.call import Call
from headrace.wire.door import Terms

INGEST_KEY = "X-INGEST-KEY"
NO_INGEST = "Invalid application or ingest key"


async def admit(call: Call) -> None:
    """Let a call in, or refuse it."""
    assert call.route is not None  # noqa: S101  The origin admits routes.
    if call.route.terms.credential == "I":
        await admission.run(call, check_ingest)
    else:
        await asyncio.to_thread(check, call)


def check(call: Call) -> None:
    call.principal = who = admission.anybody(call) or credential(call)
    assert call.route is not None  # noqa: S101  `admit` asked.
    reach(who, call.route.terms)


def check_ingest(call: Call) -> None:
    sent = call.header(INGEST_KEY)
    if sent is None:
        raise invalid(INGEST_KEY, "field required", type="missing")
    try:
        call.principal = who = keys.resolve_ingest(call.house, sent.strip())
    except Refusal as refusal:
        if refusal.kind is not Kind.UNAUTHENTICATED:
            raise
        raise forbidden(NO_INGEST) from refusal
    take(call, who)
    app_id = path_id(call)
    if app_id is not None and app_id != who.project_id:
        raise forbidden(NO_INGEST)


def take(call: Call, who: Principal) -> None:
    """Count the call against what the operator allows the application, if anything."""
    bucket = f"apps_key/{who.key_id}"
    allowed = ((admission.per_minute, who.per_minute), (admission.per_hour, who.per_hour))
    budgets = [made(bucket, limit) for made, limit in allowed if limit is not None]
    if budgets:
        taken = call.house.limits.take_all(budgets)
        if taken.refused is not None:
            raise admission.spent(taken.refused)


def credential(call: Call) -> Principal:
    """Return whose credential the request carries."""
    value = admission.presented(call)
    if value is None:
        raise unauthenticated("API key required")
    try:
        return admission.owner(call.house, value)
    except Refusal as refusal:
        if refusal.kind is not Kind.UNAUTHENTICATED:
            raise
        raise unauthenticated("Invalid API key") from refusal


def reach(who: Principal, terms: Terms) -> None:
    """Refuse a key whose scopes do not reach the route. Project keys only read, and only logs."""
    if terms.action is None or who.kind != "key":
        return
    resource, action = terms.action
    if action == "write":
        if who.key_kind == "project" or not who.allows(resource, action):
            raise beyond_scope(action)
        return
    if not (who.allows(resource, action) or who.allows("logs", action)):
        wanted = f"logs:{action}" if who.key_kind == "project" else action
        raise beyond_scope(wanted)


def peek(call: Call) -> None:
    """Show nothing: this door has no rate headers."""
    del call
