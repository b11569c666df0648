"""Projects made by a name alone, with their ingest key."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from headrace.core import audit, keys, projects
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal
from headrace.core.settings import Settings
from tests.conftest import SignUp
from tests.core.conftest import refusal

TAKEN = (Kind.CONFLICT, "application with this name already exists")


def test_an_app_is_a_project_with_an_ingest_key(house: House, ada: Principal) -> None:
    project, key = keys.create_app(house, ada, name="My App")
    assert (project.name, project.app_name, project.slug) == ("My App", "My App", "my-app")
    assert project == projects.get(house, ada, project_id=project.project_id)
    assert keys.resolve_ingest(house, key.full_key).project_id == project.project_id
    actions = [event.action for event in audit.list_all(house, ada).events][:2]
    assert actions == ["apikey:key:created", "project:project:created"]


def test_names_are_unique_in_the_organization(house: House, ada: Principal, sign_up: SignUp) -> None:
    eve = sign_up(house, "eve@example.com")
    keys.create_app(house, ada, name="app")
    assert refusal(lambda: keys.create_app(house, ada, name="app")) == TAKEN
    assert keys.create_app(house, ada, name="App")[0].slug == "app-2"
    assert keys.create_app(house, eve, name="app")[0].slug == "app"
    projects.create(house, ada, name="Of Ledger", slug="ledgers")
    assert refusal(lambda: keys.create_app(house, ada, name="ledgers")) == TAKEN
    assert keys.create_app(house, ada, name="Of Ledger")[0].slug == "of-ledger"
    taken = refusal(lambda: projects.create(house, ada, name="x", slug="app"))
    assert taken == (Kind.CONFLICT, "Project with slug 'app' already exists")


def test_a_new_name_of_a_project_is_not_the_apps(house: House, ada: Principal) -> None:
    project, _ = keys.create_app(house, ada, name="first")
    changed = projects.update(house, ada, project_id=project.project_id, name="second")
    assert (changed.name, changed.app_name) == ("second", "first")
    assert refusal(lambda: keys.create_app(house, ada, name="first")) == TAKEN
    assert keys.create_app(house, ada, name="second")[0].app_name == "second"


def test_nothing_stays_of_an_app_that_is_refused(
    open_house: Callable[..., House], settings: Settings, sign_up: SignUp
) -> None:
    house = open_house(Settings(data=settings.data, secret=settings.secret, project_limit=1))
    ada = sign_up(house)
    keys.create_app(house, ada, name="one")
    assert refusal(lambda: keys.create_app(house, ada, name="two"))[0] is Kind.INVALID
    assert [project.app_name for project in projects.list_all(house, ada)] == ["one"]


def test_many_at_once(house: House, ada: Principal) -> None:
    def create(name: str) -> str:
        try:
            return keys.create_app(house, ada, name=name)[0].slug
        except Refusal as refused:
            return refused.text

    names = ["same"] * 4 + ["Same", "SAME", "sAME", "saME"]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(create, names))
    assert sorted(found) == sorted([TAKEN[1]] * 3 + ["same", *(f"same-{number}" for number in range(2, 6))])


def test_keys_that_may_read_logs_may_see_projects(house: House, ada: Principal) -> None:
    project, ingest = keys.create_app(house, ada, name="app")
    keys.create_app(house, ada, name="other")
    made = keys.create_project_key(house, ada, project_id=project.project_id, name="k", scopes=["logs:read"])
    assert projects.list_all(house, keys.resolve(house, made.full_key)) == [project]
    blind = keys.create_project_key(house, ada, project_id=project.project_id, name="k", scopes=["ingest"])
    for who in (keys.resolve(house, blind.full_key), keys.resolve_ingest(house, ingest.full_key)):
        assert refusal(partial(projects.list_all, house, who))[0] is Kind.FORBIDDEN
        assert refusal(partial(keys.create_app, house, who, name="x"))[0] is Kind.FORBIDDEN
