"""Guessing passwords: failed log-ins are counted per address and per account, whichever API they come through.

An attempt counts before its password is hashed, so that many at once do not slip through; a right one is given back.
"""

import msgspec

from headrace.core.audit import network, person
from headrace.core.house import House
from headrace.core.limits.windows import Budget, Standing
from headrace.core.refusals import Refusal, rate_limited

WIDTH = 300
PER_ADDRESS = 10
PER_ACCOUNT = 5
PER_ACCOUNT_AND_HOUR = 20


class Attempt(msgspec.Struct, frozen=True):
    """What one attempt took. `excess` says that only the right password is admitted: anything else is too much."""

    taken: tuple[Budget, ...]
    excess: Standing | None


def begin(house: House, *, email: str, address: str, trusted: bool) -> Attempt:
    """Count an attempt, or refuse it.

    A throttled account is not locked: `trusted`, an address it was signed in from before, may still try to the
    address's own limit.
    """
    # Of an IPv6 address the subscriber owns at least a /64.
    place = person(house, network(address, four=32, six=64))
    account = person(house, email)
    by_address = Budget(f"login_fail_address/{place}", PER_ADDRESS, WIDTH)
    by_account = (
        Budget(f"login_fail_account/{account}", PER_ACCOUNT, WIDTH),
        Budget(f"login_fail_account_hour/{account}", PER_ACCOUNT_AND_HOUR, 3600),
    )
    first = house.limits.take_all((by_address,))
    if first.refused is not None:
        raise refusal(first.refused)
    second = house.limits.take_all(by_account)
    if second.refused is None:
        return Attempt((by_address, *by_account), None)
    if not trusted:
        house.limits.give_back(by_address.bucket, by_address.width)
        raise refusal(second.refused)
    return Attempt((by_address,), second.refused)


def succeeded(house: House, attempt: Attempt) -> None:
    """Give back this attempt alone: earlier failures stay counted, or one good log-in would launder an address."""
    for budget in attempt.taken:
        house.limits.give_back(budget.bucket, budget.width)


def refusal(standing: Standing) -> Refusal:
    limit, width = standing.budget.limit, standing.budget.width
    return rate_limited(
        f"Rate limit exceeded: {limit} failed log-ins per {width // 60} minutes", standing.retry_after, limit=limit
    )
