"""All tables of the metadata database. Each is written by one room alone; the rooms are named beside the tables.

Times are BIGINT microseconds, booleans SMALLINT, JSON is TEXT. A child names its organization in its foreign key too,
so that a row of one organization cannot hang on another's. Tables of larger rooms stand in a module of their own.
"""

import sqlalchemy as sa

from headrace.core.schema import alerts, billing, groups, jobs, people, webhooks, workflows
from headrace.core.schema.columns import METADATA, Flag, Id, Json, Time, column, maybe, row_id

# Named so that METADATA knows their tables wherever it is used.
ROOMS = (alerts, billing, groups, jobs, people, webhooks, workflows)

# identity
accounts = sa.Table(
    "accounts",
    METADATA,
    row_id(),
    column("email", sa.String(255)),
    maybe("username", sa.String(64)),
    column("first_name", sa.String(255)),
    column("last_name", sa.String(255)),
    maybe("password", sa.Text),
    column("is_active", Flag),
    column("is_super_admin", Flag),
    column("is_verified", Flag),
    # Higher by one ends every session of the account.
    column("auth_version", sa.Integer),
    maybe("last_login_at", Time),
    column("created_at", Time),
    column("updated_at", Time),
    sa.UniqueConstraint("email"),
    sa.UniqueConstraint("username"),
)
organizations = sa.Table(
    "organizations",
    METADATA,
    row_id(),
    column("name", sa.String(255)),
    column("slug", sa.String(100)),
    maybe("domain", sa.String(255)),
    column("plan", sa.String(32)),
    column("is_active", Flag),
    column("max_users", sa.Integer),
    column("max_api_keys", sa.Integer),
    column("settings", Json),
    column("created_at", Time),
    column("updated_at", Time),
    sa.UniqueConstraint("slug"),
)
memberships = sa.Table(
    "memberships",
    METADATA,
    row_id(),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("account_id", Id, sa.ForeignKey("accounts.id")),
    column("role", sa.String(32)),
    column("is_active", Flag),
    column("created_at", Time),
    sa.UniqueConstraint("organization_id", "account_id"),
    sa.Index(None, "account_id"),
)
invitations = sa.Table(
    "invitations",
    METADATA,
    row_id(),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("email", sa.String(255)),
    column("role", sa.String(32)),
    column("mac", sa.LargeBinary),
    maybe("invited_by", Id, sa.ForeignKey("accounts.id")),
    column("expires_at", Time),
    maybe("accepted_at", Time),
    maybe("revoked_at", Time),
    column("created_at", Time),
    sa.UniqueConstraint("mac"),
    sa.Index(None, "organization_id"),
)
sessions = sa.Table(
    "sessions",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    column("account_id", Id, sa.ForeignKey("accounts.id")),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("door", sa.String(32)),
    column("auth_version", sa.Integer),
    column("created_at", Time),
    column("last_seen_at", Time),
    column("expires_at", Time),
    maybe("revoked_at", Time),
    maybe("revoke_reason", sa.String(64)),
    column("address_hash", sa.String(64)),
    sa.Index(None, "account_id", "created_at"),
)
refresh_tokens = sa.Table(
    "refresh_tokens",
    METADATA,
    row_id(),
    column("mac", sa.LargeBinary),
    column("session_id", sa.String(32), sa.ForeignKey("sessions.id")),
    maybe("parent_id", Id),
    maybe("used_at", Time),
    # The successor, for a client whose answer was lost; emptied by the next use of the session.
    maybe("successor", sa.LargeBinary),
    column("expires_at", Time),
    column("created_at", Time),
    sa.UniqueConstraint("mac"),
    sa.Index(None, "session_id"),
)

# projects
projects = sa.Table(
    "projects",
    METADATA,
    row_id(),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("name", sa.String(255)),
    column("slug", sa.String(255)),
    # What it is called as an app: unlike its name it is unique and stays.
    column("app_name", sa.String(255)),
    column("environment", sa.String(32)),
    column("retention_days", sa.Integer),
    column("daily_quota", sa.BigInteger),
    column("queue_limit", sa.BigInteger),
    maybe("created_by", Id, sa.ForeignKey("accounts.id")),
    column("created_at", Time),
    column("updated_at", Time),
    sa.UniqueConstraint("organization_id", "slug"),
    sa.UniqueConstraint("organization_id", "app_name"),
    sa.UniqueConstraint("organization_id", "id"),
)

