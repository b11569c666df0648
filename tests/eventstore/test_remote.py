"""The same store on a server: over HTTP, through the same client library, with the same statements."""

import datetime as dt
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headrace.eventstore import quarantine, queries, search
from headrace.eventstore.drain import Drain, Drained
from headrace.eventstore.engine import Engine, EngineError, EngineOptions, QueryRefused, open_server
from headrace.eventstore.queries import Selection
from headrace.eventstore.rows import Event
from headrace.eventstore.store import Store, StoreOptions
from tests.eventstore.conftest import ARRIVAL, SegmentOf, event, group
from tests.eventstore.test_drain import Held

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.clickhouse_http", str(tmp_path_factory.mktemp("server"))]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        yield f"http://headrace:p%40ss@127.0.0.1:{port}/logs"
        server.terminate()


@pytest.fixture(scope="module")
def remote(address: str) -> Iterator[Engine]:
    opened = open_server(address, EngineOptions(query_threads=2))
    opened.clock = lambda: ARRIVAL
    yield opened
    opened.close()


def test_segments_are_stored_once(remote: Engine, tenant: int, segment_of: SegmentOf) -> None:
    attributes = {"service": "pay", "n": 2**70, "endpoint": {"status_code": 404}}
    sent = event(message="Disk \u00e9 full", error_type="", attributes=attributes, fingerprint="ab")
    segment = segment_of([group(tenant, [sent, event()]), group(tenant, [event(-1)], retention_days=7)])
    told: list[Drained] = []
    for _ in range(2):
        Drain(remote, Held(segment), told.append).drain(segment)
    assert told[0] == told[1]
    assert [project.rows for project in told[0].projects] == [3]
    assert [error.rows for error in told[0].errors] == [1]
    rows = queries.latest(remote, Selection(tenant=tenant, project=7), limit=10)
    assert [row.id - segment.first_id for row in rows] == [1, 0, 2]
    assert (rows[1].message, rows[1].error_type, rows[1].attributes) == ("Disk \u00e9 full", "", attributes)
    assert queries.count(remote, Selection(tenant=tenant, text="\u00c9 FUL")) == 1
    found = search.compile(search.parse("service:pay status:404 disk"))
    assert queries.count(remote, Selection(tenant=tenant, search=found)) == 1


def test_a_bad_event_goes_to_the_quarantine(remote: Engine, tenant: int, segment_of: SegmentOf) -> None:
    segment = segment_of([group(tenant, [event(), {"timestamp": "soon", "level": "info"}])])
    drain = Drain(remote, Held(segment), lambda _: None)
    drain.persist(segment)
    assert (drain.segments, drain.quarantined) == (1, 1)
    assert queries.count(remote, Selection(tenant=tenant)) == 1
    assert [one.id for one in quarantine.listed(remote, tenant, 7)] == [segment.first_id + 1]


def test_limits_hold(remote: Engine) -> None:
    with pytest.raises(QueryRefused) as refused:
        remote.query("SELECT sum(sipHash64(number)) FROM numbers(1000000000000)", row=tuple[int], seconds=0.3)
    assert refused.value.kind == "time"


def test_a_wrong_password_is_named(address: str) -> None:
    with pytest.raises(EngineError, match=r"event server cannot be used: .*Authentication failed"):
        open_server(address.replace("p%40ss", "wrong"))


def test_a_server_that_does_not_answer_is_named() -> None:
    with socket.socket() as nobody:  # Bound, so that no other program listens there meanwhile.
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(EngineError, match="event server cannot be used"):
            open_server(f"http://127.0.0.1:{nobody.getsockname()[1]}/logs")


def test_a_store_on_a_server(address: str, tenant: int, tmp_path: Path) -> None:
    told: list[Drained] = []
    options = StoreOptions(events_url=address, segment_age_ms=10, query_threads=1)
    store = Store.open(tmp_path, options=options, clock=lambda: ARRIVAL, on_drained=told.append)
    store.start()
    sent = [Event(timestamp=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), level="info")] * 20
    appended = store.wal.append(tenant, 7, ARRIVAL, 30, sent)
    assert store.wait_searchable(appended.first_id + 20, 60)
    assert queries.count(store.engine, Selection(tenant=tenant)) == 20
    assert store.health()["engine"] == "server"
    store.stop()
    assert [project.rows for one in told for project in one.projects] == [20]
