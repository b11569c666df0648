"""Workflows that are pushed: each job is one signed POST to the organization's endpoint, and the answer its result.

202 says that the endpoint took the job and will finish it later, by the same way as who pulls from a queue: with the
fence and the worker's name that came along.
"""

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from headrace.core import jobs
from headrace.core.jobs import RESULT_BYTES, Job, NonRetryable, Retry
from headrace.core.outward import Outward
from headrace.core.webhooks import signing
from headrace.core.workflows import definitions
from headrace.core.workflows.definitions import Definition
from headrace.core.workflows.requests import FENCE, unanswered, unexpected
from headrace.kit import times
from headrace.kit.outbound import OutboundError

if TYPE_CHECKING:
    from headrace.core.house import House
    from headrace.core.jobs import Context

EVENT = "workflow.job"
WORKER = "X-Headrace-Worker"
ACCEPTED, NO_CONTENT = 202, 204


async def run(context: "Context") -> Any:
    """Push one job and return what the endpoint answered."""
    house, job = context.house, context.job
    definition, secret = await asyncio.to_thread(_endpoint, house, job)
    body = msgspec.json.encode(message(job))
    headers = signing.headers(
        [secret],
        message_id=f"msg_{job.token}",
        event=EVENT,
        timestamp=house.clock() // times.SECOND,
        attempt=job.attempt,
        body=body,
    )
    try:
        reply = await house.part(Outward).client.request(
            "POST",
            definition.url or "",
            headers=headers | {FENCE: context.fence, WORKER: worker(definition)},
            body=body,
            timeout_seconds=definition.timeout_seconds,
            limit_bytes=RESULT_BYTES,
        )
    except OutboundError as error:
        raise unanswered(error) from error
    if reply.status == ACCEPTED:
        await asyncio.to_thread(_hand_over, house, context, definition)
        return None
    if not 200 <= reply.status < 300:  # noqa: PLR2004  Success, in HTTP.
        raise unexpected(reply)
    return _result(reply.status, reply.body)


def message(job: Job) -> dict[str, Any]:
    """What an endpoint is sent. `job_id` is the same in every attempt, as is `webhook-id`."""
    return {
        "job_id": job.token,
        "workflow": job.name,
        "attempt": job.attempt,
        "tries": job.tries,
        "created_at": times.show(job.created_at),
        "payload": job.payload,
    }


def worker(definition: Definition) -> str:
    """The name under which an endpoint holds a job that it answered with 202."""
    return f"push:{definition.id}"


def caller(house: "House", organization_id: int, fence: str, name: str) -> tuple[Job, str] | None:
    """Return the job and the engine that calls the endpoint of this worker's name about it at this moment."""
    found = jobs.holder(house, fence=fence, organization_id=organization_id)
    if found is None:
        return None
    definition = definitions.find(house, organization_id, found[0].name or "")
    is_pushed = definition is not None and definition.kind == "push" and worker(definition) == name
    return found if is_pushed else None


def _endpoint(house: "House", job: Job) -> tuple[Definition, bytes]:
    definition = definitions.find(house, job.organization_id, job.name or "")
    if definition is None or definition.kind != "push":
        raise NonRetryable(f"The workflow {job.name!r} is no longer one that is pushed")
    return definition, signing.key(definitions.secret_of(house, definition))


def _hand_over(house: "House", context: "Context", definition: Definition) -> None:
    """Let the endpoint hold the job for as long as its timeout; if it is silent for that long, it is pushed again."""
    seconds = definitions.held_seconds(definition)
    jobs.hand_over(house, fence=context.fence, worker=context.worker, to=worker(definition), seconds=seconds)


def _result(status: int, body: bytes) -> Any:
    if status == NO_CONTENT or not body.strip():
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Retry(f"The answer's status was {status}, but its body is not JSON") from error
