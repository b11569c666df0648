"""Making keys: which scopes a key may have, and what is kept of it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from headrace.core import audit, projects, rules
from headrace.core.house import House, bump_epoch
from headrace.core.keys.records import NewKey, announce, key_of, signing_place
from headrace.core.principal import Principal
from headrace.core.projects import Project
from headrace.core.refusals import conflict, forbidden, invalid
from headrace.core.schema import api_keys, memberships, organizations
from headrace.kit import keys
from headrace.kit.keyring import API_KEY
from headrace.kit.times import DAY

PROJECT_SCOPES = ("ingest", "logs:read", "panels:*")
PLAIN_SCOPES = ("read", "write", "admin")
RESOURCES = [
    "projects",
    "logs",
    "panels",
    "sources",
    "records",
    "exports",
    "config",
    "webhooks",
    "jobs",
    "people",
    "connectors",
    "checkout",
    "users",
    "keys",
    "billing",
    "tickets",
    "themes",
    "notifications",
    "workflows",
]
LONGEST_LIFE_DAYS = 365


def create_project_key(house: House, who: Principal, *, project_id: int, name: Any, scopes: Any = None) -> NewKey:
    """Make a key of one project; names need not be unique. All of `ingest, logs:read, panels:*` unless fewer."""
    title = rules.name(name)
    chosen = PROJECT_SCOPES if scopes is None else _scopes(scopes)
    if not chosen or not set(chosen) <= set(PROJECT_SCOPES):
        raise invalid("scopes", f"must be some of {', '.join(PROJECT_SCOPES)}", type="enum")
    projects.get(house, who, project_id=project_id)
    rules.require(who, "keys", "admin")
    values = {"kind": "project", "project_id": project_id, "owner_id": who.account_id, "name": title}
    with house.db.write() as connection:
        _check_room(connection, house, who, project_id)
        made = _insert(connection, house, who, keys.project_key(project_id), values, chosen)
    assert made is not None  # noqa: S101  170 random bits do not meet.
    return made


def create_ingest_key(house: House, who: Principal, *, project_id: int) -> NewKey:
    """Make the project's ingest key; one it had is revoked."""
    projects.get(house, who, project_id=project_id)
    rules.require(who, "keys", "admin")
    with house.db.write() as connection:
        return _ingest_key(connection, house, who, project_id)


def create_app(house: House, who: Principal, *, name: Any) -> tuple[Project, NewKey]:
    """Make a project by a name alone (`projects.make_app`), and its ingest key with it."""
    with house.db.write() as connection:
        project = projects.make_app(connection, house, who, name)
        return project, _ingest_key(connection, house, who, project.project_id)


def _ingest_key(connection: sa.Connection, house: House, who: Principal, project_id: int) -> NewKey:
    values = {"kind": "ingest", "project_id": project_id, "owner_id": who.account_id, "name": "Ingest key"}
    earlier = sa.update(api_keys).where(
        api_keys.c.project_id == project_id,
        api_keys.c.organization_id == who.organization_id,
        api_keys.c.kind == "ingest",
        api_keys.c.revoked_at.is_(None),
    )
    for row in connection.execute(earlier.values(revoked_at=house.clock()).returning(api_keys)).all():
        announce(connection, house, row, "key.revoked")
    made = _insert(connection, house, who, keys.ingest_key(), values, ("ingest",))
    assert made is not None  # noqa: S101  128 random bits do not meet.
    return made


def create_organization_key(
    house: House,
    who: Principal,
    *,
    name: Any,
    scopes: Any = ("read",),
    expires_days: Any = None,
    owner_id: int | None = None,
) -> NewKey:
    """Make a key of the caller's (the operator names another owner) in the organization, with a `signing_secret`.

    Refused: an unknown scope, `API key limit reached` (invalid); a scope the owner or the making key lacks (forbidden).
    """
    title, chosen = rules.name(name), _scopes(scopes)
    days = None if expires_days is None else rules.integer(expires_days, "expires_days", 1, LONGEST_LIFE_DAYS)
    rules.require(who, "keys", "admin")
    return _organization_key(house, who, keys.organization_key(), "organization", title, chosen, days, owner_id)


def import_key(
    house: House, who: Principal, *, secret: Any, name: Any, scopes: Any = ("read",), owner_id: int | None = None
) -> NewKey:
    """Take over a key that was made elsewhere, as a key of the organization. By the operator alone."""
    if who.kind != "operator":
        raise forbidden("Insufficient permissions")
    sent = rules.text(secret, "secret", least=16, most=256)
    if keys.kind_of(sent) != "imported":
        raise invalid("secret", "must be visible ASCII characters, and not start like a key made here")
    return _organization_key(house, who, sent, "imported", rules.name(name), _scopes(scopes), None, owner_id)


