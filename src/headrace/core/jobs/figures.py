"""Figures of all jobs for the metrics: what waits, what runs, how long the oldest waits, by kind."""

from collections.abc import Callable

from headrace.core.house import House
from headrace.core.jobs.statements import run

# A metric's labels (core/metrics.py, which stands above this room).
Labels = tuple[tuple[str, str], ...]

# By kind: each of them reads the index of ready or held jobs alone.
READY = "SELECT kind, count(*) FROM jobs WHERE state = 'ready' GROUP BY kind"
HELD = "SELECT kind, count(*) FROM jobs WHERE state IN ('running', 'cancelling') GROUP BY kind"
OLDEST = "SELECT kind, :now - min(run_at) FROM jobs WHERE state = 'ready' GROUP BY kind"


def watch(house: House) -> None:
    """Name them to the metrics."""
    for name, text, unit, meaning in (
        ("jobs_ready", READY, 1.0, "Jobs that wait to run, by kind."),
        ("jobs_running", HELD, 1.0, "Jobs in the hands of workers, by kind."),
        ("jobs_oldest_ready_seconds", OLDEST, 1e6, "How long the job that waits longest has been due, by kind."),
    ):
        house.counters.declare(name, "gauge", meaning)
        house.counters.gauge(name, _reading(house, text, unit))


def _reading(house: House, text: str, unit: float) -> Callable[[], dict[Labels, float]]:
    def read() -> dict[Labels, float]:
        with house.db.read() as connection:
            rows = run(connection, text, now=house.clock()).fetchall()
        return {(("kind", row[0]),): max(0, row[1]) / unit for row in rows}

    return read
