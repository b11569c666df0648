import asyncio
import contextlib
import errno
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.eventstore.files import Files
from headrace.eventstore.wal import FEW_ROWS, FEW_WAIT, Limits, Wal, WalError
from tests.eventstore.faulty import (
    NOON,
    PATIENT,
    TIME,
    FaultyFiles,
    HeldFiles,
    drain,
    event,
    idle,
    open_log,
    put,
    stored,
)

Until = Callable[..., None]


# -- group commit ----------------------------------------------------------------------------------------------------


def test_what_arrives_during_a_sync_shares_the_next_one(tmp_path: Path) -> None:
    files = HeldFiles()
    log = open_log(tmp_path, files=files)
    first = log.append(1, 12, NOON, 30, [event("first")]).commit
    assert files.syncing.acquire(timeout=60)
    later = [log.append(1, 12, NOON, 30, [event(f"{n}")]).commit for n in range(100)]
    assert not first.finished.is_set()
    files.released.release()
    first.wait(60)
    assert files.syncing.acquire(timeout=60)
    assert not any(commit.finished.is_set() for commit in later)
    files.released.release()
    for commit in later:
        commit.wait(60)
    assert log.commits == 2
    log.close()


def test_nothing_is_acknowledged_before_it_is_synced(tmp_path: Path) -> None:
    files = HeldFiles()
    log = open_log(tmp_path, files=files)
    commit = log.append(1, 12, NOON, 30, [event("one")]).commit
    assert files.syncing.acquire(timeout=60)
    with pytest.raises(WalError, match="did not answer"):
        commit.wait(0)
    files.released.release()
    commit.wait(60)
    log.close()


def test_the_event_loop_is_told(tmp_path: Path) -> None:
    async def many() -> None:
        log = open_log(tmp_path)
        commits = [log.append(1, 12, NOON, 30, [event(f"{n}")]).commit for n in range(500)]
        waiting = [asyncio.ensure_future(commit.durable()) for commit in commits]
        waiting[0].cancel()  # A client that went away.
        await asyncio.wait(waiting, timeout=60)
        assert [task.exception() for task in waiting[1:]] == [None] * 499
        await asyncio.wait_for(commits[0].durable(), 60)  # Asked after the fact.
        await asyncio.to_thread(log.close)

    asyncio.run(many())
    assert len(stored(tmp_path)) == 500


def test_a_closed_event_loop_harms_nobody(tmp_path: Path) -> None:
    files = HeldFiles()
    log = open_log(tmp_path, files=files)

    async def leave() -> None:
        task = asyncio.ensure_future(log.append(1, 12, NOON, 30, [event("left")]).commit.durable())
        assert await asyncio.to_thread(files.syncing.acquire, timeout=60)
        task.cancel()

    asyncio.run(leave())
    files.released.release(2)
    assert put(log, "after") == NOON + 1
    log.close()


# -- sealing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "requests", "expected"),
    [
        pytest.param(PATIENT._replace(segment_rows=4), 10, [4, 4, 2], id="rows"),
        pytest.param(PATIENT._replace(segment_bytes=1), 3, [1, 1, 1], id="bytes"),
        pytest.param(PATIENT._replace(segment_bytes=500), 7, [3, 3, 1], id="some bytes"),
        pytest.param(PATIENT._replace(segment_rows=1), 2, [1, 1], id="each"),
        pytest.param(PATIENT, 10, [10], id="closing"),
    ],
)
def test_sealing(tmp_path: Path, limits: Limits, requests: int, expected: list[int]) -> None:
    log = open_log(tmp_path, limits=limits)
    for number in range(requests):
        put(log, f"{number}")
    log.close()
    assert [segment.rows for segment in log.sealed] == expected
    assert [segment.path.stat().st_size for segment in log.sealed] == [segment.size for segment in log.sealed]
    assert stored(tmp_path) == [(NOON + number, f"{number}") for number in range(requests)]


def test_a_segment_is_sealed_by_age_when_nothing_follows(tmp_path: Path) -> None:
    log = open_log(tmp_path, limits=PATIENT._replace(segment_age=0.01))
    put(log, "one")
    segment = log.next_sealed(60)
    assert segment is not None
    assert segment.rows == 1
    log.close()


def test_few_rows_wait_longer_for_each_other(tmp_path: Path) -> None:
    log = open_log(tmp_path, limits=PATIENT._replace(segment_rows=2 * FEW_ROWS))
    put(log, "one")
    assert log.ripe_age() == PATIENT.segment_age * FEW_WAIT
    log.append(1, 11, NOON, 30, [event("x")] * FEW_ROWS).commit.wait(60)
    assert log.ripe_age() == PATIENT.segment_age
    log.close()


def test_a_segment_is_sealed_by_age_under_a_load_without_pause(tmp_path: Path) -> None:
    class BusyFiles(Files):
        """While it syncs, the next request arrives: the committer always finds a batch."""

        def sync(self, descriptor: int) -> None:
            super().sync(descriptor)
            with contextlib.suppress(WalError):
                log.append(1, 12, NOON, 30, [event("x")])

    log = open_log(tmp_path, limits=PATIENT._replace(segment_age=0.01), files=BusyFiles())
    put(log, "first")
    segment = log.next_sealed(60)
    assert not log.closing
    log.close()
    assert segment is not None


# -- ids -------------------------------------------------------------------------------------------------------------


def test_ids_grow_and_stay_unique_over_restarts(tmp_path: Path) -> None:
    """Also when the clock stands still or goes back, whether the segments were stored meanwhile or not."""
    seen: list[int] = []
    for start, now in enumerate([NOON, NOON, NOON - 10**9, NOON + 5, NOON - 1, 0]):
        log = open_log(tmp_path, now=now)
        first = put(log, "a", "b", "c")
        seen += range(first, first + 3)
        seen.append(put(log, "d"))
        log.close()
        if start % 2:
            drain(log)
    assert seen == sorted(set(seen))


