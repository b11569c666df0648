"""Tables of `core/jobs` and `core/workflows`."""

import sqlalchemy as sa

from headrace.core.schema.columns import METADATA, Id, Json, Time, column, maybe, row_id

READY = sa.text("state = 'ready'")
SCHEDULED = sa.text("state = 'scheduled'")
HELD = sa.text("state IN ('running', 'cancelling')")
LIVE = sa.text("finished_at IS NULL")
FAILED = sa.text("state = 'failed'")
KEYED = sa.text("unique_key IS NOT NULL")
OVER = sa.text("purge_at IS NOT NULL")


def partial(name: str, *columns: str, where: sa.TextClause, unique: bool = False) -> sa.Index:
    """An index of the few rows that are of interest, so that history costs the hot paths nothing."""
    return sa.Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


# jobs. Ids are never given twice, also not after the last one is deleted.
jobs = sa.Table(
    "jobs",
    METADATA,
    row_id(),
    column("token", sa.String(32)),
    # No foreign key: it would lock the organization's row in every enqueue.
    column("organization_id", Id),
    column("kind", sa.String(64)),
    maybe("name", sa.String(128)),
    maybe("view", sa.String(16)),
    column("lane", sa.String(160)),
    column("state", sa.String(16)),
    column("priority", sa.Integer),
    column("payload", Json),
    column("attempt", sa.Integer),
    column("tries", sa.Integer),
    column("run_at", Time),
    maybe("progress_done", sa.BigInteger),
    maybe("progress_total", sa.BigInteger),
    maybe("progress_message", sa.Text),
    maybe("result", Json),
    maybe("error", sa.Text),
    maybe("callback_url", sa.Text),
    maybe("account_id", Id),
    maybe("key_id", Id),
    column("created_at", Time),
    maybe("started_at", Time),
    maybe("finished_at", Time),
    # The order of claims in a lane: run_at less 30 s per point of priority.
    column("ord", sa.BigInteger),
    maybe("unique_key", sa.String(255)),
    maybe("worker", sa.String(96)),
    maybe("lease_until", Time),
    maybe("purge_at", Time),
    # The last failures with their tracebacks: for the operator's eyes.
    maybe("errors", Json),
    sa.UniqueConstraint("token"),
    partial("ix_jobs_ready", "kind", "lane", "ord", "id", where=READY),
    partial("ix_jobs_scheduled", "run_at", where=SCHEDULED),
    partial("ix_jobs_held", "kind", "lane", "lease_until", where=HELD),
    partial("ix_jobs_live", "organization_id", "id", where=LIVE),
    partial("ix_jobs_failed", "organization_id", "id", where=FAILED),
    partial("ix_jobs_unique", "organization_id", "kind", "unique_key", where=KEYED, unique=True),
    partial("ix_jobs_purge", "purge_at", where=OVER),
    sa.Index("ix_jobs_organization_id_id", "organization_id", "id"),
    sqlite_autoincrement=True,
)
job_steps = sa.Table(
    "job_steps",
    METADATA,
    sa.Column("job_id", Id, sa.ForeignKey("jobs.id"), primary_key=True),
    sa.Column("name", sa.String(128), primary_key=True),
    column("output", Json),
    column("attempt", sa.Integer),
    column("created_at", Time),
)
# What ended, all time: history is never counted again. `view` is empty for jobs without one.
job_totals = sa.Table(
    "job_totals",
    METADATA,
    sa.Column("organization_id", Id, primary_key=True, autoincrement=False),
    sa.Column("view", sa.String(16), primary_key=True),
    sa.Column("state", sa.String(16), primary_key=True),
    column("number", sa.BigInteger),
    column("sum_us", sa.BigInteger),
)
# `kind` is empty for all kinds, `organization_id` 0 for all organizations.
job_pauses = sa.Table(
    "job_pauses",
    METADATA,
    sa.Column("kind", sa.String(64), primary_key=True),
    sa.Column("organization_id", Id, primary_key=True, autoincrement=False),
    column("created_at", Time),
)
# Who looks after all jobs just now: one process at a time.
job_leaders = sa.Table(
    "job_leaders",
    METADATA,
    sa.Column("name", sa.String(32), primary_key=True),
    column("holder", sa.String(96)),
    column("until", Time),
)
