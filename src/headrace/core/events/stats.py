"""Statistics over a selection of events: values, histograms, quantiles, patterns, comparison. Pages stand in `read`."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from headrace.core.events.filters import Filters
from headrace.core.events.read import MOST_BUCKETS, asked, selected
from headrace.core.events.templates import Known, merged
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal, invalid
from headrace.eventstore import messages, queries, schema, statistics
from headrace.eventstore.ids import public_id
from headrace.eventstore.parallel import at_once
from headrace.eventstore.queries import ATTRIBUTE_FIELD, EMPTY, Selection
from headrace.kit import times

if TYPE_CHECKING:
    from headrace.core.house import House

STACKED: Final = 8  # More colours than that nobody tells apart.
MOST_AUTO_BUCKETS: Final = 100
# Each at most 5/3 of the one before it, so that the first that gives 100 buckets or fewer gives 60 or more.
STEPS: Final = (1, 1.5, 2, 3, 5, 7.5)
WIDTHS: Final[tuple[int, ...]] = (
    *(round(step * 10**power) for power in range(1, 6) for step in STEPS),
    *(round(step * times.SECOND) for step in (1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 45)),
    *(round(step * times.MINUTE) for step in (1, 1.5, 2, 3, 5, 7.5, 10, 15, 20, 30, 45)),
    *(round(step * times.HOUR) for step in (1, 1.5, 2, 3, 4, 6, 8, 12, 18)),
    *(round(step * 10**power * times.DAY) for power in range(5) for step in STEPS),
)

# 100,000 messages of 100 characters are masked in 0.2 s, and longer ones in more; the newest tell what is going on now.
PATTERN_ROWS: Final = 100_000
PATTERN_MASKS: Final = 5_000  # Merged one by one in Python, at most 50 comparisons each.
# A share of 50,000 is exact to half a percent, which is less than anybody acts on.
COMPARED_ROWS: Final = 50_000
KEY_ROWS: Final = 10_000  # Enough to tell an id from a name.
KEY_VALUES: Final = 100
COMPARED_KEYS: Final = 20
COMPARED_MOST: Final = 20

MOST_PATH_PARTS: Final = 8  # As in a search.
LONGEST_FIELD: Final = 255


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """`total` events, `present` of which have the field; `values` are (value, events), most first."""

    total: int
    present: int
    distinct: int
    values: list[tuple[str, int]]


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket from `start`; `counts` are those of the histogram's values, `other` and `absent` the rest of `rows`."""

    start: int
    rows: int
    counts: list[int]
    other: int
    absent: int


class Stacks(msgspec.Struct, frozen=True, kw_only=True):
    width_us: int
    values: list[str]
    buckets: list[Stack]


class Quantiles(msgspec.Struct, frozen=True, kw_only=True):
    """`overall`, and by bucket when there is a width."""

    overall: statistics.Spread
    width_us: int | None
    buckets: list[statistics.Spread]


class Pattern(msgspec.Struct, frozen=True, kw_only=True):
    """`spread` are the rows of equal stretches of the period, oldest first, where they were asked for."""

    template: str
    rows: int
    first_seen: int
    last_seen: int
    levels: dict[str, int]
    sample_id: str
    spread: list[int] = []
    is_new: bool = False


class Patterns(msgspec.Struct, frozen=True, kw_only=True):
    """`scanned` events of `total`; those in `unmatched` have masks too rare to be kept."""

    total: int
    scanned: int
    unmatched: int
    distinct: int
    patterns: list[Pattern]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A value with its events in both samples, and which part of each sample they are."""

    field: str
    value: str
    selected: int
    baseline: int
    selected_share: float
    baseline_share: float

    @property
    def difference(self) -> float:
        return self.selected_share - self.baseline_share


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Events compared of each side; `sampled` says that a side has more, of which these are the newest."""

    selected: int
    baseline: int
    sampled: bool
    differences: list[Difference]


def values(house: "House", who: Principal, *, project_id: int, filters: Filters, field: str, limit: int) -> Values:
    """Return the most frequent values of a field, a column or `attributes.<path>`."""
    known(field, statistics.VALUES)
    selection = selected(house, who, project_id, filters)
    with asked():
        return top(house, selection, field, limit)


def top(house: "House", selection: Selection, field: str, limit: int) -> Values:
    found = statistics.top(house.store.engine, selection, field, limit=limit)
    pairs = [("" if value == EMPTY else value, -rows) for rows, value in found.values]
    return Values(total=found.total, present=found.present, distinct=found.distinct, values=pairs)


