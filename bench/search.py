"""Section `search`: what is asked of many logs over HTTP, and how soon the explorer shows them in a browser."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import table
from bench.client import Caller
from bench.place import MANY, Place, Run
from bench.server import PASSWORD
from bench.table import Row
from bench.workloads import percentile
from tests.browser.driver import Browser, programs

TIMES = 15
DAY_AGO = (datetime.now(UTC) - timedelta(days=1)).isoformat()
LOGS, STATS = "/api/v1/logs", "/api/v1/logs/stats"
# What is asked, and the most that the median may take, in seconds: of 1 M logs and of 20 M.
QUERIES: dict[str, tuple[str, dict[str, str], tuple[float, float]]] = {
    "rare word, count": (f"{LOGS}/counts", {"by": "level", "q": "timed"}, (0.012, 0.030)),
    "common word, count": (f"{LOGS}/counts", {"by": "level", "q": "user"}, (0.015, 0.060)),
    "word, newest 50": (LOGS, {"limit": "50", "q": "nightly"}, (0.030, 0.080)),
    "attribute, rare value, count": (f"{LOGS}/counts", {"by": "level", "q": "user_id:31337"}, (0.020, 0.060)),
    "attribute, common value, count": (f"{LOGS}/counts", {"by": "level", "q": "region:eu-central-1"}, (0.030, 0.300)),
    "facets of a day": (f"{LOGS}/facets", {"periodFrom": DAY_AGO}, (0.020, 0.060)),
    "facets of a month": (f"{LOGS}/facets", {"period": "last30days"}, (0.020, 0.060)),
    "values of a learned attribute": (f"{STATS}/values", {"field": "attributes.region"}, (0.020, 0.060)),
    "top 10 messages": ("/apps/{project}/stats/top-messages", {"limit": "10"}, (0.100, 1.5)),
    "p95 of a number by hour": (
        f"{STATS}/quantiles",
        {"field": "duration_ms", "quantiles": "0.95", "interval": "hour"},
        (0.060, 1.0),
    ),
}


def measure(place: Place) -> Iterator[Row]:
    run = place.run
    run.grow(place.logs)
    yield from asked(run, big=False)
    yield from painted(run, place.subfolder("browser"), big=False)
    if place.rows > run.stored:
        run.grow(place.rows)
        yield from asked(run, big=place.rows >= MANY)
        yield from painted(run, place.subfolder("browser-later"), big=True)


def asked(run: Run, *, big: bool) -> Iterator[Row]:
    name = f"{run.stored / 1e6:.1f} M logs"
    with Caller(run.server.address, run.key.secret) as caller:
        floor = timed(caller, "/health", {})
        yield Row("an answer without the event store", percentile(floor, 0.5), table.millis, note="what HTTP costs")
        for query, (path, parameters, targets) in QUERIES.items():
            taken = timed(caller, path.format(project=run.key.project), {"project_id": run.key.project, **parameters})
            note = f"p99 {table.millis(percentile(taken, 0.99))}, {name}"
            target = None if run.quick else targets[big]
            yield Row(f"query: {query}, median", percentile(taken, 0.5), table.millis, target, note)


def timed(caller: Caller, path: str, parameters: dict[str, object]) -> list[float]:
    """Return the seconds of each of TIMES questions, sorted; the first one, which opens the connection, is left out."""
    taken = []
    for _ in range(TIMES + 1):
        began = time.perf_counter()
        caller.get(path, **parameters)
        taken.append(time.perf_counter() - began)
    return sorted(taken[1:])


def painted(run: Run, profile: Path, *, big: bool) -> Iterator[Row]:
    """The explorer's page comes with its rows in it: the first paint shows them."""
    figure = "explorer, first paint with data, median"
    if programs() is None:
        yield Row(figure, float("nan"), table.millis, note="not measured: Chromium is not installed")
        return
    origin = f"http://{run.server.address[0]}:{run.server.address[1]}"
    browser = Browser(profile)
    try:
        browser.open(f"{origin}/ui/sign-in")
        browser.type("[name=email]", run.key.email)
        browser.type("[name=password]", PASSWORD)
        browser.click("main button.main")
        browser.see("New project")
        taken = sorted(paint(browser, f"{origin}/ui/projects/{run.key.slug}/logs") for _ in range(TIMES))
    finally:
        browser.close()
    target = None if run.quick else (0.8 if big else 0.5)
    note = f"headless Chromium on the same cores, {run.stored / 1e6:.1f} M logs"
    yield Row(figure, percentile(taken, 0.5), table.millis, target, note)


def paint(browser: Browser, url: str) -> float:
    browser.open(url)
    found = "const [one] = performance.getEntriesByName('first-contentful-paint'); return one ? one.startTime : 0"
    at = browser.until(lambda: browser.run(found), "nothing was painted")
    return float(at) / 1000
