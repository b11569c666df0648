"""What an operator's tools ask: `/-/ready` (may this process get traffic) and `/-/metrics` (Prometheus)."""

import asyncio

from headrace.core.identity import sessions
from headrace.core.refusals import forbidden, unauthenticated, unavailable
from headrace.kit.database import UnreachableError
from headrace.wire import address, admission
from headrace.wire.call import Answer, Call, answer
from headrace.wire.door import HotRoute, Terms

OPEN = Terms(limited=False)
RETRY_SECONDS = 1
PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"


async def ready(call: Call) -> Answer:
    """Answer 200 while the database does, else 503; `ingest` is `accepted`, or says why it is `refused`.

    A server that takes no events still reads and deletes, which is how room is made; a proxy must leave it in.
    """
    await asyncio.to_thread(_ask, call)
    why = call.house.store.refusing
    return answer(200, {"status": "ready", "ingest": f"refused: {why}" if why else "accepted"})


def _ask(call: Call) -> None:
    house = call.house
    try:
        with house.db.read() as connection:
            connection.exec_driver_sql("SELECT 1")
    except UnreachableError:
        raise unavailable("The database does not answer", RETRY_SECONDS) from None


async def metrics(call: Call) -> Answer:
    """Print the counters; to this machine without a credential, to others for a super admin's token."""
    return Answer(200, await asyncio.to_thread(_metrics, call), media=PROMETHEUS)


def _metrics(call: Call) -> bytes:
    # Behind a proxy every peer is this machine; what came through one is not local.
    if not address.loopback(call.peer) or address.forwarded(call.headers):
        value = admission.presented(call)
        if not value:
            raise unauthenticated("Not authenticated")
        if sessions.resolve(call.house, value).role != "super_admin":
            raise forbidden("Insufficient permissions")
    return call.house.counters.render().encode()


ROUTES = (
    HotRoute(method="GET", path="/-/ready", run=ready, terms=OPEN, summary="Ready for traffic", tag="operations"),
    HotRoute(method="GET", path="/-/metrics", run=metrics, terms=OPEN, summary="Prometheus metrics", tag="operations"),
)