def histogram(
    house: "House",
    who: Principal,
    *,
    project_id: int,
    filters: Filters,
    width_us: int | None,
    by: str | None = None,
    fill: bool = False,
) -> Stacks:
    """Count events per `width_us` of event time, None being the roundest width that gives 60 to 100 buckets.

    `fill` gives every bucket of the period, also the empty ones; a side without a bound begins or ends with the events.
    """
    if by is not None:
        known(by, statistics.VALUES, "by")
    selection = selected(house, who, project_id, filters)
    engine = house.store.engine
    with asked():
        span = stretch(house, selection) if width_us is None or fill else None
        width = width_us or width_for(span)
        if fill and span is not None and span[1] // width - span[0] // width >= MOST_BUCKETS:
            raise too_many()
        names = [] if by is None else [value for value, _ in top(house, selection, by, STACKED).values]
        most = (MOST_BUCKETS + 1) * (STACKED + 2)
        found = statistics.cells(engine, selection, width, field=by, values=names, limit=most)
    stacks = stacked(found, len(names))
    if len(stacks) > MOST_BUCKETS:
        raise too_many()
    if fill and span is not None:
        empty = {start: stack(start, len(names), ()) for start in range(span[0] // width * width, span[1] + 1, width)}
        stacks = empty | stacks
    return Stacks(width_us=width, values=names, buckets=[stacks[start] for start in sorted(stacks)])


def stacked(cells: Iterable[statistics.Cell], values: int) -> dict[int, Stack]:
    starts: dict[int, list[statistics.Cell]] = {}
    for cell in cells:
        starts.setdefault(cell.start, []).append(cell)
    return {start: stack(start, values, own) for start, own in starts.items()}


def stack(start: int, values: int, cells: Iterable[statistics.Cell]) -> Stack:
    rows = {cell.value: cell.rows for cell in cells}
    counts = [rows.get(place, 0) for place in range(1, values + 1)]
    return Stack(start=start, rows=sum(rows.values()), counts=counts, other=rows.get(0, 0), absent=rows.get(-1, 0))


def quantiles(
    house: "House",
    who: Principal,
    *,
    project_id: int,
    filters: Filters,
    field: str,
    levels: Sequence[float],
    by_time: bool = False,
    width_us: int | None = None,
) -> Quantiles:
    """Return quantiles of a field's numbers, overall and, with `by_time`, per `width_us` (None: a round width)."""
    known(field, statistics.NUMBERS)
    selection = selected(house, who, project_id, filters)
    engine, width = house.store.engine, None
    buckets: list[statistics.Spread] = []

    def spreads(width_us: int | None) -> list[statistics.Spread]:
        most = MOST_BUCKETS + 1
        return statistics.spreads(engine, selection, field, levels, width_us=width_us, limit=most)

    with asked():
        if by_time:
            width = width_us or width_for(stretch(house, selection))
            buckets, (overall,) = at_once(spreads, (width, None))
        else:
            (overall,) = spreads(None)
    if len(buckets) > MOST_BUCKETS:
        raise too_many()
    return Quantiles(overall=overall, width_us=width, buckets=buckets)


def patterns(
    house: "House",
    who: Principal,
    *,
    project_id: int,
    filters: Filters,
    limit: int,
    stretches: int = 0,
    before: Filters | None = None,
) -> Patterns:
    """Return the patterns of the newest PATTERN_ROWS messages, most frequent first.

    With `stretches`, of a period that has a beginning, each says how it spreads over time; with `before`, whether
    the newest messages of that other selection have none like it.
    """
    selection = selected(house, who, project_id, filters)
    engine = house.store.engine
    grid = grid_of(filters, house.clock(), stretches)
    earlier = None if before is None else selected(house, who, project_id, before)
    with asked():
        total = queries.count(engine, selection)
        found = messages.masked(engine, selection, rows=PATTERN_ROWS, limit=PATTERN_MASKS, grid=grid)
        old = messages.masked(engine, earlier, rows=PATTERN_ROWS, limit=PATTERN_MASKS) if earlier else []
    known = Known(one.mask for one in old) if old else None
    scanned = min(total, PATTERN_ROWS)
    made = [
        pattern(" ".join(template.words), [found[place] for place in template.members], stretches, known)
        for template in merged(one.mask for one in found)
    ]
    made.sort(key=lambda one: (-one.rows, one.template))
    # What arrived between the two questions is in one of them alone.
    unmatched = max(scanned - sum(one.rows for one in found), 0)
    return Patterns(total=total, scanned=scanned, unmatched=unmatched, distinct=len(made), patterns=made[:limit])


def grid_of(filters: Filters, now: int, stretches: int) -> tuple[int, int, int] | None:
    """Return (first moment, width, number) of equal stretches of a period; None where none were asked for."""
    if not stretches or filters.ts_from is None:
        return None
    end = now if filters.ts_to is None else filters.ts_to
    return filters.ts_from, max(1, (end - filters.ts_from) // stretches + 1), stretches


def pattern(
    template: str, members: Sequence[messages.Masked], stretches: int = 0, known: Known | None = None
) -> Pattern:
    spread = [0] * stretches
    for one in members:
        for place, rows in zip(*one.spread, strict=True):
            spread[place] += rows
    last = max(one.last for one in members)
    levels = [sum(rows) for rows in zip(*(one.levels for one in members), strict=True)]
    return Pattern(
        template=template,
        rows=sum(one.rows for one in members),
        first_seen=min(one.first_seen for one in members),
        last_seen=last[0],
        levels={level: rows for level, rows in zip(schema.LEVELS, levels, strict=True) if rows},
        sample_id=public_id(*last),
        spread=spread,
        is_new=known is not None and not any(known.has(one.mask) for one in members),
    )


def compare(
    house: "House",
    who: Principal,
    *,
    project_id: int,
    filters: Filters,
    baseline: tuple[int | None, int | None] | None = None,
) -> Comparison:
    """Return the values that are more frequent in a selection than in its baseline, largest difference first.

    `baseline` is another period, of which the same filters hold; without it, all events of the selection's own period.
    """
    selection = selected(house, who, project_id, filters)
    if baseline is None:
        wide = Filters(
            **{name: getattr(filters, name) for name in ("ts_from", "ts_to", "received_from", "received_to")}
        )
    else:
        wide = msgspec.structs.replace(filters, ts_from=baseline[0], ts_to=baseline[1])
    other = selected(house, who, project_id, wide)
    engine = house.store.engine
    with asked():
        keys = statistics.common_keys(engine, selection, rows=KEY_ROWS, values=KEY_VALUES, limit=COMPARED_KEYS)
        cells = statistics.weighed(engine, selection, other, statistics.COMPARED, keys, rows=COMPARED_ROWS)
    names = (*statistics.COMPARED, *(ATTRIBUTE_FIELD + key for key in keys))
    return compared(cells, names)


def compared(cells: Sequence[statistics.Weighed], names: Sequence[str]) -> Comparison:
    whole = next((cell for cell in cells if cell.field == 0), None)
    if whole is None:
        return Comparison(selected=0, baseline=0, sampled=False, differences=[])
    found = [
        Difference(
            field=names[cell.field - 1],
            value="" if cell.value == EMPTY else cell.value,
            selected=cell.selected,
            baseline=cell.baseline,
            selected_share=cell.selected / whole.selected,
            baseline_share=cell.baseline / whole.baseline if whole.baseline else 0.0,
        )
        for cell in cells
        if cell.field
    ]
    above = [one for one in found if one.difference > 0]
    above.sort(key=lambda one: (-one.difference, one.field, one.value))
    sampled = max(whole.selected, whole.baseline) >= COMPARED_ROWS
    return Comparison(
        selected=whole.selected, baseline=whole.baseline, sampled=sampled, differences=above[:COMPARED_MOST]
    )


def known(field: str, columns: Iterable[str], said: str = "field") -> None:
    """Refuse a field that is neither one of the columns nor an attribute's path; `said` is where it was given."""
    path = field.removeprefix(ATTRIBUTE_FIELD)
    if path == field:
        if field not in columns:
            raise invalid(said, f"must be attributes.<name> or one of {', '.join(columns)}")
    elif not path or "\0" in path or len(field) > LONGEST_FIELD or path.count(".") >= MOST_PATH_PARTS:
        raise invalid(said, f"an attribute's path has 1-{MOST_PATH_PARTS} parts, {LONGEST_FIELD} characters in all")


def stretch(house: "House", selection: Selection) -> tuple[int, int] | None:
    """Return the first and last moment of a selection; a period without an end goes up to now."""
    if selection.ts_from is not None and selection.ts_to is not None:
        return selection.ts_from, selection.ts_to
    found = statistics.extent(house.store.engine, selection)
    if selection.ts_from is not None:
        return selection.ts_from, max(selection.ts_from, house.clock(), *(found or ()))
    if found is None:
        return None
    return found[0], found[1] if selection.ts_to is None else selection.ts_to


def width_for(span: tuple[int, int] | None) -> int:
    """Return the smallest round width that gives at most 100 buckets."""
    if span is None:
        return times.HOUR
    first, last = span
    return next(width for width in WIDTHS if last // width - first // width < MOST_AUTO_BUCKETS)


def too_many() -> Refusal:
    return invalid("interval", f"gives more than {MOST_BUCKETS} buckets; take a longer one or a shorter period")
