"""The states of an alert and what leads from one to the next: plain arithmetic, without a clock or a table."""

from typing import Final

import msgspec

from headrace.kit import times

STATES: Final = ("ok", "pending", "firing", "resolved")

# What an evaluation can find, in the order in which it is asked.
COOLING, CLEAR, HOLDS, LASTS = "cooling", "clear", "holds", "lasts"
EVENTS: Final = {
    COOLING: "it was resolved less than the cool-down ago",
    CLEAR: "the condition does not hold",
    HOLDS: "the condition holds, not yet as long as it must",
    LASTS: "the condition has held as long as it must",
}
# (state, what was found) -> the state that follows. Only what was resolved can cool down.
TRANSITIONS: Final = {
    ("ok", CLEAR): "ok",
    ("ok", HOLDS): "pending",
    ("ok", LASTS): "firing",
    ("pending", CLEAR): "ok",
    ("pending", HOLDS): "pending",
    ("pending", LASTS): "firing",
    ("firing", CLEAR): "resolved",
    ("firing", HOLDS): "firing",
    ("firing", LASTS): "firing",
    ("resolved", COOLING): "resolved",
    ("resolved", CLEAR): "ok",
    ("resolved", HOLDS): "pending",
    ("resolved", LASTS): "firing",
}


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where an alert stands: its state since when, since when the condition holds, when it was resolved last."""

    state: str
    since: int
    held_since: int | None = None
    resolved_at: int | None = None


def step(standing: Standing, *, holds: bool, now: int, for_seconds: int, cool_down_seconds: int) -> Standing:
    """Return where an alert stands after an evaluation."""
    cooling = (
        standing.state == "resolved"
        and standing.resolved_at is not None
        and now - standing.resolved_at < cool_down_seconds * times.SECOND
    )
    # What holds while it cools down counts from the end of that.
    held_since = (standing.held_since or now) if holds and not cooling else None
    if cooling:
        found = COOLING
    elif held_since is None:
        found = CLEAR
    else:
        found = LASTS if now - held_since >= for_seconds * times.SECOND else HOLDS
    state = TRANSITIONS[standing.state, found]
    resolved = standing.state == "firing" and state == "resolved"
    return Standing(
        state=state,
        since=standing.since if state == standing.state else now,
        held_since=held_since,
        resolved_at=now if resolved else standing.resolved_at,
    )
