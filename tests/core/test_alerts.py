"""Alerts: each kind fires and resolves on a real store; word of it, mutes, errors, turns; what is refused."""

import asyncio
import datetime as dt
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
import sqlalchemy as sa

from headrace.core import alerts, announcements, jobs, projects
from headrace.core.alerts import Rule
from headrace.core.events.append import append, durable
from headrace.core.groups import news
from headrace.core.house import House
from headrace.core.identity import accounts, sessions
from headrace.core.limits.windows import Limits
from headrace.core.metrics import Counters
from headrace.core.principal import Principal
from headrace.core.projects import Project
from headrace.core.refusals import Kind
from headrace.core.schema.alerts import alert_transitions
from headrace.core.settings import Settings
from headrace.eventstore.rows import Event
from headrace.eventstore.store import Store, StoreOptions
from headrace.kit import times
from headrace.kit.clock import now
from headrace.kit.database import Database
from headrace.kit.passwords import Passwords
from tests.conftest import PASSWORD, PATIENCE, SECRET, FakeClock, SignUp
from tests.core.conftest import refusal

CLOCK = FakeClock(times.show(now()))
COUNT: dict[str, Any] = {"kind": "threshold", "comparison": ">", "threshold": 2, "window_seconds": 60}
numbers = count(1)


class Scene(NamedTuple):
    """A house with a store, and who was told what."""

    house: House
    who: Principal
    told: list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path, cheap_passwords: Passwords) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("house")
    store = Store.open(
        folder / "events", options=StoreOptions(segment_age_ms=20), clock=CLOCK, on_drained=lambda _: None
    )
    store.start()
    house = House.open(
        Settings(data=folder, secret=SECRET, alert_settle_seconds=1),
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
    told: list[tuple[str, dict[str, Any]]] = []
    house.part(announcements.Listeners).all.append(
        lambda _connection, _house, _organization, event, data: told.append((event, data))
    )
    yield Scene(house, sessions.resolve(house, made.pair.access_token), told)
    house.close()
    store.stop()


@pytest.fixture
def project(scene: Scene) -> Project:
    scene.told.clear()
    return projects.create(scene.house, scene.who, name="P", slug=f"p-{next(numbers)}")


def send(scene: Scene, project: Project, *messages: str, level: str = "error", ago: float = 0) -> None:
    """Have messages arrive now, and wait until they are found; `ago` seconds is the time that they name."""
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=CLOCK.now - round(ago * times.SECOND))
    events = [Event(timestamp=moment, level=level, message=text) for text in messages]  # type: ignore[arg-type]
    house = scene.house

    async def sent() -> None:
        await durable(house, project, append(house, project, events))

    asyncio.run(sent())
    assert house.store.wait_searchable(house.store.wal.next_id, 20 * PATIENCE)


def make(scene: Scene, project: Project, **fields: Any) -> Rule:
    return alerts.create(
        scene.house, scene.who, project_id=project.project_id, **{"name": "Too many", **COUNT, **fields}
    )


def turn(scene: Scene, rule: Rule, seconds: float = 30) -> Rule:
    """Let time pass, then evaluate."""
    CLOCK.advance(seconds)
    found = alerts.evaluate(scene.house, organization_id=rule.organization_id, alert_id=rule.id)
    assert found is not None
    return found


def states(scene: Scene, rule: Rule, *seconds: float) -> list[str]:
    return [turn(scene, rule, one).state for one in seconds]


def past(scene: Scene, rule: Rule) -> list[tuple[str, str, bool]]:
    lines = alerts.history(scene.house, scene.who, alert_id=rule.id).transitions
    return [(one.from_state, one.to_state, one.is_told) for one in reversed(lines)]