# keys
api_keys = sa.Table(
    "api_keys",
    METADATA,
    row_id(),
    column("mac", sa.LargeBinary),
    column("kind", sa.String(16)),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    maybe("owner_id", Id, sa.ForeignKey("accounts.id")),
    maybe("project_id", Id),
    column("name", sa.String(255)),
    column("key_prefix", sa.String(64)),
    column("scopes", Json),
    maybe("per_minute", sa.Integer),
    maybe("per_hour", sa.Integer),
    maybe("signing_secret", sa.LargeBinary),
    maybe("expires_at", Time),
    maybe("paused_at", Time),
    maybe("revoked_at", Time),
    maybe("last_used_at", Time),
    column("usage_count", sa.BigInteger),
    column("created_at", Time),
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
    column("requests", sa.BigInteger),
    column("sum_us", sa.BigInteger),
    column("max_us", sa.BigInteger),
)

# dashboards
panels = sa.Table(
    "panels",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("account_id", Id, sa.ForeignKey("accounts.id")),
    column("name", sa.String(255)),
    column("position", sa.BigInteger),
    column("project_id", sa.String(255)),
    column("time_range_from", Time),
    column("time_range_to", Time),
    sa.Column("recent", sa.BigInteger),
    column("type", sa.String(16)),
    # Order of creation, where positions are equal; times may be.
    column("number", sa.BigInteger),
    column("created_at", Time),
    sa.Index(None, "organization_id", "account_id", "position", "number"),
)

# limits.quota
usage_days = sa.Table(
    "usage_days",
    METADATA,
    sa.Column("project_id", Id, sa.ForeignKey("projects.id"), primary_key=True),
    sa.Column("day", sa.Integer, primary_key=True),
    column("accepted", sa.BigInteger),
)

# events
folded_segments = sa.Table(
    "folded_segments",
    METADATA,
    sa.Column("name", sa.String(255), primary_key=True),
    column("folded_at", Time),
)
deletions = sa.Table(
    "deletions",
    METADATA,
    row_id(),
    column("organization_id", Id),
    column("project_id", Id),
    maybe("account_id", Id, sa.ForeignKey("accounts.id")),
    # The server that carries it out: only that one knows what waits in its durable log.
    column("node", sa.Integer),
    column("filters", Json),
    # Every event taken before the request has a lower id, of those that this server gives.
    column("last_id", sa.BigInteger),
    column("state", sa.String(16)),
    maybe("reason", sa.Text),
    maybe("matched", sa.BigInteger),
    column("deleted", sa.BigInteger),
    column("created_at", Time),
    maybe("started_at", Time),
    maybe("finished_at", Time),
    sa.ForeignKeyConstraint(["organization_id", "project_id"], ["projects.organization_id", "projects.id"]),
    sa.Index(None, "project_id", "id"),
    sa.Index(None, "state"),
)

# audit; UPDATE and DELETE are refused by triggers, which the migration makes.
audit_events = sa.Table(
    "audit_events",
    METADATA,
    row_id(),
    maybe("organization_id", Id),
    column("at", Time),
    column("actor_kind", sa.String(16)),
    maybe("actor_id", Id),
    column("action", sa.String(64)),
    maybe("target", sa.String(128)),
    column("outcome", sa.String(16)),
    maybe("door", sa.String(32)),
    maybe("address_hash", sa.String(64)),
    maybe("address_network", sa.String(64)),
    column("data", Json),
    sa.Index(None, "organization_id", "at"),
)

# idempotency
idempotency = sa.Table(
    "idempotency",
    METADATA,
    row_id(),
    column("organization_id", Id),
    column("principal", sa.String(64)),
    column("method", sa.String(8)),
    column("route", sa.String(255)),
    column("key", sa.String(255)),
    column("request_sha256", sa.LargeBinary),
    column("is_done", Flag),
    maybe("status", sa.Integer),
    maybe("body", sa.LargeBinary),
    column("created_at", Time),
    sa.UniqueConstraint("organization_id", "principal", "method", "route", "key"),
    sa.Index(None, "created_at"),
)

# house
instance = sa.Table(
    "instance",
    METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    column("value", sa.Text),
)
