"""What an organization defines under a workflow's name: an endpoint, a queue or an installed function; and its limits.

Who carries the work out stands elsewhere (`push`, `queues`, `functions`); here is the table.
"""

import re
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.house import House
from headrace.core.outward import Outward
from headrace.core.principal import Principal
from headrace.core.refusals import conflict, invalid, not_found
from headrace.core.schema.workflows import workflow_definitions as table
from headrace.kit.keys import signing_secret
from headrace.kit.outbound import OutboundError

RESOURCE = "workflows"
KINDS = ("push", "queue", "function")
LONGEST_NAME = 128
LONGEST_URL = 2048
SHORTEST_SECRET, LONGEST_SECRET = 8, 255
# A push holds a connection for as long; who pulls says for itself how long it needs.
LONGEST_SECONDS = {"push": 300, "queue": 86_400, "function": 86_400}
DEFAULT_SECONDS = {"push": 30, "queue": 300, "function": 300}
MOST_TRIES, DEFAULT_TRIES = 10, 4
MOST_CONCURRENCY, DEFAULT_CONCURRENCY = 1_000, 10
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f]")
COLUMNS = ("name", "kind", "url", "timeout_seconds", "tries", "concurrency")


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


class Defined(msgspec.Struct, frozen=True, kw_only=True):
    """A definition, with the secret of a push where it is new: shown this once."""

    definition: Definition
    secret: str | None = None


SHOWN = [table.c[name] for name in Definition.__struct_fields__]


def name_of(value: Any, field: str = "workflow") -> str:
    """A workflow's name: 1 to 128 characters without controls, as sent; whether it is known does not matter."""
    if value is None:
        raise invalid(field, "field required", type="missing", text=f"{field} field is required")
    sent = rules.text(value, field, least=1, most=LONGEST_NAME)
    if UNSEEN.search(sent):
        raise invalid(field, "must not contain control characters")
    return sent


def define(
    house: House,
    who: Principal,
    *,
    name: Any,
    kind: Any,
    builtin: frozenset[str] = frozenset(),
    url: Any = None,
    secret: Any = None,
    timeout_seconds: Any = None,
    tries: Any = None,
    concurrency: Any = None,
) -> Defined:
    """Define a workflow of the caller's organization. For its admins. Refused: a name that it has (conflict)."""
    rules.require_admin(who, RESOURCE)
    title = name_of(name, "name")
    if title in {".", ".."}:
        raise invalid("name", "cannot stand in the path of an address")
    if title in builtin:
        raise invalid("name", "built in", text=f"name: {title} is built in")
    chosen = rules.choice(kind, "kind", KINDS)
    values = {
        "organization_id": who.organization_id,
        "name": title,
        "kind": chosen,
        "url": _url(house, url, chosen),
        "created_by": who.account_id,
        "created_at": house.clock(),
        "updated_at": house.clock(),
    } | _limits(chosen, timeout_seconds, tries, concurrency, fill=True)
    shown = _secret(secret, chosen)
    with house.db.write() as connection:
        _check_room(connection, house, who)
        insert = house.db.insert(table).values(values).on_conflict_do_nothing()
        row = connection.execute(insert.returning(*SHOWN)).mappings().one_or_none()
        if row is None:
            raise conflict(f"A workflow named {title!r} is defined already")
        made = Definition(**row)
        if shown is not None:
            _seal(connection, house, made, shown)
        facts = {"kind": chosen, "url": made.url}
        audit.record(connection, house, who, "workflow:definition:created", target=f"workflow:{made.id}", data=facts)
    return Defined(definition=made, secret=shown)


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
        row = connection.execute(sa.select(*SHOWN).where(_named(organization_id, name))).mappings().one_or_none()
    return None if row is None else Definition(**row)


