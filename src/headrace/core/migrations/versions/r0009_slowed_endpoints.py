"""Endpoints that are slowed; a group's time of arrival, which nothing read, goes."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("webhook_endpoints", sa.Column("slowed_until", sa.BigInteger(), nullable=True))
    op.drop_column("error_groups", "sample_received_at")
