"""What people do with error groups, and what new events do then: releases, mutes, merges."""

from typing import Any

import pytest

from headrace.core import groups
from headrace.core.groups import (
    activity,
    merging,
    releases,
    series,
    tidying,
)
from headrace.core.groups import states as rules_of_states
from headrace.core.refusals import Refusal
from headrace.kit import times
from tests.core.shop import A, B, C, Shop, users

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
    shop.happens(shop.seen(rows=2, users=users("a", "b")))
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


BAD_MUTES: list[tuple[dict[str, Any], str]] = [
    ({"until": "2020-01-01T00:00:00Z"}, "until: must be in the future"),
    ({"until": "2099-01-01T00:00:00Z"}, "at most 366 days"),
    ({"until": "soon"}, "until: must be an ISO 8601 timestamp"),
    ({"events": 0}, "events: must be 1-1000000"),
    ({"events": 5, "minutes": 10_081}, "minutes: must be 1-10080"),
    ({"minutes": 5}, "minutes: needs events"),
    ({"users": "many"}, "users: must be an integer"),
]


def test_mutes_are_checked(shop: Shop) -> None:
    shop.happens(shop.seen())
    for fields, complaint in BAD_MUTES:
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
    assert groups.fingerprints(shop.house, merged) == [B, A, C]
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


def test_merges_are_checked(shop: Shop) -> None:
    shop.happens(shop.seen())
    wrong: list[Any] = [None, [], "x", [0], ["1"], [10**9], list(range(1, 102))]
    for group_ids in wrong:
        with pytest.raises(Refusal, match=r"group_ids|not found"):
            groups.merge(shop.house, shop.who, **shop.of(shop.group()), group_ids=group_ids)
    with pytest.raises(Refusal, match="another group"):
        groups.merge(shop.house, shop.who, **shop.of(shop.group()), group_ids=[shop.group().id])
