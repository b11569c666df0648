"""Messages: which are sent most, what they have in common, and whether one like it was there before.

Others count by fields: `queries` and `statistics`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from headrace.eventstore import masks, schema
from headrace.eventstore.engine import Engine
from headrace.eventstore.queries import Selection, TimeColumn, ordered, where

SAID: Final = schema.SAID

# Messages are first counted by some bits of their hashes: in a table of this size, whatever they are.
BUCKET: Final = "toUInt16(said_hash)"
FULLEST: Final = 1_000  # Buckets whose messages are counted one by one.
MOST_BUCKETS: Final = 1 << 16
COUNTED_ROWS: Final = 2_000_000  # The same where every message differs: some 100 MB.


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


class Counted(msgspec.Struct, array_like=True, frozen=True):
    rows: int
    last_seen: int
    hash: int


def top(
    engine: Engine, selection: Selection, *, limit: int = 10, column: TimeColumn = "received_at", comment: str = ""
) -> list[TopMessage]:
    """Return the most frequent messages, of equally frequent ones those seen last.

    Of a million different ones the engine has no memory to count each, nor time to read them. They are counted by
    their hashes, those of the fullest buckets first, and only as long as another bucket might hold one as frequent;
    what they say is read at last, of one event each.
    """
    condition, params = where(selection)
    buckets = f"SELECT {BUCKET} AS bucket, count() AS rows FROM events WHERE {condition} GROUP BY bucket"

    def fullest(most: int) -> list[tuple[int, int]]:
        sql = f"{buckets} ORDER BY rows DESC, bucket LIMIT {most:d}"
        return engine.query(sql, params, row=tuple[int, int], comment=comment)

    def counted(chosen: list[int]) -> list[Counted]:
        return engine.query(
            f"SELECT count() AS rows, max({column}) AS last_seen, said_hash FROM events"
            f" WHERE {condition} AND {BUCKET} IN {{chosen:Array(UInt16)}}"
            f" GROUP BY said_hash ORDER BY rows DESC, last_seen DESC, said_hash LIMIT {limit:d}",
            params | {"chosen": chosen},
            row=Counted,
            comment=comment,
        )

    places = fullest(FULLEST + 1)
    found = counted([bucket for bucket, _ in places[:FULLEST]]) if places else []
    if len(places) > FULLEST and places[-1][1] >= least(found, limit):
        for chosen in chunks(fullest(MOST_BUCKETS)[FULLEST:]):
            if chosen[0][1] < (enough := least(found, limit)):
                break
            found += counted([bucket for bucket, rows in chosen if rows >= enough])
            found = sorted(found, key=lambda one: (-one.rows, -one.last_seen))[:limit]
    texts = said(engine, selection, found, column=column, comment=comment)
    return sorted(
        (TopMessage(texts[one.hash], one.rows, one.last_seen) for one in found if one.hash in texts),
        key=lambda one: (-one.rows, -one.last_seen, one.message),
    )


def least(found: Sequence[Counted], limit: int) -> int:
    """Return how many rows a message must have to be among the first `limit`."""
    return found[-1].rows if len(found) == limit else 1


def chunks(buckets: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Cut (bucket, rows) into pieces of about COUNTED_ROWS, none of them empty."""
    chunk: list[tuple[int, int]] = []
    rows = 0
    for one in buckets:
        chunk.append(one)
        rows += one[1]
        if rows >= COUNTED_ROWS:
            yield chunk
            chunk, rows = [], 0
    if chunk:
        yield chunk


def said(
    engine: Engine, selection: Selection, found: Sequence[Counted], *, column: TimeColumn, comment: str
) -> dict[int, str]:
    """Return what the messages of these hashes say; of one that has been deleted since, nothing."""
    if not found:
        return {}
    condition, params = where(selection)
    params |= {"hashes": [one.hash for one in found], "moments": sorted({one.last_seen for one in found})}
    sql = (
        f"SELECT said_hash, any({SAID}) FROM events WHERE {condition}"
        f" AND {column} IN {{moments:Array(Int64)}} AND said_hash IN {{hashes:Array(UInt64)}} GROUP BY said_hash"
    )
    return dict(engine.query(sql, params, row=tuple[int, str], comment=comment))


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
