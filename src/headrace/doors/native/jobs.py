"""Jobs of the organization: listed, looked at, cancelled, replayed, counted. Rules are core's."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.params import FromPath, QueryParameter
from msgspec import Meta

from headrace.core import jobs, rules, workflows
from headrace.core.jobs.reading import MOST
from headrace.kit import times
from headrace.wire.door import Incoming, terms
from headrace.wire.moments import Time

TAGS = ["jobs"]
READ, WRITE = ("jobs", "read"), ("jobs", "write")
TIMES = ("run_at", "created_at", "started_at", "finished_at")

# `state` itself is a word of the framework.
State = Annotated[str | None, QueryParameter(name="state", schema_extra={"enum": list(jobs.STATES)})]
Word = Annotated[str | None, QueryParameter(max_length=255)]
Limit = Annotated[int, QueryParameter(ge=1, le=MOST)]
Before = Annotated[int | None, QueryParameter(ge=1, le=rules.LARGEST, description="`before` of the last page")]


class Waiting(msgspec.Struct):
    """Who should serve a job that nobody serves, and since when nobody does."""

    who: str
    since: Time


class JobOut(msgspec.Struct, kw_only=True):
    """`token` is the job's id where other APIs show it; `fence` names the attempt that runs now, or ran last."""

    id: int
    token: str
    fence: str
    kind: str
    name: str | None
    view: str | None
    state: Annotated[str, Meta(extra_json_schema={"enum": list(jobs.STATES)})]
    priority: int
    payload: Any
    attempt: int
    tries: int
    progress_done: int | None
    progress_total: int | None
    progress_message: str | None
    result: Any
    error: str | None
    callback_url: str | None
    run_at: Time
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    waiting_for: Annotated[Waiting | None, Meta(description="Null unless it is ready and nobody serves it")]


class JobList(msgspec.Struct):
    """Newest first; `before` is null on the last page."""

    jobs: Sequence[JobOut]
    before: int | None


class Counts(msgspec.Struct):
    """By state; those in which jobs are over are of all time."""

    counts: dict[str, int]


@get("/api/v1/jobs", opt=terms("A", READ), tags=TAGS, sync_to_thread=True)
def list_all(  # noqa: PLR0917  The framework passes them by name.
    call: Incoming,
    in_state: State = None,
    kind: Word = None,
    name: Word = None,
    limit: Limit = 50,
    before: Before = None,
) -> JobList:
    """List jobs. `state=failed` are the dead letters."""
    page = jobs.list_all(call.house, call.who, state=in_state, kind=kind, name=name, limit=limit, before=before)
    notes = workflows.notes(call.house, call.who, page.jobs)
    return JobList([out(one, notes.get(one.id)) for one in page.jobs], page.before)


@get("/api/v1/jobs/counts", opt=terms("A", READ), tags=TAGS, sync_to_thread=True)
def counts(call: Incoming) -> Counts:
    """Count jobs by state."""
    return Counts(jobs.counts(call.house, call.who))


@get("/api/v1/jobs/{job_id:str}", opt=terms("A", READ, errors=(404,)), tags=TAGS, sync_to_thread=True)
def get_one(call: Incoming, job_id: FromPath[str]) -> JobOut:
    """Return one job."""
    job = jobs.get(call.house, call.who, job_id=rules.path_id(job_id, "job_id"))
    return out(job, workflows.waiting_for(call.house, call.who, job))


@post(
    "/api/v1/jobs/{job_id:str}/cancel",
    opt=terms("A", WRITE, errors=(404, 409)),
    tags=TAGS,
    status_code=200,
    sync_to_thread=True,
)
def cancel(call: Incoming, job_id: FromPath[str]) -> JobOut:
    """Cancel a job; one that runs is `cancelling` until it has stopped."""
    return out(jobs.cancel(call.house, call.who, job_id=rules.path_id(job_id, "job_id")))


@post(
    "/api/v1/jobs/{job_id:str}/retry",
    opt=terms("A", WRITE, errors=(404, 409)),
    tags=TAGS,
    status_code=200,
    sync_to_thread=True,
)
def retry(call: Incoming, job_id: FromPath[str]) -> JobOut:
    """Have a failed or cancelled job run again."""
    return out(jobs.retry(call.house, call.who, job_id=rules.path_id(job_id, "job_id")))


def out(job: jobs.Job, note: workflows.WaitingFor | None = None) -> JobOut:
    fields: dict[str, Any] = {name: getattr(job, name) for name in JobOut.__struct_fields__ if name != "waiting_for"}
    fields |= {name: times.shown(fields[name]) for name in TIMES}
    return JobOut(**fields, waiting_for=None if note is None else Waiting(note.who, times.show(note.since)))


ROUTES = (list_all, counts, get_one, cancel, retry)
