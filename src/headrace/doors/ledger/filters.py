"""Query parameters of the log queries to core's Filters: periods, repeatable values, times."""

import datetime as dt
from typing import Annotated, Literal

import msgspec
from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter

from headrace.core.events.filters import Filters
from headrace.core.refusals import invalid
from headrace.core.rules import LARGEST, moment
from headrace.eventstore.rows import Level, LogType
from headrace.kit import times
from headrace.wire.door import Incoming

Period = Literal["today", "last7days", "last30days", "currentWeek", "currentMonth", "currentYear"]
StatusClass = Literal["2xx", "3xx", "4xx", "5xx"]

ROLLING_DAYS = {"last7days": 7, "last30days": 30}

ProjectId = Annotated[int, QueryParameter(ge=1, le=LARGEST)]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Entries of a page.")]
Offset = Annotated[int, QueryParameter(ge=0, le=LARGEST, description="Entries to skip.")]
PeriodName = Annotated[Period | None, QueryParameter(description="A span up to now, in UTC; weeks begin on Monday.")]
PeriodFrom = Annotated[str | None, QueryParameter(name="periodFrom", description="ISO 8601, inclusive.")]
PeriodTo = Annotated[str | None, QueryParameter(name="periodTo", description="ISO 8601, inclusive.")]
Search = Annotated[
    str | None,
    QueryParameter(max_length=200, description="Part of message, error type or error message; ignores case."),
]
Query = Annotated[str | None, QueryParameter(max_length=4000, description="The search language.")]
Environment = Annotated[str | None, QueryParameter(max_length=255)]


def tail_filters(
    *,
    level: FromQuery[list[Level] | None] = None,
    log_type: FromQuery[list[LogType] | None] = None,
    status_class: FromQuery[list[StatusClass] | None] = None,
    environment: Environment = None,
    search: Search = None,
    q: Query = None,
) -> Filters:
    """The filters of a live tail: all but periods."""
    return Filters(
        levels=tuple(level or ()),
        log_types=tuple(log_type or ()),
        status_classes=tuple(int(name[0]) for name in status_class or ()),
        environment=environment,
        text=search or None,
        query=q or None,
    )


def filters(
    call: Incoming,
    *,
    unbounded: NamedDependency[Filters],
    period: PeriodName = None,
    period_from: PeriodFrom = None,
    period_to: PeriodTo = None,
) -> Filters:
    """All filters of a log query."""
    start, end = span(call.house.clock(), period, period_from, period_to)
    return msgspec.structs.replace(unbounded, ts_from=start, ts_to=end)


def period_filters(
    call: Incoming,
    period: PeriodName = None,
    period_from: PeriodFrom = None,
    period_to: PeriodTo = None,
    search: Search = None,
) -> Filters:
    """The filters of a list of errors: period and text."""
    start, end = span(call.house.clock(), period, period_from, period_to)
    return Filters(ts_from=start, ts_to=end, text=search or None)


def span(now: int, period: str | None, first: str | None, last: str | None) -> tuple[int | None, int | None]:
    """Return both ends in microseconds, inclusive; None where there is no bound."""
    if period is not None and (first is not None or last is not None):
        raise invalid("period", "cannot be combined with periodFrom and periodTo")
    if period is not None:
        # No upper end: a sender's clock may run a little ahead of this one.
        return begin(now, period), None
    return ends(first, last, "period")


def ends(first: str | None, last: str | None, name: str) -> tuple[int | None, int | None]:
    """Read `<name>From` and `<name>To`, which may not be in the wrong order."""
    start = None if first is None else moment(first, f"{name}From")
    end = None if last is None else moment(last, f"{name}To")
    if start is not None and end is not None and start > end:
        raise invalid(f"{name}From", "after", text=f"{name}From must not be after {name}To")
    return start, end


def begin(now: int, period: str) -> int:
    """Return when a named period that holds `now` began: days ago to the microsecond, or a midnight in UTC."""
    if period in ROLLING_DAYS:
        return now - ROLLING_DAYS[period] * times.DAY
    today = times.day(now)
    date = dt.date(1970, 1, 1) + dt.timedelta(days=today)
    back = {"today": 0, "currentWeek": date.weekday(), "currentMonth": date.day - 1}
    return (today - back.get(period, date.timetuple().tm_yday - 1)) * times.DAY
