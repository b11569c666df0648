"""Live tail: who sees what, in which order, in how much memory, and what becomes of the slow and the returned."""

import asyncio
import datetime as dt
import itertools
import shutil
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.core import projects
from headrace.core.events import tail
from headrace.core.events.append import Accepted, append, durable
from headrace.core.events.filters import Filters
from headrace.core.events.tail import Hub, Offered, Subscription, Wanted
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.projects import Project
from headrace.core.refusals import Kind, Refusal
from headrace.core.settings import Settings
from headrace.eventstore.ids import public_id
from headrace.eventstore.queries import EventRow
from headrace.eventstore.rows import Event
from headrace.eventstore.store import Store, StoreOptions
from headrace.eventstore.wal import Commit, WalError
from headrace.kit import times
from headrace.kit.clock import now
from tests.conftest import SECRET, FakeClock, SignUp

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
PATIENCE = 60.0
CLOCK = FakeClock(times.show(now()))
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("events")
    opened = Store.open(folder, options=StoreOptions(segment_age_ms=20), clock=CLOCK, on_drained=lambda _: None)
    opened.start()
    yield opened
    opened.stop()


@pytest.fixture
def clock() -> FakeClock:
    return CLOCK


@pytest.fixture
def address(tmp_path: Path, migrated_file: Path) -> Path:
    return Path(shutil.copy(migrated_file, tmp_path / "headrace.db"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, secret=SECRET, tails_per_project=3, tails_per_process=4)


@pytest.fixture
def hub(house: House) -> Iterator[Hub]:
    found = house.part(Hub)
    yield found
    found.close()


@pytest.fixture
def who(house: House, sign_up: SignUp) -> Principal:
    return sign_up(house)


@pytest.fixture
def new_project(house: House, who: Principal) -> Callable[[], Project]:
    return lambda: projects.create(house, who, name="P", slug=f"p-{next(numbers)}")


@pytest.fixture
def project(new_project: Callable[[], Project]) -> Project:
    return new_project()


def logs(*messages: str, **fields: Any) -> list[Event]:
    return [Event(timestamp=NOON, level=fields.get("level", "info"), message=message) for message in messages]


async def sent(house: House, project: Project, events: Sequence[Event]) -> Accepted:
    accepted = append(house, project, events)
    await durable(house, project, accepted)
    return accepted


def message(row: EventRow) -> bytes:
    return f"{row.message}\n".encode()


def name(row: EventRow) -> bytes:
    return public_id(row.ts, row.id).encode() + b"\n"


def apart(pieces: Sequence[tail.Piece]) -> list[tail.Piece]:
    """One piece for each log."""
    return [one for piece in pieces for one in (piece.splitlines() if isinstance(piece, bytes) else [piece])]


def wish(house: House, who: Principal, project: Project, encode: tail.Encode = message, **more: Any) -> Wanted:
    after = more.pop("after", None)
    return tail.wanted(house, who, project_id=project.project_id, filters=Filters(**more), encode=encode, after=after)


async def taken(subscription: Subscription, count: int) -> list[tail.Piece]:
    found: list[tail.Piece] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            found += apart(await subscription.take(PATIENCE))
    return found


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(3 * PATIENCE):
            await work()

    asyncio.run(whole())


def test_each_sees_what_it_wants(house: House, who: Principal, new_project: Any, hub: Hub) -> None:
    mine, other = new_project(), new_project()

    async def work() -> None:
        await sent(house, mine, logs("before"))
        with (
            tail.subscribed(house, wish(house, who, mine)) as everything,
            tail.subscribed(house, wish(house, who, mine, levels=("error",), query="two")) as few,
            tail.subscribed(house, wish(house, who, other)) as others,
        ):
            await sent(house, mine, logs("one", "two"))
            await sent(house, other, logs("elsewhere"))
            await sent(house, mine, [*logs("two", "three", level="error"), *logs("four")])
            assert await taken(everything, 5) == [b"one", b"two", b"two", b"three", b"four"]
            assert await taken(few, 1) == [b"two"]
            assert await taken(others, 1) == [b"elsewhere"]
        assert (hub.count, hub.projects) == (0, {})

    run(work)


def test_without_watchers_nothing_is_done(house: House, project: Project, hub: Hub) -> None:
    run(lambda: sent(house, project, logs("unseen")))  # type: ignore[arg-type, return-value]
    assert hub.thread is None
    assert hub.queue.empty()


def test_each_log_is_encoded_once(house: House, who: Principal, project: Project) -> None:
    seen: list[int] = []

    def counting(row: EventRow) -> bytes:
        seen.append(row.id)
        return message(row)

    async def work() -> None:
        wants = [wish(house, who, project, counting, query=query) for query in (None, None, "a OR b")]
        with (
            tail.subscribed(house, wants[0]) as first,
            tail.subscribed(house, wants[1]) as second,
            tail.subscribed(house, wants[2]) as third,
        ):
            assert len(house.part(Hub).projects[project.project_id]) == 2
            await sent(house, project, logs("a", "b", "c"))
            assert await taken(first, 3) == await taken(second, 3) == [b"a", b"b", b"c"]
            assert await taken(third, 2) == [b"a", b"b"]
        assert len(seen) == 3

    run(work)


@pytest.mark.parametrize(("size", "kept"), [(10, tail.MOST_LOGS), (4096, tail.MOST_BYTES // 4096)])
def test_a_slow_one_is_told_what_it_lost(  # noqa: PLR0917  Fixtures and two columns of a case.
    house: House, who: Principal, project: Project, hub: Hub, until: Callable[..., None], size: int, kept: int
) -> None:
    async def work() -> None:
        with tail.subscribed(house, wish(house, who, project)) as slow:
            for _ in range(3):
                await sent(house, project, logs(*["x" * size] * 500))
            await asyncio.to_thread(until, lambda: hub.handled == hub.offered)
            assert slow.logs <= tail.MOST_LOGS
            assert slow.bytes <= tail.MOST_BYTES
            pieces = apart(await slow.take(PATIENCE))
            await sent(house, project, logs("later"))
            while pieces[-1] != b"later":
                pieces += apart(await slow.take(PATIENCE))
        read = sum(isinstance(piece, bytes) for piece in pieces) - 1
        # A chunk that does not fit goes as a whole.
        assert kept - tail.CHUNK_BYTES // size <= read <= kept
        assert pieces[-2] == 1500 - read

    run(work)


@pytest.mark.parametrize("query", [None, "x"])
def test_what_nobody_has_room_for_is_counted_not_encoded(  # noqa: PLR0917  Fixtures and a case.
    house: House, who: Principal, project: Project, hub: Hub, until: Callable[..., None], query: str | None
) -> None:
    seen: list[int] = []

    def counting(row: EventRow) -> bytes:
        seen.append(row.id)
        return message(row)

    async def work() -> None:
        want = wish(house, who, project, counting, query=query)
        with tail.subscribed(house, want) as first, tail.subscribed(house, want) as second:
            for _ in range(2):
                await sent(house, project, logs(*["x"] * 800))
            await asyncio.to_thread(until, lambda: hub.handled == hub.offered)
            assert len(seen) == tail.MOST_LOGS
            for one in (first, second):
                pieces = apart(await one.take(PATIENCE))
                while not isinstance(pieces[-1], int):
                    pieces += apart(await one.take(PATIENCE))
                assert (len(pieces) - 1, pieces[-1]) == (tail.MOST_LOGS, 1600 - tail.MOST_LOGS)

    run(work)


def test_tails_leave_more_to_others_in_a_flood(house: House, who: Principal, project: Project, hub: Hub) -> None:
    async def work() -> None:
        with tail.subscribed(house, wish(house, who, project)):
            usual = hub.pause(100_000)
            for came, is_flood in ((3 * tail.FLOOD_BYTES, True), (0, False)):
                hub.came += came
                hub.measured_at -= 1
                assert (hub.pause(100_000) > 2 * usual) is is_flood

    run(work)


def test_what_the_disk_refused_is_not_shown(house: House, who: Principal, project: Project, hub: Hub) -> None:
    async def work() -> None:
        with tail.subscribed(house, wish(house, who, project)) as subscription:
            refused = Commit()
            refused.finish(WalError("no space"))
            first_id = house.store.wal.next_id
            hub.queue.put(
                Offered(project.organization_id, project.project_id, logs("refused"), first_id, CLOCK(), refused)
            )
            await sent(house, project, logs("kept"))
            assert await taken(subscription, 1) == [b"kept"]

    run(work)


def test_a_thread_that_is_behind_costs_logs_not_memory(
    house: House, who: Principal, project: Project, hub: Hub
) -> None:
    async def work() -> None:
        with tail.subscribed(house, wish(house, who, project)) as subscription:
            held = Commit()
            first_id = house.store.wal.next_id
            place = Accepted(1, first_id, CLOCK(), held)
            hub.offer(project, place, logs("held"), tail.WAITING_BYTES + 1)
            for _ in range(5):
                await sent(house, project, logs("a", "b"))
            assert hub.skipped == {project.project_id: 10}
            held.finish(None)
            assert await taken(subscription, 2) == [b"held", 10]
            # It says what it has to before it counts itself as done with it.
            while hub.handled < hub.offered:
                await asyncio.to_thread(threading.Event().wait, 0.005)
            await sent(house, project, logs("again"))
            assert await taken(subscription, 1) == [b"again"]

    run(work)


def test_a_log_that_cannot_be_shown_ends_nothing(house: House, who: Principal, project: Project) -> None:
    def failing(row: EventRow) -> bytes:
        return b"%d\n" % (1 // (row.message != "bad"))

    async def work() -> None:
        with tail.subscribed(house, wish(house, who, project, failing)) as subscription:
            await sent(house, project, logs("bad", "fine"))
            assert await taken(subscription, 1) == [2]
            await sent(house, project, logs("fine"))
            assert await taken(subscription, 1) == [b"1"]

    run(work)


@asynccontextmanager
async def appending(house: House, project: Project, groups: int) -> AsyncIterator[asyncio.Task[list[int]]]:
    """Append groups of two all the while; the task gives the ids."""

    async def work() -> list[int]:
        ids: list[int] = []
        for _ in range(groups):
            accepted = await sent(house, project, logs("x", "y"))
            ids += range(accepted.first_id, accepted.first_id + accepted.rows)
        return ids

    task = asyncio.create_task(work())
    yield task
    await task


def test_coming_back_misses_nothing_and_repeats_nothing(
    house: House, who: Principal, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "DRAIN_SECONDS", PATIENCE)

    async def work() -> None:
        seen: list[bytes] = []
        visits = 0
        with tail.subscribed(house, wish(house, who, project)) as subscription:
            start = tail.place(subscription)
        async with appending(house, project, 300) as task:
            while not task.done() or len(seen) < 600:
                want = wish(house, who, project, name, after=seen[-1].decode() if seen else start)
                visits += 1
                with tail.subscribed(house, want) as subscription:
                    pieces = apart(await tail.missed(house, want, subscription))
                    if visits % 2:
                        pieces += apart(await subscription.take(0.02))
                assert all(isinstance(piece, bytes) for piece in pieces)
                seen += [piece for piece in pieces if isinstance(piece, bytes)]
            ids = task.result()
        assert [int(one[16:], 16) for one in seen] == ids
        assert visits > 2

    run(work)


def test_of_too_much_the_newest_comes_back(house: House, who: Principal, project: Project) -> None:
    async def work() -> None:
        with tail.subscribed(house, wish(house, who, project)) as subscription:
            start = tail.place(subscription)
        for turn in range(3):
            await sent(house, project, logs(*(f"{turn} {number}" for number in range(400))))
        want = wish(house, who, project, after=start)
        with tail.subscribed(house, want) as subscription:
            pieces = apart(await tail.missed(house, want, subscription))
        assert pieces[:2] == [200, b"0 200"]
        assert (len(pieces), pieces[-1]) == (1001, b"2 399")

    run(work)


def test_places_of_other_servers_and_of_the_future_tell_nothing(house: House, who: Principal, project: Project) -> None:
    async def work() -> None:
        await sent(house, project, logs("x"))
        for after in (public_id(0, 1 << 60), public_id(0, house.store.wal.next_id + 5)):
            want = wish(house, who, project, after=after)
            with tail.subscribed(house, want) as subscription:
                assert await tail.missed(house, want, subscription) == []
        with pytest.raises(Refusal) as refusal:
            wish(house, who, project, after="no id")
        assert refusal.value.facts["field"] == "after"

    run(work)


def test_there_may_be_so_many(house: House, who: Principal, new_project: Any) -> None:
    first, second = new_project(), new_project()

    async def work() -> None:
        def subscribe(project: Project) -> Any:
            made = tail.subscribed(house, wish(house, who, project))
            made.__enter__()
            return made

        def refused(project: Project) -> Kind:
            with pytest.raises(Refusal) as refusal:
                subscribe(project)
            assert refusal.value.facts["retry_after"] > 0
            return refusal.value.kind

        held = [subscribe(first) for _ in range(3)]
        assert refused(first) is Kind.RATE_LIMITED
        held.append(subscribe(second))
        assert refused(second) is Kind.UNAVAILABLE
        held.pop().__exit__(None, None, None)
        held.append(subscribe(second))
        for one in held:
            one.__exit__(None, None, None)
        assert house.part(Hub).count == 0

    run(work)


def test_a_stop_ends_all(house: House, who: Principal, project: Project, hub: Hub) -> None:
    async def work() -> None:
        with tail.subscribed(house, wish(house, who, project)) as subscription:
            await sent(house, project, logs("unread"))
            waiting = asyncio.create_task(taken_when_ended(subscription))
            hub.close()
            await waiting
            assert subscription.ended == tail.STOPPING
        with pytest.raises(Refusal), tail.subscribed(house, wish(house, who, project)):
            pass

    run(work)


async def taken_when_ended(subscription: Subscription) -> None:
    while subscription.ended is None:
        await subscription.take(PATIENCE)
    assert await subscription.take(PATIENCE) == []


def test_another_tenant_may_not_watch(house: House, who: Principal, project: Project, sign_up: SignUp) -> None:
    with pytest.raises(Refusal) as refusal:
        wish(house, sign_up(house, "eve@example.com"), project)
    assert refusal.value.kind is Kind.FORBIDDEN
    with pytest.raises(Refusal) as refusal:
        wish(house, who, project, query="level:eror")
    assert refusal.value.facts["field"] == "q"
    assert msgspec.structs.asdict(wish(house, who, project, query="a"))["node"]
