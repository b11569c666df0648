"""Tables of `core/workflows`. What is to be done and was done stands in those of `core/jobs`."""

import sqlalchemy as sa

from headrace.core.schema.columns import METADATA, Id, Json, Time, column, maybe, row_id

RUNNING = sa.text("paused_at IS NULL")
# A workflow that an organization defined: an endpoint it is pushed to, a queue, or a function that some server has.
workflow_definitions = sa.Table(
    "workflow_definitions",
    METADATA,
    row_id(),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("name", sa.String(128)),
    column("kind", sa.String(16)),
    maybe("url", sa.Text),
    maybe("secret", sa.LargeBinary),
    column("timeout_seconds", sa.Integer),
    column("tries", sa.Integer),
    column("concurrency", sa.Integer),
    maybe("paused_at", Time),
    maybe("created_by", Id, sa.ForeignKey("accounts.id")),
    column("created_at", Time),
    column("updated_at", Time),
    sa.UniqueConstraint("organization_id", "name"),
)
# A workflow that is started at every time that a cron expression names.
workflow_schedules = sa.Table(
    "workflow_schedules",
    METADATA,
    row_id(),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("name", sa.String(128)),
    column("workflow", sa.String(128)),
    column("payload", Json),
    column("priority", sa.Integer),
    column("cron", sa.String(128)),
    column("time_zone", sa.String(64)),
    column("missed", sa.String(8)),
    column("overlap", sa.String(8)),
    maybe("paused_at", Time),
    column("next_at", Time),
    maybe("last_at", Time),
    maybe("last_job_id", Id),
    column("skipped", sa.BigInteger),
    maybe("error", sa.Text),
    maybe("created_by", Id, sa.ForeignKey("accounts.id")),
    column("created_at", Time),
    column("updated_at", Time),
    sa.UniqueConstraint("organization_id", "name"),
    sa.Index("ix_workflow_schedules_due", "next_at", sqlite_where=RUNNING, postgresql_where=RUNNING),
)
# Who pulled from a queue, and when last: written a few times a minute, not at every request.
workflow_workers = sa.Table(
    "workflow_workers",
    METADATA,
    sa.Column("organization_id", Id, sa.ForeignKey("organizations.id"), primary_key=True),
    sa.Column("queue", sa.String(128), primary_key=True),
    sa.Column("worker", sa.String(128), primary_key=True),
    column("first_seen_at", Time),
    column("seen_at", Time),
    sa.Index(None, "seen_at"),
)
