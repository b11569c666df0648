"""Deletions: what they take and leave, from when on; resumed, cancelled, and never undone by a replay."""

import datetime as dt
import itertools
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from headrace.core import audit, projects
from headrace.core.events import deletions
from headrace.core.events.deletions import Deletion
from headrace.core.events.filters import Filters
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.projects import Project
from headrace.core.refusals import Kind, Refusal
from headrace.core.schema import deletions as table
from headrace.eventstore import quarantine, queries
from headrace.eventstore.drain import Drain, Drained
from headrace.eventstore.queries import Selection
from headrace.eventstore.rows import Event
from headrace.eventstore.segments import Segment, counted
from headrace.eventstore.store import Store, StoreOptions
from headrace.kit import times
from headrace.kit.clock import now
from tests.conftest import PATIENCE, FakeClock, SignUp

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
CLOCK = FakeClock(times.show(now()))
numbers = itertools.count(1)
MOST_WAITING = 40
HOUSES: list[House] = []
Until = Callable[..., None]


def on_drained(drained: Drained) -> None:
    if HOUSES:
        deletions.replayed(HOUSES[-1], drained)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    options = StoreOptions(segment_age_ms=50)
    opened = Store.open(tmp_path_factory.mktemp("events"), options=options, clock=CLOCK, on_drained=on_drained)
    opened.start()
    yield opened
    opened.stop()


@pytest.fixture
def clock() -> FakeClock:
    return CLOCK


@pytest.fixture
def watched(house: House) -> Iterator[House]:
    """The house whose deletions hear of stored segments."""
    HOUSES.append(house)
    yield house
    HOUSES.remove(house)


@pytest.fixture
def who(house: House, sign_up: SignUp) -> Principal:
    """An admin; databases are emptied between tests and the engine is not, so each one is of an organization anew."""
    for number in range(next(numbers)):
        made = sign_up(house, f"ada{number}@example.com")
    return made


@pytest.fixture
def project(house: House, who: Principal) -> Project:
    return projects.create(house, who, name="P", slug="p")


def send(house: House, project: Project, *messages: str, days: int = 30, level: Any = "info") -> None:
    events = [Event(timestamp=NOON, level=level, message=message) for message in messages]
    wal = house.store.wal
    appended = wal.append(project.organization_id, project.project_id, house.clock(), days, events)
    appended.commit.wait(10 * PATIENCE)


def stored(house: House, until: Until) -> None:
    until(lambda: not house.store.wal.waiting_rows)


def left(house: House, project: Project) -> list[str]:
    selection = Selection(tenant=project.organization_id, project=project.project_id)
    rows = queries.latest(house.store.engine, selection, limit=100_000)
    assert len(rows) == queries.count(house.store.engine, selection)
    return sorted(row.message or "" for row in rows)


def ask(house: House, who: Principal, project: Project, **filters: Any) -> Deletion:
    return deletions.create(house, who, project_id=project.project_id, filters=Filters(**filters))


def ended(house: House, who: Principal, asked: Deletion, until: Until) -> Deletion:
    def over() -> bool:
        deletions.work(house)
        return deletions.get(house, who, deletion_id=asked.id).state not in deletions.OPEN

    until(over, seconds=30)
    return deletions.get(house, who, deletion_id=asked.id)


def test_what_is_taken_and_what_stays(house: House, who: Principal, project: Project, until: Until) -> None:
    other = projects.create(house, who, name="Q", slug="q")
    send(house, project, "good one", "bad one", "bad two")
    send(house, project, "bad three", days=7)
    send(house, project, "bad four", level="error")
    send(house, other, "bad five")
    stored(house, until)
    filters = Filters(query="bad", levels=("info",))
    assert deletions.preview(house, who, project_id=project.project_id, filters=filters) == 3
    asked = ask(house, who, project, query="bad", levels=("info",))
    assert (asked.state, asked.matched, asked.deleted, asked.started_at) == ("pending", None, 0, None)
    done = ended(house, who, asked, until)
    assert (done.state, done.matched, done.deleted, done.reason) == ("completed", 3, 3, None)
    assert done.finished_at
    assert left(house, project) == ["bad four", "good one"]
    assert left(house, other) == ["bad five"]
    assert deletions.list_all(house, who, project_id=project.project_id) == [done]
    lines = [line for line in audit.list_all(house, who).events if line.target == f"deletion:{asked.id}"]
    assert [line.action for line in lines] == ["logs:deletion:completed", "logs:deletion:requested"]
    assert {line.actor_id for line in lines} == {who.account_id}
    assert lines[0].data == {"project_id": project.project_id, "matched": 3, "deleted": 3}


