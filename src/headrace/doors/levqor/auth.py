"""Who may call what at this door, in the order of checks: address budget, credential, budget of the door, scope.

The one word of `Terms.credential` is `A`: an access token or an organization key, on an open instance nobody's too.
Routes with `limited=False` are not counted, but their answers show how the budget of their address stands.
"""

import msgspec

from headrace.core import audit, uptime
from headrace.core.house import House
from headrace.core.limits.windows import Budget
from headrace.core.refusals import rate_limited
from headrace.kit.times import SECOND
from headrace.wire import admission
from headrace.wire.call import Call

# As documented: a client that waits so long finds its window as good as empty.
RETRY_SECONDS = 60
READS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
CARRIED_OUT = range(200, 300)


async def admit(call: Call) -> None:
    """Let a call in, or refuse it."""
    if writes(call):
        audit.watched()
    await admission.run(call, check)


def check(call: Call) -> None:
    assert call.route is not None  # noqa: S101  The origin admits routes.
    terms = call.route.terms
    if not terms.limited:
        peek(call)
        return
    address = of_address(call)
    take(call, address)
    if not terms.credential:
        return
    call.principal = who = admission.anybody(call) or admission.credential(call, "X-Api-Key is required")
    if writes(call):
        take(call, of_door(call.house), after=address)
    admission.reach(who, terms.action, "{action}")


def peek(call: Call) -> None:
    """Show how the caller's address stands, for answers that count against nobody."""
    admission.show(call, (of_address(call),))


def writes(call: Call) -> bool:
    return call.method not in READS


def of_address(call: Call) -> Budget:
    if writes(call):
        return of_writes(call.house, call.bucket)
    return admission.per_minute(f"levqor_read/{call.bucket}", call.house.settings.levqor_reads_per_address)


def of_writes(house: House, bucket: str) -> Budget:
    return admission.per_minute(f"levqor_write/{bucket}", house.settings.levqor_writes_per_address)


def of_door(house: House) -> Budget:
    return admission.per_minute("levqor_writes/all", house.settings.levqor_writes)


def take(call: Call, wanted: Budget, *, after: Budget | None = None) -> None:
    """Count the call in a budget, or refuse it; a refused one does not count in the budget that it passed before."""
    limits = call.house.limits
    taken = limits.take_all((wanted,))
    call.rates += taken.standings
    if taken.refused is None:
        return
    if after is not None:
        limits.give_back(after.bucket, after.width)
    reset = call.house.clock() // SECOND + RETRY_SECONDS
    call.rates = (msgspec.structs.replace(taken.refused, remaining=0, reset=reset),)
    raise rate_limited(f"Rate limit exceeded: {wanted.limit} requests per {wanted.name}", RETRY_SECONDS)


def answered(call: Call, status: int, seconds: float) -> None:
    """Count the use of a key; of a write that was carried out, whether it left a record of who did it."""
    admission.answered(call, status, seconds)
    tally = audit.WATCHING.get()
    repeated = any(name == b"idempotency-replayed" for name, _ in call.added)
    counted = call.route is not None and call.route.terms.credential
    if tally is not None and counted and status in CARRIED_OUT and not repeated:
        uptime.count(call.house, recorded=tally.lines > 0)
