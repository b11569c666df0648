"""Statistics: the engine's half of counting stored events. What becomes of the counts is decided in core.

A field is a column or `attributes.<path>`. An absent value is NULL here; an empty text that was sent is a value.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from headrace.eventstore.engine import Engine
from headrace.eventstore.queries import (
    ATTRIBUTE_FIELD,
    COUNTED,
    NAMED,
    SHOWN,
    Selection,
    asked,
    bucket_of,
    ordered,
    rolled,
    where,
    whole_quarters,
)
from headrace.eventstore.search.attributes import places
from headrace.eventstore.search.sql import Writer

# A query's ten seconds are spent before more than this is read and grouped; to say so at once is kinder.
MOST_ROWS: Final = 50_000_000
MOST_GROUPS: Final = 1_000_000  # About 100 MB of short texts, half of what a query may use.

VALUES: Final = {
    **{name: SHOWN.get(name, name) for name in COUNTED},
    **{name: f"toString({name})" for name in NAMED},
    "status_class": f"nullIf({COUNTED['status_class']}, '')",
    "duration_ms": SHOWN["duration_ms"],
}
NUMBERS: Final = {name: SHOWN[name] for name in ("duration_ms", "status_code")}
COMPARED: Final = ("service", "host", "environment", "release", "level", "path", "status_code", "error_type")

# Said by columns above, or by none: what a compared key must not be.
NOT_COMPARED: Final = ("service", "host", "endpoint", "_overflow", "\0")
LONGEST_COMPARED: Final = 200  # Bytes of an attribute's JSON text; nobody compares longer ones.


class Top(msgspec.Struct, array_like=True, frozen=True):
    """Rows in all, rows that have a value, distinct values, and the most frequent as (minus rows, value)."""

    total: int
    present: int
    distinct: int
    values: list[tuple[int, str]]


class Cell(msgspec.Struct, array_like=True, frozen=True):
    """Rows of one bucket and one value: `value` is its place among those asked for, from 1; 0 another, -1 none."""

    start: int
    value: int
    rows: int


class Spread(msgspec.Struct, array_like=True, frozen=True):
    """What is known of the numbers of one bucket, or of all; None where there are no numbers."""

    start: int
    rows: int
    least: float | None
    most: float | None
    mean: float | None
    quantiles: list[float | None]


class Tally(msgspec.Struct, array_like=True, frozen=True):
    """Rows that arrived after a moment, and up to it; `last` is (time, id) of the newest event after it."""

    after: int
    before: int
    last: tuple[int, int]


class Weighed(msgspec.Struct, array_like=True, frozen=True):
    """Rows with a value in both samples. `field` is its place among the compared, from 1; 0 counts the samples."""

    field: int
    value: str
    selected: int
    baseline: int


# -- fields -----------------------------------------------------------------------------------------------------------


def value_of(field: str, params: dict[str, Any], prefix: str = "field") -> str:
    """Return SQL of a field's value as text, NULL when absent. Raises KeyError for an unknown column."""
    if not field.startswith(ATTRIBUTE_FIELD):
        return f"CAST({VALUES[field]} AS Nullable(String))"
    return scalar(raw_of(field.removeprefix(ATTRIBUTE_FIELD), params, prefix))


def scalar(raw: str) -> str:
    """Return SQL of a JSON value's text: a string's own, of anything else its JSON."""
    return f"if(startsWith({raw}, '\"'), JSONExtractString(assumeNotNull({raw})), {raw})"


def number_of(field: str, params: dict[str, Any]) -> str:
    """Return SQL of a field's number, NULL when absent or no number. Raises KeyError for a column without numbers."""
    if not field.startswith(ATTRIBUTE_FIELD):
        return f"CAST({NUMBERS[field]} AS Nullable(Float64))"
    number = f"toFloat64OrNull({raw_of(field.removeprefix(ATTRIBUTE_FIELD), params, 'field')})"
    return f"if(isFinite({number}), {number}, NULL)"


