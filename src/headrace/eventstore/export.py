"""Exports: the events of a selection page by page, newest first, or as one Parquet file that the engine writes."""

from pathlib import Path
from typing import Final

from headrace.eventstore import queries
from headrace.eventstore.engine import Engine, QueryRefused, clause, quoted, translated
from headrace.eventstore.ids import OFFSET
from headrace.eventstore.queries import COLUMNS, SHOWN, EventRow, Selection
from headrace.eventstore.schema import TEXTS

# Bounds the memory of a page of the largest events: as much as the largest page of a search.
PAGE: Final = 1_000
# How long the count before an export may take; without it the end of the answer alone tells whether it was cut.
COUNT_SECONDS: Final = 2.0
# Of an answer that a server sends in one piece; the embedded engine writes the file itself.
MOST_BYTES: Final = 512 << 20

ATTRIBUTES: Final = (
    "multiIf(empty(attributes), NULL, mapContains(attributes, '\\0'), JSONExtractString(attributes['\\0']),"
    " concat('{', arrayStringConcat(arrayMap((k, v) -> concat(toJSONString(k), ':', v), mapKeys(attributes),"
    " mapValues(attributes)), ','), '}'))"
)
# Column of the file -> what fills it. Times are TIMESTAMP of microseconds in UTC.
PARQUET: Final[dict[str, str]] = {
    "id": f"lower(concat(leftPad(hex(toUInt64(ts + {OFFSET})), 16, '0'), leftPad(hex(id), 16, '0')))",
    "project_id": "project",
    "timestamp": "fromUnixTimestamp64Micro(ts, 'UTC')",
    "ingested_at": "fromUnixTimestamp64Micro(received_at, 'UTC')",
    **{name: f"toString({name})" for name in ("level", "log_type", "importance")},
    **{name: f"CAST({SHOWN[name]} AS Nullable(String))" for name in TEXTS},
    "attributes": ATTRIBUTES,
    **{name: f"CAST({SHOWN[name]} AS Nullable(String))" for name in ("error_fingerprint", "method", "path")},
    **{name: SHOWN[name] for name in ("status_code", "duration_ms")},
}
# Small groups of rows, as the engine holds one in memory.
WRITING: Final = {
    "output_format_parquet_row_group_size": 20_000,
    "output_format_parquet_row_group_size_bytes": 16 << 20,
}


def count(engine: Engine, selection: Selection, most: int, *, seconds: float = COUNT_SECONDS) -> int | None:
    """Return how many events there are, at most `most`; None when it takes too long to tell."""
    condition, params = queries.where(selection)
    sql = f"SELECT count() FROM (SELECT 1 FROM events WHERE {condition} LIMIT {most:d})"
    try:
        ((rows,),) = engine.query(sql, params, row=tuple[int], seconds=seconds)
    except QueryRefused as refused:
        if refused.kind == "time":
            return None
        raise
    return rows


def page(
    engine: Engine, selection: Selection, before: tuple[int, int] | None, *, limit: int, seconds: float
) -> list[EventRow]:
    """Return the newest events before (`ts`, id), newest first."""
    condition, params = queries.where(selection)
    if before is not None:
        condition += " AND ts <= {before:Int64} AND (ts, id) < ({before:Int64}, {before_id:UInt64})"
        params |= {"before": before[0], "before_id": before[1]}
    sql = f"SELECT {COLUMNS} FROM events WHERE {condition} {queries.ordered(selection, 'ts')} LIMIT {limit:d}"
    return queries.complete(engine.query(sql, params, row=EventRow, seconds=seconds))


def write_parquet(engine: Engine, selection: Selection, path: Path, *, most: int, seconds: float) -> None:
    """Write the newest `most` events into a new file. Raises QueryRefused and EngineError."""
    condition, params = queries.where(selection)
    columns = ", ".join(f"{sql} AS c_{name}" for name, sql in PARQUET.items())
    # The inner names differ from those of columns, or the filter would speak of what is shown.
    inner = f"SELECT {columns} FROM events WHERE {condition} {queries.ordered(selection, 'ts')} LIMIT {most:d}"
    sql = f"SELECT {', '.join(f'c_{name} AS {name}' for name in PARQUET)} FROM ({inner})"
    limits: dict[str, str | float] = {
        **WRITING,
        "max_execution_time": seconds,
        "max_memory_usage": engine.options.memory_bytes // 2,
    }
    if engine.embedded:
        engine.command(f"INSERT INTO FUNCTION file({quoted(str(path))}, 'Parquet') {sql}{clause(limits)}", params)
        return
    with engine.client() as client, translated():
        path.write_bytes(
            client.raw_query(sql + clause(limits | {"max_result_bytes": MOST_BYTES}), params, fmt="Parquet")
        )
