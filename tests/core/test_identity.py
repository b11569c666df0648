from typing import Any

import pytest
import sqlalchemy as sa

from headrace.core import audit
from headrace.core.house import House
from headrace.core.identity import accounts, invitations, members, operators, organizations, sessions
from headrace.core.identity.records import LoggedIn, Registered
from headrace.core.principal import Principal
from headrace.core.refusals import Kind
from headrace.core.schema import accounts as account_table
from tests.conftest import ADDRESS, PASSWORD, FakeClock, SignUp
from tests.core.conftest import refusal

PLACE = {"door": "test", "address": ADDRESS}


def register(house: House, **more: Any) -> Registered:
    fields: dict[str, Any] = {"email": "ada@example.com", "password": PASSWORD, "name": "Ada Lovelace"}
    return accounts.register(house, **{**fields, **PLACE, **more})


def log_in(house: House, **more: Any) -> LoggedIn:
    return accounts.log_in(house, **{"email": "ada@example.com", "password": PASSWORD, **PLACE, **more})


def test_registering_makes_an_organization(house: House) -> None:
    made = register(house, email="  Ada.L@Example.COM ")
    assert (made.account.email, made.account.name, made.role) == ("ada.l@example.com", "Ada Lovelace", "org_admin")
    assert (made.account.first_name, made.account.last_name) == ("Ada", "Lovelace")
    assert (made.organization.name, made.organization.slug) == ("Ada Lovelace", "ada-lovelace")
    who = sessions.resolve(house, made.pair.access_token)
    assert (who.kind, who.role, who.is_admin) == ("user", "org_admin", True)
    me = accounts.me(house, who)
    assert (me.account, me.organization_id, me.role) == (made.account, made.organization.organization_id, "org_admin")


def test_slugs_count_up_and_open_is_taken(house: House) -> None:
    names = ["Acmé & Co", "acme-co", "ACME CO", "open", "日本"]
    slugs = [
        register(house, email=f"a{number}@example.com", organization_name=name).organization.slug
        for number, name in enumerate(names)
    ]
    assert slugs == ["acme-co", "acme-co-2", "acme-co-3", "open-2", "organization"]
    assert organizations.open_organization(house) == organizations.open_organization(house)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"email": None}, "email: field required"),
        ({"email": "nobody"}, "email: invalid email format"),
        ({"email": 7}, "email: invalid email format"),
        ({"email": ".a@example.com"}, "email: invalid email format"),
        ({"email": "a.@example.com"}, "email: invalid email format"),
        ({"email": "a..b@example.com"}, "email: invalid email format"),
        ({"email": "a@.example.com"}, "email: invalid email format"),
        ({"email": "a@example.c"}, "email: invalid email format"),
        ({"email": "a@example.c0m"}, "email: invalid email format"),
        ({"email": "a" * 65 + "@example.com"}, "email: invalid email format"),
        ({"email": "a b@example.com"}, "email: invalid email format"),
        ({"email": "a@" + "b." * 130 + "com"}, "email: invalid email format"),
        ({"password": None}, "password: field required"),
        ({"password": "Short1"}, "password: must be 8-64 characters"),
        ({"password": "A1" + "a" * 63}, "password: must be 8-64 characters"),
        ({"password": "alllower1"}, "Password must contain uppercase letter"),
        ({"password": "ALLUPPER1"}, "Password must contain lowercase letter"),
        ({"password": "NoDigitsHere"}, "Password must contain digit"),
        ({"password": "Password1"}, "Password is too common"),
        ({"name": None}, "name: field required"),
        ({"name": "   "}, "name: must be 1-255 characters"),
        ({"name": "x" * 256}, "name: must be 1-255 characters"),
        ({"name": ["x"]}, "name: must be a string"),
        ({"name": "nul\0"}, "name: must not contain null characters or lone surrogates"),
        ({"name": "\ud800"}, "name: must not contain null characters or lone surrogates"),
        ({"organization_name": ""}, "organization_name: must be 1-255 characters"),
        ({"invitation_token": "nonsense"}, "Invalid invitation"),
    ],
)
def test_fields_of_register(house: House, fields: dict[str, Any], text: str) -> None:
    assert refusal(lambda: register(house, **fields)) == (Kind.INVALID, text)
    with house.db.read() as connection:
        assert connection.execute(sa.select(account_table)).first() is None, "nothing is left of it"


@pytest.mark.parametrize("name", ["Ada", "Ada  Lovelace", "Ada King Lovelace"])
def test_a_name_comes_back_as_sent(house: House, name: str) -> None:
    assert register(house, name=f" {name} ").account.name == name


