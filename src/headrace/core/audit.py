"""The audit log: who did what, written in the transaction of the change. Rows are never changed; triggers see to it."""

import ipaddress
import json
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.rules import integer, require_admin, text
from headrace.core.schema import audit_events
from headrace.kit.keyring import PERSON


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `target` is `noun:id`; an address is kept as a keyed hash and its /24 or /48 network."""

    id: int
    organization_id: int | None
    at: int
    actor_kind: str
    actor_id: int | None
    action: str
    target: str | None
    outcome: str
    door: str | None
    address_network: str | None
    data: dict[str, Any]


class Page(NamedTuple):
    """Newest first; `before` asks for the next page, and is None on the last."""

    events: list[AuditEvent]
    before: int | None


class Tally:
    """How many records were made on behalf of one request, in whichever thread."""

    lines = 0


MOST = 1_000
LONGEST_ACTION = 64
WATCHING: ContextVar[Tally | None] = ContextVar("watching", default=None)
SHOWN = [audit_events.c[name] for name in AuditEvent.__struct_fields__]


def record(
    connection: sa.Connection,
    house: House,
    who: Principal | None,
    action: str,
    *,
    target: str | None = None,
    outcome: str = "success",
    data: Mapping[str, Any] | None = None,
    organization_id: int | None = None,
    door: str | None = None,
    address: str | None = None,
) -> None:
    """Write one line; `action` is `source:subject:action`, `data` holds allow-listed fields and never a secret."""
    kept()
    connection.execute(
        audit_events.insert(),
        {
            "organization_id": organization_id if who is None else who.organization_id,
            "at": house.clock(),
            "actor_kind": "anonymous" if who is None else who.kind,
            "actor_id": None if who is None else who.key_id or who.account_id,
            "action": action,
            "target": target,
            "outcome": outcome,
            "door": door,
            "address_hash": None if address is None else person(house, address),
            "address_network": None if address is None else network(address),
            "data": json.dumps(data or {}),
        },
    )


def watched() -> Tally:
    """Count from here on what this task, and the threads it hands work to, record."""
    tally = Tally()
    WATCHING.set(tally)
    return tally


def kept() -> None:
    """Say that the row which a request made is itself the record of it: it names who asked for what, and when."""
    tally = WATCHING.get()
    if tally is not None:
        tally.lines += 1


def list_all(
    house: House,
    who: Principal,
    *,
    action: str | None = None,
    account_id: int | None = None,
    limit: int = 100,
    before: int | None = None,
) -> Page:
    """The organization's events, newest first; `before` is the last page's, `limit` at most MOST.

    `action` is a whole one or its beginning up to a colon (`apikey`, `apikey:key`); `account_id` is who did it.
    """
    require_admin(who, "users")
    mine = audit_events.c.organization_id == who.organization_id
    return _page(house, [mine], action, account_id, limit, before)


def list_everywhere(
    house: House,
    *,
    organization_id: int | None = None,
    action: str | None = None,
    account_id: int | None = None,
    limit: int = 100,
    before: int | None = None,
) -> Page:
    """As `list_all`, of every organization and of the instance itself, or of one. For the operator; not over HTTP."""
    one = [] if organization_id is None else [audit_events.c.organization_id == organization_id]
    return _page(house, one, action, account_id, limit, before)


def _page(  # noqa: PLR0917  Called from the two above only.
    house: House,
    where: list[sa.ColumnElement[bool]],
    action: str | None,
    account_id: int | None,
    limit: int,
    before: int | None,
) -> Page:
    integer(limit, "limit", 1, MOST)
    if action is not None:
        begun = audit_events.c.action.startswith(text(action, "action", most=LONGEST_ACTION) + ":", autoescape=True)
        where = [*where, sa.or_(audit_events.c.action == action, begun)]
    if account_id is not None:
        where = [*where, audit_events.c.actor_kind == "user", audit_events.c.actor_id == account_id]
    if before is not None:
        where = [*where, audit_events.c.id < before]
    query = sa.select(*SHOWN).where(*where).order_by(audit_events.c.id.desc()).limit(limit + 1)
    with house.db.read() as connection:
        rows = connection.execute(query).mappings().all()
    events = [AuditEvent(**{**row, "data": json.loads(row["data"])}) for row in rows[:limit]]
    return Page(events, events[-1].id if len(rows) > limit else None)


def person(house: House, text: str) -> str:
    """A keyed hash of what names a person: an e-mail or network address."""
    return house.keyring.mac(PERSON, text).hex()


def network(address: str, *, four: int = 24, six: int = 48) -> str:
    """The network an address is in; what is no address (a socket's path) stays as it is, cut to 64 characters."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(ipaddress.ip_network((parsed, four if parsed.version == 4 else six), strict=False))  # noqa: PLR2004
