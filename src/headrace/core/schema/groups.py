"""Tables of `core/groups`."""

import sqlalchemy as sa

from headrace.core.schema.columns import METADATA, Id, Time, column, maybe, row_id

error_groups = sa.Table(
    "error_groups",
    METADATA,
    row_id(),
    column("organization_id", Id),
    column("project_id", Id),
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
    maybe("sample_received_at", Time),
    maybe("resolved_at", Time),
    maybe("resolved_in_release", sa.String(255)),
    column("created_at", Time),
    column("updated_at", Time),
    sa.UniqueConstraint("project_id", "fingerprint"),
    sa.ForeignKeyConstraint(["organization_id", "project_id"], ["projects.organization_id", "projects.id"]),
    sa.Index(None, "project_id", "last_seen"),
)
error_group_hours = sa.Table(
    "error_group_hours",
    METADATA,
    sa.Column("group_id", Id, sa.ForeignKey("error_groups.id"), primary_key=True),
    sa.Column("hour", Time, primary_key=True),
    column("count", sa.BigInteger),
)
