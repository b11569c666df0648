"""Workers that pull jobs over HTTP: lease, heartbeat, complete, fail. A lease may wait for work, on the event loop."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import post
from litestar.params import JSONBody
from msgspec import Meta

from headrace.core import rules, workflows
from headrace.core.jobs import Job
from headrace.core.workflows import Pulled
from headrace.kit import times
from headrace.wire import jsons
from headrace.wire.call import Answer, Call, answer
from headrace.wire.door import HotRoute, Incoming, Terms, terms
from headrace.wire.moments import Time

TAGS = ["workers"]
WRITE = ("workflows", "write")
LEASE = "/api/v1/workers/lease"
LONGEST_WAIT = 20
# While a request waits, the database is asked whether there is work: soon after something was committed, where that
# can be told, else every second.
LOOK_SECONDS, POLL_SECONDS = 0.1, 1.0
# Each holds a connection and looks often; beyond that they are answered at once.
MOST_WAITS = 1_000

Fence = Annotated[str, Meta(description="As it came with the job; each attempt has its own")]
Worker = Annotated[str, Meta(description="1-64 of A-Z a-z 0-9 . _ : @ -; the same in all requests about a job")]


class LeaseFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`seconds` is how long the jobs are held (the queue's timeout), `wait` how long to wait for one (0-20)."""

    queues: list[str]
    worker: Worker
    limit: int = 1
    seconds: int | None = None
    wait: int = 0


class LeasedJob(msgspec.Struct, kw_only=True):
    id: str
    fence: Fence
    queue: str
    payload: dict[str, Any]
    attempt: int
    tries: int
    created_at: Time
    lease_until: Time


class LeasedJobs(msgspec.Struct):
    jobs: Sequence[LeasedJob]


class ProgressFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    done: int
    total: int | None = None
    message: str | None = None


class HeartbeatFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    fence: Fence
    worker: Worker
    seconds: int | None = None
    progress: ProgressFields | None = None


class Held(msgspec.Struct):
    """`cancelled`: somebody called the job off; whatever comes out of it is thrown away."""

    lease_until: Time
    cancelled: bool


class CompleteFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`result` is any JSON, up to 256 KiB."""

    fence: Fence
    worker: Worker
    result: Any = None


class FailFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`error` is shown to whoever asks about the job: one sentence, no stack, no secret."""

    fence: Fence
    worker: Worker
    error: str
    retry: bool = True


class Reported(msgspec.Struct):
    """What became of the job: `succeeded`, `failed`, `cancelled`, or `scheduled` for another try."""

    id: str
    state: str


async def lease(call: Call) -> Answer:
    """Lease jobs of queues, waiting for one if asked to."""
    sent = jsons.decode(call.body, LeaseFields)
    wait = rules.integer(sent.wait, "wait", 0, LONGEST_WAIT)
    asked = {"queues": sent.queues, "worker": sent.worker, "limit": sent.limit, "seconds": sent.seconds}
    until = asyncio.get_running_loop().time() + wait
    waits = call.house.part(workflows.Waits)
    pulled = [] if left(call) else await asyncio.to_thread(workflows.lease, call.house, call.who, **asked)
    waits.count += 1
    try:
        pause = LOOK_SECONDS if call.house.db.dialect == "sqlite" else POLL_SECONDS
        while not pulled and waits.count <= MOST_WAITS and await work(call, waits, sent.queues, until, pause):
            pulled = await asyncio.to_thread(workflows.lease, call.house, call.who, **asked)
            # What is there may not be had: the queue is paused, or has enough under way.
            pause = min(POLL_SECONDS, pause * 2)
    finally:
        waits.count -= 1
    return answer(200, LeasedJobs([out(one) for one in pulled]))


async def work(call: Call, waits: workflows.Waits, queues: list[str], until: float, pause: float) -> bool:
    """Wait until there may be work for these queues; False when waiting is over, or nobody is there any more."""
    loop, db = asyncio.get_running_loop(), call.house.db
    stamp = -1
    while not waits.ended and loop.time() < until:
        await asyncio.sleep(min(pause, max(0.0, until - loop.time())))
        if left(call):
            return False
        before, stamp = stamp, db.stamp()
        if stamp == before:
            continue
        if await asyncio.to_thread(workflows.anything, call.house, call.who, queues=queues):
            return True
    return False


def left(call: Call) -> bool:
    """Tell whether the caller is gone: jobs that nobody receives are held until their lease is over."""
    return call.exchange is not None and not call.exchange.ready


@post(
    "/api/v1/workers/heartbeat",
    opt=terms("A", WRITE, body="body_limit", errors=(403, 404, 409)),
    tags=TAGS,
    status_code=200,
    sync_to_thread=True,
)
def heartbeat(call: Incoming, data: JSONBody[HeartbeatFields]) -> Held:
    """Hold a job for longer, and say how far it is."""
    progress = None if data.progress is None else msgspec.structs.asdict(data.progress)
    beat = workflows.heartbeat(
        call.house, call.who, fence=data.fence, worker=data.worker, seconds=data.seconds, progress=progress
    )
    return Held(times.show(beat.lease_until), beat.cancelled)


@post(
    "/api/v1/workers/complete",
    opt=terms("A", WRITE, body="body_limit_single", errors=(403, 404, 409)),
    tags=TAGS,
    status_code=200,
    sync_to_thread=True,
)
def complete(call: Incoming, data: JSONBody[CompleteFields]) -> Reported:
    """Report a job's result."""
    return reported(workflows.complete(call.house, call.who, **msgspec.structs.asdict(data)))


@post(
    "/api/v1/workers/fail",
    opt=terms("A", WRITE, body="body_limit", errors=(403, 404, 409)),
    tags=TAGS,
    status_code=200,
    sync_to_thread=True,
)
def fail(call: Incoming, data: JSONBody[FailFields]) -> Reported:
    """Report that a job failed."""
    return reported(workflows.fail(call.house, call.who, **msgspec.structs.asdict(data)))


def reported(job: Job) -> Reported:
    return Reported(job.token, job.state)


def out(one: Pulled) -> LeasedJob:
    job = one.job
    return LeasedJob(
        id=job.token,
        fence=one.fence,
        queue=job.name or "",
        payload=job.payload,
        attempt=job.attempt,
        tries=job.tries,
        created_at=times.show(job.created_at),
        lease_until=times.show(one.lease_until),
    )


ROUTES = (heartbeat, complete, fail)
HOT = (
    HotRoute(
        method="POST",
        path=LEASE,
        run=lease,
        terms=Terms(credential="A", action=WRITE, body="body_limit", errors=(403, 404)),
        summary="Lease jobs of queues",
        takes=LeaseFields,
        gives=LeasedJobs,
        tag="workers",
    ),
)
