"""Organizations: the tenants. Registering makes one; the operator makes others."""

import json
import re
import unicodedata

import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.identity.records import ORGANIZATION_BY_ID, Organization, organization_of
from headrace.core.principal import Principal
from headrace.core.refusals import not_found
from headrace.core.schema import memberships, organizations

OPEN = "open"
LONGEST_SLUG = 90
MAX_USERS, MAX_API_KEYS = 50, 100


def slug_of(name: str) -> str:
    """The name in `[a-z0-9-]`, accents taken off."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_SLUG].strip("-") or "organization"


def make(connection: sa.Connection, house: House, name: str) -> Organization:
    """Make an organization; a slug that is taken gets `-2`, `-3` and so on. `open` is taken from the start."""
    base, number = slug_of(name), 1
    taken = set(
        connection.execute(
            sa.select(organizations.c.slug).where(
                sa.or_(organizations.c.slug == base, organizations.c.slug.like(f"{base}-%"))
            )
        ).scalars()
    ) | {OPEN}
    while True:
        slug = base if number == 1 else f"{base}-{number}"
        number += 1
        if slug in taken:
            continue
        made = _insert(connection, house, name, slug)
        if made is not None:
            return made


def _insert(connection: sa.Connection, house: House, name: str, slug: str) -> Organization | None:
    now = house.clock()
    values = {
        "name": name,
        "slug": slug,
        "plan": "free",
        "is_active": 1,
        "max_users": MAX_USERS,
        "max_api_keys": MAX_API_KEYS,
        "settings": json.dumps({}),
        "created_at": now,
        "updated_at": now,
    }
    insert = house.db.insert(organizations).values(values).on_conflict_do_nothing(index_elements=["slug"])
    row = connection.execute(insert.returning(organizations)).one_or_none()
    return None if row is None else organization_of(row)


def open_organization(house: House) -> int:
    """Return the id of the instance's own organization, in which anonymous callers of an open instance act."""
    query = sa.select(organizations.c.id).where(organizations.c.slug == OPEN)
    with house.db.read() as connection:
        found: int | None = connection.execute(query).scalar()
    if found is None:
        with house.db.write() as connection:
            _insert(connection, house, "Open", OPEN)
            found = connection.execute(query).scalar_one()
    return found


def current(house: House, who: Principal) -> Organization:
    """The caller's organization."""
    with house.db.read() as connection:
        row = connection.execute(ORGANIZATION_BY_ID, {"id": who.organization_id}).one_or_none()
    if row is None:
        raise not_found("Organization not found")
    return organization_of(row)


def exists(connection: sa.Connection, organization_id: int) -> bool:
    """Tell whether there is such an organization, inside another room's transaction."""
    return connection.execute(ORGANIZATION_BY_ID, {"id": organization_id}).one_or_none() is not None


def set_plan(connection: sa.Connection, house: House, organization_id: int, plan: str) -> str:
    """Give the organization a plan, inside the transaction of what pays for it; return the one it had."""
    same = organizations.c.id == organization_id
    before: str = connection.execute(sa.select(organizations.c.plan).where(same).with_for_update()).scalar_one()
    if before != plan:
        connection.execute(sa.update(organizations).where(same).values(plan=plan, updated_at=house.clock()))
    return before


def by_slug(house: House, slug: str) -> Organization | None:
    """For the operator alone, who is told which organizations there are."""
    with house.db.read() as connection:
        row = connection.execute(sa.select(organizations).where(organizations.c.slug == slug)).one_or_none()
    return None if row is None else organization_of(row)


def join(connection: sa.Connection, house: House, organization_id: int, account_id: int, role: str) -> bool:
    """Make the account a member, or an inactive member active again; False when it is an active one already."""
    same = sa.and_(memberships.c.organization_id == organization_id, memberships.c.account_id == account_id)
    found = connection.execute(sa.select(memberships.c.is_active).where(same)).scalar()
    if found:
        return False
    if found is not None:
        connection.execute(sa.update(memberships).where(same).values(is_active=1, role=role))
        return True
    connection.execute(
        memberships.insert(),
        {
            "organization_id": organization_id,
            "account_id": account_id,
            "role": role,
            "is_active": 1,
            "created_at": house.clock(),
        },
    )
    return True
