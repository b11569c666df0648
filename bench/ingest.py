"""Section `ingest`: what durable ingest costs, how soon logs are searchable, the first queries, disk and memory."""

from collections.abc import Iterator

from bench import corpus, floor, table, workloads
from bench.client import RefusedError
from bench.crash import drained
from bench.place import Place, Run, say
from bench.server import cpu
from bench.table import Row
from bench.workloads import Markers, Sent, apart, percentile

# Seconds, for 1 M logs and for 20 M: the targets were set on a machine with 2 cores.
QUERY_TARGETS = {
    "counts by level": (0.015, 0.080),
    "histogram by hour": (0.025, 0.150),
    "word, counts by level": (0.015, 0.030),
    "word, latest 50": (0.015, 0.030),
    "latest 50 with attributes": (0.030, 0.060),
}


def measure(place: Place) -> Iterator[Row]:
    run = place.run
    yield Row("start until the first answer", run.started, table.millis)
    rate = 0.0
    say("burst")
    for row in burst(run):
        rate = row.measured  # The last one is the drain's.
        yield row
    say("queries")
    yield from queries(run)
    say("singles")
    yield from singles(run)
    say("searchable")
    yield from searchable(run, rate)
    if place.rows > run.stored:
        run.grow(place.rows)
        yield from queries(run, big=True)
    yield from disk(run)


def burst(run: Run) -> Iterator[Row]:
    bodies = corpus.bodies(0, min(200, run.logs // corpus.SIZE), run.start, 1000.0)
    sample = list(bodies)
    base = floor.floor(sample, run.folder)
    yield Row("log as JSON", sum(map(len, sample)) / len(sample) / corpus.SIZE, table.whole_bytes)
    yield Row("floor of durable ingest, CPU per log", base.cpu, table.micros, note="bare loop, one core")
    yield Row("floor of durable ingest, wall per log", base.wall, table.micros)
    yield Row("CPU of the idle server", run.idle, lambda value: f"{value * 100:.2f} %")
    before = cpu(run.server.pid)
    sent = run.send(run.logs)
    quiet_at = workloads.settled(run.server, run.key, run.idle)
    yield from spending(run, sent, before.whole, quiet_at, base.cpu)
    rate = sent.good * corpus.SIZE / (quiet_at[0] - sent.began)
    yield Row("ingest until searchable", rate, table.per_second, note="from the first byte on")


def spending(run: Run, sent: Sent, before: float, quiet_at: tuple[float, float], base: float) -> Iterator[Row]:
    searchable_at, quiet = quiet_at
    ended = quiet + workloads.QUIET_SECONDS
    logs = sent.good * corpus.SIZE
    note = "batches of 1,000, 4 connections"
    yield Row("durable batch ingest", logs / sent.seconds, table.per_second, 400_000, note, least=True)
    accepting = sent.cpu.accepting / logs
    note = "event loop and log's committer"
    yield Row("  CPU per log to the acknowledgement", accepting, table.micros, note=note)
    yield Row("  the same, against the floor", accepting / base, table.times, 2.0)
    whole = (cpu(run.server.pid).whole - before - run.idle * (ended - sent.began)) / logs
    note = f"all searchable {searchable_at - sent.ended:.1f} s, merges quiet {quiet - sent.ended:.1f} s after the burst"
    yield Row("whole CPU per log, drained and merged", whole, table.micros, 7.0e-6, note)


def searchable(run: Run, drain_rate: float) -> Iterator[Row]:
    """At full speed, then at a rate that the drain keeps up with. Looking for the markers costs CPU too."""
    for name, rate, seconds in (
        ("full load", 0.0, 0),
        ("sustained", drain_rate * 0.6, 3 if run.quick else 10),
    ):
        with Markers(run.server, run.marker_key) as markers:
            sent = run.send(int(rate * seconds) or run.logs // 2, rate=rate)
            drained(run.server, run.key, 600)
        workloads.settled(run.server, run.key, run.idle)
        seen = markers.latencies(sent.began, sent.ended)
        speed = sent.good * corpus.SIZE / sent.seconds
        note = f"p50 {table.millis(percentile(seen, 0.5))}, {len(seen)} markers, at {speed:,.0f} logs/s"
        yield Row(f"acknowledged to searchable, {name}, worst", percentile(seen, 1.0), table.millis, 1.5, note)
    yield Row("resident memory, most", run.server.most_memory(), table.megabytes, 800e6)


def singles(run: Run) -> Iterator[Row]:
    count = 5_000 if run.quick else 100_000
    with apart(workloads.send_singles, run.server.target(run.key), count, 16, run.start) as wait:
        sent: Sent = wait()
    run.stored += sent.good
    if sent.failures:
        raise RefusedError(f"{sent.failures} of {count} single events were not taken")
    note = f"16 connections, {sent.cpu.accepting / sent.good * 1e6:.1f} us CPU each"
    yield Row("durable single events", sent.good / sent.seconds, table.per_second, 10_000, note, least=True)
    yield Row("  p50", percentile(sent.latencies, 0.5), table.millis)
    yield Row("  p99", percentile(sent.latencies, 0.99), table.millis, 0.010)
    workloads.settled(run.server, run.key, run.idle)


def queries(run: Run, *, big: bool = False) -> Iterator[Row]:
    name = f"{run.stored / 1e6:.1f} M"
    for query, taken in workloads.query_times(run.server, run.key).items():
        target = None if run.quick else QUERY_TARGETS[query][big]
        note = f"p99 {table.millis(percentile(taken, 0.99))}, {name} logs"
        yield Row(f"query: {query}, median", percentile(taken, 0.5), table.millis, target, note)


def disk(run: Run) -> Iterator[Row]:
    workloads.flushed(run.server, run.key)
    taken, log = workloads.disk(run.server)
    run.server.start()
    note = f"data folder {table.megabytes(taken)}, log {log} B, without replaced parts"
    yield Row("disk per log", taken / run.stored, table.whole_bytes, None if run.quick else 95, note)
