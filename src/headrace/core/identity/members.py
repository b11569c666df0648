"""Members of an organization: their roles, and who is still one."""

from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.house import House, bump_epoch
from headrace.core.identity import sessions
from headrace.core.identity.invitations import GIVEN_ROLES, check_room
from headrace.core.identity.records import Account, account_of
from headrace.core.principal import Principal
from headrace.core.refusals import forbidden, invalid, not_found
from headrace.core.schema import accounts, memberships
from headrace.core.schema import sessions as session_table


class Member(msgspec.Struct, frozen=True, kw_only=True):
    account: Account
    organization_id: int
    role: str
    is_active: bool


# Of one list to choose from.
MOST_NAMES = 1_000
QUERY = sa.select(
    accounts, memberships.c.organization_id, memberships.c.role, memberships.c.is_active.label("is_member")
).join_from(memberships, accounts, accounts.c.id == memberships.c.account_id)


def list_all(house: House, who: Principal) -> list[Member]:
    """The caller's organization, the oldest member first."""
    rules.require_admin(who, "users")
    query = QUERY.where(memberships.c.organization_id == who.organization_id).order_by(memberships.c.id)
    with house.db.read() as connection:
        return [_member(row) for row in connection.execute(query)]


def names(house: House, who: Principal) -> dict[int, str]:
    """The caller's colleagues by account, the active ones, by name: who may be given work, and who did it."""
    query = QUERY.where(memberships.c.organization_id == who.organization_id, memberships.c.is_active == 1)
    with house.db.read() as connection:
        found = [_member(row).account for row in connection.execute(query.order_by(memberships.c.id).limit(MOST_NAMES))]
    return {account.account_id: account.name for account in found}


def is_active_member(house: House, who: Principal, *, account_id: int) -> bool:
    """Tell whether the account may be given work in the caller's organization."""
    query = (
        sa.select(memberships.c.id)
        .join(accounts, accounts.c.id == memberships.c.account_id)
        .where(
            memberships.c.organization_id == who.organization_id,
            memberships.c.account_id == account_id,
            memberships.c.is_active == 1,
            accounts.c.is_active == 1,
        )
    )
    with house.db.read() as connection:
        return connection.execute(query).first() is not None


def change(house: House, who: Principal, *, account_id: int, role: Any = None, is_active: bool | None = None) -> Member:
    """Give a role, or end a membership: that ends the account's sessions and keys here, and nothing elsewhere.

    Nobody changes their own role; the last org_admin stays.
    """
    rules.require_admin(who, "users")
    given = None if role is None else rules.choice(role, "role", GIVEN_ROLES)
    same = sa.and_(memberships.c.organization_id == who.organization_id, memberships.c.account_id == account_id)
    with house.db.write() as connection:
        row = connection.execute(QUERY.where(same).with_for_update()).one_or_none()
        if row is None:
            raise not_found("User not found")
        if given is not None and given != row.role and account_id == who.account_id:
            raise forbidden("Insufficient permissions")
        stays_admin = (given or row.role) == "org_admin" and (row.is_member if is_active is None else is_active)
        if row.role == "org_admin" and row.is_member and not stays_admin:
            _check_not_last(connection, who.organization_id)
        if is_active and not row.is_member:
            check_room(connection, who.organization_id)
        values = {"role": given or row.role, "is_active": int(row.is_member if is_active is None else is_active)}
        connection.execute(sa.update(memberships).where(same).values(values))
        if not values["is_active"]:
            here = sa.and_(
                session_table.c.organization_id == who.organization_id, session_table.c.account_id == account_id
            )
            sessions.end(connection, house, here, reason="deactivated")
        bump_epoch(connection, house)
        audit.record(
            connection,
            house,
            who,
            "account:role:changed",
            target=f"account:{account_id}",
            data={"from": row.role, **values},
        )
        return _member(connection.execute(QUERY.where(same)).one())


def _check_not_last(connection: sa.Connection, organization_id: int) -> None:
    admins = sa.select(memberships.c.id).where(
        memberships.c.organization_id == organization_id,
        memberships.c.role == "org_admin",
        memberships.c.is_active == 1,
    )
    # The rows are locked: two admins who leave at once must not both see the other.
    if len(connection.execute(admins.with_for_update()).all()) <= 1:
        raise invalid("role", "last", text="The last org_admin cannot be removed")


def _member(row: sa.Row[Any]) -> Member:
    return Member(
        account=account_of(row), organization_id=row.organization_id, role=row.role, is_active=bool(row.is_member)
    )
