"""Segments: the files of the durable log, how they are named, counted and mended after a crash. Writing is in `wal`.

A segment is a file of group lines (`rows.Group`), named by its first event id: `<19 digits>.open` while it grows,
`<19 digits>.sealed` once it never changes again.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from headrace.eventstore.files import Files
from headrace.kit.times import DAY

HEAD = re.compile(
    rb'\{"rows":(\d+),"tenant":(\d+),"project":(\d+),"received_at":(\d+),"retention_days":\d+,"first_id":(\d+),'
)


class Line(msgspec.Struct):
    """A group line read back only to know whether it is whole."""

    rows: int
    events: list[msgspec.Raw]


class Segment(msgspec.Struct, kw_only=True):
    """One segment. `last_id` is exclusive; `arrivals` counts rows by (tenant, project, UTC day of arrival).

    `size` and `rows` are what is durable; the file holds more while `whole` is false, after a failed write.
    """

    path: Path
    first_id: int
    last_id: int
    rows: int = 0
    size: int = 0
    whole: bool = True
    arrivals: Counter[tuple[int, int, int]] = msgspec.field(default_factory=Counter)

    @property
    def name(self) -> str:
        """The deduplication token: never used for other bytes."""
        return f"{self.first_id:019d}"

    @property
    def first_day(self) -> int:
        """When the first day of arrival began, in microseconds; 0 for an empty segment."""
        return min((day for _tenant, _project, day in self.arrivals), default=0) * DAY

    @property
    def projects(self) -> dict[tuple[int, int], int]:
        """Rows by (tenant, project)."""
        rows: Counter[tuple[int, int]] = Counter()
        for (tenant, project, _day), count in self.arrivals.items():
            rows[tenant, project] += count
        return dict(rows)

    def count(self, rows: int, tenant: int, project: int, received_at: int, last_id: int) -> None:
        self.rows += rows
        self.last_id = last_id
        self.arrivals[tenant, project, received_at // DAY] += rows


def whole(line: bytes) -> bool:
    """Tell whether a line is a complete group: a head, valid JSON, as many events as it says."""
    if HEAD.match(line) is None:
        return False
    try:
        read = msgspec.json.decode(line, type=Line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return read.rows == len(read.events)


def lines_of(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line without its end) of each line that has an end."""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        yield start, data[start:end]
        start = end + 1


def durable_size(data: bytes) -> int:
    """Return how many bytes of an open segment to keep.

    Acknowledged lines lie before any torn one, for each commit syncs all that was written before it; so what follows
    the last whole line was never acknowledged. A bad line among whole ones is damage of the medium: it stays, and the
    drain puts it into the quarantine.
    """
    keep = 0
    for offset, line in lines_of(data):
        if whole(line):
            keep = offset + len(line) + 1
    return keep


def recover(folder: Path, files: Files) -> list[Segment]:
    """Mend and count what a stopped process left: torn tails are cut, open segments sealed, empty ones removed.

    Returns the segments oldest first, all sealed.
    """
    for path in sorted(folder.glob("*.open")):
        data = path.read_bytes()
        keep = durable_size(data)
        if keep < len(data):
            files.truncate(path, keep)
        if keep:
            files.rename(path, path.with_suffix(".sealed"))
        else:
            files.remove(path)
    files.sync_folder(folder)
    return [counted(path) for path in sorted(folder.glob("*.sealed"))]


def counted(path: Path) -> Segment:
    """Count a sealed segment by the heads of its lines, without decoding the events."""
    first_id = int(path.stem)
    segment = Segment(path=path, first_id=first_id, last_id=first_id, size=path.stat().st_size)
    with path.open("rb") as file:
        for line in file:
            if head := HEAD.match(line):
                rows, tenant, project, received_at, group_id = map(int, head.groups())
                segment.count(rows, tenant, project, received_at, group_id + rows)
    return segment
