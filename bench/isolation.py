"""Section `isolation`: what one slow search costs those who send logs and who ask short questions, and how it ends."""

import http
import itertools
import math
import multiprocessing
import threading
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Event

from bench import corpus, table, workloads
from bench.client import Caller
from bench.place import Place, Run
from bench.server import Key, Server
from bench.table import Row
from bench.workloads import Load, Sent, apart, percentile

COUNTS, MONTH = "/api/v1/logs/counts", "last30days"
RATE = 5_000  # Logs a second, in batches of 100.
BATCH = 100
PAUSE = 0.05

LIMIT_SECONDS = 1  # The least that can be set: what takes longer depends on the machine.
# Of single letters, so that no index helps: each pattern is tried on every text.
PAIRS = tuple(itertools.product("aeiorstn", repeat=2))


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
    yield cut_off(run)


def cut_off(run: Run) -> Row:
    """Search a month for what fits none of ever more patterns, until the search reaches its limit of time."""
    usual = run.server.settings["query_seconds"]
    restart(run.server, str(LIMIT_SECONDS))
    taken, note = math.inf, "no search was that slow"
    with Caller(run.server.address, run.key.secret) as caller:
        for number in (1, 2, 4, 8, 16, 32, 64):
            patterns = " ".join(f"-*{first}*{second}*q*z" for first, second in PAIRS[:number])
            began = time.perf_counter()
            status, said = caller.ask("GET", COUNTS, project_id=run.key.project, period=MONTH, by="level", q=patterns)
            if status != http.HTTPStatus.OK:
                taken = time.perf_counter() - began
                note = f"{number} patterns over a month: {status}, {said['detail']}"
                break
    restart(run.server, usual)
    return Row(f"search of {LIMIT_SECONDS} s at most, cut off after", taken, table.millis, note=note)


def restart(server: Server, query_seconds: str) -> None:
    server.stop()
    server.settings["query_seconds"] = query_seconds
    server.start()


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
            caller.get(COUNTS, project_id=run.key.project, by="level", period=MONTH)
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
                "period": MONTH,
                "by": "level",
                "q": f"message:*a*e{number}*o*u*zz",
            }
            status, _ = caller.ask("GET", COUNTS, **asked)
            done, refused = done + 1, refused + (status != 200)
    told.put((done, refused))
