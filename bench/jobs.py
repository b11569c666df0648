"""Section `jobs`: the engine without HTTP: no-op jobs embedded and on PostgreSQL, how soon one starts, the claim."""

import importlib
import multiprocessing
import os
import secrets
import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import table
from bench.place import Place, say
from bench.table import Row
from bench.workloads import percentile
from headrace.cli.serve import SWITCH_SECONDS
from headrace.core import jobs, migrations
from headrace.core.house import House
from headrace.core.jobs import leases
from headrace.core.jobs.claim import Capacity, Taker, Turns, claim
from headrace.core.limits.windows import Limits
from headrace.core.metrics import Counters
from headrace.core.settings import Settings
from headrace.kit import clock
from headrace.kit.database import Database

# Of this run; the workers that it starts find it there.
SECRET = os.environ.setdefault("BENCH_SECRET", secrets.token_hex(32))
TENANTS = 50
TOGETHER = 100
PRODUCERS = 16
BACKLOG, BACKLOG_TENANTS, CLAIMED = 200_000, 1_000, 50
DONE = "SELECT COALESCE(sum(number), 0) FROM job_totals"


def measure(place: Place) -> Iterator[Row]:
    count = 5_000 if place.quick else 30_000
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield from embedded(place, count)
        yield from remote(place, count)
    finally:
        sys.setswitchinterval(before)


def embedded(place: Place, count: int) -> Iterator[Row]:
    with opened(place.subfolder("jobs") / "headrace.db") as house:
        house.part(jobs.Engine).start()
        for kind, isolation in (("task", "as tasks"), ("thread", "in threads")):
            rate = both(house, kind, count, together)
            note = f"{isolation}, enqueued {TOGETHER} in a transaction meanwhile"
            yield Row("no-op jobs enqueued and run, embedded", rate, table.per_second, 10_000, note, least=True)
        rate = both(house, "task", count, alone)
        yield Row("  each in a commit that is shared", rate, table.per_second, note=f"{PRODUCERS} threads submit")
        yield from starts(house, "embedded", 300 if place.quick else 1_000)
        house.part(jobs.Engine).stop(1)
    yield from claims(place.subfolder("jobs-claim") / "headrace.db", "embedded", place)


def remote(place: Place, count: int) -> Iterator[Row]:
    with postgresql() as address:
        if not address:
            return
        with opened(address) as house:
            began = time.perf_counter()
            together(house, "task", count)
            enqueued = count / (time.perf_counter() - began)
            with workers(address, 2):
                # They are up once they have run something; what they do from then on is timed.
                first = until_done(house, 1)
                began = time.perf_counter()
                until_done(house, count)
                rate = (count - first) / (time.perf_counter() - began)
            note = f"enqueued before at {enqueued:,.0f}/s by one connection"
            yield Row("no-op jobs run on PostgreSQL, two workers", rate, table.per_second, 5_000, note, least=True)
            house.part(jobs.Engine).start()
            yield from starts(house, "PostgreSQL", 300 if place.quick else 1_000)
            house.part(jobs.Engine).stop(1)
        yield from claims(address, "PostgreSQL", place)


async def task(context: jobs.Context) -> None:
    del context


def thread(context: jobs.Context) -> None:
    STARTS.append((context.job.id, time.perf_counter()))
    STARTED.set()


STARTS: list[tuple[int, float]] = []
STARTED = threading.Event()


@contextmanager
def opened(address: str | Path) -> Iterator[House]:
    db = Database.open(address)
    migrations.prepare(db)
    nothing: Any = None
    settings = Settings(data=Path(), secret=SECRET)
    house = House.open(settings, limits=Limits(clock.now), store=nothing, counters=Counters(), db=db)
    jobs.define(house, jobs.Kind(name="task", run=task, isolation="async"))
    jobs.define(house, jobs.Kind(name="thread", run=thread))
    try:
        yield house
    finally:
        house.close()


def both(house: House, kind: str, count: int, produce: Any) -> float:
    base = done(house)
    began = time.perf_counter()
    produce(house, kind, count)
    until_done(house, base + count)
    return count / (time.perf_counter() - began)


