"""Why a job waits, where the reason is that nobody serves it, or may: who should, and since when nobody does."""

from collections.abc import Sequence

import msgspec

from headrace.core import functions, jobs, rules
from headrace.core.house import House
from headrace.core.jobs import Job, Kinds, Pause
from headrace.core.jobs.states import READY
from headrace.core.principal import Principal
from headrace.core.workflows import definitions, workers
from headrace.core.workflows.definitions import Definition
from headrace.core.workflows.kinds import ECHO, QUEUE
from headrace.core.workflows.workers import GONE_US, Worker


class WaitingFor(msgspec.Struct, frozen=True):
    """`who` should serve the job, and has not `since` (microseconds)."""

    who: str
    since: int


def waiting_for(house: House, who: Principal, job: Job) -> WaitingFor | None:
    """Return whom one job waits for; None when it does not wait, or only for its turn."""
    return notes(house, who, [job]).get(job.id)


def notes(house: House, who: Principal, given: Sequence[Job]) -> dict[int, WaitingFor]:
    """Return the same for many jobs, by id."""
    waiting = [job for job in given if job.state == READY]
    if not waiting:
        return {}
    rules.require(who, "jobs", "read")
    reader = definitions.owner(who)
    held = {
        job.id: _held(job, pause)
        for pause in jobs.paused(house, reader)
        for job in waiting
        if pause.kind in {"", job.kind}
    }
    return _unserved(house, reader, [job for job in waiting if job.id not in held]) | held


def _held(job: Job, pause: Pause) -> WaitingFor:
    whose = "the operator" if pause.everywhere else "somebody"
    what = f"jobs of the kind {pause.kind!r}" if pause.kind else "all jobs"
    return WaitingFor(f"{whose} who resumes {what}", max(pause.since, job.created_at))


def _unserved(house: House, reader: Principal, given: Sequence[Job]) -> dict[int, WaitingFor]:
    waiting = [job for job in given if job.name and job.kind != ECHO]
    if not waiting:
        return {}
    known = {one.name: one for one in definitions.list_all(house, reader)}
    here = workers.list_all(house, reader) if any(job.kind == QUEUE for job in waiting) else []
    found = {job.id: _note(house, job, known.get(job.name or ""), here) for job in waiting}
    return {job_id: note for job_id, note in found.items() if note is not None}


def _note(house: House, job: Job, definition: Definition | None, here: Sequence[Worker]) -> WaitingFor | None:
    if definition is not None and definition.paused_at is not None:
        return WaitingFor(f"somebody who resumes the workflow {job.name!r}", max(definition.paused_at, job.created_at))
    if job.kind == QUEUE:
        last = max((one.seen_at for one in here if one.queue == job.name), default=0)
        if house.clock() - last < GONE_US:
            return None
        return WaitingFor(f"a worker that pulls the queue {job.name!r}", max(last, job.created_at))
    kind = house.part(Kinds).named.get(job.kind)
    if job.kind.startswith(functions.PREFIX) and (kind is None or kind.run is None):
        if job.name in functions.installed():
            said = f"the operator, who has to mend the function {job.name!r}: the server's log says what is wrong"
            return WaitingFor(said, job.created_at)
        said = f"a server on which the function {job.name!r} is installed (entry point group {functions.GROUP})"
        return WaitingFor(said, job.created_at)
    return None