def _organization_key(  # noqa: PLR0917  Private, and called from the two verbs above only.
    house: House,
    who: Principal,
    secret: str,
    kind: str,
    title: str,
    scopes: tuple[str, ...],
    days: int | None,
    owner_id: int | None,
) -> NewKey:
    owner = owner_id if who.kind == "operator" else who.account_id
    if owner is None:
        raise invalid("owner_id", "must name the account that owns the key", type="missing")
    values = {
        "kind": kind,
        "owner_id": owner,
        "name": title,
        "expires_at": None if days is None else house.clock() + days * DAY,
    }
    signing = keys.signing_secret()
    with house.db.write() as connection:
        _check_scopes(connection, who, owner, scopes)
        _check_room(connection, house, who, None)
        made = _insert(connection, house, who, secret, values, scopes, signing_secret=signing)
        if made is None:
            raise conflict("This key is in use already")
    return made


def _scopes(scopes: Any) -> tuple[str, ...]:
    """Each once, in the order sent; only those the contract knows."""
    if not isinstance(scopes, list | tuple) or not scopes:
        raise invalid("scopes", "must be a list of scopes", type="type")
    for scope in scopes:
        if not isinstance(scope, str) or not _known(scope):
            raise invalid("scopes", f"unknown scope {str(scope)[:64]}", type="enum")
    return tuple(dict.fromkeys(scopes))


def _known(scope: str) -> bool:
    resource, colon, action = scope.partition(":")
    if not colon:
        return scope in {*PLAIN_SCOPES, "ingest"}
    return resource in RESOURCES and action in {*PLAIN_SCOPES, "*"}


def _check_scopes(connection: sa.Connection, who: Principal, owner: int, scopes: Iterable[str]) -> None:
    """Never more than the owner's role, nor than a key that makes a key."""
    query = sa.select(memberships.c.role).where(
        memberships.c.organization_id == who.organization_id,
        memberships.c.account_id == owner,
        memberships.c.is_active == 1,
    )
    role = connection.execute(query).scalar()
    if who.kind == "operator" and role is None:
        raise invalid("owner_id", "must be an active member of the organization")
    role = who.role if who.kind == "user" else role
    for scope in scopes:
        resource, _, action = scope.rpartition(":")
        if role == "user" and action in {"admin", "*"}:
            raise forbidden("Insufficient permissions")
        if who.kind == "key" and not (who.allows(resource, action) if resource else scope in _reached(who)):
            raise forbidden("Insufficient permissions")


def _reached(who: Principal) -> set[str]:
    """The plain scopes a key may hand on."""
    ranks = [PLAIN_SCOPES.index(scope) for scope in who.scopes if scope in PLAIN_SCOPES]
    ingest = {"ingest"} if "ingest" in who.scopes or max(ranks, default=0) else set()
    return {*PLAIN_SCOPES[: max(ranks, default=-1) + 1], *ingest}


def _check_room(connection: sa.Connection, house: House, who: Principal, project_id: int | None) -> None:
    """Count the keys that are not revoked: of a project against the settings, of the organization against its plan."""
    mine = sa.and_(api_keys.c.organization_id == who.organization_id, api_keys.c.revoked_at.is_(None))
    count = sa.select(sa.func.count()).select_from(api_keys).where(mine, api_keys.c.project_id == project_id)
    if project_id is None:
        most = sa.select(organizations.c.max_api_keys).where(organizations.c.id == who.organization_id)
        limit = connection.execute(most).scalar_one()
    else:
        limit = house.settings.key_limit
    if connection.execute(count).scalar_one() >= limit:
        raise invalid("key", "full", text="API key limit reached")


def _insert(  # noqa: PLR0917  Private, and called from the verbs above only.
    connection: sa.Connection,
    house: House,
    who: Principal,
    secret: str,
    values: Mapping[str, Any],
    scopes: tuple[str, ...],
    *,
    signing_secret: str | None = None,
) -> NewKey | None:
    mac, now = house.keyring.mac(API_KEY, secret), house.clock()
    if connection.execute(
        sa.select(api_keys.c.id).where(api_keys.c.mac.in_(house.keyring.macs(API_KEY, secret)))
    ).first():
        return None
    place = signing_place(who.organization_id, mac)
    row = connection.execute(
        api_keys.insert().returning(api_keys),
        {
            **values,
            "mac": mac,
            "organization_id": who.organization_id,
            "key_prefix": keys.shown(secret),
            "scopes": json.dumps(scopes),
            "signing_secret": signing_secret and house.keyring.seal(signing_secret.encode(), place),
            "usage_count": 0,
            "created_at": now,
        },
    ).one()
    bump_epoch(connection, house)
    audit.record(
        connection,
        house,
        who,
        "apikey:key:created",
        target=f"key:{row.id}",
        data={"kind": row.kind, "project_id": row.project_id, "scopes": list(scopes)},
    )
    announce(connection, house, row, "key.created")
    return NewKey(key=key_of(row, now), full_key=secret, signing_secret=signing_secret)
