"""Who may call what at this door, in the order of checks: address budget, credential, the caller's budget, scope.

The words of `Terms.credential`: `J` an access token, `K` a project key, `O` an organization key (or an imported one);
several letters: any of them, and the value's form decides.
"""

from functools import lru_cache

from headrace.core import keys
from headrace.core.house import House
from headrace.core.identity import sessions
from headrace.core.limits.windows import Budget
from headrace.core.principal import Principal
from headrace.core.refusals import forbidden, unauthenticated
from headrace.wire import admission
from headrace.wire.call import Call
from headrace.wire.door import Terms

BAD_KEY = "Invalid or expired API key"
BAD_TOKEN = "Invalid or expired token"  # noqa: S105  A sentence, not a secret.
PER_MINUTE, PER_HOUR = 60, 3600
UNLIMITED = frozenset({"/health/deep", "/api/v1/health/deep"})


async def admit(call: Call) -> None:
    """Let a call in, or refuse it."""
    if call.route is not None and call.route.terms.limited:
        await admission.run(call, check)


def check(call: Call) -> None:
    assert call.route is not None  # noqa: S101  `admit` asked.
    terms = call.route.terms
    if not terms.credential:
        admission.take(call, budgets(call.house, f"ledger_address/{call.bucket}"))
        return
    who = admission.resolved(call, doubtful(call.house, call.bucket), credential)
    admission.take(call, own(call.house, who))
    reach(who, terms)


def peek(call: Call) -> None:
    """Show how the caller's address stands, for answers that count against nobody."""
    if call.path not in UNLIMITED:
        admission.show(call, budgets(call.house, f"ledger_address/{call.bucket}"))


def own(house: House, who: Principal) -> tuple[Budget, Budget]:
    """Return the budgets of a key or an account."""
    bucket = f"ledger_key/{who.key_id}" if who.kind == "key" else f"ledger_account/{who.account_id}"
    return budgets(house, bucket, who)


def doubtful(house: House, bucket: str) -> tuple[Budget, Budget]:
    """Return the budgets that failed credentials of an address count in."""
    return budgets(house, f"ledger_unknown/{bucket}")


def budgets(house: House, bucket: str, who: Principal | None = None) -> tuple[Budget, Budget]:
    settings = house.settings
    per_minute = (who.per_minute if who else None) or settings.key_per_minute
    per_hour = (who.per_hour if who else None) or settings.key_per_hour
    return both(bucket, per_minute, per_hour)


@lru_cache(maxsize=4096)
def both(bucket: str, per_minute: int, per_hour: int) -> tuple[Budget, Budget]:
    return Budget(bucket, per_minute, PER_MINUTE, "minute"), Budget(bucket, per_hour, PER_HOUR, "hour")


def credential(call: Call) -> Principal:
    """Return whose credential the request carries, of the kinds that its route takes."""
    wanted = call.route.terms.credential if call.route else ""
    value = admission.presented(call)
    if value is None:
        raise unauthenticated("Missing Authorization header")
    if not value:
        raise unauthenticated("Invalid Authorization header format")
    is_token = admission.token_like(value)
    if is_token and "J" in wanted:
        return sessions.resolve(call.house, value)
    if wanted == "J":
        raise unauthenticated(BAD_TOKEN)
    if is_token:
        raise unauthenticated(BAD_KEY)
    return keys.resolve(call.house, value)


def reach(who: Principal, terms: Terms) -> None:
    """Refuse a key whose kind or scopes do not reach the route."""
    if who.kind != "key" or terms.action is None:
        return
    resource, action = terms.action
    kind_fits = ("K" if who.key_kind == "project" else "O") in terms.credential
    if not (kind_fits and (action == "any" or who.allows(resource, action))):
        raise forbidden(f"Insufficient scope: {named(resource, action)} required")


def named(resource: str, action: str) -> str:
    """Name a scope as the document does: `ingest`, `write`, `logs:read`."""
    if action == "any":
        return "ingest"
    return action if resource == "logs" and action in {"ingest", "write"} else f"{resource}:{action}"