def test_a_threshold_fires_and_resolves(scene: Scene, project: Project) -> None:
    rule = make(scene, project, query="timeout", for_seconds=30, cool_down_seconds=100)
    assert turn(scene, rule).state == "ok"
    send(scene, project, "timeout a", "timeout b", "timeout c", "paid")
    assert states(scene, rule, 2, 30) == ["pending", "firing"]
    firing = alerts.get(scene.house, scene.who, alert_id=rule.id)
    assert (firing.value, firing.is_told, bool(firing.sample_log_id)) == (3.0, True, True)
    assert states(scene, rule, 40) == ["resolved"]
    send(scene, project, *["timeout"] * 5)
    assert states(scene, rule, 2, 40) == ["resolved", "resolved"]
    send(scene, project, *["timeout"] * 5)
    assert states(scene, rule, 59, 1) == ["pending", "pending"]
    assert past(scene, rule) == [
        ("ok", "pending", False),
        ("pending", "firing", True),
        ("firing", "resolved", True),
        ("resolved", "pending", False),
    ]
    assert [event for event, _ in scene.told] == ["alert.firing", "alert.resolved"]
    data = scene.told[0][1]
    assert (data["name"], data["value"], data["state"]) == ("Too many", 3.0, "firing")
    assert data["reason"] == "3 events in 1 min (alert: > 2)"
    assert data["sample_log_id"] == firing.sample_log_id


def test_arrival_counts_not_the_time_an_event_names(scene: Scene, project: Project) -> None:
    rule = make(scene, project)
    send(scene, project, "a", "b", "c", ago=86_400)
    assert states(scene, rule, 2, 70) == ["firing", "resolved"]


def test_what_has_just_arrived_counts_at_the_next_turn(scene: Scene, project: Project) -> None:
    rule = make(scene, project)
    send(scene, project, "a", "b", "c")
    assert states(scene, rule, 0.5, 1) == ["ok", "firing"]


def test_a_rate(scene: Scene, project: Project) -> None:
    rule = make(scene, project, kind="rate", window_seconds=120, threshold=2, comparison=">=")
    send(scene, project, "a", "b", "c")
    assert turn(scene, rule, 2).state == "ok"
    send(scene, project, "d")
    found = turn(scene, rule, 2)
    assert (found.value, found.state) == (2.0, "firing")
    assert turn(scene, rule, 118).state == "resolved"


def test_a_change_against_the_window_before(scene: Scene, project: Project) -> None:
    rule = make(scene, project, kind="rate", measure="change_percent", comparison="<=", threshold=-50)
    send(scene, project, *"abcd")
    found = turn(scene, rule, 2)
    assert (found.value, found.state) == (400.0, "ok")
    CLOCK.advance(60)
    send(scene, project, "e", "f")
    found = turn(scene, rule, 2)
    assert (found.value, found.state) == (-50.0, "firing")
    found = turn(scene, rule, 62)
    assert (found.value, found.state) == (-100.0, "firing")
    assert turn(scene, rule, 62).state == "resolved"


def test_absence(scene: Scene, project: Project) -> None:
    rule = make(scene, project, kind="absence", query="heartbeat", comparison=None, threshold=2, for_seconds=20)
    send(scene, project, "heartbeat", "heartbeat")
    assert states(scene, rule, 2, 62, 20) == ["ok", "pending", "firing"]
    send(scene, project, "heartbeat", "heartbeat")
    assert states(scene, rule, 2) == ["resolved"]


def test_a_new_pattern(scene: Scene, project: Project) -> None:
    rule = make(scene, project, kind="new_pattern", comparison=None, threshold=None, look_back_seconds=3600)
    send(scene, project, "user 1 logged in", "user 2 logged in")
    assert turn(scene, rule, 2).state == "ok"  # Nothing was before: it is learnt.
    CLOCK.advance(70)
    send(scene, project, "user 3 logged in", "order 17 of 100% failed_ on\ndisk 9")
    found = turn(scene, rule, 2)
    assert (found.value, found.state) == (1.0, "firing")
    assert scene.told[0][1]["reason"] == "1 new patterns in 1 min: order <NUM> of <NUM>% failed_ on\ndisk <NUM>"
    assert turn(scene, rule, 61).state == "resolved"
    send(scene, project, "order 18 of 7% failed_ on\ndisk 1")
    assert turn(scene, rule, 2).state == "ok"


