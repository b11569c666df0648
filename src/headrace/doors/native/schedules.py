"""Schedules of workflows: what is started whenever a cron expression says so. Rules are core's."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import JSONBody
from msgspec import Meta

from headrace.core.workflows import MISSED, OVERLAP, Schedule, schedules
from headrace.wire.door import Incoming, terms
from headrace.wire.moments import Time, timed

TAGS = ["workflows"]
READ, WRITE = ("workflows", "read"), ("workflows", "write")
PATH = "/api/v1/workflow-schedules"
# Of the path, counted from its first slash.
NAME = 4
DONE = 204

Name = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": 128})]
Cron = Annotated[str, Meta(description="Five fields: minute, hour, day of month, month, day of week")]


class ScheduleFields(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`payload` ({}) and `priority` (50) are those of the jobs; `time_zone` is UTC.

    `missed`: what came due while no server ran is made up for once (the usual), not at all, or all of it, up to 100
    runs. `overlap`: while the job of the run before is not over, a run is skipped (the usual) or allowed.
    """

    payload: dict[str, Any] | None = None
    priority: Annotated[int, Meta(description="0-100")] | None = None
    time_zone: Annotated[str, Meta(description="As in Europe/Berlin")] | None = None
    missed: Annotated[str, Meta(extra_json_schema={"enum": list(MISSED)})] | None = None
    overlap: Annotated[str, Meta(extra_json_schema={"enum": list(OVERLAP)})] | None = None


class NewSchedule(ScheduleFields, kw_only=True, forbid_unknown_fields=True):
    name: Name
    workflow: Name
    cron: Cron


class ScheduleChange(ScheduleFields, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays. What comes due during a pause is not made up for."""

    workflow: Name | None = None
    cron: Cron | None = None
    paused: bool | None = None


class ScheduleOut(msgspec.Struct, kw_only=True):
    """`last_job_id` is the job of the run at `last_at`; `skipped` counts runs that would have overlapped.

    `error`: why nothing is started although it is due.
    """

    name: str
    workflow: str
    payload: Any
    priority: int
    cron: str
    time_zone: str
    missed: str
    overlap: str
    paused: bool
    next_at: Time
    last_at: Time | None
    last_job_id: int | None
    skipped: int
    error: str | None
    created_at: Time
    updated_at: Time


class ScheduleList(msgspec.Struct):
    workflow_schedules: Sequence[ScheduleOut]
    total: int


@get(PATH, opt=terms("A", READ, errors=(403,)), tags=TAGS, sync_to_thread=True)
def list_all(call: Incoming) -> ScheduleList:
    """List the organization's schedules by name."""
    found = [out(one) for one in schedules.list_all(call.house, call.who)]
    return ScheduleList(found, len(found))


@post(PATH, opt=terms("A", WRITE, body="body_limit", errors=(403, 409)), tags=TAGS, sync_to_thread=True)
def create(call: Incoming, data: JSONBody[NewSchedule]) -> ScheduleOut:
    """Have a workflow started at the times of a cron expression."""
    return out(schedules.create(call.house, call.who, **msgspec.structs.asdict(data)))


@get(PATH + "/{name:str}", opt=terms("A", READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def get_one(call: Incoming) -> ScheduleOut:
    """Return one schedule."""
    return out(schedules.get(call.house, call.who, name=call.part(NAME)))


@patch(
    PATH + "/{name:str}",
    opt=terms("A", WRITE, body="body_limit", errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def update(call: Incoming, data: JSONBody[ScheduleChange]) -> ScheduleOut:
    """Change, pause or resume a schedule."""
    fields = msgspec.structs.asdict(data)
    return out(schedules.update(call.house, call.who, name=call.part(NAME), **fields))


@delete(
    PATH + "/{name:str}",
    opt=terms("A", WRITE, errors=(403, 404)),
    tags=TAGS,
    status_code=DONE,
    sync_to_thread=True,
)
def remove(call: Incoming) -> None:
    """End a schedule; jobs that it has started stay."""
    schedules.remove(call.house, call.who, name=call.part(NAME))


def out(one: Schedule) -> ScheduleOut:
    fields = timed(one, "next_at", "last_at", "created_at", "updated_at") | {"paused": one.paused_at is not None}
    return ScheduleOut(**{name: fields[name] for name in ScheduleOut.__struct_fields__})


ROUTES = (list_all, create, get_one, update, remove)
