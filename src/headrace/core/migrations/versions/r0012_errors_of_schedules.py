"""Why a schedule does not run; how often a subscription was answered; headers of first answers, all empty, go."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("workflow_schedules", sa.Column("error", sa.Text(), nullable=True))
    op.add_column("billing_customers", sa.Column("answers", sa.Integer(), nullable=True))
    op.drop_column("idempotency", "headers")
