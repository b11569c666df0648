"""What the operator looks up before acting: which organizations and accounts there are. Not reachable over HTTP."""

import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.house import House
from headrace.core.identity import organizations
from headrace.core.identity.records import ACCOUNT_BY_EMAIL, Account, Organization, account_of, organization_of
from headrace.core.principal import Principal
from headrace.core.refusals import not_found
from headrace.core.schema import accounts as account_table
from headrace.core.schema import memberships
from headrace.core.schema import organizations as organization_table


def list_organizations(house: House) -> list[Organization]:
    """All but the instance's own `open`, oldest first."""
    query = sa.select(organization_table).where(organization_table.c.slug != organizations.OPEN)
    with house.db.read() as connection:
        return [organization_of(row) for row in connection.execute(query.order_by(organization_table.c.id))]


def first_account(house: House) -> Account | None:
    """Return the oldest account; None while there is none."""
    query = sa.select(account_table).order_by(account_table.c.id).limit(1)
    with house.db.read() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else account_of(row)


def account(house: House, *, email: str) -> Account:
    address = rules.email(email)
    with house.db.read() as connection:
        row = connection.execute(ACCOUNT_BY_EMAIL, {"email": address}).one_or_none()
    if row is None:
        raise not_found(f"There is no account {address}")
    return account_of(row)


def first_admin(house: House, who: Principal) -> int | None:
    """Return the account that has been an active org_admin of the organization for longest."""
    query = sa.select(memberships.c.account_id).where(
        memberships.c.organization_id == who.organization_id,
        memberships.c.role == "org_admin",
        memberships.c.is_active == 1,
    )
    with house.db.read() as connection:
        found: int | None = connection.execute(query.order_by(memberships.c.id).limit(1)).scalar()
    return found


def make_organization(house: House, *, name: str, admin: str | None = None) -> Organization:
    """Make an organization; the account of the address `admin` becomes its org_admin."""
    title = rules.name(name)
    chosen = None if admin is None else account(house, email=admin)
    with house.db.write() as connection:
        made = organizations.make(connection, house, title)
        if chosen is not None:
            organizations.join(connection, house, made.organization_id, chosen.account_id, "org_admin")
        who = Principal(kind="operator", organization_id=made.organization_id, role="super_admin")
        target = f"organization:{made.organization_id}"
        audit.record(connection, house, who, "org:organization:created", target=target)
    return made
