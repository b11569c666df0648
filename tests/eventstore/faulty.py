"""A disk that fails on demand, and what a durable log left on it. The log's tests share this."""

import datetime as dt
import errno
import os
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from headrace.eventstore.files import Files
from headrace.eventstore.rows import Event
from headrace.eventstore.wal import Limits, Wal

NOON = 1_795_248_000_000_000
TIME = dt.datetime(2026, 11, 21, 8, tzinfo=dt.UTC)

# Seals by hand only, unless a test says otherwise; a failed cut is tried again at once.
PATIENT = Limits(segment_age=1e9, mend_pause=0.001)

# Decides, for a call by its name and number, how it fails: an errno, or None for success. A write that meets ENOSPC
# stores its first half, as a disk does that fills up.
Fate = Callable[[str, int], int | None]


class FaultyFiles(Files):
    """The real disk, except that each call first asks `fate`."""

    def __init__(self, fate: Fate | None = None) -> None:
        self.fate = fate
        self.calls: Counter[str] = Counter()

    def meet(self, name: str) -> None:
        self.calls[name] += 1
        number = self.fate(name, self.calls[name]) if self.fate else None
        if number is not None:
            raise OSError(number, os.strerror(number))

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        try:
            self.meet("create")  # The name is there already, as when the folder cannot be synced.
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def write(self, descriptor: int, chunks: Sequence[bytes]) -> None:
        try:
            self.meet("write")
        except OSError as problem:
            if problem.errno == errno.ENOSPC:
                data = b"".join(chunks)
                os.write(descriptor, data[: len(data) // 2])
            raise
        super().write(descriptor, chunks)

    def sync(self, descriptor: int) -> None:
        self.meet("sync")
        super().sync(descriptor)

    def truncate(self, path: Path, size: int) -> None:
        self.meet("truncate")
        super().truncate(path, size)

    def close(self, descriptor: int) -> None:
        super().close(descriptor)
        self.meet("close")

    def rename(self, path: Path, target: Path) -> None:
        self.meet("rename")
        super().rename(path, target)

    def remove(self, path: Path) -> None:
        self.meet("remove")
        super().remove(path)

    def replace_text(self, path: Path, text: str) -> None:
        self.meet("replace_text")
        super().replace_text(path, text)

    def sync_folder(self, folder: Path) -> None:
        self.meet("sync_folder")
        super().sync_folder(folder)


class HeldFiles(Files):
    """A disk whose syncs wait for the test."""

    def __init__(self) -> None:
        self.syncing = threading.Semaphore(0)
        self.released = threading.Semaphore(0)

    def sync(self, descriptor: int) -> None:
        self.syncing.release()
        assert self.released.acquire(timeout=60)
        super().sync(descriptor)


def open_log(folder: Path, *, files: Files | None = None, limits: Limits = PATIENT, now: int = NOON) -> Wal:
    return Wal.open(folder, clock=lambda: now, limits=limits, files=files)


def event(text: str) -> Event:
    return Event(timestamp=TIME, level="info", message=text)


def put(log: Wal, *texts: str, project: int = 12) -> int:
    """Append one request and wait until it is durable; returns its first id."""
    appended = log.append(1, project, NOON, 30, [event(text) for text in texts])
    appended.commit.wait(60)
    return appended.first_id


def stored(folder: Path) -> list[tuple[int, str]]:
    """(id, message) of each event that a drain of the folder's segments would store, oldest segment first."""
    found = []
    for path in sorted(folder.glob("*.sealed")):
        for line in path.read_bytes().splitlines():
            try:
                group = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            found += [(group["first_id"] + n, item["message"]) for n, item in enumerate(group["events"])]
    return found


def drain(log: Wal) -> list[tuple[int, str]]:
    """Take every sealed segment as the drain would; returns what it would have stored."""
    found = []
    while (segment := log.next_sealed(0)) is not None:
        for line in segment.path.read_bytes().splitlines():
            group = msgspec.json.decode(line)
            found += [(group["first_id"] + n, item["message"]) for n, item in enumerate(group["events"])]
        log.done(segment)
    return found


def idle(log: Wal) -> bool:
    return log.waiting_bytes == 0 and not log.depths and not log.arrivals and log.waiting_rows == 0
