"""Who may call what at this door: an access token, or an organization key that acts as its owner within its scopes.

The words of `Terms.credential`: `T` an access token alone, `A` a token or a key.
"""

from headrace.core import keys
from headrace.core.identity import organizations, sessions
from headrace.core.limits.windows import Budget
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal, forbidden, unauthenticated
from headrace.wire import admission
from headrace.wire.call import Call

PER_MINUTE = 60
PUBLIC_PER_MINUTE = 1_000
PLANS = {"free": 1_000, "pro": 5_000, "enterprise": 20_000}
ORGANIZATION_KEYS = frozenset({"organization", "imported"})


async def admit(call: Call) -> None:
    """Let a call in, or refuse it."""
    await admission.run(call, check)


def check(call: Call) -> None:
    assert call.route is not None  # noqa: S101  The origin admits routes.
    terms = call.route.terms
    if not terms.credential:
        admission.take(call, (address_budget(call, "vetrai_address"),))
        return
    who = admission.resolved(call, (address_budget(call, "vetrai_unknown"),), credential)
    plan = organizations.current(call.house, who).plan
    own = Budget(f"vetrai_organization/{who.organization_id}", PLANS.get(plan, PLANS["free"]), PER_MINUTE)
    admission.take(call, (own,))
    if who.kind == "key" and terms.action is not None:
        resource, action = terms.action
        if who.key_kind not in ORGANIZATION_KEYS or not who.allows(resource, action):
            raise forbidden(f"Insufficient scope: {action} required")


def peek(call: Call) -> None:
    """Show how the caller's address stands, for answers that count against nobody."""
    admission.show(call, (address_budget(call, "vetrai_address"),))


def address_budget(call: Call, name: str) -> Budget:
    return Budget(f"{name}/{call.bucket}", PUBLIC_PER_MINUTE, PER_MINUTE)


def credential(call: Call) -> Principal:
    value = admission.presented(call)
    if not value:
        raise unauthenticated("Not authenticated")
    if admission.token_like(value):
        return sessions.resolve(call.house, value)
    if call.route is not None and call.route.terms.credential == "T":
        raise unauthenticated("Invalid or expired token")
    try:
        return keys.resolve(call.house, value)
    except Refusal as refusal:
        raise unauthenticated("Invalid API key") from refusal
