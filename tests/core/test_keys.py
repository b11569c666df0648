import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from headrace.core import keys, projects
from headrace.core.house import House
from headrace.core.identity import members, operators
from headrace.core.keys.resolving import Credentials
from headrace.core.principal import Principal
from headrace.core.refusals import Kind
from headrace.core.schema import api_keys, organizations
from headrace.core.settings import Settings
from headrace.kit.database import UnreachableError
from headrace.kit.keys import checked, ingest_key
from headrace.kit.times import DAY, SECOND
from tests.conftest import SECRET, FakeClock, SignUp
from tests.core.conftest import refusal


def refused(house: House, secret: str) -> bool:
    return refusal(lambda: keys.resolve(house, secret)) == (Kind.UNAUTHENTICATED, "Invalid or expired API key")


@pytest.fixture
def project_id(house: House, ada: Principal) -> int:
    return projects.create(house, ada, name="App", slug="app").project_id


@pytest.fixture
def operator(house: House, ada: Principal) -> Principal:
    return operators.principal(house, organization="ada-lovelace")


def test_a_project_key(house: House, ada: Principal, project_id: int) -> None:
    made = keys.create_project_key(house, ada, project_id=project_id, name=" Production ")
    assert made.full_key.startswith(f"ldg_proj_{project_id}_")
    assert made.key_prefix == made.full_key[: len(f"ldg_proj_{project_id}_") + 6]
    assert (made.key.name, made.key.status, made.signing_secret) == ("Production", "active", None)
    who = keys.resolve(house, made.full_key)
    assert (who.kind, who.key_kind, who.key_id, who.project_id) == ("key", "project", made.key_id, project_id)
    assert (who.role, who.is_admin, who.scopes) == ("user", False, frozenset({"ingest", "logs:read", "panels:*"}))
    assert keys.resolve(house, made.full_key.replace("ldg_", "ledger_")) == who
    assert keys.resolved_project(house, who, project_id).slug == "app"
    assert keys.list_project_keys(house, ada, project_id=project_id) == [made.key]


def test_a_secret_is_stored_as_a_mac_alone(house: House, ada: Principal, project_id: int) -> None:
    made = [
        keys.create_project_key(house, ada, project_id=project_id, name="k"),
        keys.create_organization_key(house, ada, name="k"),
    ]
    with house.db.read() as connection:
        content = repr(connection.execute(sa.select(api_keys)).all())
    for one in made:
        assert one.full_key not in content
        assert one.full_key[-30:-5] not in content
        assert one.signing_secret is None or one.signing_secret not in content


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": None}, "name: field required"),
        ({"name": ""}, "name: must be 1-255 characters"),
        ({"scopes": []}, "scopes: must be a list of scopes"),
        ({"scopes": "ingest"}, "scopes: must be a list of scopes"),
        ({"scopes": ["write"]}, "scopes: must be some of ingest, logs:read, panels:*"),
        ({"scopes": [["ingest"]]}, "scopes: unknown scope ['ingest']"),
    ],
)
def test_fields(house: House, ada: Principal, project_id: int, fields: dict[str, Any], text: str) -> None:
    sent: dict[str, Any] = {"name": "k", **fields}
    assert refusal(lambda: keys.create_project_key(house, ada, project_id=project_id, **sent)) == (Kind.INVALID, text)


def test_whose_keys(house: House, ada: Principal, bob: Principal, project_id: int, sign_up: SignUp) -> None:
    eve = sign_up(house, "eve@example.com")
    adas = keys.create_project_key(house, ada, project_id=project_id, name="same")
    bobs = keys.create_project_key(house, bob, project_id=project_id, name="same")
    assert keys.list_project_keys(house, ada, project_id=project_id) == [bobs.key, adas.key]
    assert keys.list_project_keys(house, bob, project_id=project_id) == [bobs.key]
    foreign = (Kind.FORBIDDEN, "You do not own this project")
    assert refusal(lambda: keys.list_project_keys(house, eve, project_id=project_id)) == foreign
    assert refusal(lambda: keys.create_project_key(house, eve, project_id=project_id, name="k")) == foreign
    assert refusal(lambda: keys.create_project_key(house, ada, project_id=99, name="k"))[0] is Kind.NOT_FOUND
    not_yours = (Kind.FORBIDDEN, "You do not own this API key")
    assert refusal(lambda: keys.revoke(house, bob, key_id=adas.key_id)) == not_yours
    assert refusal(lambda: keys.revoke(house, eve, key_id=adas.key_id)) == not_yours
    assert refusal(lambda: keys.revoke(house, ada, key_id=99)) == (Kind.NOT_FOUND, "API key not found")
    assert keys.revoke(house, ada, key_id=bobs.key_id).status == "revoked"
    assert keys.resolve(house, adas.full_key).key_id == adas.key_id


