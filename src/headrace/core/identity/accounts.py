"""Accounts: registering, logging in, and who one is. One store for every API."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.house import House
from headrace.core.identity import invitations, organizations, sessions
from headrace.core.identity.records import (
    ACCOUNT_BY_EMAIL,
    ORGANIZATION_BY_ID,
    Account,
    LoggedIn,
    Me,
    Registered,
    account_of,
    account_with,
    organization_of,
)
from headrace.core.limits import throttle
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal, conflict, forbidden, invalid, not_found, unauthenticated, unavailable
from headrace.core.schema import accounts, memberships
from headrace.core.schema import organizations as organization_table
from headrace.core.schema import sessions as session_table
from headrace.kit.passwords import BusyError

BUSY_SECONDS = 2
# An address the account was signed in from; a few recent sessions are enough to ask.
KNOWN_ADDRESS = sa.select(session_table.c.id).where(
    session_table.c.account_id == sa.bindparam("account"), session_table.c.address_hash == sa.bindparam("address")
)
ACTIVE_MEMBERSHIPS = (
    sa.select(memberships.c.organization_id, memberships.c.role)
    .join(organization_table, organization_table.c.id == memberships.c.organization_id)
    .where(
        memberships.c.account_id == sa.bindparam("account"),
        memberships.c.is_active == 1,
        organization_table.c.is_active == 1,
    )
    .order_by(memberships.c.created_at, memberships.c.id)
)
LAST_SESSION = (
    sa.select(session_table.c.organization_id)
    .where(session_table.c.account_id == sa.bindparam("account"))
    .order_by(session_table.c.created_at.desc())
    .limit(1)
)


def register(
    house: House,
    *,
    email: Any,
    password: Any,
    name: Any = None,
    first_name: Any = None,
    last_name: Any = None,
    organization_name: Any = None,
    invitation_token: Any = None,
    door: str,
    address: str,
    password_rule: Callable[[Any], str] = rules.password,
) -> Registered:
    """Make an account with an organization of its own, or, with an invitation, a membership in the inviting one.

    Either `name` or `first_name` and `last_name`. Refused: invalid fields, `Email already registered` (conflict),
    `Invalid invitation` (invalid).
    """
    email, password = rules.email(email), password_rule(password)
    first, last = _names(name, first_name, last_name)
    title = None if organization_name is None else rules.name(organization_name, "organization_name")
    token = None if invitation_token is None else rules.text(invitation_token, "invitation_token")
    with house.db.read() as connection:
        if connection.execute(ACCOUNT_BY_EMAIL, {"email": email}).first() is not None:
            raise conflict("Email already registered")
    # Outside the transaction: a hash takes longer than everything else together.
    hashed = hash_password(house, password)
    with house.db.write() as connection:
        account = insert(connection, house, email=email, password=hashed, first_name=first, last_name=last)
        if account is None:
            raise conflict("Email already registered")
        if token is None:
            organization = organizations.make(connection, house, title or account.name)
            role = "org_admin"
            organizations.join(connection, house, organization.organization_id, account.account_id, role)
        else:
            organization_id, role = invitations.accept(connection, house, token=token, account=account)
            organization = organization_of(connection.execute(ORGANIZATION_BY_ID, {"id": organization_id}).one())
        pair = sessions.begin(
            connection,
            house,
            account_id=account.account_id,
            organization_id=organization.organization_id,
            door=door,
            address=address,
        )
        who = Principal(kind="user", organization_id=organization.organization_id, account_id=account.account_id)
        audit.record(
            connection,
            house,
            who,
            "account:account:created",
            target=f"account:{account.account_id}",
            door=door,
            address=address,
        )
    return Registered(account=account, organization=organization, role=role, pair=pair)


def log_in(
    house: House,
    *,
    email: Any,
    password: Any,
    organization_id: Any = None,
    door: str,
    address: str,
    tell_inactive: bool = False,
) -> LoggedIn:
    """Compare the password and make a session in the organization asked for, else the last, else the oldest one.

    An unknown account costs and answers what a wrong password does. `tell_inactive` says `Account is inactive`
    (forbidden) after the right password; otherwise that too is a failed log-in.
    """
    sent_email = rules.text(email, "email", most=1 << 16)
    sent_password = rules.text(password, "password", most=1 << 16)
    wanted = None if organization_id is None else rules.integer(organization_id, "organization_id", 1)
    known = rules.normal_email(sent_email)
    with house.db.read() as connection:
        row = None if known is None else connection.execute(ACCOUNT_BY_EMAIL, {"email": known}).one_or_none()
        place = {"account": 0 if row is None else row.id, "address": audit.person(house, address)}
        trusted = connection.execute(KNOWN_ADDRESS, place).first() is not None
    attempt = throttle.begin(house, email=known or sent_email.strip().lower(), address=address, trusted=trusted)
    if not _matches(house, None if row is None else row.password, sent_password) or row is None:
        _failed(house, row, door=door, address=address)
        if attempt.excess is not None:
            raise throttle.refusal(attempt.excess)
        raise unauthenticated("Invalid email or password")
    throttle.succeeded(house, attempt)
    if house.passwords.outdated(row.password):
        _rehash(house, row.id, row.password, sent_password)
    return _enter(house, row, wanted, door=door, address=address, tell_inactive=tell_inactive)


def _enter(
    house: House, row: sa.Row[Any], wanted: int | None, *, door: str, address: str, tell_inactive: bool
) -> LoggedIn:
    with house.db.write() as connection:
        roles: dict[int, str] = {
            member.organization_id: member.role
            for member in connection.execute(ACTIVE_MEMBERSHIPS, {"account": row.id})
        }
        last: int | None = connection.execute(LAST_SESSION, {"account": row.id}).scalar()
        active = connection.execute(sa.select(accounts.c.is_active).where(accounts.c.id == row.id)).scalar()
        if not active or not roles:
            raise forbidden("Account is inactive") if tell_inactive else unauthenticated("Invalid email or password")
        chosen: int = wanted or (last if last is not None and last in roles else next(iter(roles)))
        if chosen not in roles:
            raise forbidden("Not a member of this organization")
        now = house.clock()
        connection.execute(sa.update(accounts).where(accounts.c.id == row.id).values(last_login_at=now))
        pair = sessions.begin(connection, house, account_id=row.id, organization_id=chosen, door=door, address=address)
        who = Principal(kind="user", organization_id=chosen, account_id=row.id)
        audit.record(
            connection, house, who, "account:login:success", target=f"account:{row.id}", door=door, address=address
        )
        account = account_with(connection, row.id)
    assert account is not None  # noqa: S101  Accounts are never deleted.
    role = "super_admin" if account.is_super_admin else roles[chosen]
    return LoggedIn(account=account, organization_id=chosen, role=role, pair=pair)


def me(house: House, who: Principal) -> Me:
    """The caller's account, current organization and role there."""
    with house.db.read() as connection:
        account = None if who.account_id is None else account_with(connection, who.account_id)
    if account is None:
        raise not_found("Account not found")
    return Me(account=account, organization_id=who.organization_id, role=who.role)


