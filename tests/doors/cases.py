"""How to call each route of every door rightly: what the refusal suite then does wrongly. A new route adds its case."""

from typing import Any, NamedTuple

LOG = {"timestamp": "2025-10-17T10:00:00Z", "level": "info", "log_type": "console", "importance": "standard"}
EVENT = {"occurred_at": "2025-10-17T10:00:00Z", "level": "INFO", "message": "Started"}
PANEL = {
    "name": "Errors",
    "index": 0,
    "project_id": "project-a",
    "time_range_from": "2025-10-01T00:00:00Z",
    "time_range_to": "2025-10-30T23:59:59Z",
    "type": "logs",
}
NOBODY, FORBIDDEN, UNSEEN = "You do not own this project", "You do not own this API key", "Error group not found"
# What another tenant's good credential gets with this tenant's ids; None where a route names no id.
Foreign = tuple[int, str] | None


class Case(NamedTuple):
    """How to call a route rightly: its path with `{}` filled from the tenant, its body, its query."""

    path: str
    body: Any = None
    query: str = ""
    foreign: Foreign = None


QUERY = "project_id={project_id}"
PROJECT: Foreign = (403, NOBODY)
NO_WEBHOOK: Foreign = (404, "Webhook endpoint not found")
NO_DELIVERY: Foreign = (404, "Webhook delivery not found")
ALERT = {"kind": "absence", "project_id": 1}
NO_WORKFLOW: Foreign = (404, "Workflow not found")
NO_SCHEDULE: Foreign = (404, "Schedule not found")
NO_ALERT: Foreign = (404, "Alert not found")
NO_KEY: Foreign = (404, "API key not found")
NO_JOB: Foreign = (404, "Job not found")
NO_SEARCH: Foreign = (404, "Saved search not found")
NO_DELETION: Foreign = (404, "Deletion not found")
NO_APP: Foreign = (404, "application with this id does not exist")
UNKNOWN: Foreign = (404, "not_found")
NO_INGEST: Foreign = (403, "Invalid application or ingest key")


def of_group(what: str, body: Any = None) -> Case:
    return Case(f"/api/v1/error-groups/1/{what}", body, QUERY, PROJECT)