def test_it_waits_for_what_was_taken_before(house: House, who: Principal, project: Project, until: Until) -> None:
    with house.store.engine.draining:
        send(house, project, "before")
        asked = ask(house, who, project, query="before OR after")
        CLOCK.advance(1)
        send(house, project, "after")
        deletions.work(house)
        assert deletions.get(house, who, deletion_id=asked.id).state == "pending"
    done = ended(house, who, asked, until)
    stored(house, until)
    assert (done.state, done.deleted) == ("completed", 1)
    assert left(house, project) == ["after"]


def test_another_process_goes_on(  # noqa: PLR0917  Fixtures.
    house: House,
    open_house: Callable[..., House],
    who: Principal,
    project: Project,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send(house, project, "a", "b", days=7)
    send(house, project, "c", "d", days=90)
    stored(house, until)
    asked = ask(house, who, project, ts_to=times.LAST)
    monkeypatch.setattr(deletions, "TURN_SECONDS", 0)
    seen = []
    for _ in range(2):
        deletions.work(house)
        found = deletions.get(house, who, deletion_id=asked.id)
        seen.append((found.state, found.matched, found.deleted))
    assert seen == [("running", 4, 0), ("running", 4, 2)]
    done = ended(open_house(), who, asked, until)
    assert (done.state, done.matched, done.deleted) == ("completed", 4, 4)
    assert left(house, project) == []
    elsewhere = open_house(msgspec.structs.replace(house.settings, node=1))
    waiting = ask(elsewhere, who, project, ts_to=times.LAST)
    deletions.work(house)
    assert deletions.get(house, who, deletion_id=waiting.id).state == "pending"


def test_a_cancelled_one_leaves_the_rest(
    house: House, who: Principal, project: Project, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(house, project, "a", "b", days=7)
    send(house, project, "c", "d", days=90)
    stored(house, until)
    asked = ask(house, who, project, ts_to=times.LAST)
    monkeypatch.setattr(deletions, "TURN_SECONDS", 0)
    deletions.work(house)
    deletions.work(house)
    cancelled = deletions.cancel(house, who, deletion_id=asked.id)
    assert (cancelled.state, cancelled.deleted) == ("cancelled", 2)
    deletions.work(house)
    assert len(left(house, project)) == 2
    assert deletions.get(house, who, deletion_id=asked.id) == cancelled
    with pytest.raises(Refusal, match="cancelled already"):
        deletions.cancel(house, who, deletion_id=asked.id)


class Nowhere:
    """A log whose segments are files of the test."""

    def next_sealed(self, timeout: float) -> Segment | None:
        del timeout
        return None

    def done(self, segment: Segment) -> None:
        segment.path.unlink()


def test_a_replayed_segment_brings_nothing_back(
    watched: House, who: Principal, project: Project, until: Until, tmp_path: Path
) -> None:
    house, store = watched, watched.store
    with store.engine.draining:
        send(house, project, "kept", "gone", "gone")
        until(lambda: store.wal.sealed)
        copy = Path(shutil.copy(store.wal.sealed[0].path, tmp_path))
    asked = ask(house, who, project, query="gone")
    assert ended(house, who, asked, until).deleted == 2
    drain = Drain(store.engine, Nowhere(), on_drained)
    (tmp_path / "again").mkdir()
    again = Path(shutil.copy(copy, tmp_path / "again"))
    drain.drain(counted(again))
    assert left(house, project) == ["kept"]  # The token held; the deletion ran once more and found nothing.
    assert ended(house, who, asked, until).state == "completed"
    # Once the mask is applied, as a merge does, the rows are gone for good, and the drain takes them for lost.
    store.engine.command("ALTER TABLE events APPLY DELETED MASK SETTINGS mutations_sync = 2")
    drain.drain(counted(copy))
    assert left(house, project) == ["gone", "gone", "kept"]
    assert deletions.get(house, who, deletion_id=asked.id).state == "pending"
    done = ended(house, who, asked, until)
    assert (done.state, done.deleted) == ("completed", 4)
    assert left(house, project) == ["kept"]


def test_counts_stay_right_under_load(watched: House, who: Principal, project: Project, until: Until) -> None:
    house, stop, sent = watched, threading.Event(), itertools.count()
    # No log is on its way, its time read and its id not yet given, while a deletion is asked for.
    one_at_a_time = threading.Lock()

    def load() -> None:
        while not stop.wait(0.02):
            if house.store.wal.waiting_rows > MOST_WAITING:  # The drain of a busy machine would never catch up.
                continue
            with one_at_a_time:
                CLOCK.advance(0.001)
                send(house, project, *(f"{next(sent)} {word}" for word in ("odd", "even")))

    thread = threading.Thread(target=load)
    thread.start()
    try:
        asked = []
        for _ in range(2):
            before = house.store.drain.segments
            until(lambda before=before: house.store.drain.segments > before + 2)
            with one_at_a_time:
                CLOCK.advance(0.001)
                asked.append(ask(house, who, project, query="odd"))
            assert ended(house, who, asked[-1], until).state == "completed"
    finally:
        stop.set()
        thread.join()
    stored(house, until)
    done = [deletions.get(house, who, deletion_id=one.id) for one in asked]
    rows = left(house, project)
    total = next(sent)
    assert len([row for row in rows if "even" in row]) == total // 2
    assert len([row for row in rows if "odd" in row]) == total // 2 - sum(one.deleted for one in done)
    assert house.store.drain.failures == 0
    selection = Selection(
        tenant=project.organization_id, project=project.project_id, received_to=asked[-1].created_at, text="odd"
    )
    assert queries.count(house.store.engine, selection) == 0


def test_the_quarantine_goes_too(house: House, who: Principal, project: Project, until: Until) -> None:
    place = (project.organization_id, project.project_id)
    for at, ident in ((house.clock() - times.DAY, 1), (house.clock(), 2), (house.clock() + times.SECOND, 3)):
        values = f"({place[0]}, {place[1]}, {at}, {ident}, 's', 'r', 'x')"
        house.store.engine.command(f"INSERT INTO quarantine VALUES {values}")
    ended(house, who, ask(house, who, project, ts_from=house.clock() - times.HOUR), until)
    assert {bad.id for bad in quarantine.listed(house.store.engine, *place)} == {1, 3}


def test_what_cannot_be_done_fails(house: House, who: Principal, project: Project, until: Until) -> None:
    asked = ask(house, who, project, query="a")
    broken = msgspec.json.encode(Filters(query="a:(")).decode()
    with house.db.write() as connection:
        connection.execute(sa.update(table).where(table.c.id == asked.id).values(filters=broken))
    stored(house, until)
    done = ended(house, who, asked, until)
    assert done.state == "failed"
    assert done.reason


def test_who_may(house: House, who: Principal, project: Project, sign_up: SignUp) -> None:
    plain = msgspec.structs.replace(who, role="user")
    stranger = sign_up(house, "eve@example.com")
    asked = ask(house, who, project, query="a")
    here = {"project_id": project.project_id}
    wanted = here | {"filters": Filters(query="a")}
    for caller, kind in ((plain, Kind.FORBIDDEN), (stranger, None)):
        for verb, arguments, other in (
            (deletions.preview, wanted, Kind.FORBIDDEN),
            (deletions.create, wanted, Kind.FORBIDDEN),
            (deletions.list_all, here, Kind.FORBIDDEN),
            (deletions.get, {"deletion_id": asked.id}, Kind.NOT_FOUND),
            (deletions.cancel, {"deletion_id": asked.id}, Kind.NOT_FOUND),
        ):
            with pytest.raises(Refusal) as refused:
                verb(house, caller, **arguments)
            assert refused.value.kind is (kind or other)


def test_what_is_refused(house: House, who: Principal, project: Project) -> None:
    for filters in ({}, {"query": "a:("}):
        with pytest.raises(Refusal) as refused:
            ask(house, who, project, **filters)
        assert refused.value.kind is Kind.INVALID
    asked = [ask(house, who, project, query="a") for _ in range(deletions.MOST_OPEN)]
    with pytest.raises(Refusal, match="wait already"):
        ask(house, who, project, query="a")
    deletions.cancel(house, who, deletion_id=asked[0].id)
    ask(house, who, project, query="a")
    CLOCK.advance(366 * 86_400)
    deletions.cancel(house, who, deletion_id=asked[1].id)
    ask(house, who, project, query="a")
    assert asked[0].id not in {one.id for one in deletions.list_all(house, who, project_id=project.project_id)}
    CLOCK.advance(-366 * 86_400)
