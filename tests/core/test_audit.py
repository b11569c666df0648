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
    first, second = audit.list_all(house, ada)
    assert (first.action, first.target, first.at) == ("project:project:changed", "project:1", clock.now)
    assert (first.actor_kind, first.actor_id, first.door) == ("user", ada.account_id, "test")
    assert first.data == {"new": "line\nbreak\x1b"}
    assert audit.list_all(house, ada, before=first.id) == [second]
    assert audit.list_all(house, ada, limit=1) == [first]
    assert [event.organization_id for event in audit.list_all(house, eve)] == [eve.organization_id]


def test_a_line_goes_with_its_transaction(house: House, sign_up: SignUp) -> None:
    ada = sign_up(house)
    with pytest.raises(ZeroDivisionError), house.db.write() as connection:
        audit.record(connection, house, ada, "a:b:c", target=str(1 / len(audit.list_all(house, ada)[1:])))
    assert [event.action for event in audit.list_all(house, ada)] == ["account:account:created"]


def test_only_admins_read_it(house: House, sign_up: SignUp) -> None:
    ada = sign_up(house)
    user = type(ada)(kind="user", organization_id=ada.organization_id, account_id=ada.account_id, role="user")
    with pytest.raises(Refusal) as caught:
        audit.list_all(house, user)
    assert caught.value.kind is Kind.FORBIDDEN
