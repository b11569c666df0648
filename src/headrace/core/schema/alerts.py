"""Tables of `core/searches` and `core/alerts`."""

import sqlalchemy as sa

from headrace.core.schema.columns import METADATA, Flag, Id, Json, Time, column, maybe, row_id

# searches
saved_searches = sa.Table(
    "saved_searches",
    METADATA,
    row_id(),
    column("organization_id", Id),
    column("project_id", Id),
    # Whose it is; None for one that a key without an owner or the operator made, which is shared.
    maybe("account_id", Id, sa.ForeignKey("accounts.id")),
    column("name", sa.String(255)),
    column("query", sa.Text),
    # Either the name of a period that ends now, or the two ends of one that stays.
    maybe("period", sa.String(16)),
    maybe("time_from", Time),
    maybe("time_to", Time),
    column("columns", Json),
    column("view", sa.String(16)),
    column("is_shared", Flag),
    column("created_at", Time),
    column("updated_at", Time),
    sa.ForeignKeyConstraint(["organization_id", "project_id"], ["projects.organization_id", "projects.id"]),
    sa.Index(None, "organization_id", "project_id", "id"),
)

# alerts
alert_rules = sa.Table(
    "alert_rules",
    METADATA,
    row_id(),
    column("organization_id", Id),
    column("project_id", Id),
    maybe("account_id", Id, sa.ForeignKey("accounts.id")),
    column("name", sa.String(255)),
    # What is measured and compared; one record of `core/alerts/definition`.
    column("definition", Json),
    column("every_seconds", sa.Integer),
    column("for_seconds", sa.Integer),
    column("cool_down_seconds", sa.Integer),
    column("is_enabled", Flag),
    maybe("muted_until", Time),
    column("state", sa.String(16)),
    # Since when it is in its state; since when the condition holds without a break; when it was resolved last.
    column("since", Time),
    maybe("held_since", Time),
    maybe("resolved_at", Time),
    # 1 when it fires and somebody was told so.
    column("is_told", Flag),
    maybe("value", sa.Float),
    maybe("sample_log_id", sa.String(64)),
    maybe("evaluated_at", Time),
    maybe("error", sa.Text),
    column("error_count", sa.Integer),
    # News of error groups up to here were read, and when some of them counted last.
    column("news_id", sa.BigInteger),
    maybe("news_at", Time),
    column("next_run_at", Time),
    # Higher by one with every change that somebody makes, so that an evaluation of what it was before counts nothing.
    column("revision", sa.Integer),
    column("created_at", Time),
    column("updated_at", Time),
    sa.UniqueConstraint("organization_id", "id"),
    sa.ForeignKeyConstraint(["organization_id", "project_id"], ["projects.organization_id", "projects.id"]),
    sa.Index(None, "organization_id", "project_id"),
    sa.Index(None, "is_enabled", "next_run_at"),
)
alert_transitions = sa.Table(
    "alert_transitions",
    METADATA,
    row_id(),
    column("organization_id", Id),
    column("rule_id", Id),
    column("at", Time),
    column("from_state", sa.String(16)),
    column("to_state", sa.String(16)),
    maybe("value", sa.Float),
    maybe("sample_log_id", sa.String(64)),
    column("reason", sa.Text),
    column("is_told", Flag),
    sa.ForeignKeyConstraint(["organization_id", "rule_id"], ["alert_rules.organization_id", "alert_rules.id"]),
    sa.Index(None, "rule_id", "id"),
)
