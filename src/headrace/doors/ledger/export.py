"""Exporting logs: the answer to a search as a file, as lines of JSON, CSV or Parquet. Limits are core's."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import BinaryIO, Literal

import msgspec
from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery

from headrace.core.events import export as exports
from headrace.doors.ledger import shapes
from headrace.doors.ledger.filters import ProjectId
from headrace.doors.ledger.logs import ALL, READ, TAGS, WHO, Narrowed, log
from headrace.eventstore.queries import EventRow
from headrace.kit import times
from headrace.wire.call import Call, Stream
from headrace.wire.door import Incoming, terms
from headrace.wire.headers import Header

Format = Literal["ndjson", "csv", "parquet"]
MEDIA = {
    "ndjson": b"application/x-ndjson",
    "csv": b"text/csv; charset=utf-8",
    "parquet": b"application/vnd.apache.parquet",
}
CSV_COLUMNS = tuple(name for name in shapes.LogEntry.__struct_fields__ if name != "processing_time_ms")
# A spreadsheet takes a cell that begins so for a formula, and would run what a log says.
ACTIVE = ("=", "+", "-", "@", "\t", "\r")
CHUNK = 1 << 20
ENCODER = msgspec.json.Encoder()
ANSWER = ResponseSpec(
    shapes.LogEntry,
    generate_examples=False,
    media_type="application/x-ndjson",
    description=(
        "A file: a log per line of JSON, CSV with a header, or Parquet; newest first. Cut by a limit it ends with the "
        'line `{"truncated": "rows"|"time", "rows": n}` (CSV: `# truncated: ...`); when that is known before, '
        "`X-Export-Truncated: rows` says so."
    ),
)

Lines = Callable[[Sequence[EventRow]], bytes]


@get(
    "/api/v1/logs/export",
    dependencies=ALL,
    opt=terms(WHO, READ, errors=(403, 404)),
    tags=TAGS,
    responses={200: ANSWER},
    sync_to_thread=True,
)
def export(call: Incoming, *, project_id: ProjectId, narrowed: Narrowed, format: FromQuery[Format] = "ndjson") -> None:  # noqa: A002  The contract's name.
    """Download the logs that a search finds."""
    wanted = exports.begin(call.house, call.who, project_id=project_id, filters=narrowed)
    headers = (*attachment(call, f"logs-{project_id}", format), *cut(wanted))
    call.family = "file"
    if format == "parquet":
        file, size = exports.parquet(call.house, wanted)
        call.stream = Stream(partial(sent, file), MEDIA[format], (*headers, (b"content-length", b"%d" % size)))
    else:
        call.stream = Stream(partial(opened, call, wanted, format), MEDIA[format], headers)


def attachment(call: Call, title: str, ending: str) -> tuple[Header, ...]:
    moment = times.show(call.house.clock() // times.SECOND * times.SECOND).replace("-", "").replace(":", "")
    return ((b"content-disposition", f'attachment; filename="{title}-{moment}.{ending}"'.encode()),)


def cut(wanted: exports.Export) -> tuple[Header, ...]:
    return ((b"x-export-truncated", b"rows"),) if wanted.is_cut else ()


@contextmanager
def opened(call: Call, wanted: exports.Export, form: str) -> Iterator[AsyncIterator[bytes]]:
    with call.house.part(exports.Running).one(wanted.organization_id):
        yield pieces(exports.Reading(call.house, wanted), form)


async def pieces(reading: exports.Reading, form: str) -> AsyncIterator[bytes]:
    """Give page after page, each read and written in a thread, then how it was cut, if it was."""
    lines = json_lines if form == "ndjson" else csv_lines
    if form == "csv":
        yield csv_row(CSV_COLUMNS)
    while piece := await asyncio.to_thread(lambda: lines(reading.take())):
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


def json_lines(rows: Sequence[EventRow]) -> bytes:
    return ENCODER.encode_lines([log(row) for row in rows]) if rows else b""


def csv_lines(rows: Sequence[EventRow]) -> bytes:
    return b"".join(csv_row([cell(getattr(entry, name)) for name in CSV_COLUMNS]) for entry in map(log, rows))


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


ROUTES = (export,)