def test_news_of_error_groups(scene: Scene, project: Project) -> None:
    tell(scene.house, project, "new", 1)
    rule = make(scene, project, kind="new_error", comparison=None, threshold=None, news="regressed")
    assert turn(scene, rule).state == "ok"
    tell(scene.house, project, "new", 2)
    assert turn(scene, rule).state == "ok"
    tell(scene.house, project, "regressed", 1)
    assert states(scene, rule, 1, 59, 1) == ["firing", "firing", "resolved"]


def tell(house: House, project: Project, kind: str, group_id: int) -> None:
    line = {"organization_id": project.organization_id, "project_id": project.project_id, "group_id": group_id}
    with house.db.write() as connection:
        news.write(connection, house, [line | {"kind": kind, "at": CLOCK.now}])


def test_a_muted_alert_is_told_when_it_lasts_longer(scene: Scene, project: Project) -> None:
    rule = make(scene, project, threshold=0, comparison=">=")
    until = times.show(CLOCK.now + 60 * times.SECOND)
    alerts.mute(scene.house, scene.who, alert_id=rule.id, until=until)
    assert states(scene, rule, 10, 10) == ["firing", "firing"]
    assert scene.told == []
    assert past(scene, rule) == [("ok", "firing", False)]
    assert states(scene, rule, 50) == ["firing"]
    assert [event for event, _ in scene.told] == ["alert.firing"]
    alerts.mute(scene.house, scene.who, alert_id=rule.id, until=times.show(CLOCK.now + 60 * times.SECOND))
    alerts.delete(scene.house, scene.who, alert_id=rule.id)
    assert [event for event, _ in scene.told] == ["alert.firing", "alert.resolved"]


def test_nobody_hears_of_the_end_of_what_they_did_not_hear_of(scene: Scene, project: Project) -> None:
    rule = make(scene, project)
    alerts.mute(scene.house, scene.who, alert_id=rule.id, until=times.show(CLOCK.now + times.HOUR))
    send(scene, project, "a", "b", "c")
    assert states(scene, rule, 2, 70) == ["firing", "resolved"]
    alerts.unmute(scene.house, scene.who, alert_id=rule.id)
    assert (states(scene, rule, 1), scene.told) == (["ok"], [])


def test_a_change_of_what_is_measured_begins_anew(scene: Scene, project: Project) -> None:
    rule = make(scene, project, threshold=0, comparison=">=")
    assert states(scene, rule, 1) == ["firing"]
    same = {"name": "Renamed", **COUNT, "threshold": 0, "comparison": ">="}
    assert alerts.update(scene.house, scene.who, alert_id=rule.id, **same).state == "firing"
    changed = alerts.update(scene.house, scene.who, alert_id=rule.id, **same | {"threshold": 1})
    assert (changed.state, changed.value, changed.revision) == ("ok", None, 3)
    assert [event for event, _ in scene.told] == ["alert.firing", "alert.resolved"]
    off = alerts.update(scene.house, scene.who, alert_id=rule.id, **same, is_enabled=False)
    assert not off.is_enabled
    assert alerts.evaluate(scene.house, organization_id=rule.organization_id, alert_id=rule.id) is None


def test_what_cannot_be_evaluated_says_why(scene: Scene, project: Project) -> None:
    house = scene.house
    rule = make(scene, project, threshold=0, comparison=">=")
    assert states(scene, rule, 1) == ["firing"]
    send(scene, project, *["x"] * 20)
    narrow = msgspec.structs.replace(house.settings, alert_rows=1)
    tight = House(**{name: getattr(house, name) for name in House.__slots__} | {"settings": narrow})
    for number in range(1, 7):
        CLOCK.advance(1)
        found = alerts.evaluate(tight, organization_id=rule.organization_id, alert_id=rule.id)
        assert found is not None
        assert (found.state, found.error_count, found.in_trouble) == ("firing", number, number >= 5)
        assert "too many rows" in (found.error or "")
    lines = alerts.history(house, scene.who, alert_id=rule.id).transitions
    assert lines[0].reason.startswith("Could not be evaluated 5 times in a row: ")
    assert (lines[0].from_state, lines[0].to_state, len(lines)) == ("firing", "firing", 2)
    found = turn(scene, rule, 1)
    assert (found.error, found.error_count) == (None, 0)


