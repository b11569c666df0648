"""What is done to the server to measure it. Each function returns plain figures in SI units; targets are in `table`."""

import contextlib
import datetime as dt
import math
import multiprocessing
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

from bench import corpus
from bench.client import Answer, Caller, drive, request
from bench.crash import BATCH, SINGLE, drained
from bench.server import Key, Server, Spent, Target, cpu, spent, until

MARKER_SECONDS = 0.1
QUIET_SECONDS = 3.0


class Sent(NamedTuple):
    """Requests answered 202, when (time.perf_counter), what CPU the server took meanwhile; other answers; latencies."""

    good: int
    began: float
    ended: float
    cpu: Spent
    failures: int
    latencies: list[float]

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Load(NamedTuple):
    """Batches to send: which of the corpus, over how many connections, at how many logs a second (0: at full speed).

    `start` and `step` as in `corpus.batch`. Not prebuilt, the client's own work slows the sending.
    """

    first: int
    batches: int
    start: int
    step: float
    connections: int = 4
    rate: float = 0.0
    prebuilt: bool = True
    size: int = corpus.SIZE


@contextlib.contextmanager
def apart(work: Callable[..., Any], *arguments: Any) -> Iterator[Callable[[], Any]]:
    """Run a client in a process of its own; yields what waits for its result."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        yield pool.apply_async(work, arguments).get


def send_batches(target: Target, load: Load) -> Sent:
    """Send batches of logs."""
    bodies = corpus.bodies(load.first, load.batches, load.start, load.step, load.size)
    requests: Any = ((number, request("POST", BATCH, target.key.secret, body)) for number, body in enumerate(bodies))
    if load.prebuilt:
        requests = list(requests)
    if load.rate:
        requests = paced(iter(requests), load.size / load.rate)
    return send(target, requests, load.connections)


def send_singles(target: Target, count: int, connections: int, start: int) -> Sent:
    """Send logs one by one."""
    logs = (log for number in range(math.ceil(count / corpus.SIZE)) for log in corpus.batch(number, start, 1000.0))
    numbered = zip(range(count), logs, strict=False)
    requests = [(number, request("POST", SINGLE, target.key.secret, log.encode())) for number, log in numbered]
    return send(target, requests, connections)


def send(target: Target, requests: Iterable[tuple[int, bytes]], connections: int) -> Sent:
    answers: list[Answer[int]] = []
    before, began = cpu(target.pid), time.perf_counter()
    drive(target.address, requests, answers.append, connections=connections)
    ended, after = time.perf_counter(), cpu(target.pid)
    good = sorted(answer.seconds for answer in answers if answer.status == 202)
    return Sent(len(good), began, ended, spent(target.pid, before, after), len(answers) - len(good), good)


def paced(requests: Iterator[Any], interval: float) -> Iterator[Any]:
    due = time.perf_counter()
    for item in requests:
        due += interval
        time.sleep(max(0.0, due - time.perf_counter()))
        yield item


def idle(server: Server, seconds: float) -> float:
    """CPU seconds per second of a server that has nothing to do."""
    before = cpu(server.pid).whole
    time.sleep(seconds)
    return (cpu(server.pid).whole - before) / seconds


def settled(server: Server, key: Key, idle_rate: float, *, seconds: float = 600.0) -> tuple[float, float]:
    """Wait until all is searchable, then until merges are quiet; returns when either happened (time.perf_counter)."""
    drained(server, key, seconds)
    searchable = time.perf_counter()
    quiet_since, last = searchable, cpu(server.pid).whole
    deadline = searchable + seconds
    while time.perf_counter() - quiet_since < QUIET_SECONDS and time.perf_counter() < deadline:
        time.sleep(0.5)
        now = cpu(server.pid).whole
        if (now - last) / 0.5 > idle_rate + 0.05:
            quiet_since = time.perf_counter()
        last = now
    return searchable, quiet_since


class Markers:
    """Sends a log every 100 ms and looks for each until it is found: how long after its acknowledgement?"""

    def __init__(self, server: Server, key: Key) -> None:
        self.server, self.key = server, key
        self.name = secrets.token_hex(4)  # The project holds the markers of earlier ones too.
        self.acknowledged: dict[str, float] = {}
        self.found: dict[str, float] = {}
        self.stopping = threading.Event()
        self.sender, self.looker = (Caller(server.address, key.secret) for _ in range(2))
        self.threads = [threading.Thread(target=work) for work in (self.send, self.look)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        self.sender.connection.close()
        self.looker.connection.close()

    def send(self) -> None:
        caller = self.sender
        while not self.stopping.is_set():
            name = f"marker {self.name} {len(self.acknowledged)}"
            now = dt.datetime.now(dt.UTC).isoformat()
            caller.post(SINGLE, {"timestamp": now, "level": "info", "message": name})
            self.acknowledged[name] = time.perf_counter()
            self.stopping.wait(MARKER_SECONDS)

    def look(self) -> None:
        caller = self.looker
        deadline = math.inf
        while time.perf_counter() < deadline:
            page = caller.get("/api/v1/logs", project_id=self.key.project, limit=200)
            now = time.perf_counter()
            for log in page["logs"]:
                self.found.setdefault(log["message"], now)
            if self.stopping.is_set():
                deadline = min(deadline, now + 30)
                if self.acknowledged.keys() <= self.found.keys():
                    return
            time.sleep(0.03)

    def latencies(self, began: float, ended: float) -> list[float]:
        """Of those acknowledged between the two times, sorted."""
        sent = {name: at for name, at in self.acknowledged.items() if began <= at <= ended}
        return sorted(self.found.get(name, math.inf) - at for name, at in sent.items())


QUERIES: dict[str, tuple[str, dict[str, str]]] = {
    "counts by level": ("/api/v1/logs/counts", {"by": "level"}),
    "histogram by hour": ("/api/v1/logs/histogram", {"interval": "hour"}),
    "word, counts by level": ("/api/v1/logs/counts", {"by": "level", "q": "nightly"}),
    "word, latest 50": ("/api/v1/logs", {"limit": "50", "q": "nightly"}),
    "latest 50 with attributes": ("/api/v1/logs", {"limit": "50"}),
}


def query_times(server: Server, key: Key, times: int = 20) -> dict[str, list[float]]:
    """Seconds of each query over a kept connection, sorted."""
    taken: dict[str, list[float]] = {}
    with Caller(server.address, key.secret) as caller:
        for name, (path, parameters) in QUERIES.items():
            for _ in range(times + 1):
                began = time.perf_counter()
                answer = caller.get(path, project_id=key.project, **parameters)
                taken.setdefault(name, []).append(time.perf_counter() - began)
                if not next(value for value in answer.values() if isinstance(value, list)):
                    raise ValueError(f"{name} found nothing")
            taken[name] = sorted(taken[name][1:])  # The first one opens the connection.
    return taken


PARTS = """
import sys
import clickhouse_connect
client = clickhouse_connect.get_client(interface="chdb", path=sys.argv[1])
for (path,) in client.query("SELECT path FROM system.parts WHERE active AND database = currentDatabase()").result_rows:
    print("part", path)
