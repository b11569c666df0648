"""All tables of the metadata database. Each is written by one room alone; the rooms are named beside the tables.

Times are BIGINT microseconds, booleans SMALLINT, JSON is TEXT. A child names its organization in its foreign key too,
so that a row of one organization cannot hang on another's.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)
# SQLite gives row ids to columns of the type INTEGER alone.
Id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Time = sa.BigInteger
Flag = sa.SmallInteger
Json = sa.Text
Kind = TypeEngine[Any] | type[TypeEngine[Any]]


def _id() -> sa.Column[int]:
    return sa.Column("id", Id, primary_key=True)


def _column(name: str, kind: Kind, *more: sa.ForeignKey) -> sa.Column[Any]:
    return sa.Column(name, kind, *more, nullable=False)


def _maybe(name: str, kind: Kind, *more: sa.ForeignKey) -> sa.Column[Any]:
    return sa.Column(name, kind, *more, nullable=True)


# identity
accounts = sa.Table(
    "accounts",
    METADATA,
    _id(),
    _column("email", sa.String(255)),
    _maybe("username", sa.String(64)),
    _column("first_name", sa.String(255)),
    _column("last_name", sa.String(255)),
    _maybe("password", sa.Text),
    _column("is_active", Flag),
    _column("is_super_admin", Flag),
    _column("is_verified", Flag),
    # Higher by one ends every session of the account.
    _column("auth_version", sa.Integer),
    _maybe("last_login_at", Time),
    _column("created_at", Time),
    _column("updated_at", Time),
    sa.UniqueConstraint("email"),
    sa.UniqueConstraint("username"),
)
organizations = sa.Table(
    "organizations",
    METADATA,
    _id(),
    _column("name", sa.String(255)),
    _column("slug", sa.String(100)),
    _maybe("domain", sa.String(255)),
    _column("plan", sa.String(32)),
    _column("is_active", Flag),
    _column("max_users", sa.Integer),
    _column("max_api_keys", sa.Integer),
    _column("settings", Json),
    _column("created_at", Time),
    _column("updated_at", Time),
    sa.UniqueConstraint("slug"),
)
memberships = sa.Table(
    "memberships",
    METADATA,
    _id(),
    _column("organization_id", Id, sa.ForeignKey("organizations.id")),
    _column("account_id", Id, sa.ForeignKey("accounts.id")),
    _column("role", sa.String(32)),
    _column("is_active", Flag),
    _column("created_at", Time),
    sa.UniqueConstraint("organization_id", "account_id"),
    sa.Index(None, "account_id"),
)
invitations = sa.Table(
    "invitations",
    METADATA,
    _id(),
    _column("organization_id", Id, sa.ForeignKey("organizations.id")),
    _column("email", sa.String(255)),
    _column("role", sa.String(32)),
    _column("mac", sa.LargeBinary),
    _maybe("invited_by", Id, sa.ForeignKey("accounts.id")),
    _column("expires_at", Time),
    _maybe("accepted_at", Time),
    _maybe("revoked_at", Time),
    _column("created_at", Time),
    sa.UniqueConstraint("mac"),
    sa.Index(None, "organization_id"),
)
sessions = sa.Table(
    "sessions",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    _column("account_id", Id, sa.ForeignKey("accounts.id")),
    _column("organization_id", Id, sa.ForeignKey("organizations.id")),
    _column("door", sa.String(32)),
    _column("auth_version", sa.Integer),
    _column("created_at", Time),
    _column("last_seen_at", Time),
    _column("expires_at", Time),
    _maybe("revoked_at", Time),
    _maybe("revoke_reason", sa.String(64)),
    _column("address_hash", sa.String(64)),
    sa.Index(None, "account_id", "created_at"),
)
refresh_tokens = sa.Table(
    "refresh_tokens",
    METADATA,
    _id(),
    _column("mac", sa.LargeBinary),
    _column("session_id", sa.String(32), sa.ForeignKey("sessions.id")),
    _maybe("parent_id", Id),
    _maybe("used_at", Time),
    # The successor, for a client whose answer was lost; emptied by the next use of the session.
    _maybe("successor", sa.LargeBinary),
    _column("expires_at", Time),
    _column("created_at", Time),
    sa.UniqueConstraint("mac"),
    sa.Index(None, "session_id"),
)

# projects
projects = sa.Table(
    "projects",
    METADATA,
    _id(),
    _column("organization_id", Id, sa.ForeignKey("organizations.id")),
    _column("name", sa.String(255)),
    _column("slug", sa.String(255)),
    # What it is called as an app: unlike its name it is unique and stays.
    _column("app_name", sa.String(255)),
    _column("environment", sa.String(32)),
    _column("retention_days", sa.Integer),
    _column("daily_quota", sa.BigInteger),
    _column("queue_limit", sa.BigInteger),
    _maybe("created_by", Id, sa.ForeignKey("accounts.id")),
    _column("created_at", Time),
    _column("updated_at", Time),
    sa.UniqueConstraint("organization_id", "slug"),
    sa.UniqueConstraint("organization_id", "app_name"),
    sa.UniqueConstraint("organization_id", "id"),
)

# keys
api_keys = sa.Table(
    "api_keys",
    METADATA,
    _id(),
    _column("mac", sa.LargeBinary),
    _column("kind", sa.String(16)),
    _column("organization_id", Id, sa.ForeignKey("organizations.id")),
    _maybe("owner_id", Id, sa.ForeignKey("accounts.id")),
    _maybe("project_id", Id),
    _column("name", sa.String(255)),
    _column("key_prefix", sa.String(64)),
    _column("scopes", Json),
    _maybe("per_minute", sa.Integer),
    _maybe("per_hour", sa.Integer),
    _maybe("signing_secret", sa.LargeBinary),
    _maybe("expires_at", Time),
    _maybe("paused_at", Time),
    _maybe("revoked_at", Time),
    _maybe("last_used_at", Time),
    _column("usage_count", sa.BigInteger),
    _column("created_at", Time),
    sa.UniqueConstraint("mac"),
    sa.ForeignKeyConstraint(["organization_id", "project_id"], ["projects.organization_id", "projects.id"]),
    sa.Index(None, "organization_id", "project_id"),
)
key_usage = sa.Table(
    "key_usage",
    METADATA,
    sa.Column("key_id", Id, sa.ForeignKey("api_keys.id"), primary_key=True),
    sa.Column("hour", Time, primary_key=True),
    sa.Column("route", sa.String(255), primary_key=True),
    sa.Column("status_class", sa.Integer, primary_key=True),
    _column("requests", sa.BigInteger),
    _column("sum_us", sa.BigInteger),
    _column("max_us", sa.BigInteger),
)

# dashboards
panels = sa.Table(
    "panels",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    _column("organization_id", Id, sa.ForeignKey("organizations.id")),
    _column("account_id", Id, sa.ForeignKey("accounts.id")),
    _column("name", sa.String(255)),
    _column("position", sa.BigInteger),
    _column("project_id", sa.String(255)),
    _column("time_range_from", Time),
    _column("time_range_to", Time),
    _column("type", sa.String(16)),
    # Order of creation, where positions are equal; times may be.
    _column("number", sa.BigInteger),
    _column("created_at", Time),
    sa.Index(None, "organization_id", "account_id", "position", "number"),
)

# limits.quota
usage_days = sa.Table(
    "usage_days",
    METADATA,
    sa.Column("project_id", Id, sa.ForeignKey("projects.id"), primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True),
    _column("accepted", sa.BigInteger),
)

# events
folded_segments = sa.Table(
    "folded_segments",
    METADATA,
    sa.Column("name", sa.String(255), primary_key=True),
    _column("folded_at", Time),
)
deletions = sa.Table(
    "deletions",
    METADATA,
    _id(),
    _column("organization_id", Id),
    _column("project_id", Id),
    _maybe("account_id", Id, sa.ForeignKey("accounts.id")),
    # The server that carries it out: only that one knows what waits in its durable log.
    _column("node", sa.Integer),
    _column("filters", Json),
    # Every event taken before the request has a lower id, of those that this server gives.
    _column("last_id", sa.BigInteger),
    _column("state", sa.String(16)),
    _maybe("reason", sa.Text),
    _maybe("matched", sa.BigInteger),
    _column("deleted", sa.BigInteger),
    _column("created_at", Time),
    _maybe("started_at", Time),
    _maybe("finished_at", Time),
    sa.ForeignKeyConstraint(["organization_id", "project_id"], ["projects.organization_id", "projects.id"]),
    sa.Index(None, "project_id", "id"),
    sa.Index(None, "state"),
)

# groups
error_groups = sa.Table(
    "error_groups",
    METADATA,
    _id(),
    _column("organization_id", Id),
    _column("project_id", Id),
    _column("fingerprint", sa.String(64)),
    _maybe("error_type", sa.Text),
    _maybe("error_message", sa.Text),
    _maybe("platform", sa.String(255)),
    _column("first_seen", Time),
    _column("last_seen", Time),
    _column("occurrence_count", sa.BigInteger),
    _column("status", sa.String(16)),
    _maybe("assigned_to", Id, sa.ForeignKey("accounts.id")),
    _maybe("sample_log_id", sa.String(64)),
    _maybe("sample_received_at", Time),
    _maybe("resolved_at", Time),
    _maybe("resolved_in_release", sa.String(255)),
    _column("created_at", Time),
    _column("updated_at", Time),
    sa.UniqueConstraint("project_id", "fingerprint"),
    sa.ForeignKeyConstraint(["organization_id", "project_id"], ["projects.organization_id", "projects.id"]),
    sa.Index(None, "project_id", "last_seen"),
)
error_group_hours = sa.Table(
    "error_group_hours",
    METADATA,
    sa.Column("group_id", Id, sa.ForeignKey("error_groups.id"), primary_key=True),
    sa.Column("hour", Time, primary_key=True),
    _column("count", sa.BigInteger),
)

# audit; UPDATE and DELETE are refused by triggers, which the migration makes.
audit_events = sa.Table(
    "audit_events",
    METADATA,
    _id(),
    _maybe("organization_id", Id),
    _column("at", Time),
    _column("actor_kind", sa.String(16)),
    _maybe("actor_id", Id),
    _column("action", sa.String(64)),
    _maybe("target", sa.String(128)),
    _column("outcome", sa.String(16)),
    _maybe("door", sa.String(32)),
    _maybe("address_hash", sa.String(64)),
    _maybe("address_network", sa.String(64)),
    _column("data", Json),
    sa.Index(None, "organization_id", "at"),
)

# idempotency
idempotency = sa.Table(
    "idempotency",
    METADATA,
    _id(),
    _column("organization_id", Id),
    _column("principal", sa.String(64)),
    _column("method", sa.String(8)),
    _column("route", sa.String(255)),
    _column("key", sa.String(255)),
    _column("request_sha256", sa.LargeBinary),
    _column("is_done", Flag),
    _maybe("status", sa.Integer),
    _maybe("headers", Json),
    _maybe("body", sa.LargeBinary),
    _column("created_at", Time),
    sa.UniqueConstraint("organization_id", "principal", "method", "route", "key"),
    sa.Index(None, "created_at"),
)

# house
instance = sa.Table(
    "instance",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    _column("value", sa.Text),
)
