"""What the operator does on the command line: accounts, organizations, super admins. Not reachable over HTTP."""

import secrets

import msgspec
import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.house import House, bump_epoch
from headrace.core.identity import accounts, organizations, sessions
from headrace.core.identity.records import Account, Organization
from headrace.core.principal import Principal
from headrace.core.refusals import conflict, not_found
from headrace.core.schema import accounts as account_table
from headrace.core.schema import sessions as session_table


class MadeAccount(msgspec.Struct, frozen=True, kw_only=True):
    """`password` is the one that was drawn, to be printed once; None when one was given."""

    account: Account
    organization: Organization
    password: str | None


def principal(house: House, *, organization: str) -> Principal:
    """The operator, acting in the organization of this slug."""
    found = organizations.by_slug(house, organization)
    if found is None:
        raise not_found(f"There is no organization {organization}")
    return Principal(kind="operator", organization_id=found.organization_id, role="super_admin")


def make_account(
    house: House,
    *,
    email: str,
    password: str | None = None,
    name: str,
    organization: str,
    super_admin: bool = False,
    role: str = "org_admin",
) -> MadeAccount:
    """Make an account in the organization of this slug, else in a new one of this name. A missing password is drawn."""
    address, (first, _, last) = rules.email(email), rules.name(name).partition(" ")
    drawn = None if password is not None else f"{secrets.token_urlsafe(15)}aA1"
    hashed = accounts.hash_password(house, rules.password(password or drawn))
    with house.db.write() as connection:
        account = accounts.insert(
            connection,
            house,
            email=address,
            password=hashed,
            first_name=first,
            last_name=last,
            is_super_admin=super_admin,
        )
        if account is None:
            raise conflict("Email already registered")
        found = organizations.by_slug(house, organization)
        found = found or organizations.make(connection, house, rules.name(organization, "organization"))
        organizations.join(connection, house, found.organization_id, account.account_id, role)
        who = Principal(kind="operator", organization_id=found.organization_id, role="super_admin")
        target = f"account:{account.account_id}"
        audit.record(
            connection, house, who, "account:account:created", target=target, data={"super_admin": super_admin}
        )
    return MadeAccount(account=account, organization=found, password=drawn)


def set_password(house: House, *, email: str, password: str | None = None) -> str | None:
    """Set, or draw, a new password and end every session of the account; return the drawn one."""
    drawn = None if password is not None else f"{secrets.token_urlsafe(15)}aA1"
    hashed = accounts.hash_password(house, rules.password(password or drawn))
    _change(house, email, {"password": hashed}, "account:password:changed")
    return drawn


def set_active(house: House, *, email: str, is_active: bool) -> None:
    """Let an account in or keep it out; keeping it out ends its sessions and its keys everywhere."""
    _change(house, email, {"is_active": int(is_active)}, "account:account:changed")


def set_super_admin(house: House, *, email: str, is_super_admin: bool) -> None:
    _change(house, email, {"is_super_admin": int(is_super_admin)}, "account:role:changed")


def _change(house: House, email: str, values: dict[str, str | int], action: str) -> None:
    address = rules.email(email)
    with house.db.write() as connection:
        same = account_table.c.email == address
        account_id = connection.execute(sa.select(account_table.c.id).where(same)).scalar()
        if account_id is None:
            raise not_found(f"There is no account {address}")
        connection.execute(
            sa.update(account_table)
            .where(same)
            .values(**values, updated_at=house.clock(), auth_version=account_table.c.auth_version + 1)
        )
        sessions.end(connection, house, session_table.c.account_id == account_id, reason="operator")
        bump_epoch(connection, house)
        audit.record(connection, house, None, action, target=f"account:{account_id}")
