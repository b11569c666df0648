"""Queues that workers outside pull from: leases, heartbeats, and what came out. Of these verbs none waits."""

import re
from typing import Any

import msgspec

from headrace.core import jobs, rules
from headrace.core.attempts.record import ERROR_CHARACTERS, MESSAGE_CHARACTERS
from headrace.core.house import House
from headrace.core.jobs import Job, Progress
from headrace.core.jobs.states import CANCELLING, FINAL
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal, conflict, invalid, not_found
from headrace.core.workflows import defining, definitions, push, workers
from headrace.core.workflows.definitions import LEAST_HELD_SECONDS, LONGEST_HELD_SECONDS, RESOURCE, Definition
from headrace.core.workflows.kinds import QUEUE, at_once
from headrace.kit.times import SECOND

WORKER = re.compile(r"[A-Za-z0-9._:@-]{1,64}")
FENCE = re.compile(r"(?P<id>[0-9]{1,18}):(?P<attempt>[0-9]{1,9})")
# With payloads of 200 KB each an answer is then as large as one should be.
MOST_QUEUES, MOST_JOBS = 20, 20


class Pulled(msgspec.Struct, frozen=True):
    """A job in a worker's hands until `lease_until` (microseconds)."""

    job: Job
    fence: str
    lease_until: int


class Beat(msgspec.Struct, frozen=True):
    """What a heartbeat learns: until when the lease runs now, and whether to stop."""

    lease_until: int
    cancelled: bool


