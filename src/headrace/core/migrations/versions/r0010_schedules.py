"""Schedules start workflows; those of kinds of jobs, and a column of jobs, which nothing used, go."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.drop_table("job_schedules")
    op.drop_column("jobs", "batch")
    op.create_table(
        "workflow_schedules",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("workflow", sa.String(length=128), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("cron", sa.String(length=128), nullable=False),
        sa.Column("time_zone", sa.String(length=64), nullable=False),
        sa.Column("missed", sa.String(length=8), nullable=False),
        sa.Column("overlap", sa.String(length=8), nullable=False),
        sa.Column("paused_at", sa.BigInteger(), nullable=True),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=True),
        sa.Column("last_job_id", ID, nullable=True),
        sa.Column("skipped", sa.BigInteger(), nullable=False),
        sa.Column("created_by", ID, nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_workflow_schedules_organization_id"
        ),
        sa.ForeignKeyConstraint(["created_by"], ["accounts.id"], name="fk_workflow_schedules_created_by"),
        sa.PrimaryKeyConstraint("id", name="pk_workflow_schedules"),
        sa.UniqueConstraint("organization_id", "name", name="uq_workflow_schedules_organization_id_name"),
    )
    op.create_index(
        "ix_workflow_schedules_due",
        "workflow_schedules",
        ["next_at"],
        sqlite_where=sa.text("paused_at IS NULL"),
        postgresql_where=sa.text("paused_at IS NULL"),
    )
