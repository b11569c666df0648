"""Tables of `core/workflows`. What is to be done and was done stands in those of `core/jobs`."""

import sqlalchemy as sa

from headrace.core.schema.columns import METADATA, Id, Time, column, maybe, row_id

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
