"""What people do with error groups, and what new events do then: releases, mutes, merges, comments, activity, news."""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from headrace.core import groups, projects
from headrace.core.events import fingerprint
from headrace.core.groups import (
    activity,
    comments,
    counts,
    frames,
    markdown,
    merging,
    news,
    releases,
    series,
    sketch,
    tidying,
)
from headrace.core.groups import states as rules_of_states
from headrace.core.groups.gathered import gather
from headrace.core.house import House
from headrace.core.principal import Principal
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
from headrace.eventstore.drain import Drained, ErrorSummary, ProjectDay, Sample
from headrace.kit import times
from tests.conftest import FakeClock, SignUp

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32


class Shop:
    """A project, and segments of errors for it."""

    def __init__(self, house: House, who: Principal, clock: FakeClock) -> None:
        self.house, self.who, self.clock = house, who, clock
        self.project = projects.create(house, who, name="Shop", slug="shop")
        self.segments = 0

    def seen(self, mark: str = A, rows: int = 1, at: int | None = None, **fields: Any) -> ErrorSummary:
        at = self.clock.now if at is None else at
        facts: dict[str, Any] = {"error_type": "ValueError", "error_message": "no", "platform": "python"}
        facts |= {"hour": at // times.HOUR * times.HOUR, "first_ts": at, "last_ts": at, "sample_ts": at, "sample_id": 7}
        facts |= {"minutes": ((at // times.MINUTE,), (rows,))}
        project = self.project
        return ErrorSummary(
            tenant=project.organization_id,
            project=project.project_id,
            fingerprint=mark,
            rows=rows,
            **(facts | fields),
        )

    def segment(self, *errors: ErrorSummary) -> Drained:
        self.segments += 1
        day = ProjectDay(self.project.organization_id, self.project.project_id, 20_000, 10)
        return Drained(name=str(self.segments), first_id=1, last_id=11, projects=[day], errors=list(errors))

    def happens(self, *errors: ErrorSummary, samples: dict[int, Sample] | None = None) -> None:
        """Fold a segment."""
        groups.fold(self.house, self.segment(*errors), lambda _: samples or {})

    def listed(self, **asked: Any) -> list[groups.Group]:
        return groups.list_all(self.house, self.who, project_id=self.project.project_id, **asked).groups

    def group(self, mark: str = A) -> groups.Group:
        (found,) = groups.by_fingerprint(
            self.house, self.who, project_id=self.project.project_id, fingerprints=[mark]
        ).values()
        return found

    def of(self, group: groups.Group | int) -> dict[str, Any]:
        """Name a group as verbs want it."""
        number = group if isinstance(group, int) else group.id
        return {"project_id": self.project.project_id, "group_id": number}

    def told(self) -> list[tuple[int, str]]:
        return [(line.group_id, line.kind) for line in news.since(self.house, self.project.project_id, 0)]

    def lines(self, group: groups.Group) -> list[str]:
        return [line.kind for line in activity.list_all(self.house, self.who, **self.of(group))]


@pytest.fixture
def shop(house: House, sign_up: SignUp, clock: FakeClock) -> Shop:
    return Shop(house, sign_up(house), clock)


def users(*names: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Registers as the engine makes them, of any hash that spreads."""
    ranks: dict[int, int] = {}
    for name in names:
        hashed = int(fingerprint.digest(name, "", "")[:16], 16)
        place, rest = hashed % 1024, hashed // 1024
        ranks[place] = max(ranks.get(place, 0), (rest ^ (rest - 1)).bit_length())
    return tuple(ranks), tuple(ranks.values())


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
    assert [(one.name, one.rows) for one in found.environments] == [("staging", 4), ("production", 3)]
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
    shop.happens(shop.seen(users=users("eve", "bob")))
    shop.happens(shop.seen(users=users("bob", "ann")), shop.seen(B, users=users("x")))
    assert (shop.group(A).user_count, shop.group(B).user_count) == (3, 1)


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


# -- resolved ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("release", "after"),
    [
        ("1.0", "resolved"),
        ("1.1", "unresolved"),
        ("1.2", "unresolved"),
        ("2.0-unheard-of", "unresolved"),
        (None, "unresolved"),
    ],
)
def test_resolved_in_a_release(shop: Shop, release: str | None, after: str) -> None:
    """The project's releases came as 1.0, 1.1, 1.2; the group is resolved in 1.1."""
    for name in ("1.0", "1.1", "1.2"):
        shop.happens(shop.seen(C, release=name))
        shop.clock.advance(60)
    shop.happens(shop.seen(release="1.0"))
    resolved = groups.set_status(
        shop.house, shop.who, **shop.of(shop.group()), status="resolved", resolved_in_release="1.1"
    )
    assert (resolved.status, resolved.resolved_in_release) == ("resolved", "1.1")
    shop.clock.advance(60)
    shop.happens(shop.seen(release=release))
    group = shop.group()
    assert group.status == after
    if after == "unresolved":
        assert (group.regressed_at, group.resolved_at, group.resolved_in_release) == (shop.clock.now, None, None)
        assert shop.told()[-1] == (group.id, "regressed")
        assert shop.lines(group) == ["regressed", "status"]
    else:
        assert (shop.lines(group), shop.told()[-1]) == (["status"], (group.id, "new"))


def test_a_release_nobody_has_seen_yet_is_later_than_all(shop: Shop) -> None:
    shop.happens(shop.seen(release="1.0"))
    shop.clock.advance(60)
    groups.set_status(shop.house, shop.who, **shop.of(shop.group()), status="resolved", resolved_in_release="1.1")
    shop.clock.advance(60)
    shop.happens(shop.seen(release="1.0"))
    assert shop.group().status == "resolved"
    shop.happens(shop.seen(release="1.2"))  # 1.1 itself never failed.
    assert shop.group().status == "unresolved"


def test_an_event_from_before_the_resolution_is_no_regression(shop: Shop) -> None:
    shop.happens(shop.seen())
    shop.clock.advance(60)
    groups.set_status(shop.house, shop.who, **shop.of(shop.group()), status="resolved")
    shop.happens(shop.seen(at=shop.clock.now - times.SECOND))
    assert shop.group().status == "resolved"
    assert shop.told() == [(shop.group().id, "new")]


# -- muted -------------------------------------------------------------------------------------------------------------


def test_muted_until_a_time(shop: Shop) -> None:
    shop.happens(shop.seen(), shop.seen(B))
    until = times.show(shop.clock.now + times.HOUR)
    for mark in (A, B):
        groups.mute(shop.house, shop.who, **shop.of(shop.group(mark)), until=until)
    shop.happens(shop.seen())
    assert (tidying.end_mutes(shop.house), shop.group().status) == (0, "muted")
    shop.clock.advance(3600)
    shop.happens(shop.seen())
    assert (shop.group(A).status, shop.group(A).muted_until) == ("unresolved", None)
    assert shop.group(B).status == "muted"
    assert tidying.end_mutes(shop.house) == 1
    assert shop.group(B).status == "unresolved"
    assert shop.lines(shop.group(B)) == ["unmuted", "muted"]
    assert {kind for _, kind in shop.told()} == {"new"}


def test_muted_until_a_rate(shop: Shop) -> None:
    """Ten events in five minutes: those before the mute do not count, nor those that the window has left behind."""
    shop.happens(shop.seen(rows=50))
    shop.clock.advance(60)
    groups.mute(shop.house, shop.who, **shop.of(shop.group()), events=10, minutes=5)
    for _ in range(10):
        shop.happens(shop.seen(rows=1))
        shop.clock.advance(60)
    assert shop.group().status == "muted"
    shop.happens(shop.seen(rows=100, at=shop.clock.now - times.HOUR))
    assert shop.group().status == "muted"
    shop.happens(shop.seen(rows=6))
    group = shop.group()
    assert (group.status, group.mute_rule) == ("unresolved", None)
    assert shop.told()[-1] == (group.id, "escalating")
    assert activity.list_all(shop.house, shop.who, **shop.of(group))[0].data["events"] == 10


def test_muted_until_a_number_of_events_or_users(shop: Shop) -> None:
    shop.happens(shop.seen(users=users("a", "b")))
    groups.mute(shop.house, shop.who, **shop.of(shop.group()), events=1_000, users=2)
    shop.happens(shop.seen(rows=400, users=users("a", "b", "c")))
    shop.clock.advance(86_400)
    shop.happens(shop.seen(rows=400))
    assert shop.group().status == "muted"
    rule = shop.group().mute_rule
    assert rule is not None
    assert sum(rule.window.values()) == 800
    shop.happens(shop.seen(users=users("d")))
    assert (shop.group().status, shop.told()[-1][1]) == ("unresolved", "escalating")


def test_the_window_of_a_mute_is_small_however_long_it_is(shop: Shop) -> None:
    shop.happens(shop.seen())
    groups.mute(shop.house, shop.who, **shop.of(shop.group()), events=1_000_000, minutes=7 * 24 * 60)
    for _ in range(3):
        minutes = range(shop.clock.now // times.MINUTE, shop.clock.now // times.MINUTE + 20_000, 10)
        shop.happens(shop.seen(minutes=(tuple(minutes), (1,) * len(minutes))))
        shop.clock.advance(86_400 * 10)
    rule = shop.group().mute_rule
    assert rule is not None
    assert len(rule.window) <= rules_of_states.STRETCHES + 1


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"until": "2020-01-01T00:00:00Z"}, "until: must be in the future"),
        ({"until": "2099-01-01T00:00:00Z"}, "at most 366 days"),
        ({"until": "soon"}, "until: must be an ISO 8601 timestamp"),
        ({"events": 0}, "events: must be 1-1000000"),
        ({"events": 5, "minutes": 10_081}, "minutes: must be 1-10080"),
        ({"minutes": 5}, "minutes: needs events"),
        ({"users": "many"}, "users: must be an integer"),
    ],
)
def test_mutes_are_checked(shop: Shop, fields: dict[str, Any], complaint: str) -> None:
    shop.happens(shop.seen())
    with pytest.raises(Refusal, match=complaint):
        groups.mute(shop.house, shop.who, **shop.of(shop.group()), **fields)


# -- merged ------------------------------------------------------------------------------------------------------------


def test_merging_and_taking_out_again_lose_nothing(shop: Shop) -> None:
    now = shop.clock.now
    shop.happens(shop.seen(A, rows=2, at=now - times.HOUR, users=users("eve"), release="1"))
    shop.happens(shop.seen(B, rows=3, at=now, users=users("eve", "bob"), release="2", sample_id=9))
    shop.happens(shop.seen(C, rows=5, at=now - times.DAY))
    a, b, c = shop.group(A), shop.group(B), shop.group(C)
    merged = groups.merge(shop.house, shop.who, **shop.of(a), group_ids=[b.id, c.id, a.id])
    assert (merged.id, merged.occurrence_count, merged.user_count) == (a.id, 10, 2)
    assert (merged.first_seen, merged.last_seen, merged.sample_log_id) == (now - times.DAY, now, b.sample_log_id)
    assert [group.id for group in shop.listed()] == [a.id]
    assert groups.get(shop.house, shop.who, **shop.of(b)).id == a.id
    assert [group.id for group in merging.members(shop.house, shop.who, **shop.of(a))] == [b.id, c.id]
    shop.happens(shop.seen(B, rows=4, at=now + 1, users=users("ann")))
    assert (shop.group(B).id, shop.group(A).occurrence_count, shop.group(A).user_count) == (a.id, 14, 3)
    assert sum(count for _, count in series.hours(shop.house, shop.who, **shop.of(a), hours=48)) == 14
    assert [one.name for one in releases.of_group(shop.house, shop.group(A)).releases] == ["", "1", "2"]

    out = groups.unmerge(shop.house, shop.who, **shop.of(a), merged_id=b.id)
    assert (out.id, out.occurrence_count, out.user_count, out.last_seen) == (b.id, 7, 3, now + 1)
    left = shop.group(A)
    assert (left.occurrence_count, left.user_count) == (7, 1)
    assert (left.first_seen, left.last_seen) == (now - times.DAY, now - times.HOUR)
    assert left.sample_log_id == a.sample_log_id
    assert shop.lines(left) == ["unmerged", "merged"]
    assert shop.lines(out) == ["unmerged", "merged_away"]
    with pytest.raises(Refusal, match="not merged into that one"):
        groups.unmerge(shop.house, shop.who, **shop.of(a), merged_id=b.id)


def test_groups_merged_into_merged_groups(shop: Shop) -> None:
    shop.happens(shop.seen(A), shop.seen(B), shop.seen(C))
    a, b, c = shop.group(A), shop.group(B), shop.group(C)
    groups.merge(shop.house, shop.who, **shop.of(b), group_ids=[a.id])
    groups.merge(shop.house, shop.who, **shop.of(c), group_ids=[a.id])  # a is b by now.
    assert {shop.group(mark).id for mark in (A, B, C)} == {c.id}
    assert shop.group(C).occurrence_count == 3
    groups.unmerge(shop.house, shop.who, **shop.of(c), merged_id=a.id)
    assert [shop.group(mark).id for mark in (A, B, C)] == [a.id, c.id, c.id]
    groups.unmerge(shop.house, shop.who, **shop.of(c), merged_id=b.id)
    assert [shop.group(mark).id for mark in (A, B, C)] == [a.id, b.id, c.id]
    assert [group.occurrence_count for group in shop.listed()] == [1, 1, 1]


def test_what_was_resolved_and_merged_is_open_when_taken_out(shop: Shop) -> None:
    shop.happens(shop.seen(A), shop.seen(B))
    a, b = shop.group(A), shop.group(B)
    groups.set_status(shop.house, shop.who, **shop.of(b), status="resolved")
    groups.merge(shop.house, shop.who, **shop.of(a), group_ids=[b.id])
    out = groups.unmerge(shop.house, shop.who, **shop.of(a), merged_id=b.id)
    assert (out.status, out.resolved_at, out.merged_into) == ("unresolved", None, None)


@pytest.mark.parametrize("group_ids", [None, [], "x", [0], ["1"], [10**9], list(range(1, 102))])
def test_merges_are_checked(shop: Shop, group_ids: Any) -> None:
    shop.happens(shop.seen())
    with pytest.raises(Refusal):
        groups.merge(shop.house, shop.who, **shop.of(shop.group()), group_ids=group_ids)
    with pytest.raises(Refusal, match="another group"):
        groups.merge(shop.house, shop.who, **shop.of(shop.group()), group_ids=[shop.group().id])


# -- comments, activity, sorting ---------------------------------------------------------------------------------------


def test_comments_are_their_authors(shop: Shop, clock: FakeClock) -> None:
    shop.happens(shop.seen())
    of = shop.of(shop.group())
    first = comments.add(shop.house, shop.who, **of, text="  Since the deploy?  ")
    assert (first.text, first.account_id, first.edited_at) == ("Since the deploy?", shop.who.account_id, None)
    colleague = msgspec.structs.replace(shop.who, account_id=None, role="user")
    clock.advance(5)
    with pytest.raises(Refusal, match="did not write"):
        comments.edit(shop.house, colleague, **of, comment_id=first.id, text="No.")
    with pytest.raises(Refusal, match="did not write"):
        comments.delete(shop.house, colleague, **of, comment_id=first.id)
    edited = comments.edit(shop.house, shop.who, **of, comment_id=first.id, text="Since Tuesday.")
    assert (edited.text, edited.edited_at) == ("Since Tuesday.", clock.now)
    assert comments.list_all(shop.house, shop.who, **of) == [edited]
    comments.delete(shop.house, shop.who, **of, comment_id=first.id)
    assert comments.list_all(shop.house, shop.who, **of) == []
    with pytest.raises(Refusal, match="Comment not found"):
        comments.delete(shop.house, shop.who, **of, comment_id=first.id)
    assert shop.lines(shop.group()) == ["comment_deleted", "comment_edited", "commented"]


@pytest.mark.parametrize("text", [None, "", "  ", 5, "a\0b", "x" * 10_001])
def test_comments_are_checked(shop: Shop, text: Any) -> None:
    shop.happens(shop.seen())
    with pytest.raises(Refusal):
        comments.add(shop.house, shop.who, **shop.of(shop.group()), text=text)


def test_comments_and_activity_are_limited(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comments, "MOST", 3)
    monkeypatch.setattr(activity, "KEPT", 5)
    shop.happens(shop.seen())
    of = shop.of(shop.group())
    for number in range(3):
        comments.add(shop.house, shop.who, **of, text=str(number))
    with pytest.raises(Refusal, match="may have 3 comments"):
        comments.add(shop.house, shop.who, **of, text="4")
    for status in ("resolved", "ignored", "muted", "unresolved"):
        groups.set_status(shop.house, shop.who, **of, status=status)
    assert shop.lines(shop.group()) == ["status"] * 4 + ["commented"]
    page = activity.list_all(shop.house, shop.who, **of, limit=2)
    rest = activity.list_all(shop.house, shop.who, **of, before=page[-1].id)
    assert [line.data.get("status") for line in (*page, *rest)][:4] == ["unresolved", "muted", "ignored", "resolved"]


def test_lists_are_sorted_and_searched(shop: Shop) -> None:
    now = shop.clock.now
    shop.happens(shop.seen(A, rows=9, at=now - 5, users=users("x")))
    shop.happens(shop.seen(B, rows=1, at=now, error_message="50% of_all failed", users=users("x", "y")))
    a, b = shop.group(A).id, shop.group(B).id
    for sort, ids in {"last_seen": [b, a], "first_seen": [b, a], "events": [a, b], "users": [b, a]}.items():
        assert [group.id for group in shop.listed(sort=sort)] == ids
    for search, ids in {"valueERROR": [b, a], "50% OF_": [b], "50%_of": []}.items():
        assert [group.id for group in shop.listed(search=search)] == ids
    groups.assign(shop.house, shop.who, **shop.of(a), assigned_to=shop.who.account_id)
    assert [group.id for group in shop.listed(assigned_to=shop.who.account_id)] == [a]
    assert [group.id for group in shop.listed(assigned_to=0)] == [b]
    with pytest.raises(Refusal, match="sort: must be one of"):
        shop.listed(sort="name")


# -- Markdown, frames --------------------------------------------------------------------------------------------------


def test_what_senders_wrote_is_inert_in_markdown() -> None:
    hostile = "<img src=x onerror=alert(1)> ![a](http://x) @team `rm` # h\n\u202egnp\x1b[31m"
    line = markdown.inline(hostile)
    assert "\n" not in line
    assert not re.search(r"<|(?<!\\)[`!\[\]()]|@|\u202e|\x1b", line)
    opening, *body, closing, _ = markdown.fenced("a\n```\n<script>\n````\nb")
    assert (opening, closing) == ("`````text", "`````")
    assert "```" in body[0]
    assert markdown.fenced("\x1b[31mred\u2066") == ["```text", "\ufffd[31mred\ufffd", "```", ""]
    assert markdown.breadcrumbs({"values": [{"category": "http", "message": "GET\n/x"}, "plain"]}) == [
        "http GET /x",
        "plain",
    ]


def test_frames_are_innermost_first_with_their_source() -> None:
    text = (
        'Traceback (most recent call last):\n  File "/app/a.py", line 3, in f\n    g(1)\n    ^^^^\n'
        '  File "/x/site-packages/lib.py", line 9, in h\n    raise KeyError\nKeyError: 1\n\n'
        "During handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "/app/b.py", line 5, in k\n    z()\nValueError: no\n'
    )
    last, first = frames.read(text)
    assert (last.title, first.title) == ("ValueError: no", "KeyError: 1")
    assert [(one.file, one.function, one.line, one.own) for one in first.frames] == [
        ("/x/site-packages/lib.py", "h", 9, False),
        ("/app/a.py", "f", 3, True),
    ]
    assert first.frames[1].source == ((3, "g(1)", True),)
    java = "a.B: no\n\tat com.x.A.f(A.java:3)\nCaused by: c.D: why\n\tat java.lang.X.g(X.java:4)\n\t... 3 more\n"
    assert [(one.title, [f.own for f in one.frames]) for one in frames.read(java)] == [
        ("a.B: no", [True]),
        ("Caused by: c.D: why", [False]),
    ]
    (script,) = frames.read("TypeError: x\n    at f (/srv/a.js:1:22)\n    at /srv/node_modules/y.js:3:4\n")
    assert [(f.file, f.function, f.line, f.column, f.own) for f in script.frames] == [
        ("/srv/a.js", "f", 1, 22, True),
        ("/srv/node_modules/y.js", "", 3, 4, False),
    ]
    sent = {"type": "E", "value": "no", "stacktrace": {"frames": [{"filename": "a", "lineno": 1}, FRAME]}}
    (raised,) = frames.read(json.dumps({"values": [sent]}), is_object=True)
    assert (raised.title, [one.file for one in raised.frames]) == ("E: no", ["b", "a"])
    assert raised.frames[0].source == ((6, "before", False), (7, "here", True), (8, "after", False))
    assert raised.frames[0].variables == {"x": "1", "y": "text"}
    assert frames.read("nothing to see") == []


FRAME = {
    "filename": "b",
    "function": "f",
    "lineno": 7,
    "in_app": False,
    "pre_context": ["before"],
    "context_line": "here",
    "post_context": ["after"],
    "vars": {"x": 1, "y": "text"},
}


def test_the_documents_table_of_states_is_the_code() -> None:
    """docs/errors.md shows the table that stands in the code, and what fingerprints version there is."""
    said = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
    table = [line for line in (rules_of_states.__doc__ or "").splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(groups.STATUSES)
    assert "\n".join(table) in said
    assert [line.split("|")[1].strip() for line in table[2:]] == list(groups.STATUSES)
    assert f"version {fingerprint.VERSION}" in said


def test_parts_without_minutes_count_at_their_last_minute(shop: Shop) -> None:
    known = {shop.project.project_id: (shop.project.organization_id, "production")}
    (found,) = gather([shop.seen(minutes=((), ()), rows=4)], known)
    assert found.minutes == {shop.clock.now // times.MINUTE: 4}
