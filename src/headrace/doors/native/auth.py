"""Who may call what at this door: an access token, or an organization key whose scopes reach the route.

The one word of `Terms.credential` is `A`: either of them.
"""

from functools import lru_cache

from headrace.core import keys
from headrace.core.identity import sessions
from headrace.core.limits.windows import Budget
from headrace.core.principal import Principal
from headrace.core.refusals import forbidden, unauthenticated
from headrace.wire import admission
from headrace.wire.call import Call

PER_MINUTE, PER_HOUR = 60, 3600
ORGANIZATION_KEYS = frozenset({"organization", "imported"})


async def admit(call: Call) -> None:
    """Let a call in, or refuse it."""
    await admission.run(call, check)


def check(call: Call) -> None:
    assert call.route is not None  # noqa: S101  The origin admits routes.
    who = admission.resolved(call, budgets(call, f"native_unknown/{call.bucket}"), credential)
    own = f"native_key/{who.key_id}" if who.kind == "key" else f"native_account/{who.account_id}"
    admission.take(call, budgets(call, own, who))
    action = call.route.terms.action
    if who.kind == "key" and action is not None:
        resource, verb = action
        if who.key_kind not in ORGANIZATION_KEYS or not who.allows(resource, verb):
            raise forbidden(f"Insufficient scope: {resource}:{verb} required")


def peek(call: Call) -> None:
    """Show how the caller's address stands, for answers that count against nobody."""
    admission.show(call, budgets(call, f"native_unknown/{call.bucket}"))


def budgets(call: Call, bucket: str, who: Principal | None = None) -> tuple[Budget, Budget]:
    settings = call.house.settings
    per_minute = (who.per_minute if who else None) or settings.key_per_minute
    return both(bucket, per_minute, (who.per_hour if who else None) or settings.key_per_hour)


@lru_cache(maxsize=4096)
def both(bucket: str, per_minute: int, per_hour: int) -> tuple[Budget, Budget]:
    return Budget(bucket, per_minute, PER_MINUTE, "minute"), Budget(bucket, per_hour, PER_HOUR, "hour")


def credential(call: Call) -> Principal:
    value = admission.presented(call)
    if not value:
        raise unauthenticated("A Bearer token or an X-API-Key is required")
    if admission.token_like(value):
        return sessions.resolve(call.house, value)
    return keys.resolve(call.house, value)
