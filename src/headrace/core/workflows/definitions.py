"""What an organization defined under a workflow's name: an endpoint, a queue or an installed function; and its limits.

Here is the record and how it is read; `defining` changes it. Who carries work out stands in `push` and `queues`.
"""

import msgspec
import sqlalchemy as sa

from headrace.core import rules
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import not_found
from headrace.core.schema.workflows import workflow_definitions as table

RESOURCE = "workflows"
KINDS = ("push", "queue", "function")
LONGEST_NAME = 128
DEFAULT_CONCURRENCY = 10
# How long a job may be in hands outside between two signs of life.
LEAST_HELD_SECONDS, LONGEST_HELD_SECONDS = 5, 3_600


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """One definition. `timeout_seconds`: of one try of a push or function, and of the first lease of a queue's job.

    `tries` counts the first; `concurrency` is how many jobs of it run at once; times in microseconds.
    """

    id: int
    organization_id: int
    name: str
    kind: str
    url: str | None
    timeout_seconds: int
    tries: int
    concurrency: int
    paused_at: int | None
    created_by: int | None
    created_at: int
    updated_at: int


SHOWN = [table.c[name] for name in Definition.__struct_fields__]
ONE = sa.select(*SHOWN).where(
    table.c.organization_id == sa.bindparam("organization_id"), table.c.name == sa.bindparam("name")
)


def held_seconds(definition: Definition) -> int:
    """Return how long a job of a definition is held before its worker has to be heard of."""
    return max(LEAST_HELD_SECONDS, min(definition.timeout_seconds, LONGEST_HELD_SECONDS))


def list_all(house: House, who: Principal) -> list[Definition]:
    """The organization's definitions by name."""
    rules.require(who, RESOURCE, "read")
    query = sa.select(*SHOWN).where(table.c.organization_id == who.organization_id).order_by(table.c.name)
    with house.db.read() as connection:
        return [Definition(**row) for row in connection.execute(query).mappings()]


def get(house: House, who: Principal, *, name: str) -> Definition:
    rules.require(who, RESOURCE, "read")
    found = find(house, who.organization_id, name)
    if found is None:
        raise not_found("Workflow not found")
    return found


def find(house: House, organization_id: int, name: str) -> Definition | None:
    """Return what an organization defined under a name; None for nothing."""
    with house.db.read() as connection:
        row = connection.execute(ONE, {"organization_id": organization_id, "name": known(name)}).one_or_none()
    return None if row is None else Definition(**dict(zip(Definition.__struct_fields__, row, strict=True)))


def known(name: str) -> str:
    """Return what a database can be asked for: of what was never a name nothing is found."""
    return name if 1 <= len(name) <= LONGEST_NAME and "\0" not in name else ""


def secret_of(house: House, definition: Definition) -> str:
    """Return the secret that pushes of this definition are signed with."""
    with house.db.read() as connection:
        sealed = connection.execute(sa.select(table.c.secret).where(table.c.id == definition.id)).scalar_one()
    return house.keyring.unseal(sealed, place(definition)).decode()


def place(definition: Definition) -> str:
    """Where a secret is sealed to."""
    return f"workflow_definitions|secret|{definition.organization_id}|{definition.id}"


def owner(who: Principal) -> Principal:
    """Whoever looks after the caller's organization, for what core itself wants to know of its other rooms."""
    return Principal(kind="operator", organization_id=who.organization_id)