def change_password(
    house: House,
    who: Principal,
    *,
    old_password: Any,
    new_password: Any,
    password_rule: Callable[[Any], str] = rules.password,
) -> None:
    """Set a new password and end the account's other sessions. Refused: `Incorrect password` (invalid)."""
    old = rules.text(old_password, "old_password", most=1 << 16)
    new = password_rule(new_password)
    with house.db.read() as connection:
        stored = connection.execute(sa.select(accounts.c.password).where(accounts.c.id == who.account_id)).scalar()
    if not _matches(house, stored, old):
        raise invalid("old_password", "incorrect", text="Incorrect password")
    hashed = hash_password(house, new)
    with house.db.write() as connection:
        same = sa.and_(accounts.c.id == who.account_id, accounts.c.password == stored)
        if not connection.execute(sa.update(accounts).where(same).values(password=hashed)).rowcount:
            raise invalid("old_password", "incorrect", text="Incorrect password")
        others = sa.and_(session_table.c.account_id == who.account_id, session_table.c.id != (who.session_id or ""))
        sessions.end(connection, house, others, reason="password_changed")
        audit.record(connection, house, who, "account:password:changed", target=f"account:{who.account_id}")


def insert(
    connection: sa.Connection,
    house: House,
    *,
    email: str,
    password: str,
    first_name: str,
    last_name: str,
    is_super_admin: bool = False,
) -> Account | None:
    """Write the row; None when the address is taken."""
    now = house.clock()
    values = {
        "email": email,
        "first_name": first_name,
        "last_name": last_name,
        "password": password,
        "is_active": 1,
        "is_super_admin": int(is_super_admin),
        "is_verified": 0,
        "auth_version": 1,
        "created_at": now,
        "updated_at": now,
    }
    statement = house.db.insert(accounts).values(values).on_conflict_do_nothing(index_elements=["email"])
    row = connection.execute(statement.returning(accounts)).one_or_none()
    return None if row is None else account_of(row)


def hash_password(house: House, password: str) -> str:
    try:
        return house.passwords.hash(password)
    except BusyError as error:
        raise _busy() from error


def _matches(house: House, stored: str | None, password: str) -> bool:
    try:
        return house.passwords.matches(stored, password)
    except BusyError as error:
        raise _busy() from error


def _busy() -> Refusal:
    return unavailable("Service timeout", BUSY_SECONDS)


def _failed(house: House, row: sa.Row[Any] | None, *, door: str, address: str) -> None:
    with house.db.write() as connection:
        audit.record(
            connection,
            house,
            None,
            "account:login:failure",
            target=None if row is None else f"account:{row.id}",
            outcome="failure",
            door=door,
            address=address,
        )


def _rehash(house: House, account_id: int, stored: str, password: str) -> None:
    hashed = hash_password(house, password)
    same = sa.and_(accounts.c.id == account_id, accounts.c.password == stored)
    with house.db.write() as connection:
        connection.execute(sa.update(accounts).where(same).values(password=hashed))


def _names(name: Any, first_name: Any, last_name: Any) -> tuple[str, str]:
    """A whole name is taken apart at its first space, so that it comes back as sent."""
    if first_name is None and last_name is None:
        first, _, last = rules.name(name).partition(" ")
        return first, last
    return rules.name(first_name, "first_name", most=100), rules.name(last_name, "last_name", most=100)
