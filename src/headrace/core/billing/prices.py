"""What things cost: the setting `prices`. Under Stripe it names price ids, locally amounts in minor units."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from headrace.core.refusals import Refusal, invalid
from headrace.core.settings import SettingError, Settings
from headrace.kit.currencies import CURRENCIES

AMOUNT = re.compile(r"([0-9]{1,12}) ([a-zA-Z]{3})")


class Price(NamedTuple):
    amount: int | None
    currency: str


def entries(settings: Settings) -> Mapping[str, str]:
    """Return the setting's pairs, `name=value` each."""
    pairs = {}
    for entry in settings.prices:
        name, equals, value = (part.strip() for part in entry.partition("="))
        if not (name and equals and value):
            raise SettingError(
                f"HEADRACE_PRICES must be pairs such as pro=price_123 or pro=2900 usd, and one is {entry!r}"
            )
        pairs[name] = value
    return pairs


def check(settings: Settings) -> None:
    """Raise SettingError for prices that could not be read when somebody buys."""
    for name, value in entries(settings).items():
        found = AMOUNT.fullmatch(value)
        if settings.billing == "local" and (found is None or found[2].upper() not in CURRENCIES):
            raise SettingError(
                f"HEADRACE_PRICES: the local price of {name} must be an amount and a currency, as 2900 usd, "
                f"and is {value!r}"
            )


def local(settings: Settings, item: str) -> Price | None:
    """Return what an item costs; None where prices are set and this one has none."""
    known = entries(settings)
    found = AMOUNT.fullmatch(known.get(item, ""))
    if found is not None:
        return Price(int(found[1]), found[2].lower())
    return None if known else Price(None, settings.currency.lower())


def of_plan(settings: Settings, plan: str) -> str:
    """Return the Stripe price of a plan, or refuse one that has none."""
    price_id = entries(settings).get(plan)
    if price_id is None:
        raise unpriced(plan)
    return price_id


def unpriced(plan: str) -> Refusal:
    return invalid("plan", "price", text=f"There is no price for the plan {plan}")


def plan_of(settings: Settings, price_id: str) -> str | None:
    """Return the plan whose Stripe price this is."""
    return next((name for name, value in entries(settings).items() if value == price_id), None)