def together(house: House, kind: str, count: int) -> None:
    for start in range(0, count, TOGETHER):
        with house.db.write() as connection:
            for number in range(start, start + TOGETHER):
                organization_id = number % TENANTS + 1
                jobs.enqueue(house, connection, kind=kind, organization_id=organization_id, payload={"number": number})


def alone(house: House, kind: str, count: int) -> None:
    def produce() -> None:
        for number in range(count // PRODUCERS):
            organization_id = number % TENANTS + 1
            jobs.submit(house, kind=kind, organization_id=organization_id, payload={"number": number})

    threads = [threading.Thread(target=produce) for _ in range(PRODUCERS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    for number in range(count % PRODUCERS):
        jobs.submit(house, kind=kind, organization_id=1, payload={"number": number})


def done(house: House) -> int:
    with house.db.read() as connection:
        return int(connection.exec_driver_sql(DONE).scalar_one())


def until_done(house: House, count: int) -> int:
    while (found := done(house)) < count:
        time.sleep(0.005)
    return found


def starts(house: House, where: str, count: int) -> Iterator[Row]:
    """One job at a time, while nothing else is to be done: on PostgreSQL long enough to be vacuumed, as it is then."""
    taken = []
    if house.db.dialect == "postgresql":
        with house.db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    for number in range(count):
        STARTS.clear()
        STARTED.clear()
        began = time.perf_counter()
        jobs.submit(house, kind="thread", organization_id=1, payload={"number": number})
        STARTED.wait()  # To look every 0.2 ms took the interpreter from those who were to start it.
        taken.append(STARTS[0][1] - began)
        time.sleep(0.003)
    taken.sort()
    vacuumed = ", vacuumed" if house.db.dialect == "postgresql" else ""
    note = f"p99 {table.millis(percentile(taken, 0.99))}, with its commit{vacuumed}"
    yield Row(f"enqueue to start, idle, {where}, p50", percentile(taken, 0.5), table.millis, 0.005, note)


def claims(address: str | Path, where: str, place: Place) -> Iterator[Row]:
    """Claims of CLAIMED jobs each from a large backlog of many tenants."""
    count = BACKLOG // 10 if place.quick else BACKLOG
    with opened(address) as house:
        say(f"{count:,} jobs wait, {where}")
        for start in range(0, count, 10_000):
            with house.db.write() as connection:
                for number in range(start, start + 10_000):
                    organization_id = number % BACKLOG_TENANTS + 1
                    jobs.enqueue(
                        house, connection, kind="task", organization_id=organization_id, payload={"number": number}
                    )
        if house.db.dialect == "postgresql":
            with house.db.write() as connection:
                connection.exec_driver_sql("ANALYZE jobs")
        turns, taken = Turns(), []
        for _ in range(100):
            taker = Taker("bench", house.clock(), house.clock() + leases.lease_us(house))
            began = time.perf_counter()
            with house.db.write() as connection:
                found = claim(house, connection, turns, taker, Capacity({"async": CLAIMED}))
            taken.append(time.perf_counter() - began)
            assert len(found) == CLAIMED
    slow = table.millis(percentile(taken, 0.99))
    note = f"{count:,} jobs of {BACKLOG_TENANTS:,} tenants, {CLAIMED} at a time, p99 {slow}"
    yield Row(f"claim, {where}, median", percentile(taken, 0.5), table.millis, 0.005, note)


def work(address: str) -> None:
    """Be a worker process until ended."""
    sys.setswitchinterval(SWITCH_SECONDS)
    with opened(address) as house:
        house.part(jobs.Engine).start()
        threading.Event().wait()


@contextmanager
def workers(address: str, count: int) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=work, args=(address,), daemon=True) for _ in range(count)]
    for one in started:
        one.start()
    try:
        yield
    finally:
        for one in started:
            one.kill()
            one.join()


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL of the bench's own, with its ordinary settings; no address where it cannot be imported."""
    with warnings.catch_warnings():
        # It complains about a machine without XDG_RUNTIME_DIR when it is imported.
        warnings.simplefilter("ignore")
        try:
            pgserver: Any = importlib.import_module("pgserver")
        except ImportError:
            say("pgserver is not installed: nothing is measured on PostgreSQL")
            yield ""
            return
    folder = tempfile.mkdtemp(prefix="headrace-bench-postgres-")
    server = pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
