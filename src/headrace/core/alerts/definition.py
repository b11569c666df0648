"""What an alert measures and compares: the kinds, their fields and rules. How it is measured stands in `measuring`."""

import math
import operator
from typing import Any, Final

import msgspec

from headrace.core import rules
from headrace.core.events.read import compiled
from headrace.core.groups import news
from headrace.core.refusals import invalid
from headrace.eventstore import search
from headrace.kit import times

KINDS: Final = ("threshold", "rate", "absence", "new_pattern", "new_error")
COMPARISONS: Final = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
MEASURES: Final = ("per_minute", "change_percent")
NEWS: Final = ("any", *news.KINDS)

LEAST_WINDOW, MOST_WINDOW = 60, 86_400
LEAST_LOOK_BACK, MOST_LOOK_BACK = 3_600, 30 * 86_400
# Beyond it a double no longer tells a count from the next one.
MOST_THRESHOLD: Final = 1e15

# The fields that a kind takes besides its window.
TAKES: Final = {
    "threshold": ("query", "comparison", "threshold"),
    "rate": ("query", "measure", "comparison", "threshold"),
    "absence": ("query", "threshold"),
    "new_pattern": ("query", "look_back_seconds"),
    "new_error": ("news",),
}


class Definition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The condition is `value comparison threshold`, the value being the kind's measure over `window_seconds`."""

    kind: str
    window_seconds: int
    comparison: str
    threshold: float
    query: str = ""
    measure: str | None = None
    look_back_seconds: int | None = None
    news: str | None = None

    def holds(self, value: float) -> bool:
        return bool(COMPARISONS[self.comparison](value, self.threshold))


def made(*, kind: Any, window_seconds: Any = 300, **given: Any) -> Definition:
    """Check what was sent; a field that the kind does not take is refused unless it is None."""
    kind = rules.choice(kind, "kind", KINDS)
    sent = {name: value for name, value in given.items() if value not in (None, "")}
    for name in sent:
        if name not in TAKES[kind]:
            raise invalid(name, f"is no field of the kind {kind}, which takes {', '.join(TAKES[kind])}")
    fields: dict[str, Any] = {"kind": kind, "query": _query(sent.get("query", ""))}
    fields["window_seconds"] = rules.integer(window_seconds, "window_seconds", LEAST_WINDOW, MOST_WINDOW)
    if kind in {"threshold", "rate"}:
        fields["comparison"] = rules.choice(sent.get("comparison"), "comparison", COMPARISONS)
        # A count is never below zero, a change may be.
        least = -MOST_THRESHOLD if sent.get("measure") == "change_percent" else 0.0
        fields["threshold"] = _number(sent.get("threshold"), "threshold", least)
    else:
        fields["comparison"], fields["threshold"] = ">=", 1.0
    if kind == "rate":
        fields["measure"] = rules.choice(sent.get("measure", MEASURES[0]), "measure", MEASURES)
    if kind == "absence":
        fields["comparison"], fields["threshold"] = "<", _number(sent.get("threshold", 1), "threshold", 1.0)
    if kind == "new_pattern":
        back = sent.get("look_back_seconds", 7 * 86_400)
        fields["look_back_seconds"] = rules.integer(back, "look_back_seconds", LEAST_LOOK_BACK, MOST_LOOK_BACK)
    if kind == "new_error":
        fields["news"] = rules.choice(sent.get("news", NEWS[0]), "news", NEWS)
    return Definition(**fields)


def sentence(definition: Definition, value: float) -> str:
    """Say what was measured and what it was compared with."""
    span = length(definition.window_seconds)
    number, limit = shown(value), f"{definition.comparison} {shown(definition.threshold)}"
    match definition.kind:
        case "rate" if definition.measure == "change_percent":
            return f"{number} % change against the {span} before (alert: {limit})"
        case "rate":
            return f"{number} events a minute in {span} (alert: {limit})"
        case "new_pattern":
            return f"{number} new patterns in {span}"
        case "new_error":
            kinds = ", ".join(news.KINDS) if definition.news == "any" else definition.news
            return f"{number} errors in {span} ({kinds})"
        case _:
            return f"{number} events in {span} (alert: {limit})"


def length(seconds: int) -> str:
    """A length of time in the largest unit that divides it."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def shown(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def window_us(definition: Definition) -> int:
    return definition.window_seconds * times.SECOND


def _query(value: Any) -> str:
    text = rules.text(value, "query", most=search.MAX_LENGTH).strip()
    compiled(text, "query")
    return text


def _number(value: Any, field: str, least: float) -> float:
    if value is None:
        raise rules.missing(field)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(field, "must be a number", type="type")
    if not math.isfinite(value) or not least <= value <= MOST_THRESHOLD:
        raise invalid(field, f"must be a number from {shown(least)} to {shown(MOST_THRESHOLD)}")
    return float(value)
