"""Statistics: widths, merged templates, shares; asked of a house with a real store."""

import asyncio
import datetime as dt
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core import projects
from headrace.core.events import stats
from headrace.core.events.append import append, durable
from headrace.core.events.filters import Filters
from headrace.core.events.templates import ANY, merged
from headrace.core.house import House
from headrace.core.identity import accounts, sessions
from headrace.core.limits.windows import Limits
from headrace.core.metrics import Counters
from headrace.core.refusals import Kind, Refusal
from headrace.core.settings import Settings
from headrace.eventstore import statistics
from headrace.eventstore.engine import EngineOptions
from headrace.eventstore.rows import Event
from headrace.eventstore.store import Store, StoreOptions
from headrace.kit import times
from headrace.kit.clock import now
from headrace.kit.database import Database
from headrace.kit.passwords import Passwords
from tests.conftest import PASSWORD, PATIENCE, SECRET, FakeClock

CLOCK = FakeClock(times.show(now()))
LEVELS = ("info", "info", "info", "error")
ROWS = 400


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("events")
    opened = Store.open(folder, options=StoreOptions(segment_age_ms=20), clock=CLOCK, on_drained=lambda _: None)
    opened.start()
    yield opened
    opened.stop()


def moment(number: int) -> int:
    return CLOCK.now - number * times.MINUTE


def log(number: int) -> Event:
    """Every minute one, back from now; errors are those of node b, and take longer."""
    error = LEVELS[number % 4] == "error"
    attributes = {
        "service": "api",
        "node": "b" if error else "a",
        "request": f"r{number}",
        "endpoint": {"duration_ms": 1000 + number if error else 5},
    }
    return Event(
        timestamp=dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=moment(number)),
        level=LEVELS[number % 4],  # type: ignore[arg-type]
        message=f"job {number} failed on disk /dev/sd{'abc'[number % 3]}" if error else f"served in {number} ms",
        attributes=msgspec.Raw(msgspec.json.encode(attributes)),
    )


@pytest.fixture(scope="module")
def asked(
    store: Store, tmp_path_factory: pytest.TempPathFactory, migrated_file: Path, cheap_passwords: Passwords
) -> Iterator[dict[str, Any]]:
    """What every verb is told: a project with ROWS events."""
    folder = tmp_path_factory.mktemp("house")
    house = House.open(
        Settings(data=folder, secret=SECRET),
        clock=CLOCK,
        limits=Limits(CLOCK),
        store=store,
        counters=Counters(),
        passwords=cheap_passwords,
        db=Database.open(Path(shutil.copy(migrated_file, folder / "headrace.db"))),
    )
    made = accounts.register(
        house, email="ada@example.com", password=PASSWORD, name="Ada", door="test", address="192.0.2.7"
    )
    who = sessions.resolve(house, made.pair.access_token)
    project = projects.create(house, who, name="P", slug="p")

    async def sent() -> None:
        await durable(house, project, append(house, project, [log(number) for number in range(ROWS)]))

    asyncio.run(sent())
    told: dict[str, Any] = {"house": house, "who": who, "project_id": project.project_id}
    deadline, pause = time.monotonic() + 10 * PATIENCE, threading.Event()
    while stats.values(**told, filters=Filters(), field="level", limit=1).total < ROWS:
        assert time.monotonic() < deadline
        pause.wait(0.02)
    yield told
    house.close()


def test_values(asked: dict[str, Any]) -> None:
    found = stats.values(**asked, filters=Filters(), field="attributes.node", limit=1)
    assert found == stats.Values(total=ROWS, present=ROWS, distinct=2, values=[("a", 300)])
    assert stats.values(**asked, filters=Filters(query="none"), field="level", limit=1).total == 0


