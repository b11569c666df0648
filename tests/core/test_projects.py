from collections.abc import Callable
from typing import Any

import pytest

from headrace.core import audit, keys, projects
from headrace.core.house import House
from headrace.core.identity import invitations, operators
from headrace.core.principal import Principal
from headrace.core.refusals import Kind
from headrace.core.settings import Settings
from headrace.kit import times
from tests.conftest import FakeClock, SignUp
from tests.core.conftest import refusal


@pytest.fixture
def eve(house: House, sign_up: SignUp) -> Principal:
    return sign_up(house, "eve@example.com")


def test_a_project_as_documented(house: House, ada: Principal) -> None:
    made = projects.create(house, ada, name=" My App ", slug="My-Prod-App")
    assert (made.name, made.slug, made.environment) == ("My App", "my-prod-app", "production")
    assert (made.retention_days, made.daily_quota, made.queue_limit) == (30, 1_000_000, 2_000_000)
    assert (made.organization_id, made.created_by) == (ada.organization_id, ada.account_id)
    assert projects.get(house, ada, project_id=made.project_id) == made
    assert projects.get_by_slug(house, ada, slug="MY-PROD-APP") == made
    second = projects.create(house, ada, name="Second", slug="42", environment="dev")
    assert projects.list_all(house, ada) == [made, second]
    assert projects.get_by_slug(house, ada, slug="42") == second


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": None}, "name: field required"),
        ({"name": " "}, "name: must be 1-255 characters"),
        ({"slug": None}, "slug: field required"),
        ({"slug": ""}, "slug: must be 1-255 characters"),
        ({"slug": "a b"}, "slug: must match ^[a-z0-9-]+$"),
        ({"slug": "ä"}, "slug: must match ^[a-z0-9-]+$"),
        ({"slug": "x\n"}, "slug: must match ^[a-z0-9-]+$"),
        ({"environment": "prod"}, "environment: must be one of production, staging, dev"),
        ({"environment": 1}, "environment: must be one of production, staging, dev"),
    ],
)
def test_fields(house: House, ada: Principal, fields: dict[str, Any], text: str) -> None:
    sent = {"name": "App", "slug": "app", **fields}
    assert refusal(lambda: projects.create(house, ada, **sent)) == (Kind.INVALID, text)


def test_slugs_are_unique_in_the_organization(house: House, ada: Principal, eve: Principal) -> None:
    projects.create(house, ada, name="App", slug="app")
    taken = refusal(lambda: projects.create(house, ada, name="Other", slug="APP"))
    assert taken == (Kind.CONFLICT, "Project with slug 'app' already exists")
    assert projects.create(house, eve, name="App", slug="app").organization_id == eve.organization_id


def test_tenants_are_apart(house: House, ada: Principal, eve: Principal) -> None:
    mine = projects.create(house, ada, name="App", slug="app")
    foreign = (Kind.FORBIDDEN, "You do not own this project")
    assert refusal(lambda: projects.get(house, eve, project_id=mine.project_id)) == foreign
    assert refusal(lambda: projects.update(house, eve, project_id=mine.project_id, name="x")) == foreign
    assert refusal(lambda: projects.quota(house, eve, project_id=mine.project_id)) == foreign
    assert refusal(lambda: projects.get(house, eve, project_id=99)) == (Kind.NOT_FOUND, "Project not found")
    missing = (Kind.NOT_FOUND, "Project 'app' not found")
    assert refusal(lambda: projects.get_by_slug(house, eve, slug="app")) == missing
    assert projects.list_all(house, eve) == []
    assert projects.get(house, ada, project_id=mine.project_id) == mine


def test_a_key_sees_its_own_project_alone(house: House, ada: Principal) -> None:
    one, two = (projects.create(house, ada, name=slug, slug=slug) for slug in ("one", "two"))
    key = keys.resolve(house, keys.create_project_key(house, ada, project_id=one.project_id, name="k").full_key)
    assert projects.get(house, key, project_id=one.project_id) == one
    assert refusal(lambda: projects.get(house, key, project_id=two.project_id))[0] is Kind.FORBIDDEN
    assert refusal(lambda: projects.create(house, key, name="x", slug="x"))[0] is Kind.FORBIDDEN


def test_changes(house: House, ada: Principal) -> None:
    made = projects.create(house, ada, name="App", slug="app")
    changed = projects.update(
        house, ada, project_id=made.project_id, name="New", retention_days=365, daily_quota=1_000, environment="dev"
    )
    assert (changed.name, changed.retention_days, changed.daily_quota, changed.environment) == ("New", 365, 1000, "dev")
    assert projects.update(house, ada, project_id=made.project_id) == changed
    assert audit.list_all(house, ada).events[0].data["new"]["retention_days"] == 365
    cases: list[tuple[dict[str, Any], str]] = [
        ({"retention_days": 0}, "retention_days: must be 1-365"),
        ({"retention_days": 366}, "retention_days: must be 1-365"),
        ({"retention_days": True}, "retention_days: must be an integer"),
        ({"daily_quota": 999}, "daily_quota: must be 1000-1000000"),
        ({"daily_quota": 1_000_001}, "daily_quota: must be 1000-1000000"),
        ({"name": ""}, "name: must be 1-255 characters"),
    ]
    for fields, text in cases:
        found = refusal(lambda: projects.update(house, ada, project_id=made.project_id, **fields))  # noqa: B023
        assert found == (Kind.INVALID, text)


def test_only_admins_change_and_only_operators_lift(house: House, ada: Principal, sign_up: SignUp) -> None:
    made = projects.create(house, ada, name="App", slug="app")
    token = invitations.create(house, ada, email="bob@example.com", role="user").token
    bob = sign_up(house, "bob@example.com", invitation_token=token)
    assert projects.create(house, bob, name="Bob's", slug="bobs").created_by == bob.account_id
    denied = (Kind.FORBIDDEN, "Insufficient permissions")
    assert refusal(lambda: projects.update(house, bob, project_id=made.project_id, name="x")) == denied
    assert refusal(lambda: projects.set_limits(house, ada, project_id=made.project_id, daily_quota=5)) == denied
    operator = operators.principal(house, organization="ada-lovelace")
    lifted = projects.set_limits(house, operator, project_id=made.project_id, daily_quota=9_000_000, queue_limit=10)
    assert (lifted.daily_quota, lifted.queue_limit) == (9_000_000, 10)


def test_quota_of_a_day(house: House, ada: Principal, clock: FakeClock) -> None:
    made = projects.create(house, ada, name="App", slug="app")
    found = projects.quota(house, ada, project_id=made.project_id)
    assert (found.quota, found.usage, found.remaining) == (1_000_000, 0, 1_000_000)
    assert times.show(found.reset_at) == "2026-01-02T00:00:00Z"
    assert found.project == made


def test_there_is_an_end_of_projects(open_house: Callable[..., House], settings: Settings, sign_up: SignUp) -> None:
    house = open_house(Settings(data=settings.data, secret=settings.secret, project_limit=1))
    ada = sign_up(house)
    projects.create(house, ada, name="App", slug="app")
    full = refusal(lambda: projects.create(house, ada, name="Two", slug="two"))
    assert full == (Kind.INVALID, "Project limit reached: 1")
