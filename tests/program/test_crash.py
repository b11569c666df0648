"""The real server under load is killed, or its disk fills up: what was acknowledged is there, once."""

import http.client
import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.client import Answer
from bench.crash import SINGLE, SMALL_SEGMENTS, Load, Verdict, crash_round, drained, judge, run_load, stored
from bench.server import Key, Server
from bench.soak import counted

ROUNDS = 20
Until = Callable[..., None]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data", SMALL_SEGMENTS)
    yield server
    server.kill()


def assert_good(verdict: Verdict, *facts: object) -> None:
    assert (verdict.lost, verdict.doubled, verdict.partial, verdict.strange) == ([], [], [], []), facts


def test_killed_under_load_time_and_again(server: Server) -> None:
    """One data folder over all rounds; in every other one the segments are large, so that the drain lags behind."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    server.start()
    key = server.new_key()
    acknowledged, torn_lines = 0, 0
    total = 0
    for number in range(ROUNDS):
        server.settings |= SMALL_SEGMENTS if number % 2 else {"segment_rows": "50000", "segment_age_ms": "500"}
        verdict, _, torn = crash_round(server, key, name=f"round-{number}", seed=seed + number, longest=0.4)
        assert_good(verdict, seed, number)
        acknowledged += verdict.acknowledged
        torn_lines += torn
        total += verdict.stored
    assert acknowledged > 20 * ROUNDS
    assert torn_lines > 0
    assert counted(server, key) == total
    assert server.output.read_text().count("Traceback") == 0


def test_a_polite_stop_under_load_loses_nothing_either(server: Server, until: Until) -> None:
    server.start()
    key = server.new_key()
    load = Load("stopped", 1)

    def stop() -> None:
        until(lambda: len(load.acknowledged) > 20)
        server.stop()

    run_load(server, key, load, stop)
    server.start()
    drained(server, key)
    assert_good(judge(load, stored(server, key, load.name)))


class SmallDisk:
    """A file system of its own under the durable log, which can be filled and freed."""

    def __init__(self, folder: Path) -> None:
        self.filler = folder / "filler"

    def fill(self) -> None:
        with self.filler.open("ab", buffering=0) as file:
            for piece in (1 << 16, 1 << 12, 1):
                try:
                    while file.write(b"x" * piece):
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        self.filler.unlink()


@pytest.fixture
def small_disk(server: Server) -> Iterator[SmallDisk]:
    folder = server.data / "events" / "wal"
    folder.mkdir(parents=True)
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system; test_wal.py fills its disk by fault injection")
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "headrace-test", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {run.stderr.strip()}")
    yield SmallDisk(folder)
    server.kill()
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("killed", [False, True], ids=["running on", "killed while full"])
def test_a_full_disk_refuses_and_loses_nothing(
    server: Server, small_disk: SmallDisk, until: Until, killed: bool
) -> None:
    server.start()
    key = server.new_key()
    before, after = Load("before", 1), Load("after", 2)

    def refused() -> dict[str, str]:
        """Return the headers of a refusal. Room that the drain has made since is filled too, else one is taken."""
        answers: list[tuple[int, dict[str, str]]] = []

        def ask() -> bool:
            small_disk.fill()
            answers.append(single(server, key))
            return answers[-1][0] == 503

        until(ask)
        return answers[-1][1]

    def fill() -> None:
        until(lambda: len(before.acknowledged) > 20)
        small_disk.fill()
        until(lambda: len(before.refused) > 20)
        assert int(refused()["retry-after"]) >= 1
        counted(server, key)  # Reading goes on.
        if not killed:
            known = len(before.acknowledged)
            small_disk.free()
            until(lambda: len(before.acknowledged) > known + 20)

    run_load(server, key, before, fill)
    if killed:
        server.kill()
        server.start()
        small_disk.free()
        # The server looks at its disk now and then, and has seen it full.
        until(lambda: single(server, key)[0] == 202)
    assert set(before.refused.values()) == {503}
    for said in before.refusals:
        detail = json.loads(said)["detail"]
        assert detail.startswith("Service temporarily unavailable - the disk "), detail
        assert str(server.data) not in detail
    run_load(server, key, after, lambda: until(lambda: len(after.acknowledged) > 50))
    drained(server, key)
    assert not after.refused
    for load in (before, after):
        assert_good(judge(load, stored(server, key, load.name)))


def single(server: Server, key: Key) -> tuple[int, dict[str, str]]:
    """Send one log; return status and headers of the answer."""
    connection = http.client.HTTPConnection(*server.address, timeout=60)
    body = json.dumps({"timestamp": "2026-01-01T00:00:00Z", "level": "info", "message": "x" * 9000})
    connection.request(
        "POST", SINGLE, body, {"authorization": f"Bearer {key.secret}", "content-type": "application/json"}
    )
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        pytest.param(["a", "b1", "b2"], None, id="all there"),
        pytest.param(["a", "b1", "b2", "c1", "c2"], None, id="the unanswered too"),
        pytest.param(["b1", "b2"], "lost", id="lost"),
        pytest.param(["a", "b1", "b2", "a"], "doubled", id="doubled"),
        pytest.param(["a", "b1", "b2", "c1"], "partial", id="half of an unanswered one"),
        pytest.param(["a", "b1", "b2", "d"], "strange", id="stored though refused"),
        pytest.param(["a", "b1", "b2", "z"], "strange", id="never sent"),
    ],
)
def test_the_judge_sees_every_fault(found: list[str], wrong: str | None) -> None:
    load = Load("judged", 1)
    load.sent = {1: ["a"], 2: ["b1", "b2"], 3: ["c1", "c2"], 4: ["d"]}
    for number, status in {1: 202, 2: 202, 3: 0, 4: 503}.items():
        load.answered(Answer(number, status, b"", 0.0, 0.0))
    verdict = judge(load, found)
    faults = {name for name in ("lost", "doubled", "partial", "strange") if getattr(verdict, name)}
    assert faults == ({wrong} if wrong else set())
    assert verdict.good is (wrong is None)
