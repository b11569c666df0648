"""Who may call what at this door, in the order of checks: address budget, credential, the caller's budget, scope.

The words of `Terms.credential`: `J` an access token, `K` a project key, `O` an organization key (or an imported one);
several letters: any of them, and the value's form decides.
"""

from headrace.core.house import House
from headrace.core.limits.windows import Budget
from headrace.core.principal import Principal
from headrace.core.refusals import beyond_scope, unauthenticated
from headrace.wire import admission
from headrace.wire.call import Call
from headrace.wire.door import Terms

BAD_KEY = "Invalid or expired API key"
BAD_TOKEN = "Invalid or expired token"  # noqa: S105  A sentence, not a secret.
UNLIMITED = frozenset({"/health/deep", "/api/v1/health/deep"})


async def admit(call: Call) -> None:
    """Let a call in, or refuse it."""
    if call.route is not None and call.route.terms.limited:
        await admission.run(call, check)


def check(call: Call) -> None:
    assert call.route is not None  # noqa: S101  `admit` asked.
    terms = call.route.terms
    if not terms.credential:
        admission.take(call, admission.budgets(call.house, f"ledger_address/{call.bucket}"))
        return
    who = admission.resolved(call, doubtful(call.house, call.bucket), credential)
    admission.take(call, own(call.house, who))
    reach(who, terms)


def peek(call: Call) -> None:
    """Show how the caller's address stands, for answers that count against nobody."""
    if call.path not in UNLIMITED:
        admission.show(call, admission.budgets(call.house, f"ledger_address/{call.bucket}"))


def own(house: House, who: Principal) -> tuple[Budget, Budget]:
    """Return the budgets of a key or an account."""
    return admission.own(house, "ledger", who)


def doubtful(house: House, bucket: str) -> tuple[Budget, Budget]:
    """Return the budgets that failed credentials of an address count in."""
    return admission.budgets(house, f"ledger_unknown/{bucket}")


def credential(call: Call) -> Principal:
    """Return whose credential the request carries, of the kinds that its route takes."""
    wanted = call.route.terms.credential if call.route else ""
    value = admission.presented(call)
    if value is None:
        raise unauthenticated("Missing Authorization header")
    if not value:
        raise unauthenticated("Invalid Authorization header format")
    is_token = admission.token_like(value)
    if is_token and "J" not in wanted:
        raise unauthenticated(BAD_KEY)
    if not is_token and wanted == "J":
        raise unauthenticated(BAD_TOKEN)
    return admission.owner(call.house, value)


def reach(who: Principal, terms: Terms) -> None:
    """Refuse a key whose kind or scopes do not reach the route."""
    if who.kind != "key" or terms.action is None:
        return
    resource, action = terms.action
    kind_fits = ("K" if who.key_kind == "project" else "O") in terms.credential
    if not (kind_fits and (action == "any" or who.allows(resource, action))):
        raise beyond_scope(named(resource, action))


def named(resource: str, action: str) -> str:
    """Name a scope as the document does: `ingest`, `write`, `logs:read`."""
    if action == "any":
        return "ingest"
    return action if resource == "logs" and action in {"ingest", "write"} else f"{resource}:{action}"
