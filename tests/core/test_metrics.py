"""Counters, and how they are printed."""

import threading

import pytest

from headrace.core import metrics
from headrace.core.metrics import Counters


def test_what_is_counted_is_printed() -> None:
    counters = Counters()
    labels = (("door", 'a"b'), ("kind", "invalid"))
    counters.add("refusals_total", labels)
    counters.add("refusals_total", labels, 2)
    assert counters.value("refusals_total", labels) == 3
    assert counters.value("refusals_total") == 0
    assert 'headrace_refusals_total{door="a\\"b",kind="invalid"} 3' in counters.render().splitlines()


def test_a_histogram_counts_up_to_each_bound() -> None:
    counters = Counters()
    for seconds in (0.0005, 0.02, 0.02, 99.0):
        counters.observe("request_seconds", (("door", "d"),), seconds)
    lines = counters.render().splitlines()
    assert "# TYPE headrace_request_seconds histogram" in lines
    for line in (
        'headrace_request_seconds_bucket{door="d",le="0.001"} 1',
        'headrace_request_seconds_bucket{door="d",le="0.025"} 3',
        'headrace_request_seconds_bucket{door="d",le="30"} 3',
        'headrace_request_seconds_bucket{door="d",le="+Inf"} 4',
        'headrace_request_seconds_sum{door="d"} 99.0405',
        'headrace_request_seconds_count{door="d"} 4',
    ):
        assert line in lines


def test_gauges_are_asked_when_printed() -> None:
    counters, level = Counters(), [1.0]
    counters.declare("level", "gauge", "How high.")
    counters.gauge("level", lambda: level[0])
    level[0] = 2.5
    assert "headrace_level 2.5" in counters.render()
    counters.gauge("requests_in_flight", lambda: {(("door", "d"),): 3})
    assert counters.series("requests_in_flight") == {(("door", "d"),): 3}


def test_an_unknown_name_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        Counters().add("nothing_total")


def test_series_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "SERIES_LIMIT", 2)
    counters = Counters()
    for number in range(5):
        counters.add("requests_total", (("route", str(number)),))
        counters.observe("request_seconds", (("route", str(number)),), 1)
    assert len(counters.series("requests_total")) == 2


def test_threads_lose_nothing() -> None:
    counters = Counters()

    def count() -> None:
        for _ in range(2_000):
            counters.add("requests_total")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.value("requests_total") == 8_000
