"""Statistics of logs: values, histogram, quantiles, patterns, comparison; narrowed as GET /api/v1/logs is."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.params import FromQuery, QueryParameter

from headrace.core.events import stats
from headrace.core.refusals import invalid
from headrace.doors.ledger.filters import ProjectId, ends
from headrace.doors.ledger.logs import ALL, READ, WHO, Narrowed, interval_seconds
from headrace.doors.ledger.shapes import Count
from headrace.eventstore.statistics import Spread
from headrace.kit import times
from headrace.wire.door import Incoming, terms
from headrace.wire.moments import Time

TAGS = ["statistics"]
ASKS = terms(WHO, READ, errors=(403, 404))
AUTO = "auto"
LEVEL = re.compile(r"0(?:\.[0-9]{1,6})?|1(?:\.0{1,6})?")
MOST_QUANTILES = 10

Field = Annotated[str, QueryParameter(max_length=255, description="A column's name, or `attributes.<path>`.")]
By = Annotated[str | None, QueryParameter(max_length=255, description="Field whose 8 top values are counted apart.")]
Interval = Annotated[str, QueryParameter(description="`auto`, `minute`, `hour`, `day` or a number of seconds.")]
OptionalInterval = Annotated[str | None, QueryParameter(description="As of the histogram; without it, overall only.")]
Levels = Annotated[
    str, QueryParameter(name="quantiles", max_length=200, description="Up to 10 numbers from 0 to 1, with commas.")
]
Most = Annotated[int, QueryParameter(ge=1, le=200, description="Most entries.")]
BaselineFrom = Annotated[str | None, QueryParameter(name="baselineFrom", description="ISO 8601, inclusive.")]
BaselineTo = Annotated[str | None, QueryParameter(name="baselineTo", description="ISO 8601, inclusive.")]


class ValueShare(msgspec.Struct, kw_only=True):
    """`share` is the part of all logs of the selection."""

    value: str
    count: int
    share: float


class TopValues(msgspec.Struct, kw_only=True):
    """`total` logs, `present` of which have the field, with `distinct` different values."""

    project_id: int
    field: str
    total: int
    present: int
    distinct: int
    values: Sequence[ValueShare]


class StackedBucket(msgspec.Struct, kw_only=True):
    """`counts` are of the histogram's `values`, in their order; `other` has another value, `absent` none."""

    start: Time
    count: int
    counts: Sequence[int]
    other: int
    absent: int


class StackedHistogram(msgspec.Struct, kw_only=True):
    """Without `by`, `values` and each bucket's `counts` are empty and `other` is its `count`."""

    project_id: int
    interval_seconds: float
    by: str | None
    values: Sequence[str]
    buckets: Sequence[StackedBucket]


class Numbers(msgspec.Struct, kw_only=True):
    """`count` logs have a number in the field; without any, all else is null. `quantiles` in the order asked for."""

    count: int
    min: float | None
    max: float | None
    mean: float | None
    quantiles: Sequence[float | None]


class NumbersBucket(Numbers, kw_only=True):
    start: Time


class QuantileAnswer(msgspec.Struct, kw_only=True):
    project_id: int
    field: str
    levels: Sequence[float]
    overall: Numbers
    interval_seconds: float | None
    buckets: Sequence[NumbersBucket]


class PatternOut(msgspec.Struct, kw_only=True):
    """`<NUM>`, `<HEX>`, `<UUID>`, `<IP>` and `<*>` stand for what changes. `share` is the part of the scanned logs."""

    pattern: str
    count: int
    share: float
    first_seen: Time
    last_seen: Time
    levels: Sequence[Count]
    sample_log_id: str


class PatternList(msgspec.Struct, kw_only=True):
    """`sampled`: only the newest `scanned` of `total` logs were read. `unmatched` of them have too rare a shape."""

    project_id: int
    total: int
    scanned: int
    sampled: bool
    unmatched: int
    distinct: int
    patterns: Sequence[PatternOut]


class Deviation(msgspec.Struct, kw_only=True):
    field: str
    value: str
    selection_count: int
    baseline_count: int
    selection_share: float
    baseline_share: float
    difference: float


class ComparisonOut(msgspec.Struct, kw_only=True):
    """`sampled`: one side has more logs than were compared; the newest were taken."""

    project_id: int
    selection_total: int
    baseline_total: int
    sampled: bool
    values: Sequence[Deviation]


@get("/api/v1/logs/stats/values", dependencies=ALL, opt=ASKS, tags=TAGS, sync_to_thread=True)
def values(
    call: Incoming, project_id: ProjectId, narrowed: Narrowed, field: Field = "level", limit: Most = 20
) -> TopValues:
    """Return the most frequent values of a field."""
    found = stats.values(call.house, call.who, project_id=project_id, filters=narrowed, field=field, limit=limit)
    return TopValues(
        project_id=project_id,
        field=field,
        total=found.total,
        present=found.present,
        distinct=found.distinct,
        values=[ValueShare(value=value, count=rows, share=rows / found.total) for value, rows in found.values],
    )