def test_an_address_registers_once(house: House) -> None:
    register(house)
    assert refusal(lambda: register(house, email="ADA@example.com")) == (Kind.CONFLICT, "Email already registered")


def test_wrong_and_unknown_look_alike(house: House) -> None:
    register(house)
    bad = (Kind.UNAUTHENTICATED, "Invalid email or password")
    assert refusal(lambda: log_in(house, password="WrongPass123")) == bad
    assert refusal(lambda: log_in(house, email="nobody@example.com")) == bad
    assert refusal(lambda: log_in(house, email="no address")) == bad
    assert refusal(lambda: log_in(house, password="x" * 500)) == bad
    assert refusal(lambda: log_in(house, password="")) == bad
    assert refusal(lambda: log_in(house, password=None)) == (Kind.INVALID, "password: field required")
    assert refusal(lambda: log_in(house, email=5)) == (Kind.INVALID, "email: must be a string")
    assert log_in(house, email=" ADA@example.com").account.email == "ada@example.com"


def test_guessing_is_throttled(house: House, clock: FakeClock) -> None:
    register(house)
    stranger = {"address": "203.0.113.9"}
    for _ in range(5):
        assert refusal(lambda: log_in(house, password="WrongPass123", **stranger))[0] is Kind.UNAUTHENTICATED
    kind, text = refusal(lambda: log_in(house, **stranger))
    assert (kind, text) == (Kind.RATE_LIMITED, "Rate limit exceeded: 5 failed log-ins per 5 minutes")
    assert refusal(lambda: log_in(house, password="WrongPass123"))[0] is Kind.RATE_LIMITED
    assert log_in(house).role == "org_admin", "the right password passes from an address that succeeded before"
    clock.advance(600)
    assert log_in(house, **stranger).role == "org_admin"


def test_one_address_guesses_at_many_accounts(house: House) -> None:
    register(house)
    for number in range(10):
        # One subscriber's /64, whichever of its addresses.
        place = {"address": f"2001:db8::{number}"}
        assert refusal(lambda: log_in(house, email=f"a{number}@example.com", **place))[0] is Kind.UNAUTHENTICATED  # noqa: B023
    assert refusal(lambda: log_in(house, address="2001:db8::ffff"))[0] is Kind.RATE_LIMITED
    assert log_in(house, address="2001:db8:0:1::1").role == "org_admin"


def test_successes_are_not_failures(house: House) -> None:
    register(house)
    for _ in range(12):
        log_in(house)


def test_log_in_goes_to_the_last_organization(house: House, clock: FakeClock, sign_up: SignUp) -> None:
    home = register(house)
    other = sign_up(house, "bob@example.com")
    invited = invitations.create(house, other, email="ada@example.com", role="user")
    with house.db.write() as connection:
        invitations.accept(connection, house, token=invited.token, account=home.account)
    assert log_in(house).organization_id == home.organization.organization_id
    clock.advance(1)
    chosen = log_in(house, organization_id=other.organization_id)
    assert (chosen.organization_id, chosen.role) == (other.organization_id, "user")
    clock.advance(1)
    assert log_in(house).organization_id == other.organization_id
    wrong = refusal(lambda: log_in(house, organization_id=99))
    assert wrong == (Kind.FORBIDDEN, "Not a member of this organization")
    assert refusal(lambda: log_in(house, organization_id="1")) == (
        Kind.INVALID,
        "organization_id: must be an integer",
    )


def test_an_inactive_account_is_told_only_where_asked(house: House) -> None:
    made = register(house)
    operators.set_active(house, email="ada@example.com", is_active=False)
    assert refusal(lambda: log_in(house)) == (Kind.UNAUTHENTICATED, "Invalid email or password")
    assert refusal(lambda: log_in(house, tell_inactive=True)) == (Kind.FORBIDDEN, "Account is inactive")
    assert refusal(lambda: log_in(house, tell_inactive=True, password="WrongPass123"))[0] is Kind.UNAUTHENTICATED
    assert refusal(lambda: sessions.resolve(house, made.pair.access_token))[1] == "Invalid or expired token"


def test_an_invitation_is_for_one_address_once(house: House, clock: FakeClock, sign_up: SignUp) -> None:
    admin = sign_up(house)
    made = invitations.create(house, admin, email="Bob@example.com", role="support_agent")
    bad = (Kind.INVALID, "Invalid invitation")
    bob = {"email": "bob@example.com", "invitation_token": made.token}
    assert refusal(lambda: register(house, email="eve@example.com", invitation_token=made.token)) == bad
    joined = register(house, **bob)
    assert (joined.organization.organization_id, joined.role) == (admin.organization_id, "support_agent")
    assert [one.invitation_id for one in invitations.list_all(house, admin)] == [made.invitation.invitation_id]
    late = invitations.create(house, admin, email="late@example.com", role="user")
    gone = invitations.create(house, admin, email="gone@example.com", role="user")
    invitations.revoke(house, admin, invitation_id=gone.invitation.invitation_id)
    assert refusal(lambda: register(house, email="gone@example.com", invitation_token=gone.token)) == bad
    clock.advance(7 * 86_400)
    assert refusal(lambda: register(house, email="late@example.com", invitation_token=late.token)) == bad
    user = sessions.resolve(house, log_in(house, email="bob@example.com").pair.access_token)
    assert refusal(lambda: invitations.create(house, user, email="x@example.com", role="user"))[0] is Kind.FORBIDDEN


