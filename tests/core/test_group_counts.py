"""Counting errors: releases, environments, users, versions of the fingerprint; and what keeps every table small."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from headrace.core import groups
from headrace.core.events import fingerprint
from headrace.core.groups import (
    comments,
    counts,
    merging,
    releases,
    sketch,
    tidying,
)
from headrace.core.house import House
from headrace.core.refusals import Refusal
from headrace.core.schema.groups import (
    error_fingerprints,
    error_groups,
    error_hours,
    error_places,
    error_releases,
    error_users,
    group_activity,
    group_comments,
    group_news,
)
from headrace.core.settings import Settings
from headrace.eventstore.drain import Sample
from tests.core.shop import A, B, Shop, users

# -- counting ----------------------------------------------------------------------------------------------------------


def test_the_same_segment_twice_adds_nothing(shop: Shop) -> None:
    one = shop.segment(shop.seen(rows=3, release="1", users=users("eve", "bob")), shop.seen(B, environment="dev"))
    for _ in range(2):
        groups.fold(shop.house, one)
    assert (shop.group(A).occurrence_count, shop.group(A).user_count) == (3, 2)
    assert [(place.name, place.rows) for place in releases.of_group(shop.house, shop.group(A)).releases] == [("1", 3)]
    assert shop.told() == [(shop.group(A).id, "new"), (shop.group(B).id, "new")]


def test_processes_that_fold_and_merge_at_once(shop: Shop, open_house: Callable[..., House]) -> None:
    """Two processes fold errors of the same groups, new ones too, while these are merged: nothing is lost."""
    houses = [shop.house, open_house()]
    marks = [f"{number:064x}" for number in range(6)]
    segments = [[shop.segment(*(shop.seen(mark) for mark in marks)) for _ in range(8)] for _ in houses]

    def run(place: int) -> None:
        for number, segment in enumerate(segments[place]):
            groups.fold(houses[place], segment)
            found = groups.by_fingerprint(
                houses[place], shop.who, project_id=shop.project.project_id, fingerprints=marks[number % 5 :][:2]
            )
            ids = sorted({group.id for group in found.values()})
            # The other process may have merged the two just now.
            with suppress(Refusal):
                groups.merge(houses[place], shop.who, **shop.of(ids[place % len(ids)]), group_ids=ids)

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(run, place) for place in range(2)]:
            done.result(timeout=60)
    assert sum(group.occurrence_count for group in shop.listed()) == 2 * 8 * len(marks)
    assert len(shop.told()) == len(marks)


def test_releases_and_environments(shop: Shop) -> None:
    now = shop.clock.now
    shop.happens(shop.seen(release="2", at=now), shop.seen(release="1", at=now - 5), shop.seen(at=now - 9))
    shop.happens(shop.seen(release="2", environment="staging", rows=4, at=now + 1))
    found = releases.of_group(shop.house, shop.group())
    assert [(one.name, one.rows) for one in found.releases] == [("", 1), ("1", 1), ("2", 5)]
    assert (found.first_release, found.last_release) == ("1", "2")
    assert [(one.name, one.rows) for one in found.environments] == [("staging", 4), ("", 3)]
    assert releases.of_project(shop.house, shop.project.project_id) == ["2", "1"]
    assert [group.id for group in shop.listed(release="1")] == [shop.group().id]
    assert shop.listed(release="3") == []


def test_places_of_a_fingerprint_are_limited(shop: Shop) -> None:
    limit = counts.MOST_PLACES
    shop.happens(*(shop.seen(release=f"r{number}") for number in range(limit + 20)))
    shop.happens(*(shop.seen(release=f"s{number}") for number in range(20)), shop.seen(release="r0"))
    found = releases.of_group(shop.house, shop.group()).releases
    assert len(found) == limit + 1
    by_name = {one.name: one.rows for one in found}
    assert (by_name[""], by_name["r0"], sum(by_name.values())) == (40, 2, limit + 41)


def test_users_are_counted_once_across_segments(shop: Shop) -> None:
    shop.happens(shop.seen(rows=2, users=users("eve", "bob")))
    shop.happens(shop.seen(rows=2, users=users("bob", "ann")), shop.seen(B, users=users("x")))
    assert (shop.group(A).user_count, shop.group(B).user_count) == (3, 1)


def test_an_estimate_is_never_above_the_events(shop: Shop) -> None:
    shop.happens(shop.seen(users=users("eve", "bob", "ann")))
    assert shop.group(A).user_count == 1


@pytest.mark.parametrize("number", [0, 1, 10, 100, 1_000, 20_000])
def test_a_sketch_counts_within_its_error(number: int) -> None:
    places, ranks = users(*map(str, range(number))) if number else ((), ())
    found = sketch.estimate(sketch.added(sketch.EMPTY, dict(zip(places, ranks, strict=True))))
    assert abs(found - number) <= (1 if number <= 10 else number * 0.1)


def test_a_project_has_no_more_groups_than_its_limit(shop: Shop, settings: Settings) -> None:
    small = msgspec.structs.replace(settings, error_groups=100)
    object.__setattr__(shop.house, "settings", small)  # A house is frozen; this one is the test's own.
    now = shop.clock.now
    shop.happens(*(shop.seen(f"{number:064x}", at=now + number) for number in range(105)))
    assert len(shop.listed(limit=200)) == 100
    shop.happens(shop.seen(f"{3:064x}", at=now + 1_000))
    kept = shop.group(f"{3:064x}")
    comments.add(shop.house, shop.who, **shop.of(kept), text="Kept.")
    tidying.tidy(shop.house)
    found = shop.listed(limit=200)
    assert len(found) == 90
    assert kept.id in {group.id for group in found}
    shop.happens(shop.seen(f"{104:064x}", at=now + 1_001))
    assert len(shop.listed(limit=200)) == 91


def test_a_project_full_of_merged_groups_gets_room_again(shop: Shop) -> None:
    small = msgspec.structs.replace(shop.house.settings, error_groups=100)
    object.__setattr__(shop.house, "settings", small)  # A house is frozen; this one is the test's own.
    now, marks = shop.clock.now, [f"{number:064x}" for number in range(100)]
    shop.happens(*(shop.seen(mark, at=now + number) for number, mark in enumerate(marks)))
    ids = [shop.group(mark).id for mark in marks]
    merging.merge(shop.house, shop.who, **shop.of(shop.group(marks[99])), group_ids=ids[:20])
    tidying.tidy(shop.house)
    left = {group.id for group in shop.listed(limit=200)}
    assert left == set(ids[30:]), "the latest with its twenty, and the 69 before it"
    shop.happens(shop.seen(f"{104:064x}", at=now + 1_001))
    assert len(shop.listed(limit=200)) == 71


def test_old_hours_news_and_groups_are_let_go(shop: Shop) -> None:
    shop.happens(shop.seen(users=users("eve"), release="1"), shop.seen(B))
    comments.add(shop.house, shop.who, **shop.of(shop.group()), text="Why?")
    merging.merge(shop.house, shop.who, **shop.of(shop.group(A)), group_ids=[shop.group(B).id])
    shop.clock.advance(100 * 86_400)
    tidying.tidy(shop.house)
    assert shop.told() == []
    assert rows(shop.house, error_hours) == 0
    assert shop.group().occurrence_count == 2
    shop.clock.advance(400 * 86_400)
    tidying.tidy(shop.house)
    tables = error_groups, error_fingerprints, error_places, error_users, group_comments, group_activity, group_news
    assert [rows(shop.house, table) for table in tables] == [0] * len(tables)


def rows(house: House, table: sa.Table) -> int:
    with house.db.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_releases_of_a_project_are_limited(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "MOST_RELEASES", 10)
    now = shop.clock.now
    shop.happens(*(shop.seen(release=f"{number:02}", at=now + number) for number in range(15)))
    assert rows(shop.house, error_releases) == 10
    tidying.tidy(shop.house)
    assert releases.of_project(shop.house, shop.project.project_id) == [f"{number:02}" for number in range(9, 0, -1)]


# -- versions of the fingerprint ---------------------------------------------------------------------------------------


def sample(number: int, message: str, **fields: Any) -> Sample:
    texts = {"error_type": "ValueError", "error_message": message, "message": None, "stack_trace": None}
    return Sample(**{"id": number, **texts, "platform": "python", "attributes": msgspec.Raw(b"{}")} | fields)


def test_a_new_version_of_the_rule_counts_into_the_old_group(shop: Shop) -> None:
    one = sample(7, "mail to eve@example.com bounced")
    old, new = fingerprint.of(one, 1), fingerprint.of(one)
    assert old != new
    shop.happens(shop.seen(old), samples={7: one})
    before = shop.group(old)
    with shop.house.db.write() as connection:  # Folded by a release that knew the first version alone.
        first = msgspec.json.encode(fingerprint.reason(one, 1)).decode()
        connection.execute(sa.update(error_fingerprints).values(version=1, reason=first))
    shop.happens(shop.seen(new, rows=2), samples={7: one})
    assert [group.id for group in shop.listed()] == [before.id]
    assert shop.group(new).id == before.id
    assert shop.group(new).occurrence_count == 3
    explained = groups.why.explain(shop.house, shop.who, **shop.of(before))
    assert [(one.fingerprint, one.version) for one in explained] == [(new, 2), (old, 1)]
    assert explained[0].reason == fingerprint.Reason(
        version=2, kind="message", error_type="ValueError", platform="python", parts=["mail to # bounced"]
    )
    assert explained[1].reason is not None
    assert explained[1].reason.parts == ["mail to eve@example.com bounced"]
    assert shop.told() == [(before.id, "new")]


def test_many_new_errors_are_read_some_at_once(shop: Shop) -> None:
    asked: list[int] = []

    def read(ids: Iterable[int]) -> dict[int, Sample]:
        asked.append(len(list(ids)))
        return {}

    marks = [f"{number:064x}" for number in range(450)]
    errors = [shop.seen(mark, sample_id=place) for place, mark in enumerate(marks)]
    errors += [shop.seen(mark, sample_id=900 + place, release="2") for place, mark in enumerate(marks)]
    one = shop.segment(*errors)
    groups.fold(shop.house, one, read)
    groups.fold(shop.house, shop.segment(shop.seen(marks[0])), read)
    assert asked == [200, 200, 50]
    assert len(shop.listed(limit=500)) == 450


def test_why_tells_frames_and_what_the_sender_chose(shop: Shop) -> None:
    stack = 'Traceback\n  File "/app/a.py", line 3, in f\n    x\n  File "/app/b.py", line 4, in g\nE: no'
    custom = msgspec.Raw(b'{"fingerprint":["checkout","{{ default }}"]}')
    samples = {7: sample(7, "m", stack_trace=stack), 8: sample(8, "order 17", attributes=custom)}
    shop.happens(shop.seen(A), shop.seen(B, sample_id=8), samples=samples)
    (framed,) = groups.why.explain(shop.house, shop.who, **shop.of(shop.group(A)))
    (chosen,) = groups.why.explain(shop.house, shop.who, **shop.of(shop.group(B)))
    assert framed.reason is not None
    assert chosen.reason is not None
    assert (framed.reason.kind, framed.reason.parts) == ("frames", ["/app/b.py:g", "/app/a.py:f"])
    assert (chosen.reason.kind, chosen.reason.parts) == ("custom", ["checkout", "ValueError", "python", "order #"])
