"""From a key that was sent to its principal, on the hot path: form, checksum, MAC, then a cache that epochs keep true.

An entry counts only under the credential epoch it was made under, and the epoch is asked on every request: a key that
any process revoked is refused on the next one.
"""

import hashlib
import json
import os
import threading
from collections import OrderedDict

import msgspec
import sqlalchemy as sa

from headrace.core import projects
from headrace.core.house import Epoch, House
from headrace.core.principal import Principal
from headrace.core.projects import Project
from headrace.core.refusals import Refusal, unauthenticated
from headrace.core.schema import accounts, api_keys, memberships, organizations
from headrace.kit import keys
from headrace.kit.keyring import API_KEY
from headrace.kit.times import SECOND

KNOWN_US, UNKNOWN_US = 60 * SECOND, 10 * SECOND
MOST_ENTRIES = 50_000
MEMBER = sa.and_(
    memberships.c.organization_id == api_keys.c.organization_id, memberships.c.account_id == api_keys.c.owner_id
)
# An organization's key is its owner's and goes with the membership; a project's key belongs to the project.
OWNER_IN = sa.or_(
    api_keys.c.kind.in_(("project", "ingest")),
    sa.and_(accounts.c.is_active == 1, sa.or_(memberships.c.is_active == 1, accounts.c.is_super_admin == 1)),
)
KEY = (
    sa.select(
        api_keys,
        sa.case((accounts.c.is_super_admin == 1, "super_admin"), else_=memberships.c.role).label("owner_role"),
    )
    .select_from(
        api_keys.join(organizations, organizations.c.id == api_keys.c.organization_id)
        .outerjoin(accounts, accounts.c.id == api_keys.c.owner_id)
        .outerjoin(memberships, MEMBER)
    )
    .where(
        api_keys.c.mac.in_(sa.bindparam("macs", expanding=True)),
        api_keys.c.revoked_at.is_(None),
        api_keys.c.paused_at.is_(None),
        organizations.c.is_active == 1,
        OWNER_IN,
    )
)


class Entry(msgspec.Struct, frozen=True):
    """A cached answer; `principal` None says that there is no such key."""

    epoch: str
    until: int
    principal: Principal | None
    ingest: bool


class Credentials:
    """The cache of one house: keys by a salted digest, projects by id."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.epoch = house.part(Epoch)
        self.lock = threading.Lock()
        self.salt = os.urandom(32)
        self.entries: OrderedDict[bytes, Entry] = OrderedDict()
        self.projects: dict[int, tuple[str, Project | None]] = {}

    def entry(self, secret: str) -> Entry:
        # Not the MAC that is stored: that costs many times as much, and this name never leaves the process.
        name = hashlib.blake2b(secret.encode(), key=self.salt, digest_size=32).digest()
        epoch, now = self.epoch.now(), self.house.clock()
        found = self.entries.get(name)
        if found is not None and found.epoch == epoch and now < found.until:
            return found
        made = self._read(secret, epoch, now)
        with self.lock:
            self.entries[name] = made
            self.entries.move_to_end(name)
            if len(self.entries) > MOST_ENTRIES:
                self.entries.popitem(last=False)
        return made

    def _read(self, secret: str, epoch: str, now: int) -> Entry:
        with self.house.db.read() as connection:
            row = connection.execute(KEY, {"macs": self.house.keyring.macs(API_KEY, secret)}).one_or_none()
        if row is None or (row.expires_at is not None and row.expires_at <= now):
            return Entry(epoch, now + UNKNOWN_US, None, ingest=False)
        bound = row.kind in {"project", "ingest"}
        principal = Principal(
            kind="key",
            organization_id=row.organization_id,
            account_id=row.owner_id,
            # What belongs to a project carries nobody's role.
            role="user" if bound else row.owner_role,
            key_id=row.id,
            key_kind=row.kind,
            project_id=row.project_id if bound else None,
            scopes=frozenset(json.loads(row.scopes)),
            per_minute=row.per_minute,
            per_hour=row.per_hour,
        )
        until = min(now + KNOWN_US, row.expires_at or now + KNOWN_US)
        return Entry(epoch, until, principal, ingest=row.kind == "ingest")

    def project(self, project_id: int) -> Project | None:
        epoch = self.epoch.now()
        found = self.projects.get(project_id)
        if found is not None and found[0] == epoch:
            return found[1]
        with self.house.db.read() as connection:
            row = connection.execute(projects.BY_ID, {"id": project_id}).one_or_none()
        project = None if row is None else projects.project_of(row)
        if len(self.projects) >= MOST_ENTRIES:
            self.projects = {}
        self.projects[project_id] = (epoch, project)
        return project


def entry(house: House, secret: str) -> Entry:
    """Return what is known of a secret that may be a key's, for a caller who asks `fresh` before he uses it again."""
    return house.part(Credentials).entry(keys.canonical(secret))


def fresh(house: House, known: Entry) -> bool:
    """Tell whether an entry still counts; asked on every request."""
    return house.clock() < known.until and known.epoch == house.part(Credentials).epoch.now()


def refused() -> Refusal:
    return unauthenticated("Invalid or expired API key")


def resolve(house: House, secret: str) -> Principal:
    """Turn a project, organization or imported key into its principal, or refuse (unauthenticated).

    What is no key by its form or checksum is refused without asking the database. Fast enough for the event loop when
    cached; otherwise one read.
    """
    secret = keys.canonical(secret)
    if keys.kind_of(secret) is None:
        raise refused()
    found = house.part(Credentials).entry(secret)
    # An ingest key looks like an imported one, and opens nothing here.
    if found.principal is None or found.ingest:
        raise refused()
    return found.principal


def resolve_ingest(house: House, secret: str) -> Principal:
    """Turn an ingest key, sent in the header that is for them, into its principal, or refuse (unauthenticated)."""
    if not keys.INGEST.fullmatch(secret):
        raise refused()
    found = house.part(Credentials).entry(secret)
    if found.principal is None or not found.ingest:
        raise refused()
    return found.principal


def resolved_project(house: House, who: Principal, project_id: int) -> Project:
    """As `projects.get`, from the cache."""
    return projects.owned(who, house.part(Credentials).project(project_id))
