"""What this door reads and writes: bodies as they are sent, answers field for field as the document shows them.

Bodies say only which fields there are and of which type; their rules are core's.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from headrace.core.projects import Project
from headrace.eventstore.rows import Importance, Level, LogType
from headrace.wire.moments import Time

Name = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": 255})]


class Registration(msgspec.Struct, kw_only=True):
    email: Name
    password: Annotated[
        str, Meta(description="8-64 characters with an upper-case letter, a lower-case one and a digit")
    ]
    name: Name
    organization_name: str | None = None
    invitation_token: str | None = None


class Registered(msgspec.Struct, kw_only=True):
    account_id: int
    email: str
    name: str
    message: str
    organization_id: int
    access_token: str
    refresh_token: str
    token_type: str = "bearer"  # noqa: S105  The kind of token, not a token.
    expires_in: int


class LogIn(msgspec.Struct, kw_only=True):
    email: str
    password: str
    organization_id: int | None = None


class LoggedIn(msgspec.Struct, kw_only=True):
    access_token: str
    refresh_token: str
    token_type: str = "bearer"  # noqa: S105  The kind of token, not a token.
    account_id: int
    email: str
    organization_id: int
    expires_in: int


class Refresh(msgspec.Struct):
    refresh_token: str


class Me(msgspec.Struct, kw_only=True):
    account_id: int
    email: str
    name: str
    created_at: Time
    organization_id: int
    role: str


class NewProject(msgspec.Struct, kw_only=True):
    name: Name
    slug: Annotated[str, Meta(description="1-255 of ^[a-z0-9-]+$, turned into lower case first")]
    environment: str | None = None


class ProjectChange(msgspec.Struct, kw_only=True):
    name: Name | None = None
    environment: str | None = None
    retention_days: int | None = None
    daily_quota: int | None = None


class ProjectOut(msgspec.Struct, kw_only=True):
    project_id: int
    name: str
    slug: str
    environment: str
    retention_days: int
    daily_quota: int

    @classmethod
    def of(cls, project: Project) -> "ProjectOut":
        return cls(**{name: getattr(project, name) for name in cls.__struct_fields__})


class ProjectList(msgspec.Struct):
    projects: Sequence[ProjectOut]
    total: int


class LogQuota(msgspec.Struct):
    quota: int
    usage: int
    remaining: int


class QuotaOut(msgspec.Struct, kw_only=True):
    project_id: int
    project_name: str
    project_slug: str
    environment: str
    logs: LogQuota
    quota_reset_at: Time
    retention_days: int


class NewKey(msgspec.Struct, kw_only=True):
    name: Name
    scopes: list[str] | None = None


class KeyMade(msgspec.Struct, kw_only=True):
    key_id: int
    full_key: str
    key_prefix: str
    warning: str = "Save this key now! It will not be shown again."


class KeyOut(msgspec.Struct, kw_only=True):
    key_id: int
    project_id: int
    name: str
    key_prefix: str
    status: str
    created_at: Time
    last_used_at: Time | None


class KeyList(msgspec.Struct):
    api_keys: Sequence[KeyOut]
    total: int


class KeyLimits(msgspec.Struct, kw_only=True):
    per_minute: int | None = None
    per_hour: int | None = None


class LimitedKey(msgspec.Struct, kw_only=True):
    """`per_minute` and `per_hour`: null = the default of this server."""

    key_id: int
    name: str
    status: str
    per_minute: int | None
    per_hour: int | None


class Done(msgspec.Struct, kw_only=True):
    success: bool = True
    message: str


class NewPanel(msgspec.Struct, kw_only=True):
    name: Name
    index: int
    project_id: str | int
    time_range_from: Time
    time_range_to: Time
    type: Annotated[str, Meta(extra_json_schema={"enum": ["logs", "errors", "metrics"]})]


class PanelOut(msgspec.Struct, kw_only=True):
    id: str
    name: str
    index: int
    project_id: str
    time_range_from: Time
    time_range_to: Time
    type: str


class PanelList(msgspec.Struct):
    panels: Sequence[PanelOut]
    total: int


class QueueDepth(msgspec.Struct):
    project_id: int
    queue_depth: int


def limited(most: int) -> Meta:
    return Meta(extra_json_schema={"maxLength": most})


class Log(msgspec.Struct, kw_only=True):
    """A log as it is sent. This is its description; what is checked stands in `entries`, which names each bad log."""

    timestamp: Annotated[Time, Meta(description="ISO 8601; no offset means UTC; at most 5 minutes ahead")]
    level: Level
    log_type: LogType = "logger"
    importance: Importance = "standard"
    message: Annotated[str, limited(10_000)] | None = None
    error_type: Annotated[str, limited(255)] | None = None
    error_message: Annotated[str, limited(5_000)] | None = None
    stack_trace: Annotated[str, limited(50_000)] | None = None
    environment: Annotated[str, limited(255)] | None = None
    release: Annotated[str, limited(255)] | None = None
    sdk_version: Annotated[str, limited(255)] | None = None
    platform: Annotated[str, limited(255)] | None = None
    platform_version: Annotated[str, limited(255)] | None = None
    attributes: Annotated[dict[str, Any], Meta(description="At most 102,400 bytes as JSON")] | None = None


class LogBatch(msgspec.Struct):
    logs: Annotated[Sequence[Log], Meta(extra_json_schema={"minItems": 1, "maxItems": 1000})]


class LogEntry(msgspec.Struct, kw_only=True):
    """One log; absent = null. `processing_time_ms` always is: when a log was stored is not kept, only its arrival."""

    id: str
    project_id: int
    timestamp: Time
    ingested_at: Time
    level: str
    log_type: str
    importance: str
    environment: str | None
    release: str | None
    message: str | None
    error_type: str | None
    error_message: str | None
    stack_trace: str | None
    attributes: Any
    sdk_version: str | None
    platform: str | None
    platform_version: str | None
    processing_time_ms: float | None = None
    error_fingerprint: str | None
    method: str | None
    path: str | None
    status_code: int | None
    duration_ms: float | None


class LogPage(msgspec.Struct, kw_only=True):
    project_id: int
    logs: Sequence[LogEntry]
    total: None = None
    has_more: bool
    next_cursor: str | None


class Count(msgspec.Struct):
    value: str | None
    count: int


class Facets(msgspec.Struct, kw_only=True):
    project_id: int
    level: Sequence[Count]
    log_type: Sequence[Count]
    status_class: Sequence[Count]
    environment: Sequence[Count]


class Counts(msgspec.Struct, kw_only=True):
    project_id: int
    by: str
    items: Sequence[Count]


class Bucket(msgspec.Struct):
    start: Time
    count: int


class Histogram(msgspec.Struct, kw_only=True):
    project_id: int
    interval_seconds: int
    buckets: Sequence[Bucket]


class ErrorEntry(msgspec.Struct, kw_only=True):
    log_id: str
    level: str
    log_type: str
    message: str | None
    error_type: str | None
    timestamp: Time
    error_fingerprint: str | None
    attributes: Any
    sdk_version: str | None
    platform: str | None
    group_key: int | None
    occurrence_count: int | None
    first_seen: Time | None
    last_seen: Time | None
    status_code: int | None
    path: str | None
    stack_trace: str | None


class ErrorPage(msgspec.Struct, kw_only=True):
    """`total` is null where counting would read more than a search may."""

    project_id: int
    errors: Sequence[ErrorEntry]
    total: int | None
    has_more: bool


class Mute(msgspec.Struct, kw_only=True):
    """When a mute ends by itself; with none of them it stays. `minutes` goes with `events`: so many within so long."""

    until: Time | None = None
    events: int | None = None
    minutes: int | None = None
    users: int | None = None


class GroupOut(msgspec.Struct, kw_only=True):
    """`user_count` is an estimate. `regressed_at`: since when it is open again, until somebody sets a state."""

    id: int
    project_id: int
    fingerprint: str
    error_type: str | None
    error_message: str | None
    first_seen: Time
    last_seen: Time
    occurrence_count: int
    status: str
    assigned_to: int | None
    sample_log_id: str | None
    resolved_at: Time | None
    resolved_in_release: str | None
    user_count: int
    regressed_at: Time | None
    mute: Mute | None


class GroupPage(msgspec.Struct, kw_only=True):
    project_id: int
    groups: Sequence[GroupOut]
    total: int
    has_more: bool


class Spark(msgspec.Struct):
    bucket: Time
    count: int


class GroupDetail(msgspec.Struct, kw_only=True):
    group: GroupOut
    sample_stack_trace: str | None
    sample_log: LogEntry | None
    occurrence_sparkline: Sequence[Spark]


class StatusChange(msgspec.Struct, kw_only=True):
    status: Annotated[str, Meta(extra_json_schema={"enum": ["unresolved", "resolved", "ignored", "muted"]})]
    resolved_in_release: str | None = None


class Assignment(msgspec.Struct, kw_only=True):
    """`assigned_to` has to be there; null takes the group away from whoever has it."""

    assigned_to: int | UnsetType | None = UNSET