class Waits:
    """How many requests wait for work in this process, and whether they still may: a stop must not wait for them."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.count = 0
        self.ended = False

    def end(self) -> None:
        self.ended = True


def anything(house: House, who: Principal, *, queues: list[str]) -> bool:
    """Tell, at the price of a look, whether asking these queues for work may be worth it."""
    return jobs.anything(house, kind=QUEUE, organization_id=who.organization_id, names=queues)


def lease(
    house: House, who: Principal, *, queues: Any, worker: Any, limit: Any = None, seconds: Any = None
) -> list[Pulled]:
    """Take up to `limit` jobs (1) of these queues, in their order, each for `seconds` (the queue's timeout).

    A queue that is paused, or has as many jobs under way as it may, gives none.
    """
    rules.require(who, RESOURCE, "write")
    name = _worker(worker)
    many = rules.integer(1 if limit is None else limit, "limit", 1, MOST_JOBS)
    held = None if seconds is None else _seconds(seconds)
    wanted = [_queue(house, who, one) for one in _names(queues)]
    workers.seen(house, who.organization_id, [one.name for one in wanted], name)
    found: list[Pulled] = []
    for one in wanted:
        if len(found) < many and one.paused_at is None:
            found += _taken(house, who, one, name, many - len(found), held or definitions.held_seconds(one))
    return found


def _taken(  # noqa: PLR0917  The verb's own values.
    house: House, who: Principal, queue: Definition, worker: str, limit: int, seconds: int
) -> list[Pulled]:
    until = house.clock() + seconds * SECOND
    taken = jobs.lease(
        house,
        kind=QUEUE,
        organization_id=who.organization_id,
        name=queue.name,
        worker=worker,
        limit=limit,
        seconds=seconds,
        most_held=at_once(queue),
    )
    return [Pulled(job, job.fence, until) for job in taken]


def heartbeat(
    house: House, who: Principal, *, fence: Any, worker: Any, seconds: Any = None, progress: Any = None
) -> Beat:
    """Hold a job for `seconds` (60) from now, and say how far it is. Refused (conflict) for one that is lost."""
    rules.require(who, RESOURCE, "write")
    name, mark = _worker(worker), _fence(fence)
    held = _seconds(60 if seconds is None else seconds)
    said = None if progress is None else _progress(progress)
    until = house.clock() + held * SECOND
    facts: dict[str, Any] = {"fence": mark, "worker": name, "organization_id": who.organization_id}
    facts |= {"seconds": held, "progress": said}
    try:
        try:
            job = jobs.heartbeat(house, **facts)
        except Refusal:
            beat = _while_called(house, who, mark, name, said)
            if beat is not None:
                return beat
            job = jobs.heartbeat(house, **facts)  # It may have been handed over just now.
    except Refusal as refusal:
        raise _told(house, who, refusal, mark) from refusal
    return Beat(lease_until=until, cancelled=job.state == CANCELLING)


def _while_called(house: House, who: Principal, fence: str, name: str, said: Progress | None) -> Beat | None:
    """Hear of an endpoint whose call is still open: the engine holds its job, and it may say how far that is."""
    calling = push.caller(house, who.organization_id, fence, name)
    if calling is None:
        return None
    job, engine = calling
    if said is not None:
        jobs.say(house, engine, {(job.id, job.attempt): said})
    if push.caller(house, who.organization_id, fence, name) is None:
        return None  # What was said may have come too late for the engine to hold the job.
    until = house.clock() + house.settings.jobs_lease_seconds * SECOND
    return Beat(lease_until=until, cancelled=job.state == CANCELLING)


def complete(house: House, who: Principal, *, fence: Any, worker: Any, result: Any = None) -> Job:
    """Report the result. Refused (conflict) when the worker has lost the job: the result is thrown away."""
    return _finish(house, who, fence, worker, result=result)


def fail(house: House, who: Principal, *, fence: Any, worker: Any, error: Any, retry: Any = None) -> Job:
    """Report a failure; the job is tried again unless `retry` is False or its tries are used up."""
    said = rules.text(error, "error", least=1, most=1 << 16)[:ERROR_CHARACTERS]
    again = retry is None or rules.flag(retry, "retry")
    return _finish(house, who, fence, worker, error=said, retry=again)


def _finish(house: House, who: Principal, fence: Any, worker: Any, **outcome: Any) -> Job:
    rules.require(who, RESOURCE, "write")
    name, mark = _worker(worker), _fence(fence)
    facts: dict[str, Any] = {"fence": mark, "worker": name, "organization_id": who.organization_id} | outcome
    try:
        try:
            return jobs.finish(house, **facts)
        except Refusal:
            # An endpoint may be done before its own 202 has come through: it has the job from now on.
            calling = push.caller(house, who.organization_id, mark, name)
            if calling is not None:
                jobs.hand_over(house, fence=mark, worker=calling[1], to=name, seconds=LEAST_HELD_SECONDS)
            return jobs.finish(house, **facts)
    except Refusal as refusal:
        raise _told(house, who, refusal, mark) from refusal


def _told(house: House, who: Principal, refusal: Refusal, fence: str) -> Refusal:
    """Say why a worker no longer has a job. Another organization's, or none, is not found."""
    if refusal.kind is not Kind.CONFLICT:
        return refusal
    job_id, _, attempt = fence.partition(":")
    try:
        job = jobs.get(house, definitions.owner(who), job_id=int(job_id))
    except Refusal:
        return not_found("Job not found")
    if job.state in FINAL:
        return conflict(f"The job is {job.state} already; nothing was changed")
    if job.attempt > int(attempt):
        return conflict(f"Attempt {attempt} is over: its lease ran out, and attempt {job.attempt} has begun")
    return conflict("The lease of this attempt ran out, or it is another worker's; nothing was changed")


def _queue(house: House, who: Principal, name: str) -> Definition:
    found = definitions.find(house, who.organization_id, name)
    if found is None or found.kind != "queue":
        raise not_found(f"There is no queue {name!r}; define a workflow of the kind queue first")
    return found


def _names(value: Any) -> list[str]:
    if value is None:
        raise rules.missing("queues")
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_QUEUES:
        raise invalid("queues", f"must be a list of 1-{MOST_QUEUES} names")
    return list(dict.fromkeys(defining.name_of(one, "queues") for one in value))


def _worker(value: Any) -> str:
    sent = rules.text(value, "worker", least=1, most=64)
    if not WORKER.fullmatch(sent):
        raise invalid("worker", f"must match ^{WORKER.pattern}$")
    return sent


def _fence(value: Any) -> str:
    sent = rules.text(value, "fence", least=1, most=64)
    if not FENCE.fullmatch(sent):
        raise invalid("fence", "must be the fence that came with the job")
    return sent


def _seconds(value: Any) -> int:
    return rules.integer(value, "seconds", LEAST_HELD_SECONDS, LONGEST_HELD_SECONDS)


def _progress(given: Any) -> Progress:
    if not isinstance(given, dict):
        raise invalid("progress", "must be an object", type="type")
    total, message = given.get("total"), given.get("message")
    return Progress(
        done=rules.integer(given.get("done"), "progress.done", 0),
        total=None if total is None else rules.integer(total, "progress.total", 0),
        message=None if message is None else rules.text(message, "progress.message", most=1 << 16)[:MESSAGE_CHARACTERS],
    )