def raw_of(path: str, params: dict[str, Any], prefix: str) -> str:
    """Return SQL of the JSON text at the first place of a path that exists."""
    writer = Writer(prefix)
    found = [f"nullIf({writer.raw(top, below)}, '')" for top, below in places(path)]
    params.update(writer.params)
    return f"coalesce({', '.join(found)})"


def limits(engine: Engine) -> dict[str, str | float]:
    return {"max_rows_to_read": engine.options.query_rows or MOST_ROWS, "max_rows_to_group_by": MOST_GROUPS}


# -- questions --------------------------------------------------------------------------------------------------------


def extent(engine: Engine, selection: Selection) -> tuple[int, int] | None:
    """Return the first and the last event time, None without events."""
    question = asked(engine, selection, ())
    sql = (
        "SELECT minIf(first, rows > 0), maxIf(last, rows > 0), sum(rows)"
        f" FROM ({question.each('min(ts) AS first, max(ts) AS last, count() AS rows')})"
    )
    settings = limits(engine) | question.settings
    ((first, last, rows),) = engine.query(sql, question.params, row=tuple[int, int, int], settings=settings)
    return (first, last) if rows else None


def top(engine: Engine, selection: Selection, field: str, *, limit: int) -> Top:
    question = asked(engine, selection, (column_of(field),))
    params = dict(question.params)
    counted = question.each(f"{value_of(field, params)} AS value, count() AS n", "value")
    sql = (
        "SELECT sum(rows), sumIf(rows, isNotNull(value)), count(value),"
        f" groupArraySortedIf({limit:d})((-toInt64(rows), assumeNotNull(value)), isNotNull(value))"
        f" FROM (SELECT value, sum(n) AS rows FROM ({counted}) GROUP BY value)"
    )
    (found,) = engine.query(sql, params, row=Top, settings=limits(engine) | question.settings)
    return found


def column_of(field: str) -> str | None:
    """Return what a rollup must have to tell a field's values; a path may lead into an object, which none tells."""
    column = rolled(field)
    return None if field.startswith(ATTRIBUTE_FIELD) and "." in field.removeprefix(ATTRIBUTE_FIELD) else column


def cells(
    engine: Engine, selection: Selection, width_us: int, *, field: str | None, values: Sequence[str], limit: int
) -> list[Cell]:
    """Count by bucket and by these values of a field, oldest first; empty cells are left out."""
    columns = [*whole_quarters(width_us), *([] if field is None else [column_of(field)])]
    question = asked(engine, selection, columns)
    params = dict(question.params)
    place = "0"
    if field is not None:
        value = value_of(field, params)
        params["values"] = list(values)
        place = f"if(isNull({value}), -1, toInt64(indexOf({{values:Array(String)}}, assumeNotNull({value}))))"
    start = question.bucket(width_us)
    sql = (
        f"SELECT start, place, sum(n)"
        f" FROM ({question.each(f'{start} AS start, {place} AS place, count() AS n', 'start, place')})"
        f" GROUP BY start, place ORDER BY start, place LIMIT {limit:d}"
    )
    return engine.query(sql, params, row=Cell, settings=limits(engine) | question.settings)


def spreads(
    engine: Engine, selection: Selection, field: str, levels: Sequence[float], *, width_us: int | None, limit: int
) -> list[Spread]:
    """Return exact quantiles, interpolated between neighbours, by bucket oldest first; one row without a width."""
    condition, params = where(selection)
    number = number_of(field, params)
    start = "toInt64(0)" if width_us is None else bucket_of(width_us)
    grouped = "" if width_us is None else f" GROUP BY start ORDER BY start LIMIT {limit:d}"
    wanted = ", ".join(f"{level:.6f}" for level in levels)
    sql = (
        f"SELECT {'any(start)' if width_us is None else 'start'}, count(), min(n), max(n), avg(n),"
        f" quantilesExactInclusive({wanted})(n)"
        f" FROM (SELECT {start} AS start, assumeNotNull({number}) AS n FROM events"
        f" WHERE {condition} AND isNotNull({number})){grouped}"
    )
    # It holds every number; two threads would hold twice as many places.
    settings = limits(engine) | ({"max_threads": 1} if engine.embedded else {})
    return engine.query(sql, params, row=Spread, settings=settings)


