"""The stretch of time that a page shows: named back from now, or from one moment to another."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from headrace.core.refusals import invalid
from headrace.kit import times
from headrace.web.zones import zone

PRESETS = {
    "5m": ("5 minutes", 5 * times.MINUTE),
    "15m": ("15 minutes", 15 * times.MINUTE),
    "1h": ("hour", times.HOUR),
    "4h": ("4 hours", 4 * times.HOUR),
    "24h": ("24 hours", times.DAY),
    "7d": ("7 days", 7 * times.DAY),
    "30d": ("30 days", 30 * times.DAY),
    "365d": ("365 days", 365 * times.DAY),
}
DEFAULT = "1h"
MOST_BUCKETS = 90
# Widths that a person reads off an axis, in seconds.
WIDTHS = (1, 5, 10, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 7 * 86_400, 30 * 86_400)
# Two moments in one text, as people and programs write them; and "last 3 h".
PAIR = re.compile(r"\s+(?:to|until|-)\s+|\s*(?:\.\.+|[,;/\u2013\u2014])\s*")
BACK = re.compile(r"(?:last\s+)?(?P<number>[1-9][0-9]{0,3})\s*(?P<unit>m|min|minutes?|h|hours?|d|days?)", re.IGNORECASE)
UNITS = {"m": times.MINUTE, "h": times.HOUR, "d": times.DAY}
TIME_OF_DAY = re.compile(r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?:Z| UTC)?")
CENTURY = 100 * 365 * 86_400


class Period(NamedTuple):
    """`name` of PRESETS, or empty for a period with ends of its own. Microseconds, both ends included."""

    name: str
    start: int
    end: int

    @property
    def until(self) -> int | None:
        """The end that a query is given: none of a period that ends now, as senders' clocks may run ahead."""
        return None if self.name else self.end

    @property
    def parameters(self) -> dict[str, str]:
        if self.name:
            return {} if self.name == DEFAULT else {"period": self.name}
        return {"from": times.show(self.start), "to": times.show(self.end)}

    @property
    def width(self) -> int:
        """Seconds of a histogram's bucket."""
        seconds = max(1, (self.end - self.start) // times.SECOND)
        return next((width for width in WIDTHS if seconds / width <= MOST_BUCKETS), CENTURY)


def read(given: Mapping[str, str], now: int) -> Period:
    """Read `period`, or `from` and `to`, of a page's address. Refused: a name or time that is none.

    Times that name no zone are of the address's `zone`, which a form sends along, else UTC: the same address
    means the same everywhere.
    `from` alone may hold both ends, as they are copied from elsewhere, or a length of time back from now.
    """
    first, last = ends(given)
    there = zone(given.get("zone", ""))
    if not first and not last:
        name = given.get("period") or DEFAULT
        if name not in PRESETS:
            raise invalid("period", f"is one of {', '.join(PRESETS)}")
        return Period(name, now - PRESETS[name][1], now)
    back = BACK.fullmatch(first)
    if back is not None and not last:
        return Period("", now - int(back["number"]) * UNITS[back["unit"][0].lower()], now)
    start = there.read(first, "from") if first else 0
    end = there.read(last, "to") if last else now
    if start > end:
        raise invalid("from", "order", text="The period ends before it begins")
    return Period("", start, end)


def ends(given: Mapping[str, str]) -> tuple[str, str]:
    """Return the texts of both ends; a second one that is a time of day alone is of the first one's day."""
    first, last = given.get("from", "").strip(), given.get("to", "").strip()
    both = [] if last else PAIR.split(first)
    if len(both) == len("ab"):
        first, last = both
        if TIME_OF_DAY.fullmatch(last):
            last = f"{first[:10]} {last}"
    return first, last


def shown(microseconds: int) -> str:
    """A moment as people read it, to the second."""
    return times.show(microseconds // times.SECOND * times.SECOND).replace("T", " ").removesuffix("Z")


def ago(microseconds: int, now: int) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = (now - microseconds) // times.SECOND
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return "just now" if seconds < 10 else f"{seconds}s ago"  # noqa: PLR2004  Nobody reads closer.
