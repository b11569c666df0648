"""The events that endpoints may subscribe to, and the patterns that choose among them."""

import re
from functools import lru_cache
from typing import Any

from headrace.core.refusals import invalid

TEST = "webhook.test"
FAILING, DISABLED = "webhook.failing", "webhook.disabled"

# Every name that is emitted, with what its `data` holds; docs/webhooks.md lists them too, and a test compares.
EVENTS: dict[str, str] = {
    "alert.firing": "an alert began to fire",
    "alert.resolved": "an alert is over",
    "invoice.paid": "an invoice of the organization was paid",
    "invoice.payment_failed": "a payment of an invoice failed",
    "job.failed": "a job ended without a result, or was cancelled",
    "job.succeeded": "a job ended with a result",
    "key.created": "an API key was made",
    "key.revoked": "an API key was ended for good",
    "subscription.created": "the organization subscribed to a plan",
    "subscription.updated": "a subscription changed: its plan, its status, its period",
    DISABLED: "another endpoint was switched off, because its receiver failed for days or answered 410",
    FAILING: "another endpoint has failed for so long that it will be switched off",
    TEST: "somebody asked for a test; sent to that endpoint alone, whatever it subscribes to",
}
MOST_PATTERNS = 50
LONGEST_PATTERN = 128
PATTERN = re.compile(r"[a-zA-Z0-9_.*]{1,128}")


def patterns(value: Any) -> tuple[str, ...]:
    """What an endpoint subscribes to: names or patterns with `*`, each of which chooses at least one known event."""
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MOST_PATTERNS:
        raise invalid("events", f"must be a list of 1-{MOST_PATTERNS} names", type="type")
    for one in value:
        if not isinstance(one, str) or not PATTERN.fullmatch(one):
            raise invalid("events", f"a name is 1-{LONGEST_PATTERN} of a-z, A-Z, 0-9, _, . and *")
        if not any(map(_compiled(one).fullmatch, EVENTS)):
            raise invalid("events", f"there is no event {one}; there are {', '.join(EVENTS)}", type="enum")
    return tuple(dict.fromkeys(value))


def subscribed(chosen: tuple[str, ...], event: str) -> bool:
    return any(_compiled(one).fullmatch(event) for one in chosen)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Runs of stars are one star: many in a row would let a match take exponential time.
    pieces = re.split(r"\*+", pattern)
    return re.compile(".*".join(map(re.escape, pieces)))
