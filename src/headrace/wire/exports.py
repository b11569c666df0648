"""Files of events: the answer to an export as lines of JSON, CSV or Parquet. What a row shows, its caller says."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO, Literal, NamedTuple

import msgspec

from headrace.core.events import export as exports
from headrace.eventstore.queries import EventRow
from headrace.kit import times
from headrace.wire.call import Call, Stream
from headrace.wire.headers import Header

Format = Literal["ndjson", "csv", "parquet"]
MEDIA: dict[Format, bytes] = {
    "ndjson": b"application/x-ndjson",
    "csv": b"text/csv; charset=utf-8",
    "parquet": b"application/vnd.apache.parquet",
}
# A spreadsheet takes a cell that begins so for a formula, and would run what a log says.
ACTIVE = ("=", "+", "-", "@", "\t", "\r")
CHUNK = 1 << 20
ENCODER = msgspec.json.Encoder()


class Rows(NamedTuple):
    """How a file's rows are made: `entry` is what a line of JSON holds, `cells` a line of CSV below `columns`."""

    entry: Callable[[EventRow], Any]
    columns: Sequence[str]
    cells: Callable[[EventRow], Sequence[object]]


def stream(call: Call, wanted: exports.Export, form: Format, rows: Rows, *, title: str) -> Stream:
    """Return the file as an answer to download. Parquet has the store's own columns."""
    headers = (*attachment(call, title, form), *cut(wanted))
    made = Stream(partial(opened, call, wanted, form, rows), MEDIA[form], headers)
    if form == "parquet":
        file, size = exports.parquet(call.house, wanted)
        made = Stream(partial(sent, file), MEDIA[form], (*headers, (b"content-length", b"%d" % size)))
    call.family = "file"  # What logs say must not run here, whatever page asked for them.
    return made


def attachment(call: Call, title: str, ending: str) -> tuple[Header, ...]:
    moment = times.show(call.house.clock() // times.SECOND * times.SECOND).replace("-", "").replace(":", "")
    return ((b"content-disposition", f'attachment; filename="{title}-{moment}.{ending}"'.encode()),)


def cut(wanted: exports.Export) -> tuple[Header, ...]:
    return ((b"x-export-truncated", b"rows"),) if wanted.is_cut else ()


@contextmanager
def opened(call: Call, wanted: exports.Export, form: Format, rows: Rows) -> Iterator[AsyncIterator[bytes]]:
    with call.house.part(exports.Running).one(wanted.organization_id):
        yield pieces(exports.Reading(call.house, wanted), form, rows)


async def pieces(reading: exports.Reading, form: Format, rows: Rows) -> AsyncIterator[bytes]:
    """Give page after page, each read and written in a thread, then how it was cut, if it was."""
    lines = json_lines if form == "ndjson" else csv_lines
    if form == "csv":
        yield csv_row(rows.columns)
    while piece := await asyncio.to_thread(lambda: lines(reading.take(), rows)):
        yield piece
    if reading.cut and form == "csv":
        yield f"# truncated: {reading.cut} after {reading.rows} rows\r\n".encode()
    elif reading.cut:
        yield ENCODER.encode({"truncated": reading.cut, "rows": reading.rows}) + b"\n"


@contextmanager
def sent(file: BinaryIO) -> Iterator[AsyncIterator[bytes]]:
    with file:
        yield chunks(file)


async def chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, CHUNK):
        yield piece


def json_lines(page: Sequence[EventRow], rows: Rows) -> bytes:
    return ENCODER.encode_lines([rows.entry(row) for row in page]) if page else b""


def csv_lines(page: Sequence[EventRow], rows: Rows) -> bytes:
    return b"".join(csv_row([cell(value) for value in rows.cells(row)]) for row in page)


def csv_row(cells: Sequence[str]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow(cells)
    return written.getvalue().encode()


def cell(value: object) -> str:
    """Write a value as a cell: absent is empty, an object is JSON, text that looks like a formula begins with a `'`."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return str(value)
    text = value if isinstance(value, str) else ENCODER.encode(value).decode()
    return f"'{text}" if text.startswith(ACTIVE) else text