client.close()
"""


def disk(server: Server) -> tuple[int, int]:
    """Bytes of the data folder and of the log, without the parts that merges have replaced (kept some minutes only).

    The server is stopped for it. Which parts are replaced, the folder tells: the engine reads them in by and by.
    """
    server.stop()
    command = [sys.executable, "-c", PARTS, str(server.data / "events" / "engine")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    engine = server.data / "events" / "engine"
    active = {engine / line.removeprefix("part ") for line in run.stdout.splitlines() if line.startswith("part ")}
    tables = {part.parent for part in active}
    log = sum(size(path) for path in server.data.rglob("*.sealed")) + sum(
        size(path) for path in server.data.rglob("*.open")
    )
    return sum(size(path) for path in server.data.rglob("*") if path.is_file() and kept(path, tables, active)), log


def kept(path: Path, tables: set[Path], active: set[Path]) -> bool:
    """Tell whether a file is of no table's part, or of a part that was not replaced."""
    return not any(one.parent in tables and one not in active for one in path.parents)


def size(path: Path) -> int:
    """Bytes that the file takes on the disk."""
    return path.stat().st_blocks * 512


def flushed(server: Server, key: Key) -> None:
    until(lambda: not list(server.data.rglob("*.sealed")), "an empty log", seconds=600)
    drained(server, key)


def percentile(values: list[float], part: float) -> float:
    """The one that `part` (0 to 1) of the values do not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, math.ceil(part * len(ranked)) - 1)] if ranked else math.nan