CASES: dict[tuple[str, str, str], Case] = {
    ("levqor", "GET", "/"): Case("/"),
    ("levqor", "GET", "/health"): Case("/health"),
    ("levqor", "GET", "/public/metrics"): Case("/public/metrics"),
    ("levqor", "GET", "/public/openapi.json"): Case("/public/openapi.json"),
    ("levqor", "POST", "/api/v1/intake"): Case("/api/v1/intake", {"workflow": "echo", "payload": {}}),
    ("levqor", "GET", "/api/v1/status/{job_id}"): Case("/api/v1/status/{job_id}", foreign=UNKNOWN),
    ("levqor", "POST", "/api/v1/users/upsert"): Case("/api/v1/users/upsert", {"email": "x@example.com"}),
    ("levqor", "GET", "/api/v1/users/upsert"): Case("/api/v1/users/upsert"),
    ("levqor", "PATCH", "/api/v1/users/upsert"): Case("/api/v1/users/upsert"),
    ("levqor", "GET", "/api/v1/users"): Case("/api/v1/users?email={person_email}", foreign=UNKNOWN),
    ("levqor", "GET", "/api/v1/users/{user_id}"): Case("/api/v1/users/{person_id}", foreign=UNKNOWN),
    ("levqor", "PATCH", "/api/v1/users/{user_id}"): Case("/api/v1/users/{person_id}", {"name": "New"}, foreign=UNKNOWN),
    ("levqor", "POST", "/api/v1/connect/{name}"): Case("/api/v1/connect/slack", {"action": "list_channels"}),
    ("levqor", "POST", "/billing/create-checkout-session"): Case(
        "/billing/create-checkout-session", {"price_id": "price_1"}
    ),
    ("levqor", "POST", "/billing/webhook"): Case("/billing/webhook"),
    ("ledger", "GET", "/health/deep"): Case("/health/deep"),
    ("ledger", "GET", "/api/v1/health/deep"): Case("/api/v1/health/deep"),
    ("ledger", "POST", "/api/v1/accounts/register"): Case(
        "/api/v1/accounts/register", {"email": "x@example.com", "password": "SecurePass123", "name": "X"}
    ),
    ("ledger", "POST", "/api/v1/accounts/login"): Case(
        "/api/v1/accounts/login", {"email": "x@example.com", "password": "SecurePass123"}
    ),
    ("ledger", "POST", "/api/v1/accounts/refresh"): Case("/api/v1/accounts/refresh", {"refresh_token": "hrt_x"}),
    ("ledger", "POST", "/api/v1/accounts/logout"): Case("/api/v1/accounts/logout"),
    ("ledger", "GET", "/api/v1/accounts/me"): Case("/api/v1/accounts/me"),
    ("ledger", "POST", "/api/v1/projects"): Case("/api/v1/projects", {"name": "P", "slug": "p"}),
    ("ledger", "GET", "/api/v1/projects"): Case("/api/v1/projects"),
    ("ledger", "GET", "/api/v1/projects/{project_slug}"): Case(
        "/api/v1/projects/{slug}", foreign=(404, "Project '{slug}' not found")
    ),
    ("ledger", "PATCH", "/api/v1/projects/{project_id}"): Case(
        "/api/v1/projects/{project_id}", {"name": "New"}, foreign=PROJECT
    ),
    ("ledger", "GET", "/api/v1/projects/{project_id}/quota"): Case(
        "/api/v1/projects/{project_id}/quota", foreign=PROJECT
    ),
    ("ledger", "POST", "/api/v1/projects/{project_id}/api-keys"): Case(
        "/api/v1/projects/{project_id}/api-keys", {"name": "K"}, foreign=PROJECT
    ),
    ("ledger", "GET", "/api/v1/projects/{project_id}/api-keys"): Case(
        "/api/v1/projects/{project_id}/api-keys", foreign=PROJECT
    ),
    ("ledger", "PATCH", "/api/v1/api-keys/{key_id}"): Case(
        "/api/v1/api-keys/{key_id}", {"per_minute": 10}, foreign=(403, FORBIDDEN)
    ),
    ("ledger", "DELETE", "/api/v1/api-keys/{key_id}"): Case("/api/v1/api-keys/{key_id}", foreign=(403, FORBIDDEN)),
    ("ledger", "GET", "/api/v1/dashboard/panels"): Case("/api/v1/dashboard/panels"),
    ("ledger", "POST", "/api/v1/dashboard/panels"): Case("/api/v1/dashboard/panels", PANEL),
    ("ledger", "PUT", "/api/v1/dashboard/panels/{panel_id}"): Case(
        "/api/v1/dashboard/panels/{panel_id}", PANEL, foreign=(404, "Panel not found")
    ),
    ("ledger", "DELETE", "/api/v1/dashboard/panels/{panel_id}"): Case(
        "/api/v1/dashboard/panels/{panel_id}", foreign=(404, "Panel not found")
    ),
    ("ledger", "POST", "/api/v1/ingest/single"): Case("/api/v1/ingest/single", LOG),
    ("ledger", "POST", "/api/v1/ingest/batch"): Case("/api/v1/ingest/batch", {"logs": [LOG]}),
    ("ledger", "POST", "/api/v1/ingest/lines"): Case("/api/v1/ingest/lines", LOG),
    ("ledger", "GET", "/api/v1/queue/depth"): Case("/api/v1/queue/depth"),
    ("ledger", "GET", "/api/v1/settings"): Case("/api/v1/settings"),
    ("ledger", "GET", "/api/v1/logs"): Case("/api/v1/logs", query=QUERY, foreign=PROJECT),
    ("ledger", "GET", "/api/v1/logs/facets"): Case("/api/v1/logs/facets", query=QUERY, foreign=PROJECT),
    ("ledger", "GET", "/api/v1/logs/counts"): Case("/api/v1/logs/counts", query=QUERY, foreign=PROJECT),
    ("ledger", "GET", "/api/v1/logs/histogram"): Case("/api/v1/logs/histogram", query=QUERY, foreign=PROJECT),
    ("ledger", "GET", "/api/v1/logs/stats/values"): Case("/api/v1/logs/stats/values", query=QUERY, foreign=PROJECT),
    ("ledger", "GET", "/api/v1/logs/stats/histogram"): Case(
        "/api/v1/logs/stats/histogram", query=QUERY, foreign=PROJECT
    ),
    ("ledger", "GET", "/api/v1/logs/stats/quantiles"): Case(
        "/api/v1/logs/stats/quantiles", query=QUERY, foreign=PROJECT
    ),
    ("ledger", "GET", "/api/v1/logs/stats/patterns"): Case("/api/v1/logs/stats/patterns", query=QUERY, foreign=PROJECT),
    ("ledger", "GET", "/api/v1/logs/stats/compare"): Case("/api/v1/logs/stats/compare", query=QUERY, foreign=PROJECT),
    ("ledger", "GET", "/api/v1/logs/tail"): Case("/api/v1/logs/tail", query=QUERY, foreign=PROJECT),
    ("ledger", "GET", "/api/v1/logs/export"): Case("/api/v1/logs/export", query=QUERY, foreign=PROJECT),
    ("ledger", "POST", "/api/v1/logs/deletions"): Case("/api/v1/logs/deletions", {"project_id": 1, "q": "a"}),
    ("ledger", "GET", "/api/v1/logs/deletions"): Case(
        "/api/v1/logs/deletions?project_id={project_id}", foreign=PROJECT
    ),
    ("ledger", "GET", "/api/v1/logs/deletions/{id}"): Case("/api/v1/logs/deletions/1", foreign=NO_DELETION),
    ("ledger", "DELETE", "/api/v1/logs/deletions/{id}"): Case("/api/v1/logs/deletions/1", foreign=NO_DELETION),
    ("ledger", "GET", "/api/v1/logs/{log_id}"): Case("/api/v1/logs/" + "0" * 32, query=QUERY, foreign=PROJECT),
    ("ledger", "GET", "/api/v1/errors/list"): Case("/api/v1/errors/list", query=QUERY, foreign=PROJECT),
    ("ledger", "GET", "/api/v1/error-groups"): Case("/api/v1/error-groups", query=QUERY, foreign=PROJECT),
    ("ledger", "GET", "/api/v1/error-groups/{id}"): Case("/api/v1/error-groups/1", query=QUERY, foreign=PROJECT),
    ("ledger", "PATCH", "/api/v1/error-groups/{id}/status"): Case(
        "/api/v1/error-groups/1/status", {"status": "resolved"}, QUERY, PROJECT
    ),
    ("ledger", "PATCH", "/api/v1/error-groups/{id}/assign"): Case(
        "/api/v1/error-groups/1/assign", {"assigned_to": 1}, QUERY, PROJECT
    ),
    ("ledger", "GET", "/api/v1/error-groups/{id}/comments"): of_group("comments"),
    ("ledger", "POST", "/api/v1/error-groups/{id}/comments"): of_group("comments", {"text": "Why?"}),
    ("ledger", "PATCH", "/api/v1/error-groups/{id}/comments/{comment_id}"): of_group("comments/1", {"text": "Oh."}),
    ("ledger", "DELETE", "/api/v1/error-groups/{id}/comments/{comment_id}"): of_group("comments/1"),
    ("ledger", "GET", "/api/v1/error-groups/{id}/activity"): of_group("activity"),
    ("ledger", "POST", "/api/v1/error-groups/{id}/merge"): of_group("merge", {"group_ids": [2]}),
    ("ledger", "POST", "/api/v1/error-groups/{id}/unmerge"): of_group("unmerge", {"group_id": 2}),
    ("ledger", "GET", "/api/v1/error-groups/{id}/merged"): of_group("merged"),
    ("ledger", "POST", "/api/v1/error-groups/{id}/mute"): of_group("mute", {"events": 10}),
    ("ledger", "POST", "/api/v1/error-groups/{id}/resolve"): of_group("resolve", {"release": "1"}),
    ("ledger", "GET", "/api/v1/error-groups/{id}/markdown"): of_group("markdown"),
    ("ledger", "GET", "/api/v1/error-groups/{id}/hours"): of_group("hours"),
    ("ledger", "GET", "/api/v1/error-groups/{id}/releases"): of_group("releases"),
    ("ledger", "GET", "/api/v1/error-groups/{id}/why"): of_group("why"),
    ("apps", "GET", "/apps"): Case("/apps"),
    ("apps", "GET", "/apps/"): Case("/apps/"),
    ("apps", "POST", "/apps/{name}"): Case("/apps/An%20app"),
    ("apps", "GET", "/apps/{app_id}"): Case("/apps/{project_id}", foreign=NO_APP),
    ("apps", "POST", "/apps/{app_id}/events"): Case("/apps/{project_id}/events", EVENT, foreign=NO_INGEST),
    ("apps", "GET", "/apps/{app_id}/events"): Case("/apps/{project_id}/events", foreign=NO_APP),
    ("apps", "GET", "/apps/{app_id}/stats/timeseries"): Case("/apps/{project_id}/stats/timeseries", foreign=NO_APP),
    ("apps", "GET", "/apps/{app_id}/stats/by-level"): Case("/apps/{project_id}/stats/by-level", foreign=NO_APP),
    ("apps", "GET", "/apps/{app_id}/stats/top-messages"): Case("/apps/{project_id}/stats/top-messages", foreign=NO_APP),
    ("vetrai", "POST", "/api/v1/keys"): Case("/api/v1/keys", {"name": "K"}),
    ("vetrai", "GET", "/api/v1/keys/{key_id}/usage"): Case("/api/v1/keys/{key_id}/usage", foreign=NO_KEY),
    ("vetrai", "POST", "/api/v1/customers"): Case("/api/v1/customers"),
    ("vetrai", "POST", "/api/v1/subscriptions"): Case("/api/v1/subscriptions", {"plan": "free"}),
    ("vetrai", "GET", "/api/v1/subscriptions"): Case("/api/v1/subscriptions"),
    ("vetrai", "POST", "/api/v1/checkout"): Case(
        "/api/v1/checkout",
        {"plan": "pro", "success_url": "https://app.example.com/s", "cancel_url": "https://app.example.com/c"},
    ),
    ("vetrai", "GET", "/api/v1/invoices"): Case("/api/v1/invoices"),
    ("vetrai", "POST", "/api/v1/webhooks/stripe"): Case("/api/v1/webhooks/stripe"),
    ("native", "GET", "/api/v1/alerts"): Case("/api/v1/alerts?project_id={project_id}", foreign=PROJECT),
    ("native", "POST", "/api/v1/alerts"): Case("/api/v1/alerts", ALERT | {"name": "A"}),
    ("native", "POST", "/api/v1/alerts/preview"): Case("/api/v1/alerts/preview", ALERT),
    ("native", "GET", "/api/v1/alerts/{id}"): Case("/api/v1/alerts/1", foreign=NO_ALERT),
    ("native", "PUT", "/api/v1/alerts/{id}"): Case(
        "/api/v1/alerts/1", {"name": "A", "kind": "absence"}, foreign=NO_ALERT
    ),
    ("native", "DELETE", "/api/v1/alerts/{id}"): Case("/api/v1/alerts/1", foreign=NO_ALERT),
    ("native", "GET", "/api/v1/alerts/{id}/history"): Case("/api/v1/alerts/1/history", foreign=NO_ALERT),
    ("native", "POST", "/api/v1/alerts/{id}/test"): Case("/api/v1/alerts/1/test", foreign=NO_ALERT),
    ("native", "POST", "/api/v1/alerts/{id}/mute"): Case(
        "/api/v1/alerts/1/mute", {"until": "2099-01-01"}, foreign=NO_ALERT
    ),
    ("native", "POST", "/api/v1/alerts/{id}/unmute"): Case("/api/v1/alerts/1/unmute", foreign=NO_ALERT),
    ("native", "GET", "/api/v1/audit"): Case("/api/v1/audit"),
    ("native", "GET", "/api/v1/jobs"): Case("/api/v1/jobs"),
    ("native", "GET", "/api/v1/jobs/counts"): Case("/api/v1/jobs/counts"),
    ("native", "GET", "/api/v1/jobs/{job_id}"): Case("/api/v1/jobs/1", foreign=NO_JOB),
    ("native", "POST", "/api/v1/jobs/{job_id}/cancel"): Case("/api/v1/jobs/1/cancel", foreign=NO_JOB),
    ("native", "POST", "/api/v1/jobs/{job_id}/retry"): Case("/api/v1/jobs/1/retry", foreign=NO_JOB),
    ("native", "GET", "/api/v1/job-pauses"): Case("/api/v1/job-pauses"),
    ("native", "PUT", "/api/v1/job-pauses/{kind}"): Case("/api/v1/job-pauses/workflow.push"),
    ("native", "DELETE", "/api/v1/job-pauses/{kind}"): Case("/api/v1/job-pauses/workflow.push"),
    ("native", "GET", "/api/v1/saved-searches"): Case(
        "/api/v1/saved-searches?project_id={project_id}", foreign=PROJECT
    ),
    ("native", "POST", "/api/v1/saved-searches"): Case("/api/v1/saved-searches", {"name": "S", "project_id": 1}),
    ("native", "GET", "/api/v1/saved-searches/{id}"): Case("/api/v1/saved-searches/1", foreign=NO_SEARCH),
    ("native", "PUT", "/api/v1/saved-searches/{id}"): Case(
        "/api/v1/saved-searches/1", {"name": "S"}, foreign=NO_SEARCH
    ),
    ("native", "DELETE", "/api/v1/saved-searches/{id}"): Case("/api/v1/saved-searches/1", foreign=NO_SEARCH),
    ("native", "GET", "/api/v1/webhook-endpoints"): Case("/api/v1/webhook-endpoints"),
    ("native", "POST", "/api/v1/webhook-endpoints"): Case(
        "/api/v1/webhook-endpoints", {"url": "https://example.com/", "events": ["*"]}
    ),
    ("native", "GET", "/api/v1/webhook-endpoints/{id}"): Case("/api/v1/webhook-endpoints/wh_1", foreign=NO_WEBHOOK),
    ("native", "PATCH", "/api/v1/webhook-endpoints/{id}"): Case(
        "/api/v1/webhook-endpoints/wh_1", {"is_active": True}, foreign=NO_WEBHOOK
    ),
    ("native", "DELETE", "/api/v1/webhook-endpoints/{id}"): Case("/api/v1/webhook-endpoints/wh_1", foreign=NO_WEBHOOK),
    ("native", "POST", "/api/v1/webhook-endpoints/{id}/test"): Case(
        "/api/v1/webhook-endpoints/wh_1/test", foreign=NO_WEBHOOK
    ),
    ("native", "POST", "/api/v1/webhook-endpoints/{id}/secret/rotate"): Case(
        "/api/v1/webhook-endpoints/wh_1/secret/rotate", {}, foreign=NO_WEBHOOK
    ),
    ("native", "POST", "/api/v1/webhook-endpoints/{id}/recover"): Case(
        "/api/v1/webhook-endpoints/wh_1/recover", query="since=2026-01-01", foreign=NO_WEBHOOK
    ),
    ("native", "GET", "/api/v1/webhook-deliveries"): Case("/api/v1/webhook-deliveries"),
    ("native", "GET", "/api/v1/webhook-deliveries/{id}"): Case("/api/v1/webhook-deliveries/msg_1", foreign=NO_DELIVERY),
    ("native", "POST", "/api/v1/webhook-deliveries/{id}/redeliver"): Case(
        "/api/v1/webhook-deliveries/msg_1/redeliver", foreign=NO_DELIVERY
    ),
    ("native", "GET", "/api/v1/workflow-definitions"): Case("/api/v1/workflow-definitions"),
    ("native", "POST", "/api/v1/workflow-definitions"): Case(
        "/api/v1/workflow-definitions", {"name": "mail", "kind": "queue"}
    ),
    ("native", "GET", "/api/v1/workflow-definitions/{name}"): Case(
        "/api/v1/workflow-definitions/mail", foreign=NO_WORKFLOW
    ),
    ("native", "PATCH", "/api/v1/workflow-definitions/{name}"): Case(
        "/api/v1/workflow-definitions/mail", {"paused": True}, foreign=NO_WORKFLOW
    ),
    ("native", "DELETE", "/api/v1/workflow-definitions/{name}"): Case(
        "/api/v1/workflow-definitions/mail", foreign=NO_WORKFLOW
    ),
    ("native", "GET", "/api/v1/workflow-schedules"): Case("/api/v1/workflow-schedules"),
    ("native", "POST", "/api/v1/workflow-schedules"): Case(
        "/api/v1/workflow-schedules", {"name": "nightly", "workflow": "echo", "cron": "0 2 * * *"}
    ),
    ("native", "GET", "/api/v1/workflow-schedules/{name}"): Case(
        "/api/v1/workflow-schedules/nightly", foreign=NO_SCHEDULE
    ),
    ("native", "PATCH", "/api/v1/workflow-schedules/{name}"): Case(
        "/api/v1/workflow-schedules/nightly", {"paused": True}, foreign=NO_SCHEDULE
    ),
    ("native", "DELETE", "/api/v1/workflow-schedules/{name}"): Case(
        "/api/v1/workflow-schedules/nightly", foreign=NO_SCHEDULE
    ),
    ("native", "POST", "/api/v1/workers/lease"): Case("/api/v1/workers/lease", {"queues": ["mail"], "worker": "w"}),
    ("native", "POST", "/api/v1/workers/heartbeat"): Case(
        "/api/v1/workers/heartbeat", {"fence": "1:1", "worker": "w"}, foreign=(404, "Job not found")
    ),
    ("native", "POST", "/api/v1/workers/complete"): Case(
        "/api/v1/workers/complete", {"fence": "1:1", "worker": "w", "result": 1}, foreign=(404, "Job not found")
    ),
    ("native", "POST", "/api/v1/workers/fail"): Case(
        "/api/v1/workers/fail", {"fence": "1:1", "worker": "w", "error": "no"}, foreign=(404, "Job not found")
    ),
    ("web", "GET", "/openapi.json"): Case("/openapi.json"),
    ("web", "GET", "/docs"): Case("/docs"),
    ("web", "GET", "/-/docs/swagger-ui.css"): Case("/-/docs/swagger-ui.css"),
    ("web", "GET", "/-/docs/swagger-ui-bundle.js"): Case("/-/docs/swagger-ui-bundle.js"),
    ("web", "GET", "/-/docs/favicon-32x32.png"): Case("/-/docs/favicon-32x32.png"),
    ("web", "GET", "/-/docs/start.js"): Case("/-/docs/start.js"),
    ("web", "GET", "/-/ready"): Case("/-/ready"),
    ("web", "GET", "/-/metrics"): Case("/-/metrics"),
}
