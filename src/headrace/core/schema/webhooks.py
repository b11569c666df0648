"""Tables of `core/webhooks`: endpoints, messages, their deliveries and each attempt of one."""

import sqlalchemy as sa

from headrace.core.schema.columns import METADATA, Flag, Id, Json, Time, column, maybe, row_id

endpoints = sa.Table(
    "webhook_endpoints",
    METADATA,
    sa.Column("id", sa.String(40), primary_key=True),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("url", sa.Text),
    column("events", Json),
    maybe("description", sa.String(255)),
    # Sealed, as is what callers put into headers: tokens, mostly.
    column("secret", sa.LargeBinary),
    maybe("previous_secret", sa.LargeBinary),
    maybe("previous_until", Time),
    maybe("headers", sa.LargeBinary),
    column("is_active", Flag),
    maybe("disabled_reason", sa.String(16)),
    maybe("disabled_at", Time),
    # Of all attempts since the last one that succeeded.
    maybe("failing_since", Time),
    column("failures", sa.Integer),
    column("warned_percent", sa.Integer),
    maybe("last_triggered_at", Time),
    # So long it gets less than others, because it said that it has too much.
    maybe("slowed_until", Time),
    maybe("account_id", Id),
    column("created_at", Time),
    column("updated_at", Time),
    sa.UniqueConstraint("organization_id", "id"),
)
messages = sa.Table(
    "webhook_messages",
    METADATA,
    sa.Column("id", sa.String(40), primary_key=True),
    column("organization_id", Id),
    column("event", sa.String(128)),
    # The bytes that are signed and sent, of every attempt.
    column("body", sa.LargeBinary),
    column("created_at", Time),
    sa.UniqueConstraint("organization_id", "id"),
    sa.Index(None, "created_at"),
)
deliveries = sa.Table(
    "webhook_deliveries",
    METADATA,
    sa.Column("id", sa.String(40), primary_key=True),
    column("organization_id", Id),
    column("kind", sa.String(16)),
    maybe("endpoint_id", sa.String(40)),
    column("message_id", sa.String(40)),
    column("event", sa.String(128)),
    column("url", sa.Text),
    # Of a callback: the key whose secret signs it.
    maybe("key_id", Id),
    column("status", sa.String(16)),
    # Which job counts; one that was put in before the last redelivery does nothing.
    column("round", sa.Integer),
    column("attempts", sa.Integer),
    column("created_at", Time),
    maybe("last_attempt_at", Time),
    # Empty while it is pending: kept until its endpoint is switched on.
    maybe("next_attempt_at", Time),
    maybe("response_status", sa.Integer),
    maybe("error", sa.String(16)),
    sa.ForeignKeyConstraint(
        ["organization_id", "endpoint_id"], ["webhook_endpoints.organization_id", "webhook_endpoints.id"]
    ),
    sa.ForeignKeyConstraint(
        ["organization_id", "message_id"], ["webhook_messages.organization_id", "webhook_messages.id"]
    ),
    sa.Index(None, "organization_id", "id"),
    sa.Index(None, "endpoint_id", "id"),
    sa.Index(None, "message_id"),
)
attempts = sa.Table(
    "webhook_attempts",
    METADATA,
    row_id(),
    column("delivery_id", sa.String(40), sa.ForeignKey("webhook_deliveries.id")),
    column("number", sa.Integer),
    column("at", Time),
    column("duration_us", sa.BigInteger),
    maybe("response_status", sa.Integer),
    maybe("error", sa.String(16)),
    column("request_headers", Json),
    # The first 4 KiB of it.
    maybe("response", sa.Text),
    maybe("next_attempt_at", Time),
    sa.Index(None, "delivery_id", "id"),
)
# Signs callbacks of jobs that no key made.
secrets = sa.Table(
    "webhook_secrets",
    METADATA,
    sa.Column("organization_id", Id, sa.ForeignKey("organizations.id"), primary_key=True, autoincrement=False),
    column("secret", sa.LargeBinary),
    column("created_at", Time),
)
