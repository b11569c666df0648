"""Tables of `core/groups`.

What is counted hangs on a fingerprint, what people do on a group: several fingerprints may point to one group, and
moving one to another group takes its counts along. Sums over a group's fingerprints stand in the group too, as lists
are sorted by them.
"""

import sqlalchemy as sa

from headrace.core.schema.columns import METADATA, Id, Json, Time, column, maybe, row_id

error_groups = sa.Table(
    "error_groups",
    METADATA,
    row_id(),
    column("organization_id", Id),
    column("project_id", Id),
    # The one that made the group.
    column("fingerprint", sa.String(64)),
    maybe("error_type", sa.Text),
    maybe("error_message", sa.Text),
    maybe("platform", sa.String(255)),
    column("first_seen", Time),
    column("last_seen", Time),
    column("occurrence_count", sa.BigInteger),
    column("status", sa.String(16)),
    maybe("assigned_to", Id, sa.ForeignKey("accounts.id")),
    maybe("sample_log_id", sa.String(64)),
    maybe("resolved_at", Time),
    maybe("resolved_in_release", sa.String(255)),
    column("created_at", Time),
    column("updated_at", Time),
    sa.Column("user_count", sa.BigInteger, nullable=False, server_default="0"),
    # Since when it is open again; empty once somebody sets a state.
    maybe("regressed_at", Time),
    # The group that took its fingerprints; a merged group is in no list.
    maybe("merged_into", Id),
    maybe("muted_until", Time),
    # A mute that ends with a rate or a number of users: core/groups/muting.
    maybe("mute_rule", Json),
    sa.UniqueConstraint("project_id", "fingerprint"),
    sa.ForeignKeyConstraint(["organization_id", "project_id"], ["projects.organization_id", "projects.id"]),
    sa.Index(None, "project_id", "last_seen"),
    sa.Index(None, "merged_into"),
    sa.Index(None, "muted_until"),
)
error_fingerprints = sa.Table(
    "error_fingerprints",
    METADATA,
    row_id(),
    column("organization_id", Id),
    column("project_id", Id),
    column("fingerprint", sa.String(64)),
    # Of the rule that made it: core/events/fingerprint.
    column("version", sa.Integer),
    column("group_id", Id, sa.ForeignKey("error_groups.id")),
    # The group that it goes back to when a merge is undone.
    column("origin_id", Id, sa.ForeignKey("error_groups.id")),
    column("occurrence_count", sa.BigInteger),
    column("first_seen", Time),
    column("last_seen", Time),
    maybe("sample_log_id", sa.String(64)),
    # What went into it; empty where no event could be asked.
    maybe("reason", Json),
    column("created_at", Time),
    sa.UniqueConstraint("project_id", "fingerprint"),
    sa.ForeignKeyConstraint(["organization_id", "project_id"], ["projects.organization_id", "projects.id"]),
    sa.Index(None, "group_id"),
    sa.Index(None, "origin_id"),
)
error_hours = sa.Table(
    "error_hours",
    METADATA,
    sa.Column("fingerprint_id", Id, sa.ForeignKey("error_fingerprints.id"), primary_key=True),
    sa.Column("hour", Time, primary_key=True),
    column("count", sa.BigInteger),
)
# Where a fingerprint was seen; an empty text is no release or environment, or one of those beyond the limit.
error_places = sa.Table(
    "error_places",
    METADATA,
    sa.Column("fingerprint_id", Id, sa.ForeignKey("error_fingerprints.id"), primary_key=True),
    sa.Column("release", sa.String(255), primary_key=True),
    sa.Column("environment", sa.String(255), primary_key=True),
    column("count", sa.BigInteger),
    column("first_seen", Time),
    column("last_seen", Time),
)
error_users = sa.Table(
    "error_users",
    METADATA,
    sa.Column("fingerprint_id", Id, sa.ForeignKey("error_fingerprints.id"), primary_key=True),
    column("registers", sa.LargeBinary),
)
# Releases of a project in the order in which errors, or people, first named them.
error_releases = sa.Table(
    "error_releases",
    METADATA,
    row_id(),
    column("project_id", Id, sa.ForeignKey("projects.id")),
    column("release", sa.String(255)),
    column("first_seen", Time),
    column("last_seen", Time),
    sa.UniqueConstraint("project_id", "release"),
)
group_comments = sa.Table(
    "group_comments",
    METADATA,
    row_id(),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("group_id", Id, sa.ForeignKey("error_groups.id")),
    maybe("account_id", Id, sa.ForeignKey("accounts.id")),
    column("text", sa.Text),
    column("created_at", Time),
    maybe("edited_at", Time),
    sa.Index(None, "group_id", "id"),
)
group_activity = sa.Table(
    "group_activity",
    METADATA,
    row_id(),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("group_id", Id, sa.ForeignKey("error_groups.id")),
    column("at", Time),
    column("actor_kind", sa.String(16)),
    maybe("account_id", Id, sa.ForeignKey("accounts.id")),
    column("kind", sa.String(32)),
    column("data", Json),
    sa.Index(None, "group_id", "id"),
)
group_news = sa.Table(
    "group_news",
    METADATA,
    row_id(),
    column("organization_id", Id),
    column("project_id", Id),
    column("group_id", Id),
    column("kind", sa.String(16)),
    column("at", Time),
    sa.Index(None, "project_id", "id"),
)
