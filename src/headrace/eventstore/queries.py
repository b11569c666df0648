"""Queries: what is asked of stored events. Every value travels as a parameter. Who may ask what is decided in core."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec

from headrace.eventstore import attribute_columns, rollup, substring
from headrace.eventstore.engine import Engine
from headrace.eventstore.parallel import at_once
from headrace.eventstore.schema import TEXTS
from headrace.eventstore.search import Compiled
from headrace.kit.times import HOUR

Row = TypeVar("Row")
TimeColumn = Literal["ts", "received_at"]

# A page is first looked for close to its end. Sorted by the key, the engine stops by itself, and a day only spares it
# opening old parts; by arrival it has to sort all that a window holds.
KEY_WINDOWS: Final = (24 * HOUR,)
ARRIVAL_WINDOWS: Final = (HOUR, 4 * HOUR, 16 * HOUR, 64 * HOUR, 256 * HOUR)
# Up to here it costs less to read what is passed over whole than to ask twice: places first, then their events.
NEAR_OFFSET: Final = 1_000

MOST_ATTRIBUTES: Final = 256
OVERFLOW: Final = "_overflow"
VERBATIM: Final = "\0"
EMPTY: Final = "\0"


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """Which events. Times are microseconds, both ends included; an empty tuple or None selects by nothing.

    `project` None is the whole tenant. `received_floor` hides what retention has let go. `text` is a case-insensitive
    part of message, error_type or error_message; `errors`: level error or critical, or type exception.
    `status_classes` are first digits, such as 4 for 4xx.
    """

    tenant: int
    project: int | None = None
    ts_from: int | None = None
    ts_to: int | None = None
    received_from: int | None = None
    received_to: int | None = None
    received_floor: int | None = None
    levels: tuple[str, ...] = ()
    log_types: tuple[str, ...] = ()
    status_classes: tuple[int, ...] = ()
    environment: str | None = None
    fingerprint: str | None = None
    errors: bool = False
    text: str | None = None
    search: Compiled | None = None


class EventRow(msgspec.Struct, array_like=True):
    """One stored event; absent is None. `attributes` is the object as it was sent."""

    tenant: int
    project: int
    ts: int
    received_at: int
    id: int
    level: str
    log_type: str
    importance: str
    service: str | None
    host: str | None
    environment: str | None
    release: str | None
    message: str | None
    error_type: str | None
    error_message: str | None
    stack_trace: str | None
    sdk_version: str | None
    platform: str | None
    platform_version: str | None
    error_fingerprint: str | None
    method: str | None
    path: str | None
    status_code: int | None
    duration_ms: int | float | None
    attributes: dict[str, Any] | None
    stack_is_object: bool = False  # `stack_trace` is the JSON text of an object that was sent.


class Bucket(msgspec.Struct, array_like=True, frozen=True):
    """Rows of one stretch of time that begins at `start`; `value` is None unless the histogram was split."""

    start: int
    rows: int
    value: str | None = None


def shown_text(column: str) -> str:
    return f"multiIf({column} = '', NULL, {column} = '\\0', '', {column})"


SHOWN: Final[dict[str, str]] = {
    **{name: shown_text(name) for name in TEXTS},
    **{name: f"nullIf({name}, '')" for name in ("service", "host", "error_fingerprint", "method", "path")},
    # A NUL at its end marks an object's text (rows.OBJECT_STACK), and alone an empty text.
    "stack_trace": "if(stack_trace = '', NULL, trimRight(stack_trace, '\\0'))",
    "stack_is_object": "(endsWith(stack_trace, '\\0') AND length(stack_trace) > 1)::Bool",
    "status_code": "nullIf(status_code, 0)",
    "duration_ms": "if(duration_ms < 0, NULL, duration_ms)",
}
COLUMNS: Final = ", ".join(SHOWN.get(name, name) for name in EventRow.__struct_fields__)

NAMED: Final = ("level", "log_type", "importance")  # Enums: always there.

# What events can be counted by. An empty text says that the event has no such value.
COUNTED: Final[dict[str, str]] = {
    **{name: name for name in NAMED},
    **{name: name for name in TEXTS if name != "stack_trace"},
    **{name: name for name in ("service", "host", "error_fingerprint", "method", "path")},
    "status_code": "if(status_code = 0, '', toString(status_code))",
    "status_class": f"if({rollup.STATUS_CLASS} BETWEEN 2 AND 5, concat(toString({rollup.STATUS_CLASS}), 'xx'), '')",
}
ATTRIBUTE_FIELD: Final = "attributes."


# Field of a selection -> its condition, which has the field's value as a parameter of the same name.
CONDITIONS: Final = {
    "project": "project = {project:UInt32}",
    "ts_from": "ts >= {ts_from:Int64}",
    "ts_to": "ts <= {ts_to:Int64}",
    "received_from": "received_at >= {received_from:Int64}",
    "received_to": "received_at <= {received_to:Int64}",
    "received_floor": "received_at >= {received_floor:Int64}",
    "levels": "level IN {levels:Array(String)}",
    "log_types": "log_type IN {log_types:Array(String)}",
    "status_classes": f"{rollup.STATUS_CLASS} IN {{status_classes:Array(UInt16)}}",
    "environment": "environment = {environment:String}",
    "fingerprint": "error_fingerprint = {fingerprint:String}",
}


def where(selection: Selection) -> tuple[str, dict[str, Any]]:
    """Return the condition and its parameters. The tenant is always in it."""
    parts = ["tenant = {tenant:UInt32}"]
    params: dict[str, Any] = {"tenant": selection.tenant}
    for name, condition in CONDITIONS.items():
        value = getattr(selection, name)
        if value is None or value == ():
            continue
        parts.append(condition)
        params[name] = list(value) if isinstance(value, tuple) else value
    if selection.environment == "":
        params["environment"] = EMPTY
    if selection.errors:
        parts.append("(level IN ('error', 'critical') OR log_type = 'exception')")
    if selection.text:
        parts.append(substring.condition(selection.text, params))
    if selection.search is not None:
        parts.append(selection.search.sql)
        params.update(selection.search.params)
    return " AND ".join(parts), params


class Asked(msgspec.Struct, frozen=True):
    """Conditions that no event fulfils twice, which together are a selection: the first may be one of a rollup."""

    conditions: tuple[str, ...]
    params: dict[str, Any]
    settings: dict[str, str | float]

    def each(self, shown: str, grouped: str = "") -> str:
        """Return SQL of the rows that `shown` gives for each condition; what is counted twice has to be added up."""
        end = f" GROUP BY {grouped}" if grouped else ""
        return " UNION ALL ".join(f"SELECT {shown} FROM events WHERE {one}{end}" for one in self.conditions)

    @property
    def from_rollup(self) -> bool:
        return bool(self.settings)

    def bucket(self, width_us: int, column: TimeColumn = "ts") -> str:
        """Return SQL of a bucket's start, by the time that the question can read."""
        return bucket_of(width_us, rollup.moment(column) if self.from_rollup else column)


