"""Exports: the whole answer to a query within its limits, read while it is sent. How a row is written, doors say."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from headrace.core.events.filters import Filters
from headrace.core.events.read import asked, selected
from headrace.core.principal import Principal
from headrace.core.refusals import unavailable
from headrace.eventstore import export as stored
from headrace.eventstore.queries import EventRow, Selection

if TYPE_CHECKING:
    from headrace.core.house import House

# Exports of one organization at once: they must leave the engine to other tenants' searches.
AT_ONCE = 2
BUSY_RETRY_SECONDS = 10
# Of the time of a request, left for everything else than writing a file.
SPARE_SECONDS = 5


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `matched`: how many events there are, at most one more than `most`; None is not known."""

    organization_id: int
    selection: Selection
    most: int
    matched: int | None

    @property
    def is_cut(self) -> bool:
        return self.matched is not None and self.matched > self.most


class Running:
    """Exports that are open in this process, by organization."""

    def __init__(self, house: "House") -> None:
        del house
        self.lock = threading.Lock()
        self.counts: Counter[int] = Counter()
        self.swept = False

    @contextlib.contextmanager
    def one(self, organization_id: int) -> Iterator[None]:
        """Hold a place; raises unavailable when the organization has all of its places in use."""
        with self.lock:
            if self.counts[organization_id] >= AT_ONCE:
                raise unavailable(f"{AT_ONCE} exports run already; try again when one has ended.", BUSY_RETRY_SECONDS)
            self.counts[organization_id] += 1
        try:
            yield
        finally:
            with self.lock:
                self.counts[organization_id] -= 1
                if not self.counts[organization_id]:
                    del self.counts[organization_id]


def begin(house: "House", who: Principal, *, project_id: int, filters: Filters) -> Export:
    """Say what an export holds: what the project has received by now."""
    found = selected(house, who, project_id, filters)
    now = house.clock()
    ends = [now] if found.received_to is None else [now, found.received_to]
    selection = msgspec.structs.replace(found, received_to=min(ends))
    most = house.settings.export_rows
    with asked():
        matched = stored.count(house.store.engine, selection, most + 1)
    return Export(organization_id=found.tenant, selection=selection, most=most, matched=matched)


class Reading:
    """An export as it is read. `cut` says after the last page what it was cut by: rows, time, or nothing."""

    def __init__(self, house: "House", export: Export) -> None:
        self.house, self.export = house, export
        self.ends_at = time.monotonic() + house.settings.export_seconds
        self.before: tuple[int, int] | None = None
        self.rows = 0
        self.cut: str | None = None

    def take(self) -> list[EventRow]:
        """Return the next page, newest first; an empty one is the end."""
        left = self.export.most - self.rows
        seconds = self.ends_at - time.monotonic()
        if seconds <= 0:
            self.cut = "time"
            return []
        with asked():
            # One more than the limit tells whether there is more.
            page = stored.page(
                self.house.store.engine,
                self.export.selection,
                self.before,
                limit=min(stored.PAGE, left + 1),
                seconds=max(seconds, 1.0),
            )
        if page and left == 0:
            self.cut = "rows"
            return []
        page = page[:left]
        if page:
            self.rows += len(page)
            self.before = (page[-1].ts, page[-1].id)
        return page


def parquet(house: "House", export: Export) -> tuple[BinaryIO, int]:
    """Return the export as an open Parquet file that is gone once it is closed, and its size in bytes.

    It is written whole before its first byte is sent, within the time of one request.
    """
    folder = house.settings.data / "exports"
    path = folder / f"{threading.get_ident()}-{time.monotonic_ns()}.parquet"
    with house.part(Running).one(export.organization_id):
        _sweep(house, folder)
        seconds = max(house.settings.request_seconds - SPARE_SECONDS, 1)
        try:
            with asked():
                stored.write_parquet(
                    house.store.engine, export.selection, path.absolute(), most=export.most, seconds=seconds
                )
            return path.open("rb"), path.stat().st_size
        finally:
            path.unlink(missing_ok=True)


def _sweep(house: "House", folder: Path) -> None:
    """Make the folder, and once remove what a killed process left in it."""
    running = house.part(Running)
    with running.lock:
        folder.mkdir(exist_ok=True)
        if not running.swept:
            running.swept = True
            for path in folder.glob("*.parquet"):
                path.unlink()
