"""Who may call what at this door: an access token, or an organization key that acts as its owner within its scopes.

The one word of `Terms.credential` is `A`: either of them.
"""

from headrace.core import keys
from headrace.core.identity import organizations
from headrace.core.limits.windows import Budget
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal, unauthenticated
from headrace.wire import admission
from headrace.wire.call import Call

PUBLIC_PER_MINUTE = 1_000
PLANS = {"free": 1_000, "pro": 5_000, "enterprise": 20_000}


async def admit(call: Call) -> None:
    """Let a call in, or refuse it."""
    await admission.run(call, check)


def check(call: Call) -> None:
    assert call.route is not None  # noqa: S101  The origin admits routes.
    terms = call.route.terms
    if not terms.credential:
        admission.take(call, (of_address(call, "vetrai_address"),))
        return
    who = admission.resolved(call, (of_address(call, "vetrai_unknown"),), credential)
    plan = organizations.current(call.house, who).plan
    limit = PLANS.get(plan, PLANS["free"])
    admission.take(call, (admission.per_minute(f"vetrai_organization/{who.organization_id}", limit),))
    admission.reach(who, terms.action, "{action}")


def peek(call: Call) -> None:
    """Show how the caller's address stands, for answers that count against nobody."""
    admission.show(call, (of_address(call, "vetrai_address"),))


def of_address(call: Call, name: str) -> Budget:
    return admission.per_minute(f"{name}/{call.bucket}", PUBLIC_PER_MINUTE)


def credential(call: Call) -> Principal:
    """Return whose credential the request carries; of a key this door says only that it is not valid."""
    value = admission.presented(call)
    if value and not admission.token_like(value):
        try:
            return keys.resolve(call.house, value)
        except Refusal as refusal:
            raise unauthenticated("Invalid API key") from refusal
    return admission.credential(call, "Not authenticated")
