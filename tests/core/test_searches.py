"""Saved searches: own and shared ones, who may change them, what is refused."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from headrace.core import projects, searches
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import Kind
from headrace.core.settings import Settings
from headrace.kit import times
from tests.conftest import FakeClock, SignUp
from tests.core.conftest import refusal

FIELDS: dict[str, Any] = {"name": "Errors", "query": " level:error ", "period": "24h", "columns": ["environment"]}


@pytest.fixture
def project_id(house: House, ada: Principal) -> int:
    return projects.create(house, ada, name="Shop", slug="shop").project_id


def test_searches_come_and_go(house: House, ada: Principal, project_id: int, clock: FakeClock) -> None:
    made = searches.create(house, ada, project_id=project_id, **FIELDS)
    assert (made.query, made.period, made.columns, made.view) == ("level:error", "24h", ("environment",), "events")
    first = searches.create(house, ada, project_id=project_id, name="a", time_from="2026-01-01", time_to="2026-01-02")
    assert (first.period, first.time_to) == (None, times.parse("2026-01-02"))
    assert searches.list_all(house, ada, project_id=project_id) == [first, made]
    clock.advance(1)
    changed = searches.update(house, ada, search_id=made.id, name="Errors", view="patterns")
    assert (changed.query, changed.period, changed.view, changed.columns) == ("", "1h", "patterns", ())
    assert changed.updated_at == made.updated_at + times.SECOND
    assert searches.get(house, ada, search_id=made.id) == changed
    searches.delete(house, ada, search_id=made.id)
    gone = (Kind.NOT_FOUND, "Saved search not found")
    assert refusal(lambda: searches.get(house, ada, search_id=made.id)) == gone
    assert refusal(lambda: searches.delete(house, ada, search_id=made.id)) == gone


def test_own_ones_are_seen_by_their_owner_alone(
    house: House, ada: Principal, bob: Principal, project_id: int, sign_up: SignUp
) -> None:
    own = searches.create(house, bob, project_id=project_id, **FIELDS)
    shared = searches.create(house, bob, project_id=project_id, **FIELDS, is_shared=True)
    assert searches.list_all(house, ada, project_id=project_id) == [shared]
    assert refusal(lambda: searches.get(house, ada, search_id=own.id))[0] is Kind.NOT_FOUND
    eve = sign_up(house, "eve@example.com")
    assert refusal(lambda: searches.list_all(house, eve, project_id=project_id))[0] is Kind.FORBIDDEN
    for verb in (partial(searches.delete, house), partial(searches.update, house, name="x")):
        assert refusal(partial(verb, eve, search_id=shared.id))[0] is Kind.NOT_FOUND
    mine = searches.create(house, ada, project_id=project_id, **FIELDS, is_shared=True)
    assert refusal(lambda: searches.delete(house, bob, search_id=mine.id)) == (
        Kind.FORBIDDEN,
        "Only its owner or an admin may change a shared search",
    )
    searches.delete(house, ada, search_id=shared.id)
    assert searches.list_all(house, bob, project_id=project_id) == [own, mine]


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": " "}, "name: must be 1-255 characters"),
        ({"query": 5}, "query: must be a string"),
        ({"query": "x" * 2_001}, "query: must be 0-2000 characters"),
        ({"query": "level:eror"}, "level"),
        ({"period": "2h"}, "period: must be one of 5m, 15m, 1h, 4h, 24h, 7d, 30d, 365d"),
        ({"time_from": "2026-01-01", "time_to": "2026-01-02"}, "period: cannot be combined with time_from and time_to"),
        ({"period": None, "time_from": "2026-01-01"}, "time_from and time_to belong together: give both, or neither"),
        (
            {"period": None, "time_from": "2026-01-02", "time_to": "2026-01-01"},
            "time_from must not be after time_to",
        ),
        ({"period": None, "time_from": "x", "time_to": "y"}, "time_from: must be an ISO 8601 timestamp"),
        ({"columns": "environment"}, "columns: must be a list of texts"),
        ({"columns": ["a"]}, "columns: must be attributes.<name> or one of"),
        ({"columns": ["host", "host"]}, "columns: must be at most 10 different names"),
        ({"columns": [f"attributes.{n}" for n in range(11)]}, "columns: must be at most 10 different names"),
        ({"view": "table"}, "view: must be one of events, patterns"),
        ({"is_shared": 1}, "is_shared: must be true or false"),
    ],
)
def test_fields(house: House, ada: Principal, project_id: int, fields: dict[str, Any], text: str) -> None:
    made = searches.create(house, ada, project_id=project_id, **FIELDS)
    sent = {**FIELDS, **fields}
    for call in (
        partial(searches.create, house, ada, project_id=project_id, **sent),
        partial(searches.update, house, ada, search_id=made.id, **sent),
    ):
        kind, said = refusal(call)
        assert (kind, text in said) == (Kind.INVALID, True), said
    assert searches.list_all(house, ada, project_id=project_id) == [made]


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_there_is_an_end_of_searches(open_house: Callable[..., House], settings: Settings, sign_up: SignUp) -> None:
    house = open_house(Settings(data=settings.data, secret=settings.secret, search_limit=1))
    ada = sign_up(house)
    project_id = projects.create(house, ada, name="Shop", slug="shop").project_id
    searches.create(house, ada, project_id=project_id, **FIELDS)
    full = (Kind.INVALID, "Saved search limit reached: 1")
    assert refusal(lambda: searches.create(house, ada, project_id=project_id, **FIELDS)) == full


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_nobody_without_an_account_has_one_of_their_own(house: House, ada: Principal, project_id: int) -> None:
    operator = Principal(kind="operator", organization_id=ada.organization_id)
    assert refusal(lambda: searches.create(house, operator, project_id=project_id, **FIELDS))[0] is Kind.INVALID
    shared = searches.create(house, operator, project_id=project_id, **FIELDS, is_shared=True)
    assert searches.list_all(house, ada, project_id=project_id) == [shared]
    assert refusal(lambda: searches.update(house, ada, search_id=shared.id, **FIELDS))[0] is Kind.INVALID
