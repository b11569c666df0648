"""Tables of `core/people` and `core/uptime`."""

import sqlalchemy as sa

from headrace.core.schema.columns import METADATA, Id, Json, Time, column, maybe

people = sa.Table(
    "people",
    METADATA,
    sa.Column("id", sa.String(32), primary_key=True),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("email", sa.String(320)),
    maybe("name", sa.String(255)),
    maybe("locale", sa.String(35)),
    maybe("currency", sa.String(3)),
    column("meta", Json),
    column("created_at", Time),
    column("updated_at", Time),
    sa.UniqueConstraint("organization_id", "email"),
)
# A row for each minute in which a server was up; what it counts are write requests.
uptime_minutes = sa.Table(
    "uptime_minutes",
    METADATA,
    # Minutes since 1970-01-01 UTC.
    sa.Column("minute", Id, primary_key=True, autoincrement=False),
    column("writes", sa.BigInteger),
    column("recorded", sa.BigInteger),
)
