"""The built-in workflow `data_processing`: records in, declared steps over them, records out. It evaluates no code.

What it is asked is an object: `records` inline, or `file_path` (with `source`) below the operator's source folders, and
`steps`. Nothing here knows of jobs: progress is a callable, a refusal an exception.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from headrace.core.processing import folders, sources, steps
from headrace.core.processing.folders import Folder
from headrace.core.processing.room import size
from headrace.core.processing.values import ProcessingError, Record

__all__ = ["ProcessingError", "process"]

MEMBERS = ("records", "file_path", "source", "delimiter", "encoding", "skip_rows", "steps")
NOT_FOUND = "Input file not found"
MOST_RECORDS = 10_000_000
# Of what goes out; the rest is counted.
MOST_OUT = 1_000
MOST_OUT_BYTES = 48 << 10
# In memory, and not written at all: whatever takes more than this is longer as JSON than may go out.
MOST_LOOKED_BYTES = 4 << 20
# A look at the clock of the job for so many records.
BATCH = 1_000

Progress = Callable[[int], None]


def process(payload: Any, among: Sequence[Folder], slug: str, progress: Progress) -> dict[str, Any]:
    """Return `records_processed` (read), `columns`, `records_out`, `records` and `truncated`.

    `progress` is told the number of records read, every 1,000 of them, and may raise to end it all. Raises
    ProcessingError for what will never work.
    """
    if not isinstance(payload, dict):
        raise ProcessingError("the payload must be an object")
    for name in payload.keys() - set(MEMBERS):
        raise ProcessingError(f"unknown member {str(name)[:100]!r}; there are {', '.join(MEMBERS)}")
    given = payload.get("steps")
    asked = steps.read([] if given is None else given)
    counter = Counter(progress)
    stream: Iterable[Record] = counter.over(_records(payload, among, slug))
    for step in asked:
        stream = step(stream)
    out = Output()
    for record in stream:
        out.take(record)
    progress(counter.count)
    columns = list(out.columns or counter.columns)
    shown = {"records_out": out.count, "records": out.records, "truncated": out.count > len(out.records)}
    return {"records_processed": counter.count, "columns": columns} | (shown if asked or "records" in payload else {})


def _records(payload: dict[str, Any], among: Sequence[Folder], slug: str) -> Iterator[Record]:
    path = payload.get("file_path")
    if (path is None) == (payload.get("records") is None):
        raise ProcessingError("give either records or file_path")
    if path is None:
        yield from sources.inline(payload["records"])
        return
    if not isinstance(path, str):
        raise ProcessingError("file_path: must be a text")
    form = sources.format_of(payload, path)
    found = folders.find(path, among, slug)
    if found is None:
        raise ProcessingError(NOT_FOUND)
    try:
        yield from sources.file(found, form)
    except OSError as error:
        raise ProcessingError(NOT_FOUND) from error


class Counter:
    """Counts the records that were read, and notes the columns of the first ones."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.count = 0
        self.columns: dict[str, None] = {}

    def over(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            self.count += 1
            if self.count > MOST_RECORDS:
                raise ProcessingError(f"there are more than {MOST_RECORDS} records")
            if self.count <= BATCH and len(self.columns) < sources.MOST_COLUMNS:
                self.columns |= dict.fromkeys(record)
            if not self.count % BATCH:
                self.progress(self.count)
            yield record


class Output:
    """Keeps as many records as a result may hold, and counts the rest."""

    def __init__(self) -> None:
        self.count = 0
        self.bytes = 0
        self.records: list[Record] = []
        self.columns: dict[str, None] = {}
        self.full = False

    def take(self, record: Record) -> None:
        self.count += 1
        if self.count <= BATCH and len(self.columns) < sources.MOST_COLUMNS:
            self.columns |= dict.fromkeys(record)
        if self.full:
            return
        # A record whose fields all name one long value is small until it is written.
        large = size(record, MOST_LOOKED_BYTES) > MOST_LOOKED_BYTES
        self.bytes += MOST_OUT_BYTES + 1 if large else len(msgspec.json.encode(record))
        self.full = len(self.records) == MOST_OUT or self.bytes > MOST_OUT_BYTES
        if not self.full:
            self.records.append(record)
