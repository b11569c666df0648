"""Who may call what at this door: an access token, or an organization key whose scopes reach the route.

The one word of `Terms.credential` is `A`: either of them.
"""

from headrace.core.principal import Principal
from headrace.wire import admission
from headrace.wire.call import Call

MISSING = "A Bearer token or an X-API-Key is required"


async def admit(call: Call) -> None:
    """Let a call in, or refuse it."""
    await admission.run(call, check)


def check(call: Call) -> None:
    assert call.route is not None  # noqa: S101  The origin admits routes.
    doubtful = admission.budgets(call.house, f"native_unknown/{call.bucket}")
    who = admission.resolved(call, doubtful, credential)
    admission.take(call, admission.own(call.house, "native", who))
    admission.reach(who, call.route.terms.action, "{resource}:{action}")


def peek(call: Call) -> None:
    """Show how the caller's address stands, for answers that count against nobody."""
    admission.show(call, admission.budgets(call.house, f"native_unknown/{call.bucket}"))


def credential(call: Call) -> Principal:
    return admission.credential(call, MISSING)