def test_members_and_their_roles(house: House, sign_up: SignUp) -> None:
    admin = sign_up(house)
    token = invitations.create(house, admin, email="bob@example.com", role="user").token
    bob = sign_up(house, "bob@example.com", invitation_token=token)
    assert bob.account_id is not None
    assert admin.account_id is not None
    last = (Kind.INVALID, "The last org_admin cannot be removed")
    assert refusal(lambda: members.change(house, admin, account_id=admin.account_id or 0, is_active=False)) == last
    own = refusal(lambda: members.change(house, admin, account_id=admin.account_id or 0, role="user"))
    assert own == (Kind.FORBIDDEN, "Insufficient permissions")
    assert refusal(lambda: members.change(house, bob, account_id=1, role="user"))[0] is Kind.FORBIDDEN
    assert members.change(house, admin, account_id=bob.account_id, role="org_admin").role == "org_admin"
    assert [member.role for member in members.list_all(house, admin)] == ["org_admin", "org_admin"]
    assert members.is_active_member(house, admin, account_id=bob.account_id)
    members.change(house, admin, account_id=bob.account_id, is_active=False)
    assert not members.is_active_member(house, admin, account_id=bob.account_id)
    stranger = sign_up(house, "eve@example.com")
    assert refusal(lambda: members.change(house, stranger, account_id=1, role="user"))[0] is Kind.NOT_FOUND


def test_a_changed_password_ends_the_other_sessions(house: House) -> None:
    first, second = register(house).pair, log_in(house).pair
    who = sessions.resolve(house, second.access_token)
    wrong = refusal(lambda: accounts.change_password(house, who, old_password="x", new_password="NewPass456"))
    assert wrong == (Kind.INVALID, "Incorrect password")
    accounts.change_password(house, who, old_password=PASSWORD, new_password="NewPass456")
    assert sessions.resolve(house, second.access_token) == who
    assert refusal(lambda: sessions.resolve(house, first.access_token))[0] is Kind.UNAUTHENTICATED
    assert refusal(lambda: log_in(house))[0] is Kind.UNAUTHENTICATED
    assert log_in(house, password="NewPass456").role == "org_admin"


def test_operators_make_what_registering_cannot(house: House) -> None:
    made = operators.make_account(
        house, email="root@example.com", name="Root", organization="Head Office", super_admin=True
    )
    assert made.password is not None
    who = sessions.resolve(house, log_in(house, email="root@example.com", password=made.password).pair.access_token)
    assert (who.role, made.organization.slug) == ("super_admin", "head-office")
    again = operators.make_account(house, email="two@example.com", name="Two", organization="head-office", role="user")
    assert again.organization.organization_id == made.organization.organization_id
    operator = operators.principal(house, organization="head-office")
    assert (operator.kind, operator.is_admin) == ("operator", True)
    assert refusal(lambda: operators.principal(house, organization="none"))[0] is Kind.NOT_FOUND
    assert operators.set_password(house, email="root@example.com", password="Fresh-Pass-77") is None
    assert refusal(lambda: sessions.resolve(house, "x"))[0] is Kind.UNAUTHENTICATED
    assert log_in(house, email="root@example.com", password="Fresh-Pass-77").role == "super_admin"
    operators.set_super_admin(house, email="root@example.com", is_super_admin=False)
    assert log_in(house, email="root@example.com", password="Fresh-Pass-77").role == "org_admin"


def test_no_account_is_not_found(house: House) -> None:
    nobody = Principal(kind="user", organization_id=1, account_id=99)
    assert refusal(lambda: accounts.me(house, nobody)) == (Kind.NOT_FOUND, "Account not found")


def test_audit_tells_of_log_ins(house: House, sign_up: SignUp) -> None:
    admin = sign_up(house)
    log_in(house)
    refusal(lambda: log_in(house, password="WrongPass123"))
    found = audit.list_all(house, admin).events
    assert [event.action for event in found] == ["account:login:success", "account:account:created"]
    assert found[0].address_network == "192.0.2.0/24"
