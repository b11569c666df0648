"""Error groups: list, look at, set the state, assign."""

from typing import Annotated, Any

from litestar import get, patch
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET

from headrace.core.groups import finding, series, triage
from headrace.core.groups.record import Group
from headrace.core.refusals import invalid
from headrace.core.rules import LARGEST
from headrace.doors.ledger import shapes
from headrace.doors.ledger.filters import Limit, Offset, ProjectId
from headrace.doors.ledger.logs import log
from headrace.doors.ledger.projects import Id
from headrace.kit import times
from headrace.wire.door import Incoming, terms

TAGS = ["error-groups"]
WHO = "JKO"
READ, WRITE = ("logs", "read"), ("logs", "write")
MADE = ("first_seen", "last_seen", "resolved_at", "regressed_at", "mute")
PLAIN_FIELDS = tuple(name for name in shapes.GroupOut.__struct_fields__ if name not in MADE)
State = Annotated[str | None, QueryParameter(description="unresolved, resolved, ignored or muted")]
Sort = Annotated[str, QueryParameter(description="last_seen, first_seen, events or users; the largest first")]
Part = Annotated[str | None, QueryParameter(max_length=200, description="Part of the type or message; ignores case.")]
Assignee = Annotated[int | None, QueryParameter(ge=0, le=LARGEST, description="An account; 0 = nobody.")]
Release = Annotated[str | None, QueryParameter(max_length=255, description="Seen in this release.")]


@get("/api/v1/error-groups", opt=terms(WHO, READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def list_all(
    call: Incoming,
    *,
    project_id: ProjectId,
    status: State = None,
    sort: Sort = "last_seen",
    search: Part = None,
    assigned_to: Assignee = None,
    release: Release = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> shapes.GroupPage:
    """List a project's error groups, last seen first."""
    asked: dict[str, Any] = {"status": status, "sort": sort, "search": search, "release": release}
    asked |= {"assigned_to": assigned_to, "limit": limit, "offset": offset}
    page = finding.list_all(call.house, call.who, project_id=project_id, **asked)
    listed = [shown(one) for one in page.groups]
    return shapes.GroupPage(project_id=project_id, groups=listed, total=page.total, has_more=page.has_more)


@get("/api/v1/error-groups/{id:str}", opt=terms(WHO, READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def get_one(call: Incoming, project_id: ProjectId, id: Id) -> shapes.GroupDetail:  # noqa: A002  The contract's name.
    """Return a group with one of its logs and its last 24 hours."""
    group = finding.get(call.house, call.who, project_id=project_id, group_id=id)
    sample = finding.newest(call.house, call.who, group)
    hours = series.sparkline(call.house, group).hours
    return shapes.GroupDetail(
        group=shown(group),
        sample_stack_trace=sample.stack_trace if sample else None,
        sample_log=log(sample) if sample else None,
        occurrence_sparkline=[shapes.Spark(times.show(hour), rows) for hour, rows in hours],
    )


@patch(
    "/api/v1/error-groups/{id:str}/status",
    opt=terms(WHO, WRITE, body="body_limit", errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def set_status(call: Incoming, project_id: ProjectId, id: Id, data: JSONBody[shapes.StatusChange]) -> shapes.GroupOut:  # noqa: A002
    """Set a group's state."""
    changed = triage.set_status(
        call.house,
        call.who,
        project_id=project_id,
        group_id=id,
        status=data.status,
        resolved_in_release=data.resolved_in_release,
    )
    return shown(changed)


@patch(
    "/api/v1/error-groups/{id:str}/assign",
    opt=terms(WHO, WRITE, body="body_limit", errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def assign(call: Incoming, project_id: ProjectId, id: Id, data: JSONBody[shapes.Assignment]) -> shapes.GroupOut:  # noqa: A002
    """Assign a group to a member of the organization, or to nobody."""
    if data.assigned_to is UNSET:
        raise invalid("assigned_to", "field required", type="missing")
    changed = triage.assign(call.house, call.who, project_id=project_id, group_id=id, assigned_to=data.assigned_to)
    return shown(changed)


def shown(group: Group) -> shapes.GroupOut:
    return shapes.GroupOut(
        first_seen=times.show(group.first_seen),
        last_seen=times.show(group.last_seen),
        resolved_at=times.shown(group.resolved_at),
        regressed_at=times.shown(group.regressed_at),
        mute=mute_of(group),
        **{name: getattr(group, name) for name in PLAIN_FIELDS},
    )


def mute_of(group: Group) -> shapes.Mute | None:
    """Return how a muted group's mute ends."""
    if group.status != "muted":
        return None
    rule = group.mute_rule
    limits = {} if rule is None else {name: getattr(rule, name) for name in ("events", "minutes", "users")}
    return shapes.Mute(until=times.shown(group.muted_until), **limits)


ROUTES = (list_all, get_one, set_status, assign)
