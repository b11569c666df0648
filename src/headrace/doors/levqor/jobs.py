"""Jobs: taken in (202 once they are on disk), and asked how they are."""

import asyncio
from collections.abc import Mapping
from functools import partial

import msgspec
from litestar import get
from litestar.params import FromPath

from headrace.core import audit, jobs, uptime, workflows
from headrace.core.house import House
from headrace.core.jobs import Job
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal
from headrace.core.rules import choice
from headrace.doors.levqor import auth, shapes
from headrace.doors.levqor.users import missing
from headrace.kit.times import SECOND
from headrace.kit.together import Batch, Together
from headrace.wire import express, jsons
from headrace.wire.call import Answer, Call, answer
from headrace.wire.door import HotRoute, Incoming, Swift, Terms, terms
from headrace.wire.repeats import once

TAGS = ["jobs"]
INTAKE = "/api/v1/intake"
PRIORITIES = dict(zip(shapes.PRIORITIES, (jobs.LOW, jobs.NORMAL, jobs.HIGH), strict=True))
# The engine's states in the document's words; a job that was called off is one that failed.
STATUS: dict[str, shapes.Status] = {
    "scheduled": "queued",
    "ready": "queued",
    "running": "running",
    "cancelling": "running",
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "failed",
}


ENCODE = msgspec.json.Encoder().encode


class Orders:
    """What is asked for at once goes into one transaction."""

    def __init__(self, house: House) -> None:
        self.start = Together[workflows.Order, Job](partial(workflows.start_together, house))


async def intake(call: Call) -> Answer:
    """Take in a job."""
    if call.header("idempotency-key") is not None:
        return await once(call, INTAKE, lambda: taken(workflows.start(call.house, call.who, **wanted(call).fields)))
    async with asyncio.timeout(call.house.settings.request_seconds):
        return taken(await call.house.part(Orders).start(wanted(call)))


def taken(job: Job) -> Answer:
    # The job itself says who asked for what, and when.
    audit.kept()
    return answer(202, shapes.Queued(job_id=job.token))


def wanted(call: Call) -> workflows.Order:
    return order(call.who, jsons.decode(call.body, shapes.NewJob))


def order(who: Principal, sent: shapes.NewJob) -> workflows.Order:
    priority = choice("normal" if sent.priority is None else sent.priority, "priority", PRIORITIES)
    fields = {
        "workflow": sent.workflow,
        "payload": sent.payload,
        "priority": PRIORITIES[priority],
        "callback_url": sent.callback_url,
        "view": shapes.VIEW,
    }
    return workflows.Order(who, fields)


def read_swiftly(house: House, body: bytes) -> shapes.NewJob | None:
    """Read what is asked for, where nothing is wrong with its form; what core has to say to it, core says."""
    del house
    found: shapes.NewJob | None = jsons.plain(body, shapes.NewJob)
    return found


def append_swiftly(
    house: House, who: Principal, headers: Mapping[bytes, bytes], sent: shapes.NewJob
) -> express.Pending:
    del headers
    batch, place = house.part(Orders).start.put(order(who, sent))
    return express.Pending(batch, partial(queued, batch, place), nothing)


def queued(batch: Batch[workflows.Order, Job], place: int) -> bytes | None:
    job = batch.outcomes[place]
    return ENCODE(shapes.Queued(job_id=job.token)) if isinstance(job, Job) else None


def nothing() -> None:
    """What was refused has left nothing behind."""


def budgets_swiftly(house: House, who: Principal, bucket: str) -> express.Budgets:
    del who
    return express.Budgets((auth.of_writes(house, bucket), auth.of_door(house)))


def count_swiftly(house: House, number: int) -> None:
    uptime.count(house, recorded=True, number=number)


@get("/api/v1/status/{job_id:str}", opt=terms("A", ("jobs", "read"), errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def status(call: Incoming, job_id: FromPath[str]) -> shapes.JobStatus:
    """Return how a job is."""
    try:
        return shown(jobs.by_token(call.house, call.who, token=job_id, view=shapes.VIEW))
    except Refusal as refusal:
        raise missing(refusal, job_id=job_id) from refusal


def shown(job: Job) -> shapes.JobStatus:
    word = STATUS[job.state]
    error = "cancelled" if job.state == "cancelled" else job.error or "failed"
    return shapes.JobStatus(
        job_id=job.token,
        status=word,
        created_at=job.created_at // SECOND,
        result=job.result if word == "succeeded" else None,
        error=error if word == "failed" else None,
    )


ROUTES = (status,)
HOT = (
    HotRoute(
        method="POST",
        path=INTAKE,
        run=intake,
        terms=Terms(credential="A", action=("jobs", "write"), body="levqor_body_limit", creates=True, errors=(403,)),
        summary="Submit a job",
        status=202,
        takes=shapes.NewJob,
        gives=shapes.Queued,
        tag="jobs",
        swift=Swift(read=read_swiftly, append=append_swiftly, budgets=budgets_swiftly, counted=count_swiftly),
    ),
)
