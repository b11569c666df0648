"""What anybody may ask: that the server answers, which one it is, and a few figures about it."""

import re

from litestar import get

from headrace import __build__, __version__
from headrace.core import uptime
from headrace.doors.levqor import shapes
from headrace.kit.times import SECOND
from headrace.wire.call import Answer, Call, answer
from headrace.wire.door import HotRoute, Incoming, Terms, terms

TAGS = ["health"]
SERVICE = "levqor-backend"
PAGES = b"/ui"
SEE_OTHER = 303
QUALITY = re.compile(r"q=([01](?:\.\d{0,3})?)")


async def front(call: Call) -> Answer:
    """Tell that the server answers, and which one it is; show a browser the way to the pages."""
    vary = (b"vary", b"Accept")
    if prefers_html(call.header("accept") or ""):
        return Answer(SEE_OTHER, b"", (vary, (b"location", PAGES)), b"text/html; charset=utf-8")
    return answer(200, shapes.Front(ok=True, service=SERVICE, version=__version__, build=__build__), vary)


@get("/health", opt=terms(limited=False), tags=TAGS, sync_to_thread=False)
def health(call: Incoming) -> shapes.Health:
    """Tell that the server answers."""
    return shapes.Health(status="healthy", ok=True, ts=call.house.clock() // SECOND)


@get("/public/metrics", opt=terms(), tags=["metrics"], sync_to_thread=True)
def metrics(call: Incoming) -> shapes.Metrics:
    """Return uptime, jobs and audit coverage of the whole instance."""
    found = uptime.figures(call.house, view=shapes.VIEW)
    return shapes.Metrics(
        uptime_rolling_7d=found.uptime,
        jobs_today=found.jobs_today,
        audit_coverage=found.audit_coverage,
        last_updated=found.at // SECOND,
    )


def prefers_html(accept: str) -> bool:
    """Tell whether HTML is wanted more than JSON; where both are wanted alike, whether JSON is only meant by `*/*`."""
    return wanted(accept, "text", "html") > wanted(accept, "application", "json")


def wanted(accept: str, kind: str, subtype: str) -> tuple[float, int]:
    """How much a media type is wanted: the quality that the most exact range gives it, and how exact that is."""
    ranges = {f"{kind}/{subtype}": 2, f"{kind}/*": 1, "*/*": 0}
    found = (-1, 0.0)
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((QUALITY.fullmatch(one) for one in parameters if one.startswith("q=")), None)
        if name in ranges:
            found = max(found, (ranges[name], float(quality[1]) if quality else 1.0))
    return (found[1], found[0]) if found[1] else (0.0, 0)


ROUTES = (health, metrics)
HOT = (
    HotRoute(
        method="GET",
        path="/",
        run=front,
        terms=Terms(limited=False),
        summary="Tell that the server answers",
        gives=shapes.Front,
        tag="health",
    ),
)