def test_the_mark_does_not_fall_when_an_older_segment_is_stored_last(tmp_path: Path) -> None:
    log = open_log(tmp_path, limits=PATIENT._replace(segment_rows=1))
    put(log, "old")
    put(log, "new")
    log.close()
    older, newer = log.sealed
    log.done(newer)
    log.done(older)
    assert open_log(tmp_path, now=0).next_id == NOON + 2


def test_the_node_stands_above_the_clock(tmp_path: Path) -> None:
    log = Wal.open(tmp_path, clock=lambda: NOON, node=7)
    assert put(log, "a") == 7 << 53 | NOON
    log.close()


def test_a_failed_request_does_not_give_its_ids_away(tmp_path: Path) -> None:
    files = FaultyFiles(lambda call, number: errno.EIO if (call, number) == ("sync", 1) else None)
    log = open_log(tmp_path, files=files)
    with pytest.raises(WalError):
        put(log, "refused")
    assert put(log, "kept") == NOON + 1
    log.close()
    assert stored(tmp_path) == [(NOON + 1, "kept")]


# -- limits ----------------------------------------------------------------------------------------------------------


def test_the_waiting_bytes_are_bounded(tmp_path: Path) -> None:
    log = open_log(tmp_path, limits=PATIENT._replace(waiting_bytes=1000, segment_rows=1))
    taken = 0
    while log.waiting_bytes < 1000:
        put(log, "x" * 100)
        taken += 1
    with pytest.raises(WalError, match="too many events wait"):
        put(log, "one more")
    segment = log.next_sealed(60)
    assert segment is not None
    log.done(segment)
    put(log, "again")
    log.close()
    assert len(drain(log)) == taken
    assert idle(log)


def test_depth_by_project(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    put(log, "a", "b", project=12)
    put(log, "c", project=13)
    assert (log.depth(1, 12), log.depth(1, 13), log.depth(2, 12), log.waiting_rows) == (2, 1, 0, 3)
    log.close()
    again = open_log(tmp_path)
    assert (again.depth(1, 12), again.depth(1, 13), again.waiting_rows) == (2, 1, 3)
    assert again.waiting_bytes == log.waiting_bytes
    assert again.arrivals == log.arrivals
    drain(again)
    assert idle(again)
    again.close()


def test_an_event_that_cannot_be_written_as_json_leaves_no_trace(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    wrong: Any = [event("x"), object()]
    for _ in range(2):
        with pytest.raises(TypeError):
            log.append(1, 12, NOON, 30, wrong)
        assert idle(log)
        assert list(tmp_path.iterdir()) == []
    assert put(log, "right") == NOON
    log.close()
    assert stored(tmp_path) == [(NOON, "right")]


# -- closing ---------------------------------------------------------------------------------------------------------


def test_a_closed_log_refuses_and_keeps_its_segments(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    put(log, "one")
    log.close()
    log.close()
    with pytest.raises(WalError, match="closed"):
        put(log, "two")
    assert drain(log) == [(NOON, "one")]
    assert log.next_sealed(60) is None
    assert idle(log)
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]


def test_closing_while_threads_append(tmp_path: Path) -> None:
    log = open_log(tmp_path, limits=PATIENT._replace(segment_rows=50, segment_age=0.001))
    kept: list[tuple[int, str]] = []
    started = threading.Barrier(9)

    def work(worker: int) -> None:
        started.wait(60)
        for number in range(100_000):
            text = f"{worker}-{number}"
            try:
                kept.append((put(log, text), text))
            except WalError:
                return

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(work, worker) for worker in range(8)]
        started.wait(60)
        first = log.next_sealed(60)
        log.close()
        for task in running:
            task.result(60)
    assert first is not None
    assert sorted(kept) == stored(tmp_path)
    assert log.waiting_rows == len(kept)
    drain(log)
    assert idle(log)


def test_many_threads_and_a_drain_at_once(tmp_path: Path) -> None:
    log = open_log(tmp_path, limits=PATIENT._replace(segment_rows=200, segment_age=0.002))
    found: list[tuple[int, str]] = []

    def store() -> None:
        while log.committer.is_alive() or log.sealed:
            if segment := log.next_sealed(0.01):
                for line in segment.path.read_bytes().splitlines():
                    group = msgspec.json.decode(line)
                    found.extend((group["first_id"] + n, item["message"]) for n, item in enumerate(group["events"]))
                log.done(segment)

    def work(worker: int) -> list[tuple[int, str]]:
        rng = random.Random(worker)
        kept = []
        for number in range(100):
            texts = [f"{worker}-{number}-{n}" for n in range(rng.randint(1, 20))]
            first = put(log, *texts, project=worker)
            kept += [(first + n, text) for n, text in enumerate(texts)]
        return kept

    with ThreadPoolExecutor(9) as pool:
        drained = pool.submit(store)
        kept = [item for part in pool.map(work, range(8)) for item in part]
        log.close()
        drained.result(60)
    assert sorted(kept) == found
    assert idle(log)


def test_times_and_odd_text_come_back_as_sent(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    texts = ["", "\x00\x1f", '"\\', "\u2028", "\U0001f600", "a\nb\r\n"]
    put(log, *texts)
    log.close()
    assert [text for _id, text in stored(tmp_path)] == texts
    (line,) = next(tmp_path.glob("*.sealed")).read_bytes().splitlines()
    assert msgspec.json.decode(line)["events"][0]["timestamp"] == TIME.isoformat().replace("+00:00", "Z")
