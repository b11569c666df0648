"""What the doors' admissions share: whose credential it is, budgets made, taken, shown. Who may what, doors say."""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache

from headrace.core import keys
from headrace.core.house import House
from headrace.core.identity import organizations, sessions
from headrace.core.limits.windows import Budget, Standing
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal, beyond_scope, forbidden, rate_limited, unauthenticated
from headrace.wire import address
from headrace.wire.call import Call

KEY_PREFIXES = ("ldg_", "ledger_", "vetrai_")
TOKEN_DOTS = 2
ORGANIZATION_KEYS = frozenset({"organization", "imported"})
MINUTE, HOUR = 60, 3600


def presented(call: Call) -> str | None:
    """Return the credential: a Bearer value before an `X-API-Key`, empty for an Authorization of another form.

    The scheme word ignores case. None when nothing was sent.
    """
    authorization = call.header("authorization")
    scheme, _, value = (authorization or "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    key = call.header("x-api-key")
    if key:
        return key.strip()
    return None if authorization is None else ""


def token_like(value: str) -> bool:
    """Tell by its form whether a credential is an access token; everything else is a key."""
    return not value.startswith(KEY_PREFIXES) and value.count(".") == TOKEN_DOTS


def owner(house: House, value: str) -> Principal:
    """Return whose access token or key a credential is."""
    resolve = sessions.resolve if token_like(value) else keys.resolve
    return resolve(house, value)


def credential(call: Call, missing: str) -> Principal:
    """Return whose credential the call carries; without one it is refused in the words of `missing`."""
    value = presented(call)
    if not value:
        raise unauthenticated(missing)
    return owner(call.house, value)


def anybody(call: Call) -> Principal | None:
    """Return the caller whom an open instance answers without a credential, or None.

    Whoever comes through a proxy that is not listed is never that caller: a forgotten proxy would publish the instance.
    """
    settings = call.house.settings
    if not settings.open or presented(call) is not None:
        return None
    if address.forwarded(call.headers) and not address.trusted_peer(call.peer, settings.trusted_proxies):
        return None
    return Principal(kind="anonymous", organization_id=organizations.open_organization(call.house))


async def run(call: Call, check: Callable[[Call], None]) -> None:
    """Run a door's checks: in a thread, unless the route is hot and nothing they ask can block for long."""
    house = call.house
    hot = call.route is not None and call.route.hot is not None
    if hot and house.db.dialect == "sqlite" and house.limits.shared is None:
        check(call)
    else:
        await asyncio.to_thread(check, call)


@lru_cache(maxsize=8192)
def per_minute(bucket: str, limit: int) -> Budget:
    return Budget(bucket, limit, MINUTE, "minute")


@lru_cache(maxsize=8192)
def per_hour(bucket: str, limit: int) -> Budget:
    return Budget(bucket, limit, HOUR, "hour")


def budgets(house: House, bucket: str, who: Principal | None = None) -> tuple[Budget, Budget]:
    """Return the budgets of a caller: those that the operator gave to a key, else those of the settings."""
    minute = (who.per_minute if who else None) or house.settings.key_per_minute
    hour = (who.per_hour if who else None) or house.settings.key_per_hour
    return per_minute(bucket, minute), per_hour(bucket, hour)


def own(house: House, door: str, who: Principal) -> tuple[Budget, Budget]:
    """Return the budgets of a key or an account at a door."""
    bucket = f"{door}_key/{who.key_id}" if who.kind == "key" else f"{door}_account/{who.account_id}"
    return budgets(house, bucket, who)


def take(call: Call, wanted: Sequence[Budget]) -> None:
    """Count the call in all of these budgets, or refuse it; its answer will show how they stand."""
    taken = call.house.limits.take_all(wanted)
    call.rates = taken.standings
    if taken.refused is not None:
        raise spent(taken.refused)


def show(call: Call, wanted: Sequence[Budget]) -> None:
    """Have the answer show how these budgets stand, without counting."""
    call.rates = tuple(call.house.limits.peek(budget) for budget in wanted)


def resolved(call: Call, doubtful: Sequence[Budget], resolve: Callable[[Call], Principal]) -> Principal:
    """Return whose credential the call carries.

    Credentials that fail count by address in `doubtful`, or rotating guesses would cost nothing.
    """
    if not call.house.limits.untouched(doubtful):
        show(call, doubtful)
        for standing in call.rates:
            if not standing.remaining:
                raise spent(standing)
    try:
        who = resolve(call)
    except Refusal as refusal:
        if refusal.kind is Kind.UNAUTHENTICATED:
            call.rates = call.house.limits.take_all(doubtful).standings
        raise
    call.principal = who
    return who


def reach(who: Principal, action: tuple[str, str] | None, named: str) -> None:
    """Refuse a key that is no organization's, or whose scopes do not reach an action.

    `named` is how the door writes a scope: `{resource}:{action}`, or `{action}`. A key that has the scope and is of
    the wrong kind is told so.
    """
    if who.kind != "key" or action is None or (who.key_kind in ORGANIZATION_KEYS and who.allows(*action)):
        return
    wanted = named.format(resource=action[0], action=action[1])
    if who.allows(*action):
        raise forbidden(f"Insufficient scope: {wanted} of an organization's key required, and this is a project's")
    raise beyond_scope(wanted)


def spent(standing: Standing) -> Refusal:
    budget = standing.budget
    return rate_limited(f"Rate limit exceeded: {budget.limit} requests per {budget.name}", standing.retry_after)


def answered(call: Call, status: int, seconds: float) -> None:
    """Count the use of a key."""
    who = call.principal
    if who is not None and who.key_id is not None and call.route is not None:
        keys.usage.count(call.house, who.key_id, int(seconds * 1_000_000), route=call.route.template, status=status)
