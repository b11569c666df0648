"""Deleting logs by a query: asked for by an organization's admin, done beside the requests. Rules are core's."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from headrace.core import rules
from headrace.core.events import deletions
from headrace.core.events.deletions import Deletion
from headrace.core.events.filters import Filters
from headrace.doors.ledger.filters import Period, ProjectId, StatusClass, span
from headrace.eventstore.rows import Level, LogType
from headrace.kit import times
from headrace.wire.door import Incoming, terms
from headrace.wire.moments import Time

TAGS = ["logs"]
DONE = 200
MOMENTS = ("created_at", "started_at", "finished_at")


# A filter under a wrong name would not narrow: what is unknown is refused.
class NewDeletion(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The filters of a log query; at least one. With `dry_run` nothing is deleted, only counted."""

    project_id: Annotated[int, Meta(ge=1, le=rules.LARGEST)]
    period: Period | None = None
    period_from: str | None = msgspec.field(name="periodFrom", default=None)
    period_to: str | None = msgspec.field(name="periodTo", default=None)
    level: Level | list[Level] | None = None
    log_type: LogType | list[LogType] | None = None
    status_class: StatusClass | list[StatusClass] | None = None
    environment: Annotated[str, Meta(max_length=255)] | None = None
    search: Annotated[str, Meta(max_length=200)] | None = None
    q: Annotated[str, Meta(max_length=4000)] | None = None
    dry_run: bool = False


class DeletionOut(msgspec.Struct, kw_only=True):
    """`state`: pending, running, completed, failed (`reason` says why), cancelled. `matched` is known once it runs."""

    id: int
    project_id: int
    account_id: int | None
    filters: dict[str, Any]
    state: str
    reason: str | None
    matched: int | None
    deleted: int
    created_at: Time
    started_at: Time | None
    finished_at: Time | None


class DeletionCount(msgspec.Struct, kw_only=True):
    project_id: int
    dry_run: bool = True
    matched: int


class DeletionList(msgspec.Struct):
    deletions: Sequence[DeletionOut]
    total: int


@post(
    "/api/v1/logs/deletions",
    opt=terms("J", body="body_limit", errors=(403, 404, 409)),
    tags=TAGS,
    status_code=DONE,
    sync_to_thread=True,
)
def create(call: Incoming, data: JSONBody[NewDeletion]) -> DeletionOut | DeletionCount:
    """Have the logs deleted that a query finds, beside the requests; or only count them."""
    wanted = filters(call.house.clock(), data)
    house, who, project_id = call.house, call.who, data.project_id
    if data.dry_run:
        matched = deletions.preview(house, who, project_id=project_id, filters=wanted)
        return DeletionCount(project_id=project_id, matched=matched)
    return out(deletions.create(house, who, project_id=project_id, filters=wanted))


@get("/api/v1/logs/deletions", opt=terms("J", errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def list_all(call: Incoming, project_id: ProjectId) -> DeletionList:
    """List a project's deletions, newest first."""
    found = [out(one) for one in deletions.list_all(call.house, call.who, project_id=project_id)]
    return DeletionList(found, len(found))


@get("/api/v1/logs/deletions/{id:str}", opt=terms("J", errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def get_one(call: Incoming, id: FromPath[str]) -> DeletionOut:  # noqa: A002  The contract's name.
    """Return one deletion."""
    return out(deletions.get(call.house, call.who, deletion_id=rules.path_id(id, "id")))


@delete(
    "/api/v1/logs/deletions/{id:str}",
    opt=terms("J", errors=(403, 404, 409)),
    tags=TAGS,
    status_code=DONE,
    sync_to_thread=True,
)
def cancel(call: Incoming, id: FromPath[str]) -> DeletionOut:  # noqa: A002  The contract's name.
    """Cancel a deletion that waits or runs; what is deleted stays deleted."""
    return out(deletions.cancel(call.house, call.who, deletion_id=rules.path_id(id, "id")))


def filters(now: int, data: NewDeletion) -> Filters:
    start, end = span(now, data.period, data.period_from, data.period_to)
    return Filters(
        ts_from=start,
        ts_to=end,
        levels=several(data.level),
        log_types=several(data.log_type),
        status_classes=tuple(int(name[0]) for name in several(data.status_class)),
        environment=data.environment,
        text=data.search or None,
        query=data.q or None,
    )


def several(value: Any) -> tuple[Any, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def out(one: Deletion) -> DeletionOut:
    plain = {name: getattr(one, name) for name in DeletionOut.__struct_fields__ if name not in {*MOMENTS, "filters"}}
    return DeletionOut(
        **plain,
        filters=asked(one.filters),
        created_at=times.show(one.created_at),
        started_at=times.shown(one.started_at),
        finished_at=times.shown(one.finished_at),
    )


def asked(found: Filters) -> dict[str, Any]:
    """Return filters under the names by which they are sent; a named period as its ends."""
    named = {
        "periodFrom": times.shown(found.ts_from),
        "periodTo": times.shown(found.ts_to),
        "level": list(found.levels),
        "log_type": list(found.log_types),
        "status_class": [f"{digit}xx" for digit in found.status_classes],
        "environment": found.environment,
        "search": found.text,
        "q": found.query,
    }
    return {name: value for name, value in named.items() if value not in (None, [])}


ROUTES = (create, list_all, get_one, cancel)