def test_a_trial_changes_nothing(scene: Scene, project: Project) -> None:
    rule = make(scene, project, threshold=0, comparison=">=", for_seconds=10)
    found = alerts.test(scene.house, scene.who, alert_id=rule.id)
    assert (found.state, found.next_state, found.measured.holds) == ("ok", "pending", True)
    assert alerts.get(scene.house, scene.who, alert_id=rule.id) == rule
    assert (past(scene, rule), scene.told) == ([], [])


def test_a_preview_is_what_would_have_been(scene: Scene, project: Project) -> None:
    for messages in ("abc", "", "abcd"):
        CLOCK.advance(300)
        if messages:
            send(scene, project, *messages)
    CLOCK.advance(120)
    given = COUNT | {"window_seconds": 60}
    found = alerts.preview(scene.house, scene.who, project_id=project.project_id, **given)
    assert [value for _, value in found.points if value] == [3.0, 4.0]
    assert (len(found.points), found.firings, found.now.value) == (1442, 2, 0.0)
    wide: dict[str, Any] = given | {"window_seconds": 3600}
    CLOCK.advance(900)
    found = alerts.preview(scene.house, scene.who, project_id=project.project_id, **wide)
    assert (found.points[-1][1], found.firings, len(found.points)) == (7.0, 1, 98)
    pattern: dict[str, Any] = {"kind": "new_pattern", "window_seconds": 60}
    found = alerts.preview(scene.house, scene.who, project_id=project.project_id, **pattern)
    assert (found.points, found.firings) == ([], None)
    tell(scene.house, project, "new", 1)
    error: dict[str, Any] = {"kind": "new_error", "window_seconds": 3600}
    CLOCK.advance(3600)
    found = alerts.preview(scene.house, scene.who, project_id=project.project_id, **error)
    assert (found.firings, max(value for _, value in found.points)) == (1, 1.0)


def test_history_has_an_end(scene: Scene, project: Project) -> None:
    rule = make(scene, project, threshold=0, comparison=">=")
    line = {"organization_id": rule.organization_id, "rule_id": rule.id, "from_state": "ok", "to_state": "ok"}
    line |= {"reason": "", "is_told": 0, "value": None, "sample_log_id": None}
    old = [line | {"at": CLOCK.now - 400 * times.DAY}] * 3
    with scene.house.db.write() as connection:
        connection.execute(alert_transitions.insert(), [*old, *[line | {"at": CLOCK.now}] * 1_005])
    turn(scene, rule)
    with scene.house.db.read() as connection:
        query = sa.select(sa.func.count()).where(alert_transitions.c.rule_id == rule.id)
        assert connection.execute(query).scalar() == 1_000
    page = alerts.history(scene.house, scene.who, alert_id=rule.id, limit=600)
    rest = alerts.history(scene.house, scene.who, alert_id=rule.id, limit=600, before=page.transitions[-1].id)
    assert (page.has_more, rest.has_more, len(rest.transitions)) == (True, False, 400)


# -- on both databases, without events --------------------------------------------------------------------------------


