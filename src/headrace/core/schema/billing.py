"""Tables of `core/billing`: customers, orders, subscriptions, invoices, and the events that changed them."""

import sqlalchemy as sa

from headrace.core.schema.columns import METADATA, Flag, Id, Time, column, maybe, row_id

# Amounts are in minor units of the currency; ids that come from outside are the provider's.
customers = sa.Table(
    "billing_customers",
    METADATA,
    row_id(),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("provider", sa.String(16)),
    column("external_id", sa.String(255)),
    maybe("answers", sa.Integer),
    column("created_at", Time),
    sa.UniqueConstraint("organization_id", "provider"),
    sa.UniqueConstraint("external_id"),
)
checkouts = sa.Table(
    "billing_checkouts",
    METADATA,
    sa.Column("id", sa.String(255), primary_key=True),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("provider", sa.String(16)),
    column("mode", sa.String(16)),
    # What is bought: a price id, or the name of a plan.
    column("item", sa.String(255)),
    maybe("email", sa.String(320)),
    # Whom it is for, in the caller's own words.
    maybe("reference", sa.String(255)),
    # Unknown until the operator names it, where no price is set.
    maybe("amount", sa.BigInteger),
    column("currency", sa.String(3)),
    column("success_url", sa.Text),
    column("cancel_url", sa.Text),
    column("status", sa.String(16)),
    maybe("invoice_external_id", sa.String(255)),
    column("created_at", Time),
    column("expires_at", Time),
    sa.Index(None, "invoice_external_id"),
    sa.Index(None, "organization_id"),
)
subscriptions = sa.Table(
    "subscriptions",
    METADATA,
    row_id(),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    maybe("external_id", sa.String(255)),
    column("plan", sa.String(32)),
    column("status", sa.String(32)),
    maybe("period_start", Time),
    maybe("period_end", Time),
    column("cancel_at_period_end", Flag),
    column("created_at", Time),
    column("updated_at", Time),
    sa.UniqueConstraint("external_id"),
    sa.UniqueConstraint("organization_id", "id"),
)
invoices = sa.Table(
    "invoices",
    METADATA,
    row_id(),
    column("organization_id", Id, sa.ForeignKey("organizations.id")),
    column("external_id", sa.String(255)),
    # An invoice may be known before its subscription is.
    maybe("subscription_external_id", sa.String(255)),
    column("amount_due", sa.BigInteger),
    column("amount_paid", sa.BigInteger),
    column("currency", sa.String(3)),
    column("status", sa.String(32)),
    maybe("description", sa.String(255)),
    maybe("invoice_pdf", sa.Text),
    maybe("hosted_invoice_url", sa.Text),
    maybe("period_start", Time),
    maybe("period_end", Time),
    column("created_at", Time),
    column("updated_at", Time),
    sa.UniqueConstraint("external_id"),
    sa.Index(None, "organization_id", "id"),
)
billing_events = sa.Table(
    "billing_events",
    METADATA,
    row_id(),
    column("external_id", sa.String(255)),
    column("source", sa.String(16)),
    column("type", sa.String(128)),
    maybe("organization_id", Id),
    column("outcome", sa.String(16)),
    column("created_at", Time),
    column("received_at", Time),
    sa.UniqueConstraint("external_id"),
)
# What happened last to each object: its time, and among events of one second the later step of its life.
billing_objects = sa.Table(
    "billing_objects",
    METADATA,
    sa.Column("external_id", sa.String(255), primary_key=True),
    column("last_event_at", Time),
    column("last_step", sa.Integer),
)
