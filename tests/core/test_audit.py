from typing import Any

import pytest

from headrace.core import audit
from headrace.core.house import House
from headrace.core.refusals import Kind, Refusal
from tests.conftest import FakeClock, SignUp


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("/run/headrace.sock", "/run/headrace.sock"),
        ("", ""),
    ],
)
def test_networks(address: str, network: str) -> None:
    assert audit.network(address) == network


def test_lines_are_the_organizations(house: House, clock: FakeClock, sign_up: SignUp) -> None:
    ada, eve = sign_up(house), sign_up(house, "eve@example.com")
    with house.db.write() as connection:
        audit.record(
            connection,
            house,
            ada,
            "project:project:changed",
            target="project:1",
            data={"new": "line\nbreak\x1b"},
            door="test",
            address="192.0.2.77",
        )
    first, second = audit.list_all(house, ada).events
    assert (first.action, first.target, first.at) == ("project:project:changed", "project:1", clock.now)
    assert (first.actor_kind, first.actor_id, first.door) == ("user", ada.account_id, "test")
    assert first.data == {"new": "line\nbreak\x1b"}
    assert audit.list_all(house, ada, before=first.id).events == [second]
    assert audit.list_all(house, ada, limit=1).events == [first]
    assert [event.organization_id for event in audit.list_all(house, eve).events] == [eve.organization_id]


def test_lines_are_filtered_and_paged(house: House, sign_up: SignUp) -> None:
    ada, eve = sign_up(house), sign_up(house, "eve@example.com")
    key = type(ada)(kind="key", organization_id=ada.organization_id, account_id=ada.account_id, key_id=ada.account_id)
    with house.db.write() as connection:
        for who, action in ((ada, "apikey:key:created"), (key, "apikey:key:revoked"), (ada, "apikey_x:key:made")):
            audit.record(connection, house, who, action)
        audit.record(connection, house, None, "account:role:changed")

    def found(**asked: Any) -> list[str]:
        return [event.action for event in audit.list_all(house, ada, **asked).events]

    assert found(action="apikey") == found(action="apikey:key") == ["apikey:key:revoked", "apikey:key:created"]
    assert found(action="apikey:key:revoked") == ["apikey:key:revoked"]
    assert found(action="api_ey") == found(action="apikey:") == found(account_id=eve.account_id) == []
    # A key of the same number as the account is somebody else.
    assert found(account_id=ada.account_id)[:2] == ["apikey_x:key:made", "apikey:key:created"]
    page = audit.list_all(house, ada, limit=2)
    assert (page.before, found(limit=2, before=page.before)) == (page.events[-1].id, found()[2:4])
    assert audit.list_all(house, ada).before is None
    with pytest.raises(Refusal, match="limit: must be 1-1000"):
        found(limit=1001)
    everywhere = audit.list_everywhere(house).events
    assert {event.organization_id for event in everywhere} == {ada.organization_id, eve.organization_id, None}
    assert audit.list_everywhere(house, organization_id=ada.organization_id) == audit.list_all(house, ada)


def test_a_line_goes_with_its_transaction(house: House, sign_up: SignUp) -> None:
    ada = sign_up(house)
    with pytest.raises(ZeroDivisionError), house.db.write() as connection:
        audit.record(connection, house, ada, "a:b:c", target=str(1 / len(audit.list_all(house, ada).events[1:])))
    assert [event.action for event in audit.list_all(house, ada).events] == ["account:account:created"]


def test_only_admins_read_it(house: House, sign_up: SignUp) -> None:
    ada = sign_up(house)
    user = type(ada)(kind="user", organization_id=ada.organization_id, account_id=ada.account_id, role="user")
    with pytest.raises(Refusal) as caught:
        audit.list_all(house, user)
    assert caught.value.kind is Kind.FORBIDDEN
