"""Moments in the zone that a browser has chosen: as text, and read from text. Without a choice that is UTC."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from headrace.core.refusals import invalid
from headrace.kit import times

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}")
LONGEST_NAME = 64
EXACT = re.compile(r"(?:[Zz]| UTC|[T ][0-9:.]+[+-][0-9]{2}:?[0-9]{2})")
# Seconds, milliseconds and microseconds since 1970, as programs print them: from 2001 to 2286.
EPOCH = re.compile(r"(?P<whole>[0-9]{10})(?:\.?(?P<rest>[0-9]{3}|[0-9]{6}))?")


class Zone(NamedTuple):
    """`name` is empty for UTC."""

    name: str
    info: ZoneInfo | None

    @property
    def label(self) -> str:
        return self.name or "UTC"

    def abbreviation(self, moment: int) -> str:
        """Return what the zone is called at a moment: UTC, CET, +0530."""
        return (self._local(moment).tzname() or self.label) if self.info else "UTC"

    def shown(self, moment: int) -> str:
        """A moment as people read it, to the second."""
        return self._text(moment)[:19]

    def fine(self, moment: int) -> tuple[str, str]:
        """The day of a moment, and its time of day to the millisecond."""
        text = self._text(moment)
        return text[:10], text[11:23]

    def read(self, text: str, field: str) -> int:
        """Read a moment; one that names no zone is of this one. Refused: what is none."""
        try:
            epoch = EPOCH.fullmatch(text)
            if epoch is not None:
                return int(epoch["whole"]) * times.SECOND + int((epoch["rest"] or "0").ljust(6, "0"))
            moment = times.parse(text.removesuffix(" UTC").strip())
            if self.info is None or exact(text):
                return moment
            naive = times.NAIVE_EPOCH + timedelta(microseconds=moment)
            moment = (naive.replace(tzinfo=self.info) - times.EPOCH) // times.MICROSECOND
            if not times.FIRST <= moment <= times.LAST:
                raise ValueError(text)
            return moment
        except (ValueError, OverflowError):
            where = f" ({self.label})"
            raise invalid(field, "time", text=f"{field}: write a time such as 2026-01-31 10:00{where}") from None

    def _local(self, moment: int) -> datetime:
        there = times.EPOCH + timedelta(microseconds=moment)
        try:
            return there.astimezone(self.info or UTC)
        except OverflowError:
            return there  # Within a day of the first or the last year that there is.

    def _text(self, moment: int) -> str:
        return self._local(moment).replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")


GREENWICH = Zone("", None)


def exact(text: str) -> bool:
    """Tell whether a time says itself which zone it is of."""
    return EXACT.search(text) is not None and EPOCH.fullmatch(text) is None


@lru_cache(256)
def zone(name: str) -> Zone:
    """Return the zone of a name such as Europe/Berlin; UTC for one that nobody knows."""
    if name == "UTC" or len(name) > LONGEST_NAME or not NAME.fullmatch(name):
        return GREENWICH
    try:
        return Zone(name, ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return GREENWICH