@get("/api/v1/logs/stats/histogram", dependencies=ALL, opt=ASKS, tags=TAGS, sync_to_thread=True)
def histogram(
    call: Incoming,
    *,
    project_id: ProjectId,
    narrowed: Narrowed,
    interval: Interval = AUTO,
    by: By = None,
    fill: FromQuery[bool] = False,
) -> StackedHistogram:
    """Count logs over time, the values of a field apart; `auto` is a round interval that gives 60 to 100 buckets."""
    found = stats.histogram(
        call.house, call.who, project_id=project_id, filters=narrowed, width_us=width(interval), by=by, fill=fill
    )
    return StackedHistogram(
        project_id=project_id,
        interval_seconds=found.width_us / times.SECOND,
        by=by,
        values=found.values,
        buckets=[
            StackedBucket(start=shown(one.start), count=one.rows, counts=one.counts, other=one.other, absent=one.absent)
            for one in found.buckets
        ],
    )


@get("/api/v1/logs/stats/quantiles", dependencies=ALL, opt=ASKS, tags=TAGS, sync_to_thread=True)
def quantiles(
    call: Incoming,
    *,
    project_id: ProjectId,
    narrowed: Narrowed,
    field: Field = "duration_ms",
    levels: Levels = "0.5,0.95,0.99",
    interval: OptionalInterval = None,
) -> QuantileAnswer:
    """Return exact quantiles of a field's numbers, overall and per interval."""
    wanted = read_levels(levels)
    found = stats.quantiles(
        call.house,
        call.who,
        project_id=project_id,
        filters=narrowed,
        field=field,
        levels=wanted,
        by_time=interval is not None,
        width_us=width(interval or AUTO),
    )
    return QuantileAnswer(
        project_id=project_id,
        field=field,
        levels=wanted,
        overall=Numbers(**numbers(found.overall)),
        interval_seconds=None if found.width_us is None else found.width_us / times.SECOND,
        buckets=[NumbersBucket(start=shown(one.start), **numbers(one)) for one in found.buckets],
    )


@get("/api/v1/logs/stats/patterns", dependencies=ALL, opt=ASKS, tags=TAGS, sync_to_thread=True)
def patterns(call: Incoming, project_id: ProjectId, narrowed: Narrowed, limit: Most = 50) -> PatternList:
    """Return the patterns of messages, most frequent first; without a message, of the error."""
    found = stats.patterns(call.house, call.who, project_id=project_id, filters=narrowed, limit=limit)
    return PatternList(
        project_id=project_id,
        total=found.total,
        scanned=found.scanned,
        sampled=found.scanned < found.total,
        unmatched=found.unmatched,
        distinct=found.distinct,
        patterns=[
            PatternOut(
                pattern=one.template,
                count=one.rows,
                share=one.rows / max(found.scanned, one.rows),
                first_seen=times.show(one.first_seen),
                last_seen=times.show(one.last_seen),
                levels=[Count(level, rows) for level, rows in one.levels.items()],
                sample_log_id=one.sample_id,
            )
            for one in found.patterns
        ],
    )


@get("/api/v1/logs/stats/compare", dependencies=ALL, opt=ASKS, tags=TAGS, sync_to_thread=True)
def compare(
    call: Incoming,
    project_id: ProjectId,
    narrowed: Narrowed,
    baseline_from: BaselineFrom = None,
    baseline_to: BaselineTo = None,
) -> ComparisonOut:
    """Return the values more frequent in the selection than in the whole period, or than in a baseline period."""
    baseline = baseline_period(baseline_from, baseline_to)
    found = stats.compare(call.house, call.who, project_id=project_id, filters=narrowed, baseline=baseline)
    return ComparisonOut(
        project_id=project_id,
        selection_total=found.selected,
        baseline_total=found.baseline,
        sampled=found.sampled,
        values=[
            Deviation(
                field=one.field,
                value=one.value,
                selection_count=one.selected,
                baseline_count=one.baseline,
                selection_share=one.selected_share,
                baseline_share=one.baseline_share,
                difference=one.difference,
            )
            for one in found.differences
        ],
    )


def numbers(spread: Spread) -> dict[str, Any]:
    """Return the fields of Numbers."""
    if not spread.rows:
        return {"count": 0, "min": None, "max": None, "mean": None, "quantiles": [None] * len(spread.quantiles)}
    return {
        "count": spread.rows,
        "min": spread.least,
        "max": spread.most,
        "mean": spread.mean,
        "quantiles": spread.quantiles,
    }


def read_levels(text: str) -> list[float]:
    parts = text.split(",")
    if len(parts) > MOST_QUANTILES or not all(LEVEL.fullmatch(part) for part in parts):
        raise invalid(
            "quantiles", f"must be 1-{MOST_QUANTILES} numbers from 0 to 1 with at most 6 decimals, with commas between"
        )
    return [float(part) for part in parts]


def baseline_period(first: str | None, last: str | None) -> tuple[int | None, int | None] | None:
    return None if first is None and last is None else ends(first, last, "baseline")


def width(interval: str) -> int | None:
    """Return microseconds, None for `auto`."""
    return None if interval == AUTO else interval_seconds(interval) * times.SECOND


def shown(start: int) -> str:
    """Write a bucket's start; the first bucket may begin before the first year."""
    return times.show(max(start, times.FIRST))


ROUTES = (values, histogram, quantiles, patterns, compare)