def update(
    house: House,
    who: Principal,
    *,
    name: str,
    url: Any = None,
    secret: Any = None,
    timeout_seconds: Any = None,
    tries: Any = None,
    concurrency: Any = None,
    paused: Any = None,
) -> Definition:
    """Change what is given (None stays). What waits follows the new limits; the kind of a definition stays."""
    rules.require_admin(who, RESOURCE)
    if paused is not None and not isinstance(paused, bool):
        raise invalid("paused", "must be true or false", type="type")
    with house.db.write() as connection:
        found = connection.execute(sa.select(*SHOWN).where(_named(who.organization_id, name))).one_or_none()
        if found is None:
            raise not_found("Workflow not found")
        values = _limits(found.kind, timeout_seconds, tries, concurrency, fill=False)
        if url is not None:
            values["url"] = _url(house, url, found.kind)
        if paused is not None and paused is (found.paused_at is None):
            values["paused_at"] = house.clock() if paused else None
        values["updated_at"] = house.clock()
        changed = sa.update(table).where(table.c.id == found.id).values(values).returning(*SHOWN)
        row = Definition(**connection.execute(changed).mappings().one())
        if secret is not None:
            _seal(connection, house, row, _secret(secret, found.kind) or "")
        facts: dict[str, Any] = {"changed": sorted(values.keys() - {"updated_at"}), "new_secret": secret is not None}
        audit.record(connection, house, who, "workflow:definition:changed", target=f"workflow:{row.id}", data=facts)
    return row


def remove(house: House, who: Principal, *, name: str) -> Definition:
    """Remove a definition; its name is then one that runs `echo`. What is to become of waiting jobs, callers say."""
    rules.require_admin(who, RESOURCE)
    with house.db.write() as connection:
        gone = sa.delete(table).where(_named(who.organization_id, name)).returning(*SHOWN)
        row = connection.execute(gone).mappings().one_or_none()
        if row is None:
            raise not_found("Workflow not found")
        removed = Definition(**row)
        audit.record(connection, house, who, "workflow:definition:removed", target=f"workflow:{removed.id}")
    return removed


def secret_of(house: House, definition: Definition) -> bytes:
    """Return the bytes that pushes of this definition are signed with."""
    with house.db.read() as connection:
        sealed = connection.execute(sa.select(table.c.secret).where(table.c.id == definition.id)).scalar_one()
    return house.keyring.unseal(sealed, _place(definition))


def _named(organization_id: int, name: str) -> sa.ColumnElement[bool]:
    # What cannot be a name is nobody's; PostgreSQL would not even take it.
    known = name if 1 <= len(name) <= LONGEST_NAME and "\0" not in name else ""
    return sa.and_(table.c.organization_id == organization_id, table.c.name == known)


def _place(definition: Definition) -> str:
    return f"workflow_definitions|secret|{definition.organization_id}|{definition.id}"


def _seal(connection: sa.Connection, house: House, definition: Definition, secret: str) -> None:
    sealed = house.keyring.seal(secret.encode(), _place(definition))
    connection.execute(sa.update(table).where(table.c.id == definition.id).values(secret=sealed))


def _secret(value: Any, kind: str) -> str | None:
    if kind != "push":
        if value is not None:
            raise invalid("secret", "is of workflows that are pushed")
        return None
    return (
        signing_secret() if value is None else rules.text(value, "secret", least=SHORTEST_SECRET, most=LONGEST_SECRET)
    )


def _url(house: House, value: Any, kind: str) -> str | None:
    if kind != "push":
        if value is not None:
            raise invalid("url", "is of workflows that are pushed")
        return None
    sent = rules.text(value, "url", least=1, most=LONGEST_URL)
    try:
        house.part(Outward).client.check(sent)
    except OutboundError as error:
        raise invalid("url", str(error)) from error
    return sent


def _limits(kind: str, timeout_seconds: Any, tries: Any, concurrency: Any, *, fill: bool) -> dict[str, Any]:
    given = {
        "timeout_seconds": (timeout_seconds, DEFAULT_SECONDS[kind], LONGEST_SECONDS[kind]),
        "tries": (tries, DEFAULT_TRIES, MOST_TRIES),
        "concurrency": (concurrency, DEFAULT_CONCURRENCY, MOST_CONCURRENCY),
    }
    return {
        name: usual if value is None else rules.integer(value, name, 1, most)
        for name, (value, usual, most) in given.items()
        if fill or value is not None
    }


def _check_room(connection: sa.Connection, house: House, who: Principal) -> None:
    count = sa.select(sa.func.count()).where(table.c.organization_id == who.organization_id)
    if connection.execute(count).scalar_one() >= house.settings.workflow_limit:
        raise invalid("workflow", "full", text=f"Workflow limit reached: {house.settings.workflow_limit}")
