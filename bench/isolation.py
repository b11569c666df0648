"""Section `isolation`: what one slow search costs those who send logs and those who ask short questions."""

import itertools
import multiprocessing
import threading
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event

from bench import corpus, table, workloads
from bench.client import Caller
from bench.place import Place, Run
from bench.server import Key
from bench.table import Row
from bench.workloads import Load, Sent, apart, percentile

RATE = 5_000  # Logs a second, in batches of 100.
BATCH = 100
PAUSE = 0.05


def measure(place: Place) -> Iterator[Row]:
    run = place.run
    run.grow(max(place.logs, place.rows))
    seconds = 5 if place.quick else 20
    quiet = both(run, seconds)
    context = multiprocessing.get_context("spawn")
    over, cut = context.Event(), context.Queue()
    slow = context.Process(target=search_slowly, args=(run.server.address, run.key, over, cut))
    slow.start()
    try:
        time.sleep(1)
        beside = both(run, seconds)
    finally:
        over.set()
        searches, refused = cut.get(timeout=120)
        slow.join(30)
    note = f"{searches} searches of a month by a pattern ran one after the other, {refused} were cut off"
    for name, alone, loaded in zip(("ingest", "counts by level"), quiet, beside, strict=True):
        yield Row(
            f"p99 of {name}, nothing beside it", percentile(alone, 0.99), table.millis, note=f"{len(alone)} times"
        )
        yield Row(f"p99 of {name}, beside a slow search", percentile(loaded, 0.99), table.millis, note=note)
        yield Row("  the same, as a ratio", percentile(loaded, 0.99) / percentile(alone, 0.99), table.times, 2.0)


def both(run: Run, seconds: int) -> tuple[list[float], list[float]]:
    """Return the latencies, sorted, of batches at RATE and of counts meanwhile."""
    counted: list[float] = []
    over = threading.Event()
    counting = threading.Thread(target=count, args=(run, over, counted))
    first, batches = run.stored // corpus.SIZE, RATE * seconds // BATCH
    load = Load(first, batches, time.time_ns() // 1000, 1.0, connections=2, rate=RATE, size=BATCH)
    counting.start()
    try:
        with apart(workloads.send_batches, run.server.target(run.marker_key), load) as wait:
            sent: Sent = wait()
    finally:
        over.set()
        counting.join(60)
    return sent.latencies, sorted(counted)


def count(run: Run, over: threading.Event, taken: list[float]) -> None:
    with Caller(run.server.address, run.key.secret) as caller:
        while not over.wait(PAUSE):
            began = time.perf_counter()
            caller.get("/api/v1/logs/counts", project_id=run.key.project, by="level", period="last30days")
            taken.append(time.perf_counter() - began)


def search_slowly(
    address: tuple[str, int], key: Key, over: Event, told: "multiprocessing.Queue[tuple[int, int]]"
) -> None:
    """Search by patterns that fit nothing, each another one, until told to stop."""
    done = refused = 0
    with Caller(address, key.secret) as caller:
        for number in itertools.count():
            if over.is_set():
                break
            asked = {
                "project_id": key.project,
                "period": "last30days",
                "by": "level",
                "q": f"message:*a*e{number}*o*u*zz",
            }
            status, _ = caller.ask("GET", "/api/v1/logs/counts", **asked)
            done, refused = done + 1, refused + (status != 200)
    told.put((done, refused))
