"""Alerts: conditions on a project's logs, their state and history. Rules are core's."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from headrace.core import alerts, rules
from headrace.core.alerts import Rule
from headrace.kit import times
from headrace.wire.door import Incoming, terms
from headrace.wire.moments import Time, timed

TAGS = ["alerts"]
READ, WRITE = ("logs", "read"), ("logs", "write")
DONE, GONE = 200, 204
PATH = "/api/v1/alerts"

Id = Annotated[int, Meta(ge=1, le=rules.LARGEST)]
ProjectId = Annotated[int | None, QueryParameter(ge=1, le=rules.LARGEST)]
StateIs = Annotated[str | None, QueryParameter(name="state", description="One of " + ", ".join(alerts.STATES) + ".")]
Limit = Annotated[int, QueryParameter(ge=1, le=1000, description="Entries of a page.")]
Offset = Annotated[int, QueryParameter(ge=0, le=rules.LARGEST, description="Entries to skip.")]
Before = Annotated[int | None, QueryParameter(ge=1, le=rules.LARGEST, description="Id of the last line seen.")]
Name = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": 255})]


def one_of(names: Sequence[str]) -> Meta:
    return Meta(extra_json_schema={"enum": list(names)})


class Condition(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The condition is `value comparison threshold` over the window; which fields a kind takes, docs/alerts.md says."""

    kind: Annotated[str, one_of(alerts.KINDS)]
    window_seconds: int = 300
    query: str | None = None
    comparison: Annotated[str, one_of(list(alerts.COMPARISONS))] | None = None
    threshold: int | float | None = None
    measure: Annotated[str, one_of(alerts.MEASURES)] | None = None
    look_back_seconds: int | None = None
    news: Annotated[str, one_of(alerts.NEWS)] | None = None


class AlertFields(Condition, kw_only=True, forbid_unknown_fields=True):
    name: Name
    every_seconds: int = 60
    for_seconds: int = 0
    cool_down_seconds: int = 0
    is_enabled: bool = True


class NewAlert(AlertFields, kw_only=True, forbid_unknown_fields=True):
    project_id: Id


class Proposed(Condition, kw_only=True, forbid_unknown_fields=True):
    project_id: Id
    for_seconds: Annotated[int, Meta(ge=0, le=7 * 86_400)] = 0
    cool_down_seconds: Annotated[int, Meta(ge=0, le=7 * 86_400)] = 0


