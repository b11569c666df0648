"""Error groups: list, look at, set the state, assign."""

from typing import Annotated

from litestar import get, patch
from litestar.params import JSONBody, QueryParameter
from msgspec import UNSET

from headrace.core.events import read
from headrace.core.groups import finding, series, triage
from headrace.core.groups.record import Group
from headrace.core.refusals import Refusal, invalid
from headrace.doors.ledger import shapes
from headrace.doors.ledger.filters import Limit, Offset, ProjectId
from headrace.doors.ledger.logs import log
from headrace.doors.ledger.projects import Id
from headrace.kit import times
from headrace.wire.door import Incoming, terms

TAGS = ["error-groups"]
WHO = "JKO"
READ, WRITE = ("logs", "read"), ("logs", "write")
MOMENTS = ("first_seen", "last_seen", "resolved_at")
PLAIN_FIELDS = tuple(name for name in shapes.GroupOut.__struct_fields__ if name not in MOMENTS)
State = Annotated[str | None, QueryParameter(description="unresolved, resolved, ignored or muted")]


@get("/api/v1/error-groups", opt=terms(WHO, READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def list_all(
    call: Incoming, project_id: ProjectId, status: State = None, limit: Limit = 100, offset: Offset = 0
) -> shapes.GroupPage:
    """List a project's error groups, last seen first."""
    page = finding.list_all(call.house, call.who, project_id=project_id, status=status, limit=limit, offset=offset)
    listed = [shown(one) for one in page.groups]
    return shapes.GroupPage(project_id=project_id, groups=listed, has_more=page.has_more)


@get("/api/v1/error-groups/{id:str}", opt=terms(WHO, READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def get_one(call: Incoming, project_id: ProjectId, id: Id) -> shapes.GroupDetail:  # noqa: A002  The contract's name.
    """Return a group with one of its logs and its last 24 hours."""
    group = finding.get(call.house, call.who, project_id=project_id, group_id=id)
    sample = None
    if group.sample_log_id:
        try:
            sample = read.get(call.house, call.who, project_id=project_id, log_id=group.sample_log_id)
        except Refusal:
            sample = None  # Retention took the log; the group outlives it.
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
        resolved_at=shapes.shown(group.resolved_at),
        **{name: getattr(group, name) for name in PLAIN_FIELDS},
    )


ROUTES = (list_all, get_one, set_status, assign)
