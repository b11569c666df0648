"""Where records come from: given inline, or read from a file (CSV, JSON, JSON lines) piece by piece."""

import csv
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from headrace.core.processing import folders
from headrace.core.processing.room import MOST_RECORD_BYTES
from headrace.core.processing.values import ProcessingError, Record

FORMATS = ("csv", "json", "jsonl")
ENCODINGS = ("utf-8", "utf-16", "latin-1")
# A JSON array is held whole.
MOST_JSON_BYTES = 64 << 20
MOST_LINE_BYTES = 1 << 20
MOST_COLUMNS = 2_000
MOST_SKIPPED = 1_000_000


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is written."""

    source: str
    delimiter: str = ","
    encoding: str = "utf-8"
    skip_rows: int = 0


def format_of(payload: dict[str, Any], path: str) -> Format:
    """Read the format from the payload; without `source` the file's name tells."""
    source = payload.get("source") or path.rpartition(".")[2].lower()
    if source not in FORMATS:
        raise ProcessingError(f"source: must be one of {', '.join(FORMATS)}")
    delimiter, encoding = payload.get("delimiter", ","), payload.get("encoding", "utf-8")
    skipped = payload.get("skip_rows", 0)
    if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '\r\n"':
        raise ProcessingError("delimiter: must be one character")
    if encoding not in ENCODINGS:
        raise ProcessingError(f"encoding: must be one of {', '.join(ENCODINGS)}")
    if isinstance(skipped, bool) or not isinstance(skipped, int) or not 0 <= skipped <= MOST_SKIPPED:
        raise ProcessingError(f"skip_rows: must be a whole number from 0 to {MOST_SKIPPED}")
    return Format(source=source, delimiter=delimiter, encoding=encoding, skip_rows=skipped)


def inline(given: Any) -> Iterator[Record]:
    """Yield the records of a payload."""
    if not isinstance(given, list):
        raise ProcessingError("records: must be a list of objects")
    for number, one in enumerate(given):
        yield _record(one, f"records[{number}]")


def file(path: Path, form: Format) -> Iterator[Record]:
    """Yield the records of a file; raises ProcessingError, and OSError where it cannot be read."""
    with folders.opened(path) as stream:
        if form.source == "csv":
            yield from _csv(stream, form)
        elif form.source == "jsonl":
            yield from _lines(stream)
        else:
            yield from _array(stream)


def _csv(stream: BinaryIO, form: Format) -> Iterator[Record]:
    # utf-8-sig reads plain UTF-8 as well, and takes the mark away that spreadsheets write.
    encoding = "utf-8-sig" if form.encoding == "utf-8" else form.encoding
    number = 0
    try:
        with io.TextIOWrapper(stream, encoding=encoding, newline="") as text:
            rows = csv.reader(_bounded(text), delimiter=form.delimiter)
            header = _header(next(islice(rows, form.skip_rows, None), []))
            for number, row in enumerate(rows, 1):
                if len(row) > len(header):
                    raise ProcessingError(f"row {number} has {len(row)} cells, and the header has {len(header)}")
                if row:
                    yield dict(zip(header, row, strict=False)) | dict.fromkeys(header[len(row) :])
    except UnicodeError as error:
        raise ProcessingError(f"after row {number}: the file is not {form.encoding}") from error
    except csv.Error as error:
        raise ProcessingError(f"after row {number}: {error}") from error


def _bounded(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines of a file; one without an end must not fill the memory."""
    while line := text.readline(MOST_LINE_BYTES + 1):
        if len(line) > MOST_LINE_BYTES:
            raise ProcessingError(f"a line is longer than {MOST_LINE_BYTES} characters")
        yield line


def _header(row: list[str]) -> list[str]:
    names = [one.strip() for one in row]
    if not any(names):
        raise ProcessingError("the file has no header")
    if len(names) > MOST_COLUMNS:
        raise ProcessingError(f"the file has more than {MOST_COLUMNS} columns")
    twice = {one for one in names if names.count(one) > 1}
    if twice:
        raise ProcessingError(f"the header names {min(twice)[:100]!r} twice")
    return names


def _lines(stream: BinaryIO) -> Iterator[Record]:
    number = 0
    while line := stream.readline(MOST_LINE_BYTES + 1):
        number += 1
        if len(line) > MOST_LINE_BYTES:
            raise ProcessingError(f"line {number} is longer than {MOST_LINE_BYTES} bytes")
        line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if line.strip():
            yield _record(_decoded(line, f"line {number}"), f"line {number}")


def _array(stream: BinaryIO) -> Iterator[Record]:
    whole = stream.read(MOST_JSON_BYTES + 1)
    if len(whole) > MOST_JSON_BYTES:
        raise ProcessingError(f"a JSON file may have {MOST_JSON_BYTES} bytes; JSON lines have no such limit")
    try:
        # As text, and each record when it is its turn: decoded at once they would take ten times as much.
        found = msgspec.json.decode(whole.removeprefix(b"\xef\xbb\xbf"), type=list[msgspec.Raw])
    except msgspec.ValidationError as error:
        raise ProcessingError("the file must hold a JSON array of objects") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProcessingError("the file is not JSON") from error
    for number, one in enumerate(found):
        if len(memoryview(one)) > MOST_RECORD_BYTES:
            raise ProcessingError(f"record {number} is longer than {MOST_RECORD_BYTES} bytes")
        yield _record(_decoded(one, f"record {number}"), f"record {number}")


def _decoded(content: bytes | msgspec.Raw, place: str) -> Any:
    try:
        return msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProcessingError(f"{place} is not JSON") from error


def _record(value: Any, place: str) -> Record:
    if not isinstance(value, dict):
        raise ProcessingError(f"{place} is no object")
    return value
