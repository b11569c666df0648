"""The record of a key, how a row becomes one, and lists of them."""

import json
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import announcements, projects, rules
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import not_found
from headrace.core.schema import api_keys
from headrace.kit.times import show


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What may be told about a key. `status` is active, paused, revoked or expired; times in microseconds."""

    key_id: int
    kind: str
    organization_id: int
    owner_id: int | None
    project_id: int | None
    name: str
    key_prefix: str
    scopes: tuple[str, ...]
    status: str
    per_minute: int | None
    per_hour: int | None
    expires_at: int | None
    last_used_at: int | None
    usage_count: int
    created_at: int


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is made: `full_key` and `signing_secret` are shown here and never again."""

    key: Key
    full_key: str
    signing_secret: str | None = None

    @property
    def key_id(self) -> int:
        return self.key.key_id

    @property
    def key_prefix(self) -> str:
        return self.key.key_prefix


def key_of(row: sa.Row[Any], now: int) -> Key:
    expired = row.expires_at is not None and row.expires_at <= now
    return Key(
        key_id=row.id,
        kind=row.kind,
        organization_id=row.organization_id,
        owner_id=row.owner_id,
        project_id=row.project_id,
        name=row.name,
        key_prefix=row.key_prefix,
        scopes=tuple(json.loads(row.scopes)),
        status="revoked" if row.revoked_at else "paused" if row.paused_at else "expired" if expired else "active",
        per_minute=row.per_minute,
        per_hour=row.per_hour,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        usage_count=row.usage_count,
        created_at=row.created_at,
    )


def signing_secret(house: House, connection: sa.Connection, *, organization_id: int, key_id: int) -> str | None:
    """What signs the callbacks of a key's jobs, also after the key is revoked; None for a key without one."""
    mine = api_keys.c.id == key_id, api_keys.c.organization_id == organization_id
    row = connection.execute(sa.select(api_keys.c.mac, api_keys.c.signing_secret).where(*mine)).one_or_none()
    if row is None or row.signing_secret is None:
        return None
    return house.keyring.unseal(row.signing_secret, signing_place(organization_id, row.mac)).decode()


def signing_place(organization_id: int, mac: bytes) -> str:
    """What a sealed signing secret is bound to."""
    return f"api_keys|signing_secret|{organization_id}|{mac.hex()}"


def announce(connection: sa.Connection, house: House, row: sa.Row[Any], event: str) -> None:
    """Tell of what became of a key, with all that may be told about it."""
    data = msgspec.structs.asdict(key_of(row, house.clock()))
    for name in ("expires_at", "last_used_at", "created_at"):
        data[name] = None if data[name] is None else show(data[name])
    announcements.tell(connection, house, organization_id=row.organization_id, event=event, data=data)


def get(house: House, who: Principal, *, key_id: int) -> Key:
    """One of the keys that the lists show; of somebody else's nothing is said."""
    rules.require(who, "keys", "read")
    found = _list(house, who, api_keys.c.id == key_id)
    if not found:
        raise not_found("API key not found")
    return found[0]


def owner(house: House, *, key_id: int) -> int | None:
    """Return the organization of a key, None when there is no such key. Not reachable over HTTP."""
    with house.db.read() as connection:
        found: int | None = connection.execute(
            sa.select(api_keys.c.organization_id).where(api_keys.c.id == key_id)
        ).scalar()
    return found


def list_project_keys(house: House, who: Principal, *, project_id: int) -> list[Key]:
    """A project's keys, newest first: all of them for an admin, else those the caller made."""
    projects.get(house, who, project_id=project_id)
    rules.require(who, "keys", "read")
    return _list(house, who, api_keys.c.project_id == project_id)


def list_organization_keys(house: House, who: Principal) -> list[Key]:
    """The organization's keys that are no project's, newest first; for an admin all, else the caller's own."""
    rules.require(who, "keys", "read")
    return _list(house, who, api_keys.c.project_id.is_(None))


def _list(house: House, who: Principal, which: sa.ColumnElement[bool]) -> list[Key]:
    query = sa.select(api_keys).where(api_keys.c.organization_id == who.organization_id, which)
    if not who.is_admin:
        query = query.where(api_keys.c.owner_id == who.account_id)
    with house.db.read() as connection:
        rows = connection.execute(query.order_by(api_keys.c.id.desc())).all()
    now = house.clock()
    return [key_of(row, now) for row in rows]
