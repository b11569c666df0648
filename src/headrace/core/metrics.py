"""Counters: what the process counted and measured since it started, printed as Prometheus text."""

import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping

import msgspec

# Seconds; from a cached answer to a query that reaches its limit.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
# Label values are route templates, doors and other closed lists; the bound catches a mistake before memory does.
SERIES_LIMIT = 5_000

Labels = tuple[tuple[str, str], ...]
Reading = float | Mapping[Labels, float]


class Metric(msgspec.Struct, frozen=True):
    """One line of the table: a metric's name without prefix, its Prometheus type and what it means."""

    name: str
    type: str
    help: str


METRICS = (
    Metric("requests_total", "counter", "Requests answered, by door, route and class of status."),
    Metric("request_seconds", "histogram", "Time from the request line to the end of the answer, by door and route."),
    Metric("requests_in_flight", "gauge", "Requests being answered now, by door and route."),
    Metric("request_bytes_total", "counter", "Bytes of request bodies after decompression, by door."),
    Metric("refusals_total", "counter", "Requests refused, by door and kind of refusal."),
    Metric("events_accepted_total", "counter", "Events acknowledged, by door."),
    Metric("events_rejected_total", "counter", "Events refused one by one, by door."),
    Metric("jobs_claimed_total", "counter", "Jobs that this process took to run."),
    Metric("jobs_settled_total", "counter", "Attempts that ended here, by kind and the state that followed, or lost."),
    Metric("jobs_leases_lost_total", "counter", "Attempts whose lease ended under them."),
    Metric("jobs_threads_left_total", "counter", "Threads that did not stop, were left and replaced, by kind."),
    Metric("jobs_reaped_total", "counter", "Jobs taken back from workers that were lost."),
)


class Counters:
    """Thread-safe. `add` and `observe` take labels as a tuple of pairs; an unknown metric name is a KeyError."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._metrics = {metric.name: metric for metric in METRICS}
        self._sums: dict[tuple[str, Labels], float] = {}
        self._histograms: dict[tuple[str, Labels], list[float]] = {}
        self._gauges: dict[tuple[str, Labels], Callable[[], Reading]] = {}

    def declare(self, name: str, type: str, help: str) -> None:  # noqa: A002
        """Add a line to the table, for a room that counts something of its own."""
        self._metrics[name] = Metric(name, type, help)

    def add(self, name: str, labels: Labels = (), amount: float = 1) -> None:
        key = (self._metrics[name].name, labels)
        with self._lock:
            if key in self._sums or len(self._sums) < SERIES_LIMIT:
                self._sums[key] = self._sums.get(key, 0) + amount

    def observe(self, name: str, labels: Labels, *seconds: float) -> None:
        """Count measured times. A cell holds a count per bucket, then the sum and the number of all."""
        key = (self._metrics[name].name, labels)
        with self._lock:
            cells = self._histograms.get(key)
            if cells is None:
                if len(self._histograms) >= SERIES_LIMIT:
                    return
                cells = self._histograms[key] = [0.0] * (len(BUCKETS) + 2)
            for one in seconds:
                place = bisect_left(BUCKETS, one)
                if place < len(BUCKETS):
                    cells[place] += 1
                cells[-2] += one
                cells[-1] += 1

    def gauge(self, name: str, read: Callable[[], Reading], labels: Labels = ()) -> None:
        """Name something that is asked for its value at printing: a number, or one per set of labels."""
        self._gauges[self._metrics[name].name, labels] = read

    def value(self, name: str, labels: Labels = ()) -> float:
        """Return one counter's value, 0 before its first count."""
        with self._lock:
            return self._sums.get((name, labels), 0)

    def series(self, name: str) -> dict[Labels, float]:
        """Return a counter's or gauge's values by their labels."""
        found: dict[Labels, float] = {}
        for (gauge, labels), read in self._gauges.items():
            if gauge == name:
                reading = read()
                many = reading if isinstance(reading, Mapping) else {(): reading}
                found.update({labels + more: value for more, value in many.items()})
        with self._lock:
            found.update({labels: value for (counter, labels), value in self._sums.items() if counter == name})
        return found

    def render(self, prefix: str = "headrace_") -> str:
        """Print everything as Prometheus text, sorted by name and labels."""
        with self._lock:
            sums = dict(self._sums)
            histograms = {key: list(cells) for key, cells in self._histograms.items()}
        lines: dict[str, list[str]] = {}
        for (name, labels), value in sums.items():
            lines.setdefault(name, []).append(_line(prefix + name, labels, value))
        for (name, labels), read in self._gauges.items():
            reading = read()
            many = reading if isinstance(reading, Mapping) else {(): reading}
            for more, value in many.items():
                lines.setdefault(name, []).append(_line(prefix + name, labels + more, value))
        for (name, labels), cells in histograms.items():
            lines.setdefault(name, []).extend(_histogram(prefix + name, labels, cells))
        out: list[str] = []
        for name in sorted(lines):
            metric = self._metrics[name]
            out += [f"# HELP {prefix}{name} {metric.help}", f"# TYPE {prefix}{name} {metric.type}"]
            out += lines[name] if metric.type == "histogram" else sorted(lines[name])
        return "\n".join(out) + "\n"


def _histogram(name: str, labels: Labels, cells: list[float]) -> list[str]:
    total = 0.0
    lines = []
    for bound, count in zip(BUCKETS, cells, strict=False):
        total += count
        lines.append(_line(name + "_bucket", (*labels, ("le", f"{bound:g}")), total))
    lines.append(_line(name + "_bucket", (*labels, ("le", "+Inf")), cells[-1]))
    return [*lines, _line(name + "_sum", labels, cells[-2]), _line(name + "_count", labels, cells[-1])]


def _line(name: str, labels: Labels, value: float) -> str:
    shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
    number = f"{int(value)}" if value == int(value) else f"{value:.9g}"
    return f"{name}{{{shown}}} {number}" if shown else f"{name} {number}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
