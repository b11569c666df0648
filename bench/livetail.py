"""Section `tail`: how soon a live tail shows a log, and what 200 tails of one project cost those who send."""

import contextlib
import json
import multiprocessing
import select
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.synchronize import Event

from bench import corpus, table, workloads
from bench.client import Address, Caller
from bench.crash import BATCH, SINGLE, drained
from bench.place import Place, Run
from bench.server import Key
from bench.table import Row
from bench.workloads import Load, Sent, apart, percentile

RATE = 5_000
SIZE = 100
TAILS = 200
MARKER_SECONDS = 0.1


def measure(place: Place) -> Iterator[Row]:
    run = place.run
    yield from delay(run, 3 if place.quick else 15)
    yield from cost(run, place)


def listen(address: Address, key: Key, query: str = "") -> socket.socket:
    """Open a live tail; what comes is the answer's head, then events."""
    one = socket.create_connection(address, timeout=30)
    path = f"/api/v1/logs/tail?project_id={key.project}{query}"
    one.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key.secret}\r\n\r\n".encode())
    return one


def delay(run: Run, seconds: int) -> Iterator[Row]:
    """Send markers one by one beside RATE logs a second, and see each come out of a tail of the same project."""
    seen: dict[str, float] = {}
    sent: dict[str, float] = {}
    over = threading.Event()
    tail = listen(run.server.address, run.key, "&q=tailmarker")
    threads = [threading.Thread(target=see, args=(tail, seen)), threading.Thread(target=mark, args=(run, over, sent))]
    for thread in threads:
        thread.start()
    load = Load(0, RATE * seconds // SIZE, time.time_ns() // 1000, 1.0, connections=2, rate=RATE, size=SIZE)
    try:
        with apart(workloads.send_batches, run.server.target(run.key), load) as wait:
            wait()
        time.sleep(1)
    finally:
        over.set()
        threads[1].join(30)
        with contextlib.suppress(OSError):
            tail.shutdown(socket.SHUT_RDWR)
        threads[0].join(30)
        tail.close()
    taken = sorted(seen.get(name, float("inf")) - at for name, at in sent.items())
    note = f"p50 {table.millis(percentile(taken, 0.5))}, {len(taken)} logs looked for at {RATE:,} logs/s"
    yield Row("sent to shown by a live tail, p99", percentile(taken, 0.99), table.millis, 0.3, note)


def mark(run: Run, over: threading.Event, sent: dict[str, float]) -> None:
    with Caller(run.server.address, run.key.secret) as caller:
        while not over.wait(MARKER_SECONDS):
            name = f"tailmarker {len(sent)} end"
            sent[name] = time.perf_counter()
            caller.post(SINGLE, {"timestamp": datetime.now(UTC).isoformat(), "level": "info", "message": name})


def see(tail: socket.socket, seen: dict[str, float]) -> None:
    """Note when each marker came, until the connection ends."""
    rest = b""
    with contextlib.suppress(OSError):
        while data := tail.recv(65_536):
            now = time.perf_counter()
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.startswith(b"data:") and b"tailmarker" in line:
                    seen.setdefault(json.loads(line[5:])["message"], now)


def cost(run: Run, place: Place) -> Iterator[Row]:
    """Send at full speed with tails and without, in turns; the best of each counts, as both suffer from neighbours."""
    logs = place.logs // 4
    rates: dict[int, list[float]] = {0: [], TAILS: []}
    for tails in (0, TAILS) * (1 if place.quick else 3):
        with watched(run, tails):
            rates[tails].append(rate(run, logs))
        drained(run.server, run.key, 600)
    alone, beside = max(rates[0]), max(rates[TAILS])
    yield Row(
        "durable batch ingest, nobody watching", alone, table.per_second, note=f"{logs:,} logs, best of its turns"
    )
    note = f"readers on the same cores; {BATCH.rpartition('/')[2]} requests of {corpus.SIZE:,}"
    yield Row(f"  the same, {TAILS} live tails of the project", beside, table.per_second, note=note)
    yield Row("  what the tails cost", 1 - beside / alone, lambda value: f"{value * 100:.0f} %", 0.15)


def rate(run: Run, logs: int) -> float:
    load = Load(0, logs // corpus.SIZE, time.time_ns() // 1000, 1.0)
    with apart(workloads.send_batches, run.server.target(run.key), load) as wait:
        sent: Sent = wait()
    return sent.good * corpus.SIZE / sent.seconds


@contextlib.contextmanager
def watched(run: Run, tails: int) -> Iterator[None]:
    """Have a process of its own read so many tails."""
    context = multiprocessing.get_context("spawn")
    ready, over = context.Event(), context.Event()
    reader = context.Process(target=read_all, args=(run.server.address, run.key, tails, ready, over))
    if tails:
        reader.start()
        ready.wait(60)
    try:
        yield
    finally:
        over.set()
        if tails:
            reader.join(60)


def read_all(address: Address, key: Key, tails: int, ready: Event, over: Event) -> None:
    poll = select.epoll()
    opened = {}
    for _ in range(tails):
        one = listen(address, key)
        opened[one.fileno()] = one
        poll.register(one.fileno(), select.EPOLLIN)
    ready.set()
    while not over.is_set() and opened:
        for number, _ in poll.poll(0.2):
            if not opened[number].recv(1 << 20):
                poll.unregister(number)
                opened.pop(number).close()
    for one in opened.values():
        one.close()
