"""`make bench`: measures the real server on this machine and prints one table. Nothing here passes or fails."""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import corpus, floor, table, workloads
from bench.client import RefusedError
from bench.crash import drained
from bench.server import Key, Server, cpu, end_on_sigterm
from bench.table import Row
from bench.workloads import Load, Markers, Sent, apart, percentile

MANY = 20_000_000
# Seconds, for 1 M logs and for 20 M: the targets were set on a machine with 2 cores.
QUERY_TARGETS = {
    "counts by level": (0.015, 0.080),
    "histogram by hour": (0.025, 0.150),
    "word, counts by level": (0.015, 0.030),
    "word, latest 50": (0.015, 0.030),
    "latest 50 with attributes": (0.030, 0.060),
}
# The client may be far ahead of the drain, and a query over 20 M logs is to be timed, not refused.
SETTINGS = {"wal_limit_bytes": str(16 << 30), "query_seconds": "60"}


class Run:
    """One server, one project with the load, another for markers."""

    def __init__(self, folder: Path, logs: int, *, quick: bool) -> None:
        self.folder, self.logs, self.quick = folder, logs, quick
        self.server = Server(folder / "data", SETTINGS)
        self.started = self.server.start()
        self.key: Key = self.server.new_key()
        self.marker_key: Key = self.server.new_key()
        self.start = time.time_ns() // 1000 - corpus.DAY - corpus.DAY // 24
        self.idle = 0.0
        self.stored = 0  # Logs of the load so far.
        self.drain_rate = 0.0

    def send(self, logs: int, *, rate: float = 0.0, prebuilt: bool = True) -> Sent:
        """Send the next logs of the corpus. Those of each load are spread over one day up to now."""
        first, batches = self.stored // corpus.SIZE, logs // corpus.SIZE
        step = corpus.DAY / (batches * corpus.SIZE)
        load = Load(first, batches, self.start - int(first * corpus.SIZE * step), step, rate=rate, prebuilt=prebuilt)
        with apart(workloads.send_batches, self.server.target(self.key), load) as wait:
            sent: Sent = wait()
        if sent.failures:
            raise RefusedError(f"{sent.failures} of {batches} batches were not taken")
        self.stored += sent.good * corpus.SIZE
        return sent

    def burst(self) -> Iterator[Row]:
        bodies = corpus.bodies(0, min(200, self.logs // corpus.SIZE), self.start, 1000.0)
        sample = list(bodies)
        base = floor.floor(sample, self.folder)
        yield Row("log as JSON", sum(map(len, sample)) / len(sample) / corpus.SIZE, table.whole_bytes)
        yield Row("floor of durable ingest, CPU per log", base.cpu, table.micros, note="bare loop, one core")
        yield Row("floor of durable ingest, wall per log", base.wall, table.micros)
        self.idle = workloads.idle(self.server, 2 if self.quick else 6)
        yield Row("CPU of the idle server", self.idle, lambda value: f"{value * 100:.2f} %")
        before = cpu(self.server.pid)
        sent = self.send(self.logs)
        searchable, quiet = workloads.settled(self.server, self.key, self.idle)
        after, ended = cpu(self.server.pid), time.perf_counter()
        logs = sent.good * corpus.SIZE
        self.drain_rate = logs / (searchable - sent.began)
        note = "batches of 1,000, 4 connections"
        yield Row("durable batch ingest", logs / sent.seconds, table.per_second, 400_000, note, least=True)
        accepting = sent.cpu.accepting / logs
        yield Row(
            "  CPU per log to the acknowledgement", accepting, table.micros, note="event loop and log's committer"
        )
        yield Row("  the same, against the floor", accepting / base.cpu, table.times, 2.0)
        whole = (after.whole - before.whole - self.idle * (ended - sent.began)) / logs
        note = (
            f"all searchable {searchable - sent.ended:.1f} s, merges quiet {quiet - sent.ended:.1f} s after the burst"
        )
        yield Row("whole CPU per log, drained and merged", whole, table.micros, 6.5e-6, note)
        yield Row("ingest until searchable", self.drain_rate, table.per_second, note="from the first byte on")

    def searchable(self) -> Iterator[Row]:
        """At full speed, then at a rate that the drain keeps up with. Looking for the markers costs CPU too."""
        for name, rate, seconds in (
            ("full load", 0.0, 0),
            ("sustained", self.drain_rate * 0.6, 3 if self.quick else 10),
        ):
            with Markers(self.server, self.marker_key) as markers:
                sent = self.send(int(rate * seconds) or self.logs // 2, rate=rate)
                drained(self.server, self.key, 600)
            workloads.settled(self.server, self.key, self.idle)
            seen = markers.latencies(sent.began, sent.ended)
            speed = sent.good * corpus.SIZE / sent.seconds
            note = f"p50 {table.millis(percentile(seen, 0.5))}, {len(seen)} markers, at {speed:,.0f} logs/s"
            yield Row(f"acknowledged to searchable, {name}, worst", percentile(seen, 1.0), table.millis, 1.5, note)
        yield Row("resident memory, most", self.server.most_memory(), table.megabytes, 800e6)

    def singles(self) -> Iterator[Row]:
        count = 5_000 if self.quick else 100_000
        with apart(workloads.send_singles, self.server.target(self.key), count, 16, self.start) as wait:
            sent: Sent = wait()
        self.stored += sent.good
        if sent.failures:
            raise RefusedError(f"{sent.failures} of {count} single events were not taken")
        note = f"16 connections, {sent.cpu.accepting / sent.good * 1e6:.1f} us CPU each"
        yield Row("durable single events", sent.good / sent.seconds, table.per_second, 10_000, note, least=True)
        yield Row("  p50", percentile(sent.latencies, 0.5), table.millis)
        yield Row("  p99", percentile(sent.latencies, 0.99), table.millis, 0.010)
        workloads.settled(self.server, self.key, self.idle)

    def queries(self, *, big: bool = False) -> Iterator[Row]:
        name = f"{self.stored / 1e6:.1f} M"
        for query, taken in workloads.query_times(self.server, self.key).items():
            target = None if self.quick else QUERY_TARGETS[query][big]
            note = f"p99 {table.millis(percentile(taken, 0.99))}, {name} logs"
            yield Row(f"query: {query}, median", percentile(taken, 0.5), table.millis, target, note)

    def disk(self) -> Iterator[Row]:
        workloads.flushed(self.server, self.key)
        taken, log = workloads.disk(self.server)
        note = f"data folder {table.megabytes(taken)}, log {log} B, without replaced parts"
        yield Row("disk per log", taken / self.stored, table.whole_bytes, None if self.quick else 85, note)

    def grow(self, rows: int) -> None:
        self.send(rows - self.stored, prebuilt=False)
        workloads.settled(self.server, self.key, self.idle, seconds=3600)


def measure(run: Run, rows: int) -> list[Row]:
    """All figures, in the order of the table."""
    found = [Row("start until the first answer", run.started, table.millis)]
    for part in (run.burst, run.queries, run.singles, run.searchable):
        print(f"bench: {part.__name__}", file=sys.stderr, flush=True)
        found += part()
    if rows > run.stored:
        print(f"bench: {rows:,} logs", file=sys.stderr, flush=True)
        run.grow(rows)
        found += run.queries(big=True)
    found += run.disk()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="100,000 logs: to try the bench, not the server")
    parser.add_argument("--rows", type=int, default=0, metavar="N", help="then load N logs in all, and query again")
    parser.add_argument("--big", action="store_true", help=f"the same as --rows {MANY}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too, in SI units")
    parser.add_argument("--folder", type=Path, help="an empty folder on the disk to measure; default: a temporary one")
    given = parser.parse_args()
    end_on_sigterm()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    with tempfile.TemporaryDirectory(prefix="headrace-bench-", dir=given.folder) as folder:
        run = Run(Path(folder), 100_000 if given.quick else 1_000_000, quick=given.quick)
        try:
            rows = measure(run, MANY if given.big else given.rows)
        finally:
            run.server.kill()
    table.show(rows, f"Headrace on {machine}")
    if given.json:
        given.json.write_text(json.dumps({"machine": machine, "figures": table.as_json(rows)}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
