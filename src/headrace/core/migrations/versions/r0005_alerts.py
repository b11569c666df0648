"""Saved searches and alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.BigInteger()


def of_project(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id", "project_id"],
        ["projects.organization_id", "projects.id"],
        name=f"fk_{table}_organization_id_project_id",
    )


def upgrade() -> None:
    op.create_table(
        "saved_searches",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=True),
        sa.Column("time_from", TIME, nullable=True),
        sa.Column("time_to", TIME, nullable=True),
        sa.Column("columns", sa.Text(), nullable=False),
        sa.Column("view", sa.String(length=16), nullable=False),
        sa.Column("is_shared", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        of_project("saved_searches"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_saved_searches_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_saved_searches"),
    )
    op.create_index(
        "ix_saved_searches_organization_id_project_id_id", "saved_searches", ["organization_id", "project_id", "id"]
    )
    alerts()


def alerts() -> None:
    op.create_table(
        "alert_rules",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("every_seconds", sa.Integer(), nullable=False),
        sa.Column("for_seconds", sa.Integer(), nullable=False),
        sa.Column("cool_down_seconds", sa.Integer(), nullable=False),
        sa.Column("is_enabled", sa.SmallInteger(), nullable=False),
        sa.Column("muted_until", TIME, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("held_since", TIME, nullable=True),
        sa.Column("resolved_at", TIME, nullable=True),
        sa.Column("is_told", sa.SmallInteger(), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("sample_log_id", sa.String(length=64), nullable=True),
        sa.Column("evaluated_at", TIME, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("error_count", sa.Integer(), nullable=False),
        sa.Column("news_id", sa.BigInteger(), nullable=False),
        sa.Column("news_at", TIME, nullable=True),
        sa.Column("next_run_at", TIME, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        of_project("alert_rules"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_alert_rules_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_alert_rules"),
        sa.UniqueConstraint("organization_id", "id", name="uq_alert_rules_organization_id_id"),
    )
    op.create_index("ix_alert_rules_organization_id_project_id", "alert_rules", ["organization_id", "project_id"])
    op.create_index("ix_alert_rules_is_enabled_next_run_at", "alert_rules", ["is_enabled", "next_run_at"])
    op.create_table(
        "alert_transitions",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("rule_id", ID, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("from_state", sa.String(length=16), nullable=False),
        sa.Column("to_state", sa.String(length=16), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("sample_log_id", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("is_told", sa.SmallInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "rule_id"],
            ["alert_rules.organization_id", "alert_rules.id"],
            name="fk_alert_transitions_organization_id_rule_id",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_alert_transitions"),
    )
    op.create_index("ix_alert_transitions_rule_id_id", "alert_transitions", ["rule_id", "id"])
