"""What a key can ask about its own project: how deep its queue is, and its settings."""

from litestar import get
from msgspec import Struct

from headrace.core import projects
from headrace.core.limits import quota
from headrace.doors.ledger import entries, shapes
from headrace.kit import times
from headrace.wire.door import Incoming, terms
from headrace.wire.moments import Time

TAGS = ["ingest"]
ANY = ("logs", "any")
API_VERSION = "1.0.0"


class RateLimits(Struct):
    requests_per_minute: int
    requests_per_hour: int


class Quotas(Struct):
    daily_quota: int
    daily_usage: int
    quota_remaining: int
    quota_reset_at: Time


class Constraints(Struct, kw_only=True):
    max_batch_size: int
    max_message_length: int
    max_error_message_length: int
    max_stack_trace_length: int
    max_attributes_size_bytes: int
    max_error_type_length: int
    max_environment_length: int
    max_release_length: int
    max_sdk_version_length: int
    max_platform_length: int
    max_platform_version_length: int
    supported_log_levels: tuple[str, ...]
    supported_log_types: tuple[str, ...]
    supported_importance_levels: tuple[str, ...]


class Features(Struct):
    batch_ingestion: bool = True
    compression: bool = True
    streaming: bool = False
    endpoint_monitoring: bool = True


class ServerInfo(Struct):
    version: str
    timestamp: Time


class ProjectSettings(Struct, kw_only=True):
    project_id: int
    project_name: str
    project_slug: str
    environment: str
    rate_limits: RateLimits
    quotas: Quotas
    constraints: Constraints
    features: Features
    server_info: ServerInfo


CONSTRAINTS = Constraints(
    max_batch_size=entries.MOST_LOGS,
    max_message_length=entries.TEXT_LIMITS["message"],
    max_error_message_length=entries.TEXT_LIMITS["error_message"],
    max_stack_trace_length=entries.TEXT_LIMITS["stack_trace"],
    max_attributes_size_bytes=entries.MOST_ATTRIBUTE_BYTES,
    **{f"max_{name}_length": entries.SHORT_LIMIT for name in entries.SHORT_TEXTS},
    supported_log_levels=entries.ENUMS["level"],
    supported_log_types=entries.ENUMS["log_type"],
    supported_importance_levels=entries.ENUMS["importance"],
)


@get("/api/v1/queue/depth", opt=terms("K", ANY, crash="Failed to retrieve queue depth"), tags=TAGS, sync_to_thread=True)
def depth(call: Incoming) -> shapes.QueueDepth:
    """Return how many logs of the key's project are acknowledged and not yet searchable."""
    project = projects.get(call.house, call.who, project_id=call.who.project_id or 0)
    return shapes.QueueDepth(project.project_id, quota.depth(call.house, project.project_id))


@get("/api/v1/settings", opt=terms("K", ANY), tags=TAGS, sync_to_thread=True)
def settings(call: Incoming) -> ProjectSettings:
    """Return what a sender has to know about the key's project: limits, quota, accepted values."""
    who, own = call.who, call.house.settings
    found = projects.quota(call.house, who, project_id=who.project_id or 0)
    project = found.project
    return ProjectSettings(
        project_id=project.project_id,
        project_name=project.name,
        project_slug=project.slug,
        environment=project.environment,
        rate_limits=RateLimits(who.per_minute or own.key_per_minute, who.per_hour or own.key_per_hour),
        quotas=Quotas(found.quota, found.usage, found.remaining, times.show(found.reset_at)),
        constraints=CONSTRAINTS,
        features=Features(),
        server_info=ServerInfo(API_VERSION, times.show(call.house.clock())),
    )


ROUTES = (depth, settings)
