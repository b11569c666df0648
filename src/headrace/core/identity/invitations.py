"""Invitations: how somebody comes into an organization that exists. For one address, single use, seven days."""

import secrets
import string
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.house import House
from headrace.core.identity import organizations
from headrace.core.identity.records import Account
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal, invalid, not_found
from headrace.core.schema import invitations, memberships
from headrace.core.schema import organizations as organization_table
from headrace.kit.keyring import TOKEN
from headrace.kit.times import DAY

GIVEN_ROLES = ("user", "support_agent", "billing_admin", "org_admin")
LIFETIME_US = 7 * DAY
LETTERS = string.ascii_letters + string.digits


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    invitation_id: int
    organization_id: int
    email: str
    role: str
    expires_at: int
    accepted_at: int | None
    created_at: int


class NewInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """The token is shown here and never again."""

    invitation: Invitation
    token: str


def create(house: House, who: Principal, *, email: Any, role: Any) -> NewInvitation:
    """Invite an address into the caller's organization. Refused: `User limit reached` (invalid)."""
    rules.require_admin(who, "users")
    address, given = rules.email(email), rules.choice(role, "role", GIVEN_ROLES)
    token, now = "".join(secrets.choice(LETTERS) for _ in range(32)), house.clock()
    values = {
        "organization_id": who.organization_id,
        "email": address,
        "role": given,
        "mac": house.keyring.mac(TOKEN, token),
        "invited_by": who.account_id,
        "expires_at": now + LIFETIME_US,
        "created_at": now,
    }
    with house.db.write() as connection:
        check_room(connection, who.organization_id)
        row = connection.execute(invitations.insert().returning(invitations), values).one()
        audit.record(
            connection, house, who, "account:invitation:created", target=f"invitation:{row.id}", data={"role": given}
        )
    return NewInvitation(invitation=_invitation(row), token=token)


def list_all(house: House, who: Principal) -> list[Invitation]:
    """The organization's invitations, newest first, without the revoked ones."""
    rules.require_admin(who, "users")
    query = sa.select(invitations).where(
        invitations.c.organization_id == who.organization_id, invitations.c.revoked_at.is_(None)
    )
    with house.db.read() as connection:
        return [_invitation(row) for row in connection.execute(query.order_by(invitations.c.id.desc()))]


def revoke(house: House, who: Principal, *, invitation_id: int) -> None:
    rules.require_admin(who, "users")
    same = sa.and_(invitations.c.id == invitation_id, invitations.c.organization_id == who.organization_id)
    with house.db.write() as connection:
        open_ones = sa.update(invitations).where(same, invitations.c.revoked_at.is_(None))
        if not connection.execute(open_ones.values(revoked_at=house.clock())).rowcount:
            raise not_found("Invitation not found")
        audit.record(connection, house, who, "account:invitation:revoked", target=f"invitation:{invitation_id}")


def accept(connection: sa.Connection, house: House, *, token: str, account: Account) -> tuple[int, str]:
    """Make the account a member as invited; return (organization id, role). Refused: `Invalid invitation`."""
    now = house.clock()
    query = (
        sa.select(invitations)
        .join(organization_table, organization_table.c.id == invitations.c.organization_id)
        .where(
            invitations.c.mac.in_(house.keyring.macs(TOKEN, token)),
            invitations.c.email == account.email,
            invitations.c.accepted_at.is_(None),
            invitations.c.revoked_at.is_(None),
            invitations.c.expires_at > now,
            organization_table.c.is_active == 1,
        )
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise _no_good()
    once = sa.update(invitations).where(invitations.c.id == row.id, invitations.c.accepted_at.is_(None))
    if not connection.execute(once.values(accepted_at=now)).rowcount:
        raise _no_good()
    check_room(connection, row.organization_id)
    organizations.join(connection, house, row.organization_id, account.account_id, row.role)
    return row.organization_id, row.role


def check_room(connection: sa.Connection, organization_id: int) -> None:
    """Refuse one more member than the organization may have."""
    most = sa.select(organization_table.c.max_users).where(organization_table.c.id == organization_id)
    active = sa.select(sa.func.count()).where(
        memberships.c.organization_id == organization_id, memberships.c.is_active == 1
    )
    if connection.execute(active).scalar_one() >= connection.execute(most).scalar_one():
        raise invalid("organization", "full", text="User limit reached")


def _no_good() -> Refusal:
    return invalid("invitation_token", "invalid", text="Invalid invitation")


def _invitation(row: sa.Row[Any]) -> Invitation:
    return Invitation(
        invitation_id=row.id,
        organization_id=row.organization_id,
        email=row.email,
        role=row.role,
        expires_at=row.expires_at,
        accepted_at=row.accepted_at,
        created_at=row.created_at,
    )
