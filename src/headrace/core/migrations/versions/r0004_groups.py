"""Error groups: fingerprints apart from groups, releases, users, merges, mutes, comments, activity, news."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
PROJECT = ["projects.organization_id", "projects.id"]


def upgrade() -> None:
    groups()
    fingerprints()
    counts()
    releases()
    comments()
    activity()
    news()
    move()


def groups() -> None:
    with op.batch_alter_table("error_groups") as batch:
        batch.add_column(sa.Column("user_count", sa.BigInteger(), nullable=False, server_default="0"))
        for name in ("regressed_at", "muted_until"):
            batch.add_column(sa.Column(name, sa.BigInteger(), nullable=True))
        batch.add_column(sa.Column("merged_into", ID, nullable=True))
        batch.add_column(sa.Column("mute_rule", sa.Text(), nullable=True))
    op.create_index("ix_error_groups_merged_into", "error_groups", ["merged_into"])
    op.create_index("ix_error_groups_muted_until", "error_groups", ["muted_until"])


def fingerprints() -> None:
    op.create_table(
        "error_fingerprints",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("group_id", ID, nullable=False),
        sa.Column("origin_id", ID, nullable=False),
        sa.Column("occurrence_count", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("sample_log_id", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["error_groups.id"], name="fk_error_fingerprints_group_id"),
        sa.ForeignKeyConstraint(["origin_id"], ["error_groups.id"], name="fk_error_fingerprints_origin_id"),
        sa.ForeignKeyConstraint(
            ["organization_id", "project_id"], PROJECT, name="fk_error_fingerprints_organization_id_project_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_error_fingerprints"),
        sa.UniqueConstraint("project_id", "fingerprint", name="uq_error_fingerprints_project_id_fingerprint"),
    )
    op.create_index("ix_error_fingerprints_group_id", "error_fingerprints", ["group_id"])
    op.create_index("ix_error_fingerprints_origin_id", "error_fingerprints", ["origin_id"])


def counts() -> None:
    op.create_table(
        "error_hours",
        sa.Column("fingerprint_id", ID, nullable=False),
        sa.Column("hour", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["fingerprint_id"], ["error_fingerprints.id"], name="fk_error_hours_fingerprint_id"),
        sa.PrimaryKeyConstraint("fingerprint_id", "hour", name="pk_error_hours"),
    )
    op.create_table(
        "error_places",
        sa.Column("fingerprint_id", ID, nullable=False),
        sa.Column("release", sa.String(length=255), nullable=False),
        sa.Column("environment", sa.String(length=255), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["fingerprint_id"], ["error_fingerprints.id"], name="fk_error_places_fingerprint_id"),
        sa.PrimaryKeyConstraint("fingerprint_id", "release", "environment", name="pk_error_places"),
    )
    op.create_table(
        "error_users",
        sa.Column("fingerprint_id", ID, nullable=False),
        sa.Column("registers", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["fingerprint_id"], ["error_fingerprints.id"], name="fk_error_users_fingerprint_id"),
        sa.PrimaryKeyConstraint("fingerprint_id", name="pk_error_users"),
    )


def releases() -> None:
    op.create_table(
        "error_releases",
        sa.Column("id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("release", sa.String(length=255), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="fk_error_releases_project_id"),
        sa.PrimaryKeyConstraint("id", name="pk_error_releases"),
        sa.UniqueConstraint("project_id", "release", name="uq_error_releases_project_id_release"),
    )


def comments() -> None:
    op.create_table(
        "group_comments",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("group_id", ID, nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("edited_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_group_comments_organization_id"),
        sa.ForeignKeyConstraint(["group_id"], ["error_groups.id"], name="fk_group_comments_group_id"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_group_comments_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_group_comments"),
    )
    op.create_index("ix_group_comments_group_id_id", "group_comments", ["group_id", "id"])


def activity() -> None:
    op.create_table(
        "group_activity",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("group_id", ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor_kind", sa.String(length=16), nullable=False),
        sa.Column("account_id", ID, nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name="fk_group_activity_organization_id"),
        sa.ForeignKeyConstraint(["group_id"], ["error_groups.id"], name="fk_group_activity_group_id"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_group_activity_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_group_activity"),
    )
    op.create_index("ix_group_activity_group_id_id", "group_activity", ["group_id", "id"])


def news() -> None:
    op.create_table(
        "group_news",
        sa.Column("id", ID, nullable=False),
        sa.Column("organization_id", ID, nullable=False),
        sa.Column("project_id", ID, nullable=False),
        sa.Column("group_id", ID, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_group_news"),
    )
    op.create_index("ix_group_news_project_id_id", "group_news", ["project_id", "id"])


def move() -> None:
    """Give every group that there is its fingerprint, of the first version, and its counts by hour."""
    op.execute(
        "INSERT INTO error_fingerprints (organization_id, project_id, fingerprint, version, group_id, origin_id,"
        " occurrence_count, first_seen, last_seen, sample_log_id, created_at)"
        " SELECT organization_id, project_id, fingerprint, 1, id, id,"
        " occurrence_count, first_seen, last_seen, sample_log_id, created_at FROM error_groups ORDER BY id"
    )
    op.execute(
        "INSERT INTO error_hours (fingerprint_id, hour, count) SELECT marks.id, hours.hour, hours.count"
        " FROM error_group_hours AS hours JOIN error_fingerprints AS marks ON marks.group_id = hours.group_id"
    )
    op.drop_table("error_group_hours")
