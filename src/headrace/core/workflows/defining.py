"""Defining workflows: make, change and remove an organization's definitions. For its admins, and audited."""

import re
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import audit, jobs, rules
from headrace.core.house import House
from headrace.core.jobs.bell import Bell
from headrace.core.outward import Outward
from headrace.core.principal import Principal
from headrace.core.refusals import conflict, invalid, not_found
from headrace.core.schema.workflows import workflow_definitions as table
from headrace.core.schema.workflows import workflow_schedules as schedules
from headrace.core.webhooks import signing
from headrace.core.workflows import definitions
from headrace.core.workflows.definitions import (
    DEFAULT_CONCURRENCY,
    KINDS,
    LONGEST_NAME,
    RESOURCE,
    SHOWN,
    Definition,
)
from headrace.kit.keys import signing_secret
from headrace.kit.outbound import OutboundError

BUILTIN = frozenset({"echo", "http_request", "data_processing"})
LONGEST_URL = 2048
SHORTEST_SECRET, LONGEST_SECRET = 8, 255
# A push holds a connection for as long; who pulls says for himself how long he needs.
LONGEST_SECONDS = {"push": 300, "queue": 86_400, "function": 86_400}
DEFAULT_SECONDS = {"push": 30, "queue": 300, "function": 300}
MOST_TRIES, DEFAULT_TRIES = 10, 4
MOST_CONCURRENCY = 1_000
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Defined(msgspec.Struct, frozen=True, kw_only=True):
    """A definition, with the secret of a push where it is new: shown this once."""

    definition: Definition
    secret: str | None = None


def name_of(value: Any, field: str = "workflow") -> str:
    """A workflow's name: 1 to 128 characters without controls, as sent; whether it is known does not matter."""
    if value is None:
        raise invalid(field, "field required", type="missing", text=f"{field} field is required")
    sent = rules.text(value, field, least=1, most=LONGEST_NAME)
    if UNSEEN.search(sent):
        raise invalid(field, "must not contain control characters")
    return sent


def title_of(value: Any) -> str:
    """Check a name that also stands in the path of an address."""
    title = name_of(value, "name")
    if title in {".", ".."}:
        raise invalid("name", "cannot stand in the path of an address")
    return title


def define(
    house: House,
    who: Principal,
    *,
    name: Any,
    kind: Any,
    url: Any = None,
    secret: Any = None,
    timeout_seconds: Any = None,
    tries: Any = None,
    concurrency: Any = None,
) -> Defined:
    """Define a workflow of the caller's organization. For its admins. Refused: a name that it has (conflict)."""
    rules.require_admin(who, RESOURCE)
    title = title_of(name)
    if title in BUILTIN:
        raise invalid("name", "built in", text=f"name: {title} is built in")
    chosen, now = rules.choice(kind, "kind", KINDS), house.clock()
    values = {
        "organization_id": who.organization_id,
        "name": title,
        "kind": chosen,
        "url": _url(house, url, chosen),
        "created_by": who.account_id,
        "created_at": now,
        "updated_at": now,
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
    if paused is not None:
        rules.flag(paused, "paused")
    with house.db.write() as connection:
        found = connection.execute(sa.select(*SHOWN).where(_of(who.organization_id, name))).one_or_none()
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
        # What a pause or a lower number held back may begin.
        house.db.after_commit(house.part(Bell).ring)
    return row


def remove(house: House, who: Principal, *, name: str) -> Definition:
    """Remove a definition; its name is then one that runs `echo`.

    Refused (conflict) while jobs of it wait or run, and while a schedule starts it.
    """
    rules.require_admin(who, RESOURCE)
    with house.db.write() as connection:
        # Nobody would serve these any more.
        for state in jobs.LIVE:
            if jobs.list_all(house, definitions.owner(who), name=definitions.known(name), state=state, limit=1).jobs:
                raise conflict(f"Jobs of this workflow are {state}: let them end, or cancel them")
        _check_schedules(connection, who, name)
        gone = sa.delete(table).where(_of(who.organization_id, name)).returning(*SHOWN)
        row = connection.execute(gone).mappings().one_or_none()
        if row is None:
            raise not_found("Workflow not found")
        removed = Definition(**row)
        audit.record(connection, house, who, "workflow:definition:removed", target=f"workflow:{removed.id}")
    return removed


def _check_schedules(connection: sa.Connection, who: Principal, name: str) -> None:
    """Refuse to leave schedules behind whose runs would succeed without doing anything."""
    mine = sa.and_(schedules.c.organization_id == who.organization_id, schedules.c.workflow == definitions.known(name))
    first = connection.execute(sa.select(schedules.c.name).where(mine).order_by(schedules.c.name).limit(1)).scalar()
    if first is not None:
        raise conflict(f"The schedule {first!r} starts this workflow: remove it, or have it start another one")


def _seal(connection: sa.Connection, house: House, definition: Definition, secret: str) -> None:
    sealed = house.keyring.seal(secret.encode(), definitions.place(definition))
    connection.execute(sa.update(table).where(table.c.id == definition.id).values(secret=sealed))


def _secret(value: Any, kind: str) -> str | None:
    if kind != "push":
        if value is not None:
            raise invalid("secret", "is of workflows that are pushed")
        return None
    if value is None:
        return signing_secret()
    sent = rules.text(value, "secret", least=SHORTEST_SECRET, most=LONGEST_SECRET)
    try:
        signing.key(sent)
    except ValueError:
        raise invalid("secret", "after whsec_ it must be base64") from None
    return sent


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
    if kind == "function" and timeout_seconds is not None:
        raise invalid("timeout_seconds", "is the function's own")
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


def _of(organization_id: int, name: str) -> sa.ColumnElement[bool]:
    return sa.and_(table.c.organization_id == organization_id, table.c.name == definitions.known(name))
