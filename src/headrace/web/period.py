"""The stretch of time that a page shows: named back from now, or from one moment to another. UTC throughout."""

from collections.abc import Mapping
from typing import NamedTuple

from headrace.core.refusals import invalid
from headrace.kit import times

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
CENTURY = 100 * 365 * 86_400


class Period(NamedTuple):
    """`name` of PRESETS, or empty for a period with ends of its own. Microseconds, both ends included."""

    name: str
    start: int
    end: int

    @property
    def label(self) -> str:
        if self.name:
            return f"Last {PRESETS[self.name][0]}"
        return f"{shown(self.start)} to {shown(self.end)}"

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
    """Read `period`, or `from` and `to`, of a page's address. Refused: a name or time that is none."""
    first, last = given.get("from", "").strip(), given.get("to", "").strip()
    if not first and not last:
        name = given.get("period") or DEFAULT
        if name not in PRESETS:
            raise invalid("period", f"is one of {', '.join(PRESETS)}")
        return Period(name, now - PRESETS[name][1], now)
    start = moment(first, "from") if first else 0
    end = moment(last, "to") if last else now
    if start > end:
        raise invalid("from", "order", text="The period ends before it begins")
    return Period("", start, end)


def moment(text: str, field: str) -> int:
    try:
        return times.parse(text.removesuffix(" UTC").strip())
    except ValueError:
        raise invalid(field, "time", text=f"{field}: write a time such as 2026-01-31 10:00 (UTC)") from None


def shown(microseconds: int) -> str:
    """A moment as people read it, to the second."""
    return times.show(microseconds // times.SECOND * times.SECOND).replace("T", " ").removesuffix("Z")


def clock(microseconds: int) -> str:
    """The time of day, to the millisecond."""
    whole = times.show(microseconds // times.MILLISECOND * times.MILLISECOND).removesuffix("Z")
    clock_time = whole.partition("T")[2]
    return f"{clock_time}.000" if "." not in clock_time else clock_time.ljust(12, "0")


def ago(microseconds: int, now: int) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = (now - microseconds) // times.SECOND
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return "just now" if seconds < 10 else f"{seconds}s ago"  # noqa: PLR2004  Nobody reads closer.