def tally(engine: Engine, selection: Selection, cut: int, *, rows: int) -> Tally:
    """Count events by arrival, before and after `cut`; reads at most `rows` of them, or refuses."""
    condition, params = where(selection)
    params["cut"] = cut
    sql = (
        "SELECT countIf(received_at > {cut:Int64}), countIf(received_at <= {cut:Int64}),"
        f" maxIf((ts, id), received_at > {{cut:Int64}}) FROM events WHERE {condition}"
    )
    (found,) = engine.query(sql, params, row=Tally, settings={"max_rows_to_read": rows})
    return found


def arrivals(engine: Engine, selection: Selection, width_us: int, *, rows: int) -> list[Cell]:
    """Count events per `width_us` of arrival, oldest first; empty stretches are left out."""
    condition, params = where(selection)
    sql = (
        f"SELECT intDiv(received_at, {width_us:d}) * {width_us:d} AS start, 0, count() FROM events WHERE {condition}"
        " GROUP BY start ORDER BY start"
    )
    return engine.query(sql, params, row=Cell, settings={"max_rows_to_read": rows})


def common_keys(engine: Engine, selection: Selection, *, rows: int, values: int, limit: int) -> list[str]:
    """Return attributes of the newest `rows` events, most common first, that repeat at most `values` plain values."""
    condition, params = where(selection)
    params["never"] = list(NOT_COMPARED)
    sql = (
        "SELECT key FROM (SELECT attributes::Array(Tuple(String, String)) AS items FROM events"
        f" WHERE {condition} {ordered(selection, 'ts')} LIMIT {rows:d})"
        " ARRAY JOIN items.1 AS key, items.2 AS value"
        " WHERE key NOT IN {never:Array(String)} AND NOT startsWith(value, '{') AND NOT startsWith(value, '[')"
        f" AND length(value) <= {LONGEST_COMPARED}"
        f" GROUP BY key HAVING uniqExact(value) <= {values:d} AND uniqExact(value) * 2 <= count()"
        f" ORDER BY count() DESC, key LIMIT {limit:d}"
    )
    return [key for (key,) in engine.query(sql, params, row=tuple[str])]


def weighed(
    engine: Engine, selection: Selection, baseline: Selection, fields: Sequence[str], keys: Sequence[str], *, rows: int
) -> list[Weighed]:
    """Count the values of columns, then of top-level attributes, in the newest `rows` of both; at most 200 a field."""
    params: dict[str, Any] = {}
    values = [value_of(field, params) for field in fields]
    for number, key in enumerate(keys):
        params[f"key_{number}"] = key
        values.append(scalar(f"nullIf(attributes[{{key_{number}:String}}], '')"))
    columns = ", ".join(f"{value} AS v{number}" for number, value in enumerate(values, 1))
    pairs = ", ".join(f"({number}, v{number})" for number in range(1, len(values) + 1))

    def side(one: Selection, selected: int) -> str:
        condition, bound = where(one)
        condition = re.sub(r"\{(\w+):(?=[A-Z])", rf"{{side{selected}_\1:", condition)
        params.update({f"side{selected}_{name}": value for name, value in bound.items()})
        return (
            f"SELECT {selected} AS selected, {columns} FROM events WHERE {condition}"
            f" {ordered(one, 'ts')} LIMIT {rows:d}"
        )

    sql = (
        "SELECT pair.1 AS field, assumeNotNull(pair.2) AS value, countIf(selected = 1) AS s, countIf(selected = 0) AS b"
        f" FROM (SELECT selected, [(0, CAST('' AS Nullable(String))), {pairs}] AS pairs"
        f" FROM (SELECT * FROM ({side(selection, 1)}) UNION ALL SELECT * FROM ({side(baseline, 0)})))"
        " ARRAY JOIN pairs AS pair WHERE isNotNull(pair.2)"
        " GROUP BY field, value HAVING s > 0 ORDER BY field, s DESC, value LIMIT 200 BY field"
    )
    return engine.query(sql, params, row=Weighed)