def asked(engine: Engine, selection: Selection, columns: Iterable[str | None]) -> Asked:
    """Cut a question about these columns so that a rollup answers what it can. A column None is in no rollup."""
    condition, params = where(selection)
    wanted = list(columns)
    plain = [column for column in wanted if column is not None]
    times = rollup.cut(selection)
    group = None if times is None or len(plain) < len(wanted) else rollup.counting(selection, plain, engine.groups())
    if times is None or group is None:
        return Asked((condition,), params, {})
    timeless = {"ts_from": None, "ts_to": None, "received_from": None, "received_to": None, "received_floor": None}
    others, _ = where(msgspec.structs.replace(selection, **timeless))
    whole, edges = times
    conditions = (f"{others} AND {whole}", *(f"{condition} AND {edge}" for edge in edges))
    return Asked(conditions, params, rollup.settings(group))


def bucket_of(width_us: int, moment: str = "ts") -> str:
    """Return SQL of a bucket's start, aligned to 1970 to both sides of it."""
    shift = -(-rollup.ORIGIN // width_us) * width_us  # Makes every time positive: the division rounds towards zero.
    return f"intDiv({moment} + {shift}, {width_us}) * {width_us} - {shift}"


def whole_quarters(width_us: int) -> Iterable[str | None]:
    """Return the columns that buckets of this width need of a rollup: none, or one that no rollup has."""
    return (None,) if width_us % rollup.QUARTER else ()


def rolled(field: str | None) -> str | None:
    """Return the column by which a rollup may know a field, None where none does."""
    if field is None or not field.startswith(ATTRIBUTE_FIELD):
        return {"status_class": rollup.STATUS_CLASS}.get(field or "", field)
    key = field.removeprefix(ATTRIBUTE_FIELD)
    return attribute_columns.name_of(key) if attribute_columns.can_name(key) else None


# -- events -----------------------------------------------------------------------------------------------------------


def latest(
    engine: Engine,
    selection: Selection,
    *,
    limit: int,
    before: tuple[int, int] | None = None,
    offset: int = 0,
    order: TimeColumn = "ts",
    comment: str = "",
) -> list[EventRow]:
    """Return the newest events first, by (`order`, id). `before` = (time, id) of the last one of the page before.

    An `offset` reads all that it passes over; pages after `before` do not.
    """
    condition, params = where(selection)
    if before is not None:
        condition += f" AND {order} <= {{before:Int64}} AND ({order}, id) < ({{before:Int64}}, {{before_id:UInt64}})"
        params |= {"before": before[0], "before_id": before[1]}
    beginnings = list(starts(engine, selection, before, order))

    def page(columns: str, row: type[Row]) -> list[Row]:
        rows: list[Row] = []
        for start in beginnings:
            limited = condition if start is None else f"{condition} AND {order} >= {start}"
            end = f"{ordered(selection, order)} LIMIT {limit:d} OFFSET {offset:d}"
            rows = engine.query(f"SELECT {columns} FROM events WHERE {limited} {end}", params, row=row, comment=comment)
            if len(rows) == limit:
                break
        return rows

    if offset <= NEAR_OFFSET:
        return complete(page(COLUMNS, EventRow))
    return fetch(engine, selection.tenant, page("project, ts, id", tuple[int, int, int]), comment)


def ordered(selection: Selection, order: TimeColumn) -> str:
    """Sort by the whole key where that is the order asked for, so that the engine reads only as far as it must."""
    if order == "ts" and selection.project is not None:
        return "ORDER BY tenant DESC, project DESC, ts DESC, id DESC"
    return f"ORDER BY {order} DESC, id DESC"


def starts(
    engine: Engine, selection: Selection, before: tuple[int, int] | None, order: TimeColumn
) -> Iterable[int | None]:
    """Yield where to start looking, each further back than the one before; None is the beginning."""
    bounds = [engine.clock(), selection.ts_to if order == "ts" else selection.received_to, before and before[0]]
    end = min(bound for bound in bounds if bound is not None)
    lowest = selection.ts_from if order == "ts" else selection.received_from
    by_key = order == "ts" and selection.project is not None
    for width in KEY_WINDOWS if by_key else ARRIVAL_WINDOWS:
        if lowest is None or end - width > lowest:
            yield end - width
    yield None


def fetch(engine: Engine, tenant: int, keys: list[tuple[int, int, int]], comment: str = "") -> list[EventRow]:
    """Return the events of these (project, ts, id), in that order; the primary key finds their granules."""
    if not keys:
        return []
    projects, times, ids = zip(*keys, strict=True)
    rows = engine.query(
        f"SELECT {COLUMNS} FROM events WHERE tenant = {{tenant:UInt32}} AND project IN {{projects:Array(UInt32)}}"
        " AND ts IN {times:Array(Int64)} AND id IN {ids:Array(UInt64)}",
        {"tenant": tenant, "projects": sorted(set(projects)), "times": sorted(set(times)), "ids": list(ids)},
        row=EventRow,
        comment=comment,
    )
    found = {row.id: row for row in complete(rows)}
    return [found[event_id] for event_id in ids if event_id in found]


def complete(rows: list[EventRow]) -> list[EventRow]:
    for row in rows:
        row.attributes = sent_attributes(row.attributes)
    return rows


def sent_attributes(stored: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return attributes as they were sent from the map of raw JSON values; None when there were none."""
    if not stored:
        return None
    decode = msgspec.json.decode
    if VERBATIM in stored:
        verbatim: dict[str, Any] = decode(decode(stored[VERBATIM]))
        return verbatim
    sent = {key: decode(value) for key, value in stored.items()}
    if len(sent) == MOST_ATTRIBUTES and isinstance(sent.get(OVERFLOW), dict):
        sent |= sent.pop(OVERFLOW)
    return sent


def by_id(
    engine: Engine, tenant: int, project: int, ts: int, event_id: int, *, received_floor: int | None = None
) -> EventRow | None:
    """Return one event, or None."""
    rows = fetch(engine, tenant, [(project, ts, event_id)])
    return next((row for row in rows if received_floor is None or row.received_at >= received_floor), None)


class Arrived(msgspec.Struct, array_like=True, frozen=True):
    """How many events arrived at one microsecond, and the ids between which they lie."""

    rows: int
    first_id: int
    last_id: int


def arrived(engine: Engine, tenant: int, project: int, received_at: int) -> Arrived:
    """Return what a project received at one microsecond."""
    sql = """SELECT count(), min(id), max(id) FROM events
WHERE tenant = {tenant:UInt32} AND project = {project:UInt32} AND received_at = {at:Int64}"""
    params = {"tenant": tenant, "project": project, "at": received_at}
    return engine.one(sql, params, row=Arrived)


def after(
    engine: Engine, selection: Selection, received_at: int, event_id: int, *, limit: int, comment: str = ""
) -> list[EventRow]:
    """Return the events that arrived after (`received_at`, id), oldest first."""
    condition, params = where(selection)
    condition += " AND received_at >= {after:Int64} AND (received_at, id) > ({after:Int64}, {after_id:UInt64})"
    params |= {"after": received_at, "after_id": event_id}
    sql = f"SELECT {COLUMNS} FROM events WHERE {condition} ORDER BY received_at, id LIMIT {limit:d}"
    return complete(engine.query(sql, params, row=EventRow, comment=comment))


def following(
    engine: Engine, selection: Selection, ts: int, event_id: int, *, limit: int, comment: str = ""
) -> list[EventRow]:
    """Return the events of a project that come next after (`ts`, id) in event time, oldest first."""
    condition, params = where(selection)
    condition += " AND ts >= {after:Int64} AND (ts, id) > ({after:Int64}, {after_id:UInt64})"
    params |= {"after": ts, "after_id": event_id}
    sql = f"SELECT {COLUMNS} FROM events WHERE {condition} ORDER BY tenant, project, ts, id LIMIT {limit:d}"
    return complete(engine.query(sql, params, row=EventRow, comment=comment))


def between(
    engine: Engine, selection: Selection, first_id: int, end_id: int, *, limit: int, comment: str = ""
) -> tuple[list[EventRow], int]:
    """Return the newest events with `first_id` < id < `end_id`, oldest first, and how many there are in all."""
    condition, params = where(selection)
    condition += " AND id > {first_id:UInt64} AND id < {end_id:UInt64}"
    params |= {"first_id": first_id, "end_id": end_id}
    sql = f"SELECT project, ts, id FROM events WHERE {condition} ORDER BY id DESC LIMIT {limit:d}"
    keys = engine.query(sql, params, row=tuple[int, int, int], comment=comment)
    total = len(keys)
    if total == limit:
        sql = f"SELECT count() FROM events WHERE {condition}"
        total = engine.one(sql, params, row=tuple[int], comment=comment)[0]
    return fetch(engine, selection.tenant, keys[::-1], comment), total


# -- counts -----------------------------------------------------------------------------------------------------------


def count(engine: Engine, selection: Selection, *, comment: str = "") -> int:
    question = asked(engine, selection, ())
    sql = f"SELECT sum(rows) FROM ({question.each('count() AS rows')})"
    ((rows,),) = engine.query(sql, question.params, row=tuple[int], settings=question.settings, comment=comment)
    return rows


def count_by(
    engine: Engine, selection: Selection, field: str, *, limit: int = 100, comment: str = ""
) -> list[tuple[str, int]]:
    """Return (value, rows), most rows first; events without a value are left out.

    `field` is one of COUNTED, or `attributes.<key>`, whose values are JSON text. Raises KeyError for an unknown field.
    """
    question = asked(engine, selection, (rolled(field),))
    params = question.params
    if not field.startswith(ATTRIBUTE_FIELD):
        value = COUNTED[field]
    else:
        value, params = "attributes[{field:String}]", params | {"field": field.removeprefix(ATTRIBUTE_FIELD)}
    present = "" if field in NAMED else " WHERE value != ''"
    found = engine.query(
        f"SELECT value, sum(n) AS rows FROM ({question.each(f'{value} AS value, count() AS n', 'value')}){present}"
        f" GROUP BY value ORDER BY rows DESC, value LIMIT {limit}",
        params,
        row=tuple[str, int],
        settings=question.settings,
        comment=comment,
    )
    return [("" if text == EMPTY else text, rows) for text, rows in found]


def count_by_each(
    engine: Engine, selection: Selection, fields: Sequence[str], *, limit: int = 100, comment: str = ""
) -> dict[str, list[tuple[str, int]]]:
    """Return what `count_by` does for each of several fields of COUNTED, in one pass, or one for each rollup."""
    counted: dict[str, list[tuple[str, int]]] = {}
    if rollup.cut(selection) is not None:
        parts = rollup.together({field: rolled(field) for field in fields}, selection, engine.groups())
        if len(parts) > 1:

            def count(part: Sequence[str]) -> dict[str, list[tuple[str, int]]]:
                return count_by_each(engine, selection, part, limit=limit, comment=comment)

            for one in at_once(count, parts):
                counted |= one
            return {field: counted[field] for field in fields}
    question = asked(engine, selection, map(rolled, fields))
    names = [f"v{number}" for number in range(len(fields))]
    values = ", ".join(f"{COUNTED[field]} AS {name}" for field, name in zip(fields, names, strict=True))
    texts = ", ".join(f"toString({name})" for name in names)
    listed, sets = ", ".join(names), ", ".join(f"({name})" for name in names)
    counted_once = question.each(f"{values}, count() AS n", listed) if question.from_rollup else ""
    source = counted_once or question.each(f"{values}, 1 AS n")
    # One row more of each: the one without a value, which is left out below.
    found = engine.query(
        f"SELECT place, [{texts}] AS texts, rows FROM (SELECT grouping({listed}) AS place, {listed}, sum(n) AS rows"
        f" FROM ({source}) GROUP BY GROUPING SETS ({sets}))"
        f" ORDER BY place, rows DESC, {listed} LIMIT {limit + 1} BY place",
        question.params,
        row=tuple[int, list[str], int],
        settings=question.settings,
        comment=comment,
    )
    # `place` has a bit for each name, the first one highest, and the bit of the one that was grouped by is not set.
    places = {(1 << len(fields)) - 1 - (1 << (len(fields) - 1 - number)): number for number in range(len(fields))}
    counted = {field: [] for field in fields}
    for place, row, rows in found:
        number = places[place]
        field, text = fields[number], row[number]
        if (text or field in NAMED) and len(counted[field]) < limit:
            counted[field].append(("" if text == EMPTY else text, rows))
    return counted


def histogram(
    engine: Engine,
    selection: Selection,
    width_us: int,
    *,
    column: TimeColumn = "ts",
    split: str | None = None,
    comment: str = "",
) -> list[Bucket]:
    """Return the buckets that hold rows, oldest first, aligned to 1970; `split` by a field of COUNTED."""
    question = asked(engine, selection, [*whole_quarters(width_us), *([rolled(split)] if split else [])])
    shown, keys = f"{question.bucket(width_us, column)} AS start, count() AS n", "start"
    if split is not None:
        shown, keys = f"{shown}, {COUNTED[split]} AS value", "start, value"
    values = keys.removeprefix("start")
    sql = f"SELECT start, sum(n){values} FROM ({question.each(shown, keys)}) GROUP BY {keys} ORDER BY {keys}"
    return engine.query(sql, question.params, row=Bucket, settings=question.settings, comment=comment)
