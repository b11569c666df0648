"""Log, engine and drain together: events taken become searchable, once, over stops and crashes."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.eventstore import queries
from headrace.eventstore.drain import Drained
from headrace.eventstore.queries import Selection
from headrace.eventstore.rows import Event
from headrace.eventstore.store import Store, StoreOptions
from tests.eventstore.conftest import ARRIVAL

OPTIONS = StoreOptions(segment_age_ms=10, query_threads=2, memory_engine=600_000_000)
Open = Callable[..., Store]


def events(rows: int) -> list[Event]:
    return [Event(timestamp=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), level="info")] * rows


@pytest.fixture
def told() -> list[Drained]:
    return []


@pytest.fixture
def opened(tmp_path: Path, told: list[Drained]) -> Iterator[Open]:
    stores: list[Store] = []

    def open_store(options: StoreOptions = OPTIONS) -> Store:
        stores.append(Store.open(tmp_path, options=options, clock=lambda: ARRIVAL, on_drained=told.append))
        return stores[-1]

    yield open_store
    for store in stores:
        store.stop(5)


def rows(store: Store) -> int:
    return queries.count(store.engine, Selection(tenant=1))


def test_events_become_searchable_and_are_told(opened: Open, told: list[Drained], until: Callable[..., None]) -> None:
    store = opened()
    store.start()
    last = 0
    for project in (7, 8, 7):
        last = store.wal.append(1, project, ARRIVAL, 30, events(10)).first_id + 10
    assert store.wait_searchable(last, 60)
    assert rows(store) == 30
    until(lambda: store.wal.waiting_rows == 0)
    counted = dict.fromkeys((7, 8), 0)
    for part in (part for one in told for part in one.projects):
        counted[part.project] += part.rows
    assert counted == {7: 20, 8: 10}
    health = store.health()
    assert (health["draining"], health["rows"], health["waiting_rows"]) == (True, 30, 0)


def test_stopping_stores_what_was_taken(opened: Open, told: list[Drained]) -> None:
    store = opened(StoreOptions(segment_age_ms=60_000, query_threads=1))
    store.start()
    store.wal.append(1, 7, ARRIVAL, 30, events(5)).commit.wait(60)
    store.stop()
    assert sum(part.rows for one in told for part in one.projects) == 5
    again = opened()
    assert rows(again) == 5
    assert again.wait_searchable(again.wal.next_id, 0)


def test_what_was_not_drained_is_stored_by_the_next_start(opened: Open) -> None:
    store = opened()
    last = store.wal.append(1, 7, ARRIVAL, 30, events(5)).first_id + 5
    store.wal.close()
    store.engine.close()
    store.stopped.set()
    again = opened()
    assert rows(again) == 0
    assert not again.wait_searchable(last, 0)
    again.start()
    assert again.wait_searchable(last, 60)
    assert rows(again) == 5


def test_a_segment_stored_before_a_crash_is_not_stored_again(opened: Open, told: list[Drained]) -> None:
    store = opened()
    store.wal.append(1, 7, ARRIVAL, 30, events(5)).commit.wait(60)
    segment = store.wal.next_sealed(60)
    assert segment is not None
    store.engine.insert_segment(segment.path, token=segment.name)
    store.wal.close()
    store.engine.close()
    store.stopped.set()
    again = opened()
    again.start()
    assert again.wait_searchable(segment.last_id, 60)
    assert rows(again) == 5
    assert [one.name for one in told] == [segment.name]


def test_a_full_log_refuses(opened: Open) -> None:
    store = opened(StoreOptions(wal_limit_bytes=1000, segment_age_ms=60_000, query_threads=1))
    taken = store.refusing
    assert taken is None
    store.wal.append(1, 7, ARRIVAL, 30, events(100)).commit.wait(60)
    assert store.refusing == "too many events wait to be stored"
    store.start()
    store.wal.close()
    assert store.wait_searchable(store.wal.next_id, 60)
    assert rows(store) == 100
    assert not list((store.wal.folder).glob("*.sealed"))


def test_a_full_disk_refuses(opened: Open) -> None:
    store = opened(StoreOptions(disk_refuse_percent=0, query_threads=1))
    assert "full" in (store.refusing or "")
    assert store.health()["disk"] == "refuse"
