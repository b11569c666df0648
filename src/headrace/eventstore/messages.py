"""Messages: which are sent most, what they have in common, and whether one like it was there before.

Others count by fields: `queries` and `statistics`.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from headrace.eventstore import masks, schema
from headrace.eventstore.engine import Engine
from headrace.eventstore.queries import Selection, TimeColumn, ordered, where

# What an event says: without a message it is its error_message, else its error_type, else "".
SAID: Final = (
    "multiIf(message = '\\0', '', message != '', message, error_message NOT IN ('', '\\0'), error_message,"
    " error_type != '\\0', error_type, '')"
)

# Messages are first counted by some bits of their hashes: in a table of this size, whatever they are.
BUCKET: Final = f"toUInt32(bitAnd(xxh3({SAID}), {(1 << 20) - 1}))"
FULLEST: Final = 1_000  # Buckets whose messages are counted one by one.


class TopMessage(msgspec.Struct, array_like=True, frozen=True):
    message: str
    rows: int
    last_seen: int


class Masked(msgspec.Struct, array_like=True, frozen=True):
    """Messages of one mask; `last` is (time, id) of the newest, `levels` are rows in the order of schema.LEVELS.

    `spread`: the stretches of a grid that have rows, and how many each has.
    """

    mask: str
    rows: int
    first_seen: int
    last: tuple[int, int]
    levels: list[int]
    spread: tuple[list[int], list[int]] = ([], [])


def top(
    engine: Engine, selection: Selection, *, limit: int = 10, column: TimeColumn = "received_at", comment: str = ""
) -> list[TopMessage]:
    """Return the most frequent messages, up to FULLEST; of equally frequent ones the latest first.

    Of a million different ones the engine has no memory to count each. Only where one of another bucket might be as
    frequent as what was found, more are counted.
    """
    condition, params = where(selection)
    buckets = f"SELECT {BUCKET} AS bucket, count() AS rows FROM events WHERE {condition} GROUP BY bucket"

    def counted(chosen: str) -> list[TopMessage]:
        return engine.query(
            f"SELECT {SAID} AS said, count() AS rows, max({column}) AS last_seen FROM events"
            f" WHERE {condition} AND {BUCKET} IN {chosen}"
            f" GROUP BY said ORDER BY rows DESC, last_seen DESC, said LIMIT {limit:d}",
            params,
            row=TopMessage,
            comment=comment,
        )

    fullest = engine.query(
        f"{buckets} ORDER BY rows DESC LIMIT {FULLEST + 1:d}", params, row=tuple[int, int], comment=comment
    )
    params["fullest"] = [bucket for bucket, _ in fullest[:FULLEST]]
    found = counted("{fullest:Array(UInt32)}")
    least = found[-1].rows if len(found) == limit else 1
    if len(fullest) <= FULLEST or fullest[-1][1] < least:
        return found
    return counted(f"(SELECT bucket FROM ({buckets} HAVING rows >= {least:d}))")


def said_before(engine: Engine, selection: Selection, templates: Sequence[str], *, rows: int) -> list[bool]:
    """Tell of each template whether a message of the selection is like it; what stands for a change fits any text."""
    condition, params = where(selection)
    params["likes"] = [like(template) for template in templates]
    found = ", ".join(f"countIf(said LIKE likes[{number}])" for number in range(1, len(templates) + 1))
    sql = (
        f"WITH {{likes:Array(String)}} AS likes SELECT [{found}] FROM"
        f" (SELECT {SAID} AS said FROM events WHERE {condition})"
    )
    ((counts,),) = engine.query(sql, params, row=tuple[list[int]], settings={"max_rows_to_read": rows})
    return [count > 0 for count in counts]


def like(template: str) -> str:
    """Return the LIKE expression of a template, or of a mask; only the beginning of a message was masked."""
    plain = re.sub(r"([\\%_])", r"\\\1", template)
    return masks.HOLE.sub("%", plain) + "%"


def masked(
    engine: Engine, selection: Selection, *, rows: int, limit: int, grid: tuple[int, int, int] | None = None
) -> list[Masked]:
    """Return the masks of the newest `rows` messages, most frequent first; "" is that of events that say nothing.

    A `grid` is (first moment, width, number) of the stretches that each mask's rows are counted by.
    """
    condition, params = where(selection)
    spread = ""
    if grid is not None:
        first, width, number = grid
        place = f"toUInt16(greatest(0, least({number - 1:d}, intDiv(ts - {first:d}, {width:d}))))"
        spread = f", sumMap([{place}], [toUInt64(1)])"
    levels = ", ".join(f"countIf(level = '{level}')" for level in schema.LEVELS)
    sql = (
        f"SELECT mask, count() AS n, min(ts), max((ts, id)), [{levels}]{spread}"
        f" FROM (SELECT {masks.sql('said')} AS mask, ts, id, level FROM (SELECT {SAID} AS said, ts, id, level"
        f" FROM events WHERE {condition} {ordered(selection, 'ts')} LIMIT {rows:d}))"
        f" GROUP BY mask ORDER BY n DESC, mask LIMIT {limit:d}"
    )
    return engine.query(sql, params, row=Masked)