@pytest.fixture
def shop(house: House, ada: Principal) -> Project:
    return projects.create(house, ada, name="Shop", slug="shop")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": " "}, "name: must be 1-255 characters"),
    ({"name": None}, "name: field required"),
    (
        {"kind": "often"},
        "kind: must be one of threshold, rate, absence, new_pattern, new_error",
    ),
    ({"kind": None}, "kind: field required"),
    ({"window_seconds": 59}, "window_seconds: must be 60-86400"),
    ({"window_seconds": True}, "window_seconds: must be an integer"),
    ({"comparison": "="}, "comparison: must be one of >, >=, <, <="),
    ({"comparison": None}, "comparison: field required"),
    ({"threshold": None}, "threshold: field required"),
    ({"threshold": "3"}, "threshold: must be a number"),
    ({"threshold": float("nan")}, "threshold: must be a number from 0 to 1,000,000,000,000,000"),
    ({"threshold": -1}, "threshold: must be a number from 0 to 1,000,000,000,000,000"),
    ({"query": "level:eror"}, "debug, info"),
    ({"query": "x" * 2_001}, "query: must be 0-2000 characters"),
    ({"measure": "per_minute"}, "is no field of the kind threshold, which takes query, comparison, threshold"),
    ({"kind": "absence"}, "is no field of the kind absence, which takes query, threshold"),
    ({"kind": "rate", "measure": "per_hour"}, "measure: must be one of per_minute, change_percent"),
    (
        {"kind": "new_pattern", "comparison": None, "threshold": None, "look_back_seconds": 60},
        "look_back_seconds: must be 3600-2592000",
    ),
    ({"kind": "new_error", "comparison": None, "threshold": None, "news": "old"}, "news: must be one of any, new"),
    ({"every_seconds": 29}, "every_seconds: must be 30-86400"),
    ({"for_seconds": -1}, "for_seconds: must be 0-604800"),
    ({"cool_down_seconds": 604_801}, "cool_down_seconds: must be 0-604800"),
    ({"is_enabled": "yes"}, "is_enabled: must be true or false"),
]


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_bad_input(house: House, ada: Principal, shop: Project) -> None:
    made = alerts.create(house, ada, project_id=shop.project_id, name="A", **COUNT)
    for fields, text in BAD:
        sent = {"name": "A", **COUNT, **fields}
        for call in (
            partial(alerts.create, house, ada, project_id=shop.project_id, **sent),
            partial(alerts.update, house, ada, alert_id=made.id, **sent),
        ):
            kind, said = refusal(call)
            assert (kind, text in said) == (Kind.INVALID, True), (fields, said)
    assert alerts.list_all(house, ada).rules == [made]
    for until, text in (
        ("soon", "until: must be an ISO 8601 timestamp"),
        ("2020-01-01", "until must be in the future"),
    ):
        assert refusal(partial(alerts.mute, house, ada, alert_id=made.id, until=until))[1] == text


def test_alerts_are_an_organizations(house: House, ada: Principal, shop: Project, sign_up: SignUp) -> None:
    made = alerts.create(house, ada, project_id=shop.project_id, name="A", **COUNT)
    eve = sign_up(house, "eve@example.com")
    gone = (Kind.NOT_FOUND, "Alert not found")
    assert alerts.list_all(house, eve).rules == []
    assert (
        refusal(lambda: alerts.create(house, eve, project_id=shop.project_id, name="A", **COUNT))[0] is Kind.FORBIDDEN
    )
    verb: Callable[..., object]
    for verb in (alerts.get, alerts.delete, alerts.history, alerts.unmute, alerts.test):
        assert refusal(partial(verb, house, eve, alert_id=made.id)) == gone
    assert refusal(lambda: alerts.update(house, eve, alert_id=made.id, name="A", **COUNT)) == gone
    reader = msgspec.structs.replace(ada, kind="key", key_kind="organization", scopes=frozenset({"logs:read"}))
    assert alerts.get(house, reader, alert_id=made.id) == made
    for write in (alerts.delete, alerts.unmute, alerts.test):
        assert refusal(partial(write, house, reader, alert_id=made.id))[0] is Kind.FORBIDDEN


def test_lists_begin_with_what_fires(house: House, ada: Principal, shop: Project, clock: FakeClock) -> None:
    quiet: dict[str, Any] = {"kind": "new_error", "window_seconds": 60}
    names = ("b", "a", "c")
    made = {name: alerts.create(house, ada, project_id=shop.project_id, name=name, **quiet) for name in names}
    tell(house, shop, "new", 1)
    fired = alerts.evaluate(house, organization_id=shop.organization_id, alert_id=made["c"].id)
    assert (fired and fired.state) == "firing"
    assert [one.name for one in alerts.list_all(house, ada).rules] == ["c", "a", "b"]
    page = alerts.list_all(house, ada, project_id=shop.project_id, limit=1, offset=1)
    assert ([one.name for one in page.rules], page.has_more) == (["a"], True)
    assert [one.name for one in alerts.list_all(house, ada, state="firing").rules] == ["c"]
    assert refusal(lambda: alerts.list_all(house, ada, state="on"))[0] is Kind.INVALID
    clock.advance(61)
    over = alerts.evaluate(house, organization_id=shop.organization_id, alert_id=made["c"].id)
    assert (over and over.state) == "resolved"


