from collections.abc import Callable
from typing import Any

import pytest

from headrace.core import keys, projects
from headrace.core.dashboards import panels
from headrace.core.house import House
from headrace.core.identity import invitations
from headrace.core.principal import Principal
from headrace.core.refusals import Kind
from headrace.core.settings import Settings
from headrace.kit import times
from tests.conftest import FakeClock, SignUp
from tests.core.conftest import refusal

FIELDS: dict[str, Any] = {
    "name": "Error Dashboard",
    "index": 1,
    "project_id": "project-b",
    "time_range_from": "2025-10-15T00:00:00Z",
    "time_range_to": "2025-10-30T23:59:59Z",
    "type": "errors",
}


def test_panels_come_and_go(house: House, ada: Principal) -> None:
    assert panels.list_all(house, ada) == []
    second = panels.create(house, ada, **FIELDS)
    third = panels.create(house, ada, **FIELDS)
    first = panels.create(house, ada, **{**FIELDS, "index": 0, "project_id": 7})
    assert len(second.id) == len("panel_") + 16
    assert (first.project_id, times.show(second.time_range_to)) == ("7", "2025-10-30T23:59:59Z")
    assert panels.list_all(house, ada) == [first, second, third]
    changed = panels.update(house, ada, panel_id=first.id, **{**FIELDS, "name": " New ", "index": 9})
    assert (changed.id, changed.name, changed.index) == (first.id, "New", 9)
    panels.delete(house, ada, panel_id=second.id)
    assert panels.list_all(house, ada) == [third, changed]
    missing = (Kind.NOT_FOUND, "Panel not found")
    assert refusal(lambda: panels.delete(house, ada, panel_id=second.id)) == missing
    assert refusal(lambda: panels.update(house, ada, panel_id=second.id, **FIELDS)) == missing


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        *(({name: None}, f"{name}: field required") for name in FIELDS),
        ({"name": " "}, "name: must be 1-255 characters"),
        ({"index": -1}, "index: must be >= 0"),
        ({"index": True}, "index: must be an integer"),
        ({"index": 1.0}, "index: must be an integer"),
        ({"index": 1 << 63}, "index: must be 0-9223372036854775807"),
        ({"project_id": "a b"}, "project_id: must match ^[A-Za-z0-9_-]+$"),
        ({"project_id": ""}, "project_id: must be 1-255 characters"),
        ({"project_id": True}, "project_id: must be a string"),
        ({"time_range_from": "soon"}, "time_range_from: must be an ISO 8601 timestamp"),
        ({"time_range_to": 5}, "time_range_to: must be an ISO 8601 timestamp"),
        ({"time_range_to": "2025-10-14"}, "time_range_from must not be after time_range_to"),
        ({"type": "Logs"}, "type: must be one of logs, errors, metrics"),
    ],
)
def test_fields(house: House, ada: Principal, fields: dict[str, Any], text: str) -> None:
    made = panels.create(house, ada, **FIELDS)
    sent = {**FIELDS, **fields}
    assert refusal(lambda: panels.create(house, ada, **sent)) == (Kind.INVALID, text)
    assert refusal(lambda: panels.update(house, ada, panel_id=made.id, **sent)) == (Kind.INVALID, text)
    assert panels.list_all(house, ada) == [made]


def test_panels_change_places(house: House, ada: Principal, sign_up: SignUp) -> None:
    made = {name: panels.create(house, ada, **{**FIELDS, "name": name}).id for name in "abcd"}

    def order() -> list[tuple[str, int]]:
        return [(one.name, one.index) for one in panels.list_all(house, ada)]

    for name, by, after in (("c", -1, "acbd"), ("a", 1, "cabd"), ("c", -1, "cabd"), ("c", 9, "abdc"), ("d", 0, "abdc")):
        panels.move(house, ada, panel_id=made[name], by=by)
        assert order() == [(one, place) for place, one in enumerate(after)]
    eve = sign_up(house, "eve@example.com")
    for panel_id in (made["a"], "x"):
        assert refusal(lambda panel_id=panel_id: panels.move(house, eve, panel_id=panel_id, by=1)) == (  # type: ignore[misc]
            Kind.NOT_FOUND,
            "Panel not found",
        )


def test_a_key_sees_the_panels_of_whoever_made_its_project(house: House, ada: Principal, sign_up: SignUp) -> None:
    token = invitations.create(house, ada, email="bob@example.com", role="org_admin").token
    bob = sign_up(house, "bob@example.com", invitation_token=token)
    one, two = (projects.create(house, ada, name=slug, slug=slug).project_id for slug in ("one", "two"))
    # Bob made the key, Ada the project.
    first = keys.resolve(house, keys.create_project_key(house, bob, project_id=one, name="k").full_key)
    second = keys.resolve(house, keys.create_project_key(house, ada, project_id=two, name="k").full_key)
    made = panels.create(house, first, **FIELDS)
    assert panels.list_all(house, second) == panels.list_all(house, ada) == [made]
    assert panels.list_all(house, bob) == []
    eve = sign_up(house, "eve@example.com")
    assert panels.list_all(house, eve) == []
    assert refusal(lambda: panels.delete(house, eve, panel_id=made.id))[0] is Kind.NOT_FOUND
    assert refusal(lambda: panels.update(house, bob, panel_id=made.id, **FIELDS))[0] is Kind.NOT_FOUND
    panels.delete(house, second, panel_id=made.id)
    assert panels.list_all(house, first) == []


def test_a_key_needs_the_scope(house: House, ada: Principal) -> None:
    project_id = projects.create(house, ada, name="App", slug="app").project_id
    made = keys.create_project_key(house, ada, project_id=project_id, name="k", scopes=["ingest"])
    key = keys.resolve(house, made.full_key)
    assert refusal(lambda: panels.list_all(house, key)) == (Kind.FORBIDDEN, "Insufficient scope: panels:read required")
    assert refusal(lambda: panels.create(house, key, **FIELDS)) == (
        Kind.FORBIDDEN,
        "Insufficient scope: panels:write required",
    )


def test_there_is_an_end_of_panels(open_house: Callable[..., House], settings: Settings, sign_up: SignUp) -> None:
    house = open_house(Settings(data=settings.data, secret=settings.secret, panel_limit=1))
    ada = sign_up(house)
    panels.create(house, ada, **FIELDS)
    assert refusal(lambda: panels.create(house, ada, **FIELDS)) == (Kind.INVALID, "Panel limit reached: 1")


def test_a_panel_of_the_last_hours_moves_on(house: House, ada: Principal, clock: FakeClock) -> None:
    made = panels.create(house, ada, **FIELDS, recent=times.HOUR)
    assert (made.time_range_from, made.time_range_to) == (clock.now - times.HOUR, clock.now)
    clock.advance(3600)
    (later,) = panels.list_all(house, ada)
    assert (later.time_range_from, later.time_range_to) == (made.time_range_to, clock.now)
    fixed = panels.update(house, ada, panel_id=made.id, **FIELDS)
    assert fixed.recent is None
    assert times.show(fixed.time_range_from) == FIELDS["time_range_from"]