def test_a_histogram_of_a_period(asked: dict[str, Any]) -> None:
    found = stats.histogram(**asked, filters=Filters(), width_us=None, by="level", fill=True)
    assert 60 <= len(found.buckets) <= 100
    assert found.values == ["info", "error"]
    starts = [bucket.start for bucket in found.buckets]
    assert starts == list(range(starts[0], starts[-1] + 1, found.width_us))
    expected = Counter(
        (moment(number) // found.width_us * found.width_us, LEVELS[number % 4]) for number in range(ROWS)
    )
    for bucket in found.buckets:
        assert bucket.counts == [expected[bucket.start, level] for level in found.values]
        assert (bucket.rows, bucket.other, bucket.absent) == (sum(bucket.counts), 0, 0)
    by_request = stats.histogram(**asked, filters=Filters(), width_us=times.DAY, by="attributes.request")
    assert len(by_request.values) == stats.STACKED
    assert sum(bucket.other for bucket in by_request.buckets) == ROWS - stats.STACKED


def test_a_filled_histogram_goes_from_end_to_end(asked: dict[str, Any]) -> None:
    begin, end = CLOCK.now - times.DAY, CLOCK.now + times.HOUR
    for filters, last in ((Filters(ts_from=begin), CLOCK.now), (Filters(ts_from=begin, ts_to=end), end)):
        found = stats.histogram(**asked, filters=filters, width_us=times.HOUR, fill=True)
        assert found.buckets[0].start == begin // times.HOUR * times.HOUR
        assert found.buckets[-1].start == last // times.HOUR * times.HOUR
        assert sum(bucket.rows for bucket in found.buckets) == ROWS
    nothing = stats.histogram(**asked, filters=Filters(query="none"), width_us=None, fill=True)
    assert nothing.buckets == []
    empty = stats.histogram(**asked, filters=Filters(ts_from=begin, query="none"), width_us=times.HOUR, fill=True)
    assert [bucket.rows for bucket in empty.buckets] == [0] * 25


def test_quantiles(asked: dict[str, Any]) -> None:
    found = stats.quantiles(**asked, filters=Filters(), field="duration_ms", levels=[0, 0.5, 1], by_time=True)
    assert found.overall.quantiles == [5, 5, 1000 + ROWS - 1]
    assert sum(bucket.rows for bucket in found.buckets) == found.overall.rows == ROWS
    assert stats.quantiles(**asked, filters=Filters(), field="attributes.node", levels=[0.5]).overall.rows == 0


def test_patterns(asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    found = stats.patterns(**asked, filters=Filters(), limit=10)
    assert [(one.template, one.rows, one.levels) for one in found.patterns] == [
        ("served in <NUM> ms", 300, {"info": 300}),
        (f"job <NUM> failed on disk {ANY}", 100, {"error": 100}),
    ]
    assert (found.scanned, found.unmatched, found.distinct) == (ROWS, 0, 2)
    assert (found.patterns[0].first_seen, found.patterns[0].last_seen) == (moment(ROWS - 2), moment(0))
    monkeypatch.setattr(stats, "PATTERN_ROWS", 40)
    monkeypatch.setattr(stats, "PATTERN_MASKS", 1)
    few = stats.patterns(**asked, filters=Filters(), limit=10)
    assert (few.total, few.scanned, few.unmatched, few.patterns[0].rows) == (ROWS, 40, 10, 30)


def test_a_comparison(asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    found = stats.compare(**asked, filters=Filters(query="level:error"))
    assert (found.selected, found.baseline, found.sampled) == (100, ROWS, False)
    assert [(one.field, one.value, one.selected_share, one.baseline_share) for one in found.differences] == [
        ("attributes.node", "b", 1.0, 0.25),
        ("level", "error", 1.0, 0.25),
    ]
    before = (None, moment(ROWS))
    alone = stats.compare(**asked, filters=Filters(query="level:error"), baseline=before)
    assert (alone.baseline, [one.field for one in alone.differences]) == (0, ["attributes.node", "level", "service"])
    earlier = (moment(ROWS - 1), moment(ROWS // 2))
    same = stats.compare(**asked, filters=Filters(query="level:error"), baseline=earlier)
    assert (same.baseline, same.differences) == (50, [])
    assert stats.compare(**asked, filters=Filters(query="none")).selected == 0
    monkeypatch.setattr(stats, "COMPARED_ROWS", 80)
    assert stats.compare(**asked, filters=Filters(query="level:error")).sampled


@pytest.mark.parametrize("field", ["x", "attributes.", "attributes.a\0", "attributes." + "a." * 8, "stack_trace", ""])
def test_an_unknown_field_is_refused(asked: dict[str, Any], field: str) -> None:
    for ask in (
        lambda: stats.values(**asked, filters=Filters(), field=field, limit=1),
        lambda: stats.histogram(**asked, filters=Filters(), width_us=None, by=field),
        lambda: stats.quantiles(**asked, filters=Filters(), field=field, levels=[0.5]),
    ):
        with pytest.raises(Refusal) as caught:
            ask()
        assert caught.value.kind is Kind.INVALID


def test_too_much_is_refused(asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Filters(ts_from=times.FIRST, ts_to=times.LAST)
    monkeypatch.setattr(stats, "MOST_BUCKETS", 3)
    for ask in (
        lambda: stats.histogram(**asked, filters=wide, width_us=times.SECOND, fill=True),
        lambda: stats.histogram(**asked, filters=wide, width_us=times.MINUTE),
        lambda: stats.quantiles(
            **asked, filters=wide, field="duration_ms", levels=[0.5], by_time=True, width_us=times.MINUTE
        ),
    ):
        with pytest.raises(Refusal, match="more than 3 buckets"):
            ask()
    engine = asked["house"].store.engine
    monkeypatch.setattr(engine, "options", EngineOptions(query_rows=10))
    with pytest.raises(Refusal, match="too many rows"):
        stats.values(**asked, filters=Filters(), field="level", limit=1)


MOMENTS = st.integers(times.FIRST, times.LAST)


@given(first=MOMENTS, length=st.one_of(st.integers(100, 10**9), st.integers(100, times.LAST - times.FIRST)))
def test_automatic_widths_give_60_to_100_buckets(first: int, length: int) -> None:
    last = min(first + length, times.LAST)
    width = stats.width_for((first, last))
    buckets = last // width - first // width + 1
    assert buckets <= 100
    # The two ends may lie anywhere in their buckets, which costs one at most.
    assert buckets >= 59 or width == stats.WIDTHS[0]


def test_widths_grow_slowly() -> None:
    assert list(stats.WIDTHS) == sorted(set(stats.WIDTHS))
    assert all(later <= earlier * 5 / 3 for earlier, later in pairwise(stats.WIDTHS))
    assert stats.WIDTHS[-1] * stats.MOST_AUTO_BUCKETS > times.LAST - times.FIRST + stats.WIDTHS[-1]


WORDS = st.sampled_from(["disk", "full", "on", "node", "<NUM>", "retry", "user", "<IP>"])


@given(masks=st.lists(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), unique=True, max_size=60))
def test_templates_cover_their_masks(masks: list[str]) -> None:
    found = merged(masks)
    assert sorted(place for one in found for place in one.members) == list(range(len(masks)))
    for one in found:
        for place in one.members:
            words = masks[place].split(" ")
            assert len(words) == len(one.words)
            assert all(word in {ANY, own} for word, own in zip(one.words, words, strict=True))


def test_templates_are_bounded() -> None:
    masks = [f"{first} {second} of {chr(97 + second % 26)}" for first in range(300) for second in range(20)]
    assert len(merged(masks)) <= len(masks) / 20 + 2000
    assert len(merged(f"same start {number} a{number} b{number} c{number} d{number}" for number in range(500))) <= 50


def test_every_compared_column_is_a_field() -> None:
    assert set(statistics.COMPARED) <= set(statistics.VALUES)


def test_patterns_spread_over_time_and_may_be_new(asked: dict[str, Any]) -> None:
    begin = moment(100)
    filters = Filters(ts_from=begin, ts_to=CLOCK.now)
    earlier = Filters(ts_from=moment(300), ts_to=begin - 1, query="level:info")
    found = stats.patterns(**asked, filters=filters, limit=10, stretches=4, before=earlier)
    assert {one.template.partition(" ")[0]: one.is_new for one in found.patterns} == {"served": False, "job": True}
    assert [sum(one.spread[place] for one in found.patterns) for place in range(4)] == [26, 25, 25, 25]
    plain = stats.patterns(**asked, filters=filters, limit=10)
    assert all(one.spread == [] and not one.is_new for one in plain.patterns)
