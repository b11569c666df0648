"""One engine for each module of the event store's tests: a process has one folder open at a time.

Tests keep apart by tenants: `tenant` is a new one for each test.
"""

import datetime as dt
import functools
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from headrace.eventstore.engine import Engine, EngineOptions, open_embedded
from headrace.eventstore.segments import Segment, counted

TENANTS = itertools.count(1)
FIRST_IDS = itertools.count(1_000_000_000_000_000, 1_000_000)  # Before every id that a log gives at ARRIVAL.
ARRIVAL = 1_795_248_000_000_000  # 2026-11-21T08:00:00Z
DAY = 86_400_000_000

SegmentOf = Callable[..., Segment]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    options = EngineOptions(memory_bytes=800_000_000, query_threads=2)
    opened = open_embedded(tmp_path_factory.mktemp("engine"), options)
    opened.clock = lambda: ARRIVAL
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def search_engine(engine: Engine) -> Iterator[Client]:
    """A client of the library itself, on the same folder."""
    client = clickhouse_connect.get_client(interface="chdb", path=str(engine.folder), settings={"max_threads": 1})
    yield client
    client.close()


@pytest.fixture
def tenant() -> int:
    return next(TENANTS)


@pytest.fixture
def segment_of(tmp_path: Path) -> SegmentOf:
    """Write a sealed segment of group lines: `segment_of([group(...), ...])` or raw lines."""
    return functools.partial(write_segment, tmp_path)


def write_segment(folder: Path, groups: Sequence[Mapping[str, Any] | bytes]) -> Segment:
    first_id = next(FIRST_IDS)
    next_id, lines = first_id, []
    for one in groups:
        if isinstance(one, bytes):
            lines.append(one)
            continue
        rows = len(one["events"])
        line = {"rows": rows, **one, "first_id": next_id}
        order = ("rows", "tenant", "project", "received_at", "retention_days", "first_id", "events")
        lines.append(json.dumps({name: line[name] for name in order}, separators=(",", ":")).encode())
        next_id += rows
    path = folder / f"{first_id:019d}.sealed"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return counted(path)


def group(tenant: int, events: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return {"tenant": tenant, "project": 7, "received_at": ARRIVAL, "retention_days": 30} | fields | {"events": events}


def event(ts: int = ARRIVAL, **fields: Any) -> dict[str, Any]:
    """One event as it stands in a line; times before 1970 as `rows.MarkedEvent` has them."""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=ts)
    line: dict[str, Any] = {"timestamp": moment.isoformat().replace("+00:00", "Z"), "level": "info"} | fields
    if ts < 0 or moment.year > 2199:
        line |= {"timestamp": "2026-01-01T00:00:00Z", "ts": ts}
    return line
