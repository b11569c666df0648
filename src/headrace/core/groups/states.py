"""States: what new events do to a group that people had put aside. Pure rules; the fold writes what they say.

| state | set by | ends by itself |
|---|---|---|
| unresolved | a new error, a regression, a person | never |
| resolved | a person, now or in a release | a later event; in a release: an event of it, of a later one, or of none |
| ignored | a person | never |
| muted | a person | at a time, a rate, or a number of further users, when that was asked for |
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from headrace.core.groups.gathered import Part
from headrace.core.groups.record import Group, MuteRule
from headrace.core.groups.releases import Order, reached
from headrace.kit import times

# A window is counted in at most this many stretches of time.
STRETCHES = 60


class Turn(NamedTuple):
    """A group opens again. `kind` is the activity: regressed or unmuted; `news` the word for alerts, if it is any."""

    kind: str
    news: str | None
    at: int
    data: dict[str, Any]


def turn(group: Group, parts: Sequence[Part], order: Order, users: int) -> Turn | None:
    """Return what the events of a segment do to the group's state; None leaves it."""
    if group.status == "resolved":
        return regression(group, parts, order)
    if group.status == "muted":
        return unmuting(group, parts, users)
    return None


def regression(group: Group, parts: Sequence[Part], order: Order) -> Turn | None:
    since, target = group.resolved_at or 0, group.resolved_in_release
    for part in parts:
        for release, span in part.releases.items():
            if span.last <= since or (target and release and not reached(order, release, target)):
                continue
            return Turn("regressed", "regressed", span.last, {"release": release} if release else {})
    return None


def unmuting(group: Group, parts: Sequence[Part], users: int) -> Turn | None:
    last = max(part.all.last for part in parts)
    if group.muted_until is not None and last >= group.muted_until:
        return Turn("unmuted", None, last, {"reason": "time"})
    rule = group.mute_rule
    if rule is None:
        return None
    if rule.events is not None and sum(rule.window.values()) >= rule.events:
        return Turn("unmuted", "escalating", last, {"reason": "events", "events": rule.events, "minutes": rule.minutes})
    if rule.users is not None and users - rule.base >= rule.users:
        return Turn("unmuted", "escalating", last, {"reason": "users", "users": rule.users})
    return None


def counted(rule: MuteRule, parts: Sequence[Part]) -> MuteRule:
    """Return the rule with the segment's events in its window; those before the mute do not count."""
    if rule.events is None:
        return rule
    window = dict(rule.window)
    width = stretch(rule)
    for part in parts:
        for minute, rows in part.minutes.items():
            if minute >= rule.since // times.MINUTE:
                place = minute // width if rule.minutes else 0
                window[place] = window.get(place, 0) + rows
    if rule.minutes and window:
        oldest = max(window) - rule.minutes // width
        window = {place: rows for place, rows in window.items() if place > oldest}
    return msgspec.structs.replace(rule, window=window)


def stretch(rule: MuteRule) -> int:
    """Return how many minutes one count of the window is for."""
    return max(1, -(-(rule.minutes or 1) // STRETCHES))