# -- turns ------------------------------------------------------------------------------------------------------------


def test_one_server_claims_each_turn(
    open_house: Callable[..., House], sign_up: SignUp, clock: FakeClock, until: Callable[..., None]
) -> None:
    houses = [open_house(), open_house()]
    for one in houses:
        alerts.define(one)
    house = houses[0]
    ada = sign_up(house)
    shop = projects.create(house, ada, name="Shop", slug="shop")
    quiet: dict[str, Any] = {"kind": "new_error", "window_seconds": 60, "every_seconds": 60}
    made = [alerts.create(house, ada, project_id=shop.project_id, name=f"A{n}", **quiet) for n in range(8)]
    alerts.update(house, ada, alert_id=made[0].id, name="off", is_enabled=False, **quiet)
    claimed: list[int] = []

    def claim(one: House) -> None:
        claimed.append(alerts.enqueue_due(one))

    for turn_number in (1, 2):
        threads = [threading.Thread(target=claim, args=(one,)) for one in houses * 2]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # Whoever came while the others held the rows takes what is left.
        claimed.append(alerts.enqueue_due(house))
        assert sum(claimed) == 7 * turn_number
        assert jobs.counts(house, ada)["ready"] == 7 * turn_number
        clock.advance(200)  # Three turns went by, which are one.
    engine = house.part(jobs.Engine)
    engine.start()
    try:
        until(lambda: jobs.counts(house, ada)["succeeded"] == 14)
    finally:
        engine.stop()
    found = alerts.list_all(house, ada).rules
    assert [one.evaluated_at is not None for one in found] == [one.is_enabled for one in found]


def test_a_restart_loses_nothing(open_house: Callable[..., House], sign_up: SignUp, clock: FakeClock) -> None:
    first = open_house()
    ada = sign_up(first)
    shop = projects.create(first, ada, name="Shop", slug="shop")
    given: dict[str, Any] = {"kind": "new_error", "window_seconds": 600, "for_seconds": 60}
    rule = alerts.create(first, ada, project_id=shop.project_id, name="A", **given)
    tell(first, shop, "new", 1)
    found = alerts.evaluate(first, organization_id=shop.organization_id, alert_id=rule.id)
    assert (found and found.state) == "pending"
    second = open_house()
    clock.advance(60)
    found = alerts.evaluate(second, organization_id=shop.organization_id, alert_id=rule.id)
    assert (found and found.state) == "firing"


def test_a_change_while_it_is_evaluated_wins(house: House, ada: Principal, shop: Project) -> None:
    rule = alerts.create(house, ada, project_id=shop.project_id, name="A", kind="new_error", window_seconds=60)
    tell(house, shop, "new", 1)

    meanwhile = [lambda: alerts.update(house, ada, alert_id=rule.id, name="A", kind="new_error", window_seconds=120)]

    def slow() -> int:
        """Something else happens when the time is first asked."""
        if meanwhile:
            meanwhile.pop()()
        return house.clock()

    other = House(**{name: getattr(house, name) for name in House.__slots__} | {"clock": slow})
    assert alerts.evaluate(other, organization_id=shop.organization_id, alert_id=rule.id) is None
    assert alerts.get(house, ada, alert_id=rule.id).state == "ok"


def test_a_clock_set_back_stops_no_alert(house: House, ada: Principal, shop: Project, clock: FakeClock) -> None:
    alerts.create(house, ada, project_id=shop.project_id, name="A", kind="new_error", window_seconds=60)
    alerts.define(house)
    assert alerts.enqueue_due(house) == 1
    clock.advance(-3600)
    assert [alerts.enqueue_due(house), alerts.enqueue_due(house)] == [1, 0]
