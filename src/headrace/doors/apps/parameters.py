"""Query parameters of lists and statistics: from when until when, by which time, which level."""

from typing import Annotated, Literal

import msgspec
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from headrace.core.events import Filters
from headrace.core.refusals import invalid
from headrace.doors.apps.envelope import wrong_order
from headrace.doors.apps.shapes import Level
from headrace.eventstore.queries import TimeColumn
from headrace.kit import times

TimeField = Literal["received_at", "occurred_at"]
COLUMNS: dict[str, TimeColumn] = {"received_at": "received_at", "occurred_at": "ts"}
Since = Annotated[str | None, QueryParameter(description="ISO 8601, inclusive.")]
Until = Annotated[str | None, QueryParameter(description="ISO 8601, inclusive.")]
ByTime = Annotated[TimeField, QueryParameter(description="The time that filters, orders and counts.")]


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. Times in microseconds, both ends inclusive; None is no bound."""

    since: int | None
    until: int | None
    column: TimeColumn
    levels: tuple[str, ...] = ()

    def filters(self) -> Filters:
        """Return the filters of this span, which has to run forwards."""
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise wrong_order()
        if self.column == "ts":
            return Filters(ts_from=self.since, ts_to=self.until, levels=self.levels)
        return Filters(received_from=self.since, received_to=self.until, levels=self.levels)


Asked = NamedDependency[Span]


def span(since: Since = None, until: Until = None, time_field: ByTime = "received_at") -> Span:
    """A span of every level."""
    return Span(since=bound(since, "since"), until=bound(until, "until"), column=COLUMNS[time_field])


def span_of_level(
    since: Since = None, until: Until = None, time_field: ByTime = "received_at", level: FromQuery[Level | None] = None
) -> Span:
    """A span of one level, or of every one."""
    whole = span(since, until, time_field)
    return whole if level is None else msgspec.structs.replace(whole, levels=(level.lower(),))


def last_day(asked: Span, now: int) -> tuple[Span, int, int]:
    """Return the span with its ends filled in: the 24 hours that end now, or where it says; and both ends."""
    until = now if asked.until is None else asked.until
    since = max(times.FIRST, until - times.DAY) if asked.since is None else asked.since
    return msgspec.structs.replace(asked, since=since, until=until), since, until


def bound(text: str | None, name: str) -> int | None:
    """Read a time. In a query an unencoded `+` arrives as a space."""
    if text is None:
        return None
    for spelling in (text, "+".join(text.rsplit(" ", 1))):
        try:
            return times.parse(spelling)
        except ValueError:
            continue
    raise invalid(name, "must be an ISO 8601 timestamp")
