"""Health: the deep one, which looks at every part. The plain one is the origin's, at another door."""

from litestar import get
from msgspec import Struct

from headrace.kit.database import UnreachableError
from headrace.wire.call import Call
from headrace.wire.door import Incoming, terms

TAGS = ["health"]
HEALTHY, DEGRADED = "healthy", "degraded"
SERVICES = {
    "auth": ("/api/v1/accounts", "/api/v1/projects", "/api/v1/api-keys", "/api/v1/keys"),
    "ingestion": ("/api/v1/ingest", "/api/v1/queue", "/api/v1/settings"),
    "query": ("/api/v1/logs", "/api/v1/errors", "/api/v1/error-groups", "/api/v1/dashboard"),
}


class Calls(Struct):
    """What one service does now and has done since the start; failed = answered with a 5xx."""

    active_channels: int = 0
    calls_succeeded: int = 0
    calls_failed: int = 0


class Services(Struct, kw_only=True):
    redis: str
    database: str
    event_store: str
    jobs: str
    grpc: dict[str, Calls]


class DeepHealth(Struct):
    status: str
    services: Services


@get(["/health/deep", "/api/v1/health/deep"], opt=terms(limited=False), tags=TAGS, sync_to_thread=True)
def deep(call: Incoming) -> DeepHealth:
    """Tell how each part is; always 200."""
    house = call.house
    parts = {
        "redis": DEGRADED if house.limits.state == DEGRADED else HEALTHY,
        "database": database(call),
        "event_store": DEGRADED if house.store.refusing else HEALTHY,
        # Work that runs later is done by this process's own threads: draining, folding, flushing.
        "jobs": HEALTHY if house.store.health().get("draining", True) else DEGRADED,
    }
    status = HEALTHY if set(parts.values()) == {HEALTHY} else DEGRADED
    return DeepHealth(status, Services(**parts, grpc=calls(call)))


def database(call: Call) -> str:
    try:
        with call.house.db.read() as connection:
            connection.exec_driver_sql("SELECT 1")
    except UnreachableError:
        return DEGRADED
    return HEALTHY


def calls(call: Call) -> dict[str, Calls]:
    counters = call.house.counters
    found = {name: Calls() for name in SERVICES}
    for labels, number in counters.series("requests_in_flight").items():
        service = service_of(dict(labels)["route"])
        if service:
            found[service].active_channels += int(number)
    for labels, number in counters.series("requests_total").items():
        facts = dict(labels)
        service = service_of(facts["route"])
        if service and facts["status"] == "5xx":
            found[service].calls_failed += int(number)
        elif service:
            found[service].calls_succeeded += int(number)
    return found


def service_of(route: str) -> str | None:
    return next((name for name, prefixes in SERVICES.items() if route.startswith(prefixes)), None)


ROUTES = (deep,)