class Mute(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    until: Time


class AlertOut(msgspec.Struct, kw_only=True):
    """`value` and `sample_log_id` are of the last evaluation that came to an end; `error` says why the last did not.

    `in_trouble`: five or more in a row did not.
    """

    id: int
    project_id: int
    account_id: int | None
    name: str
    kind: str
    query: str
    window_seconds: int
    comparison: str
    threshold: float
    measure: str | None
    look_back_seconds: int | None
    news: str | None
    every_seconds: int
    for_seconds: int
    cool_down_seconds: int
    is_enabled: bool
    muted_until: Time | None
    state: str
    since: Time
    value: float | None
    sample_log_id: str | None
    evaluated_at: Time | None
    error: str | None
    in_trouble: bool
    created_at: Time
    updated_at: Time


class AlertList(msgspec.Struct):
    alerts: Sequence[AlertOut]
    has_more: bool


class Line(msgspec.Struct, kw_only=True):
    """One transition; `is_told`: it was sent to the webhooks."""

    id: int
    at: Time
    from_state: str
    to_state: str
    value: float | None
    sample_log_id: str | None
    reason: str
    is_told: bool


class History(msgspec.Struct):
    transitions: Sequence[Line]
    has_more: bool


class Trial(msgspec.Struct, kw_only=True):
    """What an evaluation would find now; `next_state` is where the alert would go."""

    at: Time
    value: float
    holds: bool
    sample_log_id: str | None
    reason: str
    state: str
    next_state: str


class Point(msgspec.Struct):
    at: Time
    value: float


class PreviewOut(msgspec.Struct, kw_only=True):
    """The last day's values, and how often it would have begun to fire; null where that cannot be known."""

    value: float
    holds: bool
    reason: str
    comparison: str
    threshold: float
    firings: int | None
    points: Sequence[Point]


@get(PATH, opt=terms("A", READ, errors=(404,)), tags=TAGS, sync_to_thread=True)
def list_all(
    call: Incoming, project_id: ProjectId = None, state_is: StateIs = None, limit: Limit = 100, offset: Offset = 0
) -> AlertList:
    """List the alerts of the organization, or of one project; those that fire first, then by name."""
    found = alerts.list_all(call.house, call.who, project_id=project_id, state=state_is, limit=limit, offset=offset)
    return AlertList([out(one) for one in found.rules], found.has_more)


@post(PATH, opt=terms("A", WRITE, body="body_limit", errors=(404,)), tags=TAGS, sync_to_thread=True)
def create(call: Incoming, data: JSONBody[NewAlert]) -> AlertOut:
    """Make an alert; it is evaluated at once."""
    return out(alerts.create(call.house, call.who, **msgspec.structs.asdict(data)))


@post(
    f"{PATH}/preview",
    opt=terms("A", READ, body="body_limit", errors=(404,)),
    tags=TAGS,
    status_code=DONE,
    sync_to_thread=True,
)
def preview(call: Incoming, data: JSONBody[Proposed]) -> PreviewOut:
    """Return what a condition would have found over the last day."""
    found = alerts.preview(call.house, call.who, **msgspec.structs.asdict(data))
    return PreviewOut(
        value=found.now.value,
        holds=found.now.holds,
        reason=found.reason,
        comparison=found.definition.comparison,
        threshold=found.definition.threshold,
        firings=found.firings,
        points=[Point(times.show(at), value) for at, value in found.points],
    )


@get(f"{PATH}/{{id:str}}", opt=terms("A", READ, errors=(404,)), tags=TAGS, sync_to_thread=True)
def get_one(call: Incoming, id: FromPath[str]) -> AlertOut:  # noqa: A002  The parameter's name.
    """Return one alert."""
    return out(alerts.get(call.house, call.who, alert_id=rules.path_id(id, "id")))


@put(f"{PATH}/{{id:str}}", opt=terms("A", WRITE, body="body_limit", errors=(404,)), tags=TAGS, sync_to_thread=True)
def update(call: Incoming, id: FromPath[str], data: JSONBody[AlertFields]) -> AlertOut:  # noqa: A002
    """Replace an alert; what is left out gets its default. When it measures something else now, it begins anew."""
    fields: dict[str, Any] = msgspec.structs.asdict(data)
    return out(alerts.update(call.house, call.who, alert_id=rules.path_id(id, "id"), **fields))


@delete(f"{PATH}/{{id:str}}", opt=terms("A", WRITE, errors=(404,)), tags=TAGS, status_code=GONE, sync_to_thread=True)
def remove(call: Incoming, id: FromPath[str]) -> None:  # noqa: A002  The parameter's name.
    """Delete an alert and its history."""
    alerts.delete(call.house, call.who, alert_id=rules.path_id(id, "id"))


@get(f"{PATH}/{{id:str}}/history", opt=terms("A", READ, errors=(404,)), tags=TAGS, sync_to_thread=True)
def history(call: Incoming, id: FromPath[str], limit: Limit = 100, before: Before = None) -> History:  # noqa: A002
    """Return what an alert went through, newest first."""
    alert_id = rules.path_id(id, "id")
    found = alerts.history(call.house, call.who, alert_id=alert_id, limit=limit, before=before)
    lines = [timed(one, "at") for one in found.transitions]
    return History([Line(**{name: line[name] for name in Line.__struct_fields__}) for line in lines], found.has_more)


@post(f"{PATH}/{{id:str}}/test", opt=terms("A", WRITE, errors=(404,)), tags=TAGS, status_code=DONE, sync_to_thread=True)
def test(call: Incoming, id: FromPath[str]) -> Trial:  # noqa: A002  The parameter's name.
    """Evaluate an alert now, without changing its state and without telling anybody."""
    found = alerts.test(call.house, call.who, alert_id=rules.path_id(id, "id"))
    return Trial(
        at=times.show(found.at),
        value=found.measured.value,
        holds=found.measured.holds,
        sample_log_id=found.measured.sample_log_id,
        reason=found.reason,
        state=found.state,
        next_state=found.next_state,
    )


@post(
    f"{PATH}/{{id:str}}/mute",
    opt=terms("A", WRITE, body="body_limit", errors=(404,)),
    tags=TAGS,
    status_code=DONE,
    sync_to_thread=True,
)
def mute(call: Incoming, id: FromPath[str], data: JSONBody[Mute]) -> AlertOut:  # noqa: A002  The parameter's name.
    """Tell nobody of this alert until a moment; its state and history go on."""
    return out(alerts.mute(call.house, call.who, alert_id=rules.path_id(id, "id"), until=data.until))


@post(
    f"{PATH}/{{id:str}}/unmute", opt=terms("A", WRITE, errors=(404,)), tags=TAGS, status_code=DONE, sync_to_thread=True
)
def unmute(call: Incoming, id: FromPath[str]) -> AlertOut:  # noqa: A002  The parameter's name.
    """End a mute; an alert that fires is told at its next evaluation."""
    return out(alerts.unmute(call.house, call.who, alert_id=rules.path_id(id, "id")))


def out(rule: Rule) -> AlertOut:
    fields = timed(rule, "muted_until", "since", "evaluated_at", "created_at", "updated_at")
    fields |= msgspec.structs.asdict(rule.definition) | {"in_trouble": rule.in_trouble}
    return AlertOut(**{name: fields[name] for name in AlertOut.__struct_fields__})


ROUTES = (list_all, create, preview, get_one, update, remove, history, test, mute, unmute)
