"""Panels of the last hours, whenever they are looked at."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("panels", sa.Column("recent", sa.BigInteger(), nullable=True))