def test_a_revoked_key_is_refused_on_the_next_request_of_any_house(
    house: House, open_house: Callable[..., House], ada: Principal, project_id: int
) -> None:
    other = open_house()
    made = keys.create_project_key(house, ada, project_id=project_id, name="k")
    for one in (house, other):
        assert keys.resolve(one, made.full_key).key_id == made.key_id
    first = keys.revoke(other, ada, key_id=made.key_id)
    assert refused(house, made.full_key)
    assert refused(other, made.full_key)
    assert keys.revoke(house, ada, key_id=made.key_id) == first, "a repeat is the same answer"
    assert refusal(lambda: keys.resume(house, ada, key_id=made.key_id)) == (Kind.CONFLICT, "API key is revoked")


def test_a_revoke_by_another_process_counts(
    house: House, address: str | Path, ada: Principal, project_id: int, tmp_path: Path
) -> None:
    made = keys.create_project_key(house, ada, project_id=project_id, name="k")
    assert keys.resolve(house, made.full_key).key_id == made.key_id
    code = f"""
import pathlib
from headrace.core import keys
from headrace.core.house import House
from headrace.core.limits.windows import Limits
from headrace.core.principal import Principal
from headrace.core.settings import Settings
from headrace.kit.clock import now
from headrace.kit.database import Database
house = House.open(
    Settings(data=pathlib.Path({str(tmp_path)!r}), secret={SECRET!r}),
    limits=Limits(now), store=None, counters=None, db=Database.open({str(address)!r}),
)
keys.revoke(
    house, Principal(kind="user", organization_id={ada.organization_id}, account_id={ada.account_id}),
    key_id={made.key_id},
)
house.close()
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert refused(house, made.full_key)


def test_pause_and_limits(house: House, ada: Principal, operator: Principal, project_id: int) -> None:
    made = keys.create_project_key(house, ada, project_id=project_id, name="k")
    assert keys.pause(house, ada, key_id=made.key_id).status == "paused"
    assert refused(house, made.full_key)
    assert keys.resume(house, ada, key_id=made.key_id).status == "active"
    assert keys.resolve(house, made.full_key).per_minute is None
    keys.set_limits(house, operator, key_id=made.key_id, per_minute=5000, per_hour=7)
    who = keys.resolve(house, made.full_key)
    assert (who.per_minute, who.per_hour) == (5000, 7)


def test_an_admin_sets_limits_up_to_the_default(house: House, ada: Principal, project_id: int) -> None:
    made = keys.create_project_key(house, ada, project_id=project_id, name="k")
    keys.set_limits(house, ada, key_id=made.key_id, per_minute=5, per_hour=50_000)
    assert keys.resolve(house, made.full_key).per_minute == 5
    for wrong in ({"per_minute": 1001}, {"per_hour": 50_001}, {"per_minute": 0}):
        kind, text = refusal(lambda: keys.set_limits(house, ada, key_id=made.key_id, **wrong))  # noqa: B023
        assert kind is Kind.INVALID
        assert text.startswith(next(iter(wrong)))
    user = msgspec.structs.replace(ada, role="user")
    assert refusal(lambda: keys.set_limits(house, user, key_id=made.key_id, per_minute=5))[0] is Kind.FORBIDDEN


def test_ingest_keys_open_only_their_own_header(house: House, ada: Principal, project_id: int) -> None:
    first = keys.create_ingest_key(house, ada, project_id=project_id)
    assert keys.resolve_ingest(house, first.full_key).scopes == frozenset({"ingest"})
    assert refused(house, first.full_key)
    second = keys.create_ingest_key(house, ada, project_id=project_id)
    assert refusal(lambda: keys.resolve_ingest(house, first.full_key))[0] is Kind.UNAUTHENTICATED
    assert keys.resolve_ingest(house, second.full_key).project_id == project_id
    project_key = keys.create_project_key(house, ada, project_id=project_id, name="k")
    for wrong in (project_key.full_key, ingest_key(), "", second.full_key.upper()):
        assert refusal(lambda: keys.resolve_ingest(house, wrong))[0] is Kind.UNAUTHENTICATED  # noqa: B023


def test_organization_keys(house: House, ada: Principal, clock: FakeClock) -> None:
    made = keys.create_organization_key(house, ada, name="k", scopes=["write", "logs:read", "write"], expires_days=1)
    assert made.signing_secret is not None
    assert made.signing_secret.startswith("whsec_")
    assert made.key_prefix == f"{made.full_key[:8]}...{made.full_key[-3:]}"
    assert made.key.scopes == ("write", "logs:read")
    who = keys.resolve(house, made.full_key)
    assert (who.account_id, who.role, who.project_id) == (ada.account_id, "org_admin", None)
    assert who.allows("projects", "write")
    assert not who.allows("keys", "admin")
    assert keys.list_organization_keys(house, ada) == [made.key]
    clock.advance(86_399)
    assert keys.resolve(house, made.full_key) == who
    clock.advance(1)
    assert refused(house, made.full_key)
    assert keys.list_organization_keys(house, ada)[0].status == "expired"


def test_scopes_never_exceed_the_owner_or_the_maker(house: House, ada: Principal, bob: Principal) -> None:
    def make(who: Principal, *scopes: str) -> keys.NewKey:
        return keys.create_organization_key(house, who, name="k", scopes=scopes)

    assert refusal(lambda: make(bob, "admin"))[0] is Kind.FORBIDDEN
    assert refusal(lambda: make(bob, "tickets:admin"))[0] is Kind.FORBIDDEN
    assert refusal(lambda: make(ada, "nonsense")) == (Kind.INVALID, "scopes: unknown scope nonsense")
    assert refusal(lambda: make(ada, "logs:ingest"))[0] is Kind.INVALID
    narrow = keys.resolve(house, make(ada, "write").full_key)
    assert refusal(lambda: make(narrow, "read")) == (Kind.FORBIDDEN, "Insufficient scope: admin required")
    keeper = keys.resolve(house, make(ada, "keys:admin", "logs:*").full_key)
    assert make(keeper, "logs:read").key.owner_id == ada.account_id
    assert refusal(lambda: make(keeper, "read"))[0] is Kind.FORBIDDEN
    assert refusal(lambda: make(keeper, "tickets:read"))[0] is Kind.FORBIDDEN


def test_an_organization_key_goes_with_its_owner(house: House, ada: Principal, bob: Principal, project_id: int) -> None:
    assert bob.account_id is not None
    own = keys.create_organization_key(house, bob, name="k")
    of_project = keys.create_project_key(house, bob, project_id=project_id, name="k")
    members.change(house, ada, account_id=bob.account_id, role="billing_admin")
    assert keys.resolve(house, own.full_key).role == "billing_admin"
    members.change(house, ada, account_id=bob.account_id, is_active=False)
    assert refused(house, own.full_key)
    assert keys.resolve(house, of_project.full_key).key_id == of_project.key_id, "it belongs to the project"


def test_an_imported_key(house: House, ada: Principal, operator: Principal) -> None:
    secret = "an-old-key-of-another-system"
    assert refused(house, secret)
    made = keys.import_key(house, operator, secret=secret, name="old", owner_id=ada.account_id, scopes=["write"])
    assert made.key.kind == "imported"
    assert keys.resolve(house, secret).scopes == frozenset({"write"}), "what was unknown before is known now"
    again = refusal(lambda: keys.import_key(house, operator, secret=secret, name="old", owner_id=ada.account_id))
    assert again[0] is Kind.CONFLICT
    assert refusal(lambda: keys.import_key(house, ada, secret="x" * 20, name="old"))[0] is Kind.FORBIDDEN
    for wrong in ("short", "ldg_proj_" + "1" * 20, "with space in the middle", "vetrai_" + "x" * 20):
        found = refusal(lambda: keys.import_key(house, operator, secret=wrong, name="o", owner_id=ada.account_id))  # noqa: B023
        assert found[0] is Kind.INVALID


def test_garbage_does_not_reach_the_database(house: House) -> None:
    house.db.close()
    for secret in ("", "ldg_proj_1_" + "a" * 40, "vetrai_x", checked("hrt_" + "a" * 33), "ldg_proj_1_a1b2c3"):
        assert refused(house, secret)


def test_a_new_secret_keeps_old_keys(
    house: House, open_house: Callable[..., House], settings: Settings, ada: Principal, project_id: int
) -> None:
    made = keys.create_project_key(house, ada, project_id=project_id, name="k")
    newer = SECRET[::-1]
    rotated = open_house(Settings(data=settings.data, secret=newer, secret_previous=(SECRET,)))
    assert keys.resolve(rotated, made.full_key).key_id == made.key_id
    assert refused(open_house(Settings(data=settings.data, secret=newer)), made.full_key)


def test_a_changed_project_is_seen_at_once(
    house: House, open_house: Callable[..., House], ada: Principal, project_id: int, sign_up: SignUp
) -> None:
    other = open_house()
    assert keys.resolved_project(other, ada, project_id).daily_quota == 1_000_000
    projects.update(house, ada, project_id=project_id, daily_quota=1000)
    assert keys.resolved_project(other, ada, project_id).daily_quota == 1000
    eve = sign_up(house, "eve@example.com")
    foreign = refusal(lambda: keys.resolved_project(other, eve, project_id))
    assert foreign == (Kind.FORBIDDEN, "You do not own this project")
    assert refusal(lambda: keys.resolved_project(other, ada, 99)) == (Kind.NOT_FOUND, "Project not found")
    made = projects.create(house, ada, name="Two", slug="two")
    assert keys.resolved_project(other, ada, made.project_id) == made


def test_keys_have_an_end(house: House, ada: Principal) -> None:
    with house.db.write() as connection:
        connection.execute(sa.update(organizations).values(max_api_keys=1))
    first = keys.create_organization_key(house, ada, name="k")
    full = refusal(lambda: keys.create_organization_key(house, ada, name="k"))
    assert full == (Kind.INVALID, "API key limit reached")
    keys.revoke(house, ada, key_id=first.key_id)
    assert keys.create_organization_key(house, ada, name="k").key.status == "active"


def test_usage_is_counted_in_memory_and_written_by_the_flush(
    house: House, open_house: Callable[..., House], clock: FakeClock, ada: Principal
) -> None:
    made = keys.create_organization_key(house, ada, name="k")

    def use(times: int, status: int = 200) -> None:
        for number in range(times):
            keys.usage.count(house, made.key_id, number, route="/x", status=status)

    use(3)
    assert [row.requests for row in keys.usage.of_key(house, made.key_id)] == [3], "unwritten ones are shown too"
    assert keys.usage.flush(house) == 1
    assert keys.usage.flush(house) == 0
    use(2)
    use(1, 404)
    keys.usage.flush(house)
    other = open_house()
    keys.usage.count(other, made.key_id, 90, route="/x", status=200)
    keys.usage.flush(other)
    found = {row.status_class: (row.requests, row.sum_us, row.max_us) for row in keys.usage.of_key(house, made.key_id)}
    assert found == {2: (6, 0 + 1 + 2 + 0 + 1 + 90, 90), 4: (1, 0, 0)}
    key = keys.list_organization_keys(house, ada)[0]
    assert (key.usage_count, key.last_used_at) == (7, clock.now)
    clock.advance(59)
    use(1)
    keys.usage.flush(house)
    assert keys.list_organization_keys(house, ada)[0].last_used_at == clock.now - 59 * SECOND
    clock.advance(1)
    use(1)
    keys.usage.flush(house)
    assert keys.list_organization_keys(house, ada)[0].last_used_at == clock.now


def test_usage_is_let_go_after_its_days(house: House, clock: FakeClock, ada: Principal) -> None:
    made = keys.create_organization_key(house, ada, name="k")
    began = clock.now
    for days in (399, 2):
        keys.usage.count(house, made.key_id, 1, route="/x", status=200)
        keys.usage.flush(house)
        keys.usage.purge(house)
        clock.advance(days * 86_400)
    assert [row.hour - began for row in keys.usage.of_key(house, made.key_id)] == [399 * DAY, 0]
    keys.usage.purge(house)
    assert [row.hour - began for row in keys.usage.of_key(house, made.key_id)] == [399 * DAY]
    assert keys.get(house, ada, key_id=made.key_id).usage_count == 2


def test_routes_of_a_key_are_bounded(house: House, ada: Principal) -> None:
    made = keys.create_organization_key(house, ada, name="k")
    for number in range(300):
        keys.usage.count(house, made.key_id, 1, route=f"/{number}", status=200)
    found = {row.route: row.requests for row in keys.usage.of_key(house, made.key_id)}
    assert len(found) == 201
    assert found["other"] == 100


def test_the_cache_is_bounded(house: House, ada: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.core.keys.resolving.MOST_ENTRIES", 10)
    for number in range(30):
        assert refused(house, f"an-unknown-imported-key-{number}")
    assert len(house.part(Credentials).entries) == 10


def test_counts_outlast_a_database_out_of_reach(house: House, address: str | Path, ada: Principal) -> None:
    made = keys.create_organization_key(house, ada, name="k")
    keys.usage.count(house, made.key_id, 1, route="/x", status=200)
    if house.db.dialect == "sqlite":
        # Another program holds the file's write lock for longer than a writer waits.
        other = sqlite3.connect(address, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        house.db._writing.exec_driver_sql("PRAGMA busy_timeout=0")  # type: ignore[attr-defined]
        house.db._writing.rollback()  # type: ignore[attr-defined]
        with pytest.raises(UnreachableError):
            keys.usage.flush(house)
        other.execute("ROLLBACK")
        other.close()
    assert keys.usage.flush(house) == 1
    assert [row.requests for row in keys.usage.of_key(house, made.key_id)] == [1]
