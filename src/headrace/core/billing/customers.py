"""The organization as a customer of the payment provider, and who may see to its bills."""

import secrets

import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.billing import remote
from headrace.core.billing.records import Customer, customer_of
from headrace.core.house import House
from headrace.core.identity import organizations
from headrace.core.principal import Principal
from headrace.core.refusals import forbidden
from headrace.core.schema.billing import customers

BILLERS = frozenset({"billing_admin", "org_admin", "super_admin"})


def require_biller(who: Principal, action: str) -> None:
    """Refuse whoever does not see to the organization's bills; of a key both its scope and its owner's role count."""
    rules.require(who, "billing", action)
    if who.kind != "operator" and who.role not in BILLERS:
        raise forbidden("Insufficient permissions")


def answered(connection: sa.Connection, one: Customer) -> None:
    """Note that the provider has said what came of a subscription: whoever asks now asks for another one."""
    count = sa.func.coalesce(customers.c.answers, 0) + 1
    connection.execute(sa.update(customers).where(customers.c.id == one.id).values(answers=count))


def customer(house: House, who: Principal) -> Customer:
    """Return the organization's customer at the provider; made when it has none."""
    require_biller(who, "write")
    provider = house.settings.billing
    same = sa.and_(customers.c.organization_id == who.organization_id, customers.c.provider == provider)
    with house.db.read() as connection:
        row = connection.execute(sa.select(customers).where(same)).one_or_none()
    if row is not None:
        return customer_of(row)
    if provider == "local":
        external_id = f"cus_local_{secrets.token_hex(12)}"
    else:
        name = organizations.current(house, who).name
        external_id = remote.make_customer(house, organization_id=who.organization_id, name=name)
    values = {
        "organization_id": who.organization_id,
        "provider": provider,
        "external_id": external_id,
        "created_at": house.clock(),
    }
    with house.db.write() as connection:
        # Two that ask at once get one customer: the first one's.
        insert = house.db.insert(customers).values(values)
        connection.execute(insert.on_conflict_do_nothing(index_elements=["organization_id", "provider"]))
        made = customer_of(connection.execute(sa.select(customers).where(same)).one())
        if made.external_id == external_id:
            audit.record(connection, house, who, "billing:customer:created", target=f"customer:{made.id}")
    return made
