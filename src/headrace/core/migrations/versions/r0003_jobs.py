"""Jobs and workflows."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    jobs()
    indexes()
    steps()
    totals()
    schedules()
    workflows()
    if op.get_bind().dialect.name == "postgresql":
        # A job's row is written three times within seconds: room beside it, and a vacuum that keeps up.
        op.execute(
            "ALTER TABLE jobs SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, "
            "autovacuum_vacuum_cost_delay = 0)"
        )


def jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=True),
        sa.Column("view", sa.String(length=16), nullable=True),
        sa.Column("lane", sa.String(length=160), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("run_at", sa.BigInteger(), nullable=False),
        sa.Column("progress_done", sa.BigInteger(), nullable=True),
        sa.Column("progress_total", sa.BigInteger(), nullable=True),
        sa.Column("progress_message", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("callback_url", sa.Text(), nullable=True),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("key_id", ID, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("ord", sa.BigInteger(), nullable=False),
        sa.Column("unique_key", sa.String(length=255), nullable=True),
        sa.Column("batch", sa.String(length=64), nullable=True),
        sa.Column("worker", sa.String(length=96), nullable=True),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("purge_at", sa.BigInteger(), nullable=True),
        sa.Column("errors", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("token", name="uq_jobs_token"),
        sqlite_autoincrement=True,
    )


def indexes() -> None:
    for name, columns, where in (
        ("ready", ["kind", "lane", "ord", "id"], "state = 'ready'"),
        ("scheduled", ["run_at"], "state = 'scheduled'"),
        ("held", ["kind", "lane", "lease_until"], "state IN ('running', 'cancelling')"),
        ("live", ["organization_id", "id"], "finished_at IS NULL"),
        ("failed", ["organization_id", "id"], "state = 'failed'"),
        ("unique", ["organization_id", "kind", "unique_key"], "unique_key IS NOT NULL"),
        ("purge", ["purge_at"], "purge_at IS NOT NULL"),
    ):
        op.create_index(
            f"ix_jobs_{name}",
            "jobs",
            columns,
            unique=name == "unique",
            sqlite_where=sa.text(where),
            postgresql_where=sa.text(where),
        )
    op.create_index("ix_jobs_organization_id_id", "jobs", ["organization_id", "id"])


def steps() -> None:
    op.create_table(
        "job_steps",
        sa.Column("job_id", ID, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_job_steps_job_id"),
        sa.PrimaryKeyConstraint("job_id", "name", name="pk_job_steps"),
    )


def totals() -> None:
    op.create_table(
        "job_totals",
        sa.Column("organization_id", ID, autoincrement=False, nullable=False),
        sa.Column("view", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("sum_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "view", "state", name="pk_job_totals"),
    )
    op.create_table(
        "job_pauses",
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("organization_id", ID, autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "organization_id", name="pk_job_pauses"),
    )


def schedules() -> None:
    op.create_table(
        "job_schedules",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("cron", sa.String(length=128), nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("missed", sa.String(length=8), nullable=False),
        sa.Column("is_paused", sa.SmallInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_job_schedules"),
        sa.UniqueConstraint("organization_id", "name", name="uq_job_schedules_organization_id_name"),
    )
    op.create_index("ix_job_schedules_next_at", "job_schedules", ["next_at"])
    op.create_table(
        "job_leaders",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("holder", sa.String(length=96), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_job_leaders"),
    )


def workflows() -> None:
    op.create_table(
        "workflow_definitions",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("secret", sa.LargeBinary(), nullable=True),
        sa.Column("timeout_seconds", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("paused_at", sa.BigInteger(), nullable=True),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_workflow_definitions_organization_id"
        ),
        sa.ForeignKeyConstraint(["created_by"], ["accounts.id"], name="fk_workflow_definitions_created_by"),
        sa.PrimaryKeyConstraint("id", name="pk_workflow_definitions"),
        sa.UniqueConstraint("organization_id", "name", name="uq_workflow_definitions_organization_id_name"),
    )
    op.create_table(
        "workflow_workers",
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("queue", sa.String(length=128), nullable=False),
        sa.Column("worker", sa.String(length=128), nullable=False),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_workflow_workers_organization_id"),
        sa.PrimaryKeyConstraint("organization_id", "queue", "worker", name="pk_workflow_workers"),
    )
    op.create_index("ix_workflow_workers_seen_at", "workflow_workers", ["seen_at"])
