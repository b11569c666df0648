"""Work on error groups beyond the documented states: comments, activity, merges, mutes, releases, why, Markdown."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from headrace.core import projects, rules
from headrace.core.groups import activity, comments, finding, markdown, merging, releases, series, triage, why
from headrace.doors.ledger import shapes
from headrace.doors.ledger.filters import Limit, ProjectId
from headrace.doors.ledger.groups import READ, TAGS, WHO, WRITE, shown
from headrace.doors.ledger.projects import Id
from headrace.kit import times
from headrace.wire import site
from headrace.wire.door import Incoming, terms
from headrace.wire.moments import Time, timed
from headrace.wire.repeats import once_here

PATH = "/api/v1/error-groups/{id:str}"
READING = terms(WHO, READ, errors=(403, 404))
WRITING = terms(WHO, WRITE, body="body_limit", errors=(403, 404))
CREATED, DONE = 201, 200
Before = Annotated[int | None, QueryParameter(ge=1, le=rules.LARGEST, description="The id of the last line seen.")]
Hours = Annotated[int, QueryParameter(ge=1, le=series.KEPT_DAYS * 24, description="How many hours back.")]


class Said(msgspec.Struct, kw_only=True):
    text: str | None = None


class CommentOut(msgspec.Struct, kw_only=True):
    """`account_id` is its author; null for the operator."""

    id: int
    group_id: int
    account_id: int | None
    text: str
    created_at: Time
    edited_at: Time | None


class CommentList(msgspec.Struct):
    comments: Sequence[CommentOut]
    total: int


class ActivityLine(msgspec.Struct, kw_only=True):
    """`actor_kind`: user, key, operator, anonymous, or system for what the group did by itself."""

    id: int
    at: Time
    kind: str
    actor_kind: str
    account_id: int | None
    data: dict[str, Any]


class ActivityPage(msgspec.Struct):
    activity: Sequence[ActivityLine]
    has_more: bool


class Merge(msgspec.Struct):
    group_ids: list[int] | None = None


class Unmerge(msgspec.Struct):
    group_id: int | None = None


class MergedList(msgspec.Struct):
    groups: Sequence[shapes.GroupOut]
    total: int


class Resolution(msgspec.Struct):
    """Without a release: now, for all of them."""

    release: str | None = None


class HourSeries(msgspec.Struct, kw_only=True):
    project_id: int
    group_id: int
    hours: Sequence[shapes.Spark]


class Place(msgspec.Struct, kw_only=True):
    """`name` is null for events that named none."""

    name: str | None
    count: int
    first_seen: Time
    last_seen: Time


class PlaceLists(msgspec.Struct, kw_only=True):
    """`releases` in the order of their first event, `environments` with the most events first."""

    first_release: str | None
    last_release: str | None
    releases: Sequence[Place]
    environments: Sequence[Place]
    user_count: int


class ReasonOut(msgspec.Struct, kw_only=True):
    """`kind`: frames, message (its varying parts as `#`), or custom: the sender chose `parts`."""

    kind: str
    error_type: str
    platform: str
    parts: Sequence[str]


class FingerprintOut(msgspec.Struct, kw_only=True):
    """`origin_id`: the group it came with. `reason` is null when no event is left to ask."""

    fingerprint: str
    version: int
    origin_id: int
    occurrence_count: int
    first_seen: Time
    last_seen: Time
    reason: ReasonOut | None


class FingerprintList(msgspec.Struct):
    group_id: int
    fingerprints: Sequence[FingerprintOut]


@get(f"{PATH}/comments", opt=READING, tags=TAGS, sync_to_thread=True)
def list_comments(call: Incoming, project_id: ProjectId, id: Id) -> CommentList:  # noqa: A002  The contract's name.
    """List a group's comments, oldest first."""
    found = [said(one) for one in comments.list_all(call.house, call.who, project_id=project_id, group_id=id)]
    return CommentList(found, len(found))


@post(
    f"{PATH}/comments",
    opt=terms(WHO, WRITE, body="body_limit", creates=True, errors=(403, 404)),
    tags=TAGS,
    status_code=CREATED,
    sync_to_thread=True,
)
def add_comment(call: Incoming, project_id: ProjectId, id: Id, data: JSONBody[Said]) -> CommentOut:  # noqa: A002
    """Comment on a group: plain text of at most 10,000 characters."""
    facts: dict[str, Any] = {"project_id": project_id, "group_id": id, "text": data.text}
    return once_here(
        call, f"comments#{project_id}/{id}", CommentOut, lambda: said(comments.add(call.house, call.who, **facts))
    )


@patch(f"{PATH}/comments/{{comment_id:str}}", opt=WRITING, tags=TAGS, sync_to_thread=True)
def edit_comment(
    call: Incoming,
    project_id: ProjectId,
    id: Id,  # noqa: A002
    comment_id: FromPath[str],
    data: JSONBody[Said],
) -> CommentOut:
    """Change a comment of one's own."""
    number = rules.path_id(comment_id, "comment_id")
    facts: dict[str, Any] = {"project_id": project_id, "group_id": id, "comment_id": number}
    return said(comments.edit(call.house, call.who, **facts, text=data.text))


@delete(
    f"{PATH}/comments/{{comment_id:str}}",
    opt=terms(WHO, WRITE, errors=(403, 404)),
    tags=TAGS,
    status_code=DONE,
    sync_to_thread=True,
)
def delete_comment(call: Incoming, project_id: ProjectId, id: Id, comment_id: FromPath[str]) -> shapes.Done:  # noqa: A002
    """Delete a comment: one's own, or as an admin any."""
    number = rules.path_id(comment_id, "comment_id")
    comments.delete(call.house, call.who, project_id=project_id, group_id=id, comment_id=number)
    return shapes.Done(message=f"Comment {number} deleted successfully")


@get(f"{PATH}/activity", opt=READING, tags=TAGS, sync_to_thread=True)
def list_activity(
    call: Incoming,
    project_id: ProjectId,
    id: Id,  # noqa: A002
    limit: Limit = 100,
    before: Before = None,
) -> ActivityPage:
    """List what was done to a group and what it did, newest first; the last 500 lines are kept."""
    facts: dict[str, Any] = {"project_id": project_id, "group_id": id, "limit": limit + 1, "before": before}
    found = activity.list_all(call.house, call.who, **facts)
    lines = [ActivityLine(**timed(one, "at")) for one in found[:limit]]
    return ActivityPage(lines, len(found) > limit)


@post(f"{PATH}/merge", opt=WRITING, tags=TAGS, status_code=DONE, sync_to_thread=True)
def merge(call: Incoming, project_id: ProjectId, id: Id, data: JSONBody[Merge]) -> shapes.GroupOut:  # noqa: A002
    """Merge other groups into this one, which keeps its state."""
    merged = merging.merge(call.house, call.who, project_id=project_id, group_id=id, group_ids=data.group_ids)
    return shown(merged)


@post(
    f"{PATH}/unmerge",
    opt=terms(WHO, WRITE, body="body_limit", errors=(403, 404, 409)),
    tags=TAGS,
    status_code=DONE,
    sync_to_thread=True,
)
def unmerge(call: Incoming, project_id: ProjectId, id: Id, data: JSONBody[Unmerge]) -> shapes.GroupOut:  # noqa: A002
    """Take a group out again that was merged into this one; returns it."""
    wanted = rules.integer(data.group_id, "group_id", 1)
    return shown(merging.unmerge(call.house, call.who, project_id=project_id, group_id=id, merged_id=wanted))


@get(f"{PATH}/merged", opt=READING, tags=TAGS, sync_to_thread=True)
def list_merged(call: Incoming, project_id: ProjectId, id: Id) -> MergedList:  # noqa: A002
    """List the groups that were merged into this one, as they were then."""
    found = [shown(one) for one in merging.members(call.house, call.who, project_id=project_id, group_id=id)]
    return MergedList(found, len(found))


@post(f"{PATH}/mute", opt=WRITING, tags=TAGS, status_code=DONE, sync_to_thread=True)
def mute(call: Incoming, project_id: ProjectId, id: Id, data: JSONBody[shapes.Mute]) -> shapes.GroupOut:  # noqa: A002
    """Mute a group, for ever or until the first of what is asked for."""
    facts = msgspec.structs.asdict(data)
    return shown(triage.mute(call.house, call.who, project_id=project_id, group_id=id, **facts))


@post(f"{PATH}/resolve", opt=WRITING, tags=TAGS, status_code=DONE, sync_to_thread=True)
def resolve(call: Incoming, project_id: ProjectId, id: Id, data: JSONBody[Resolution]) -> shapes.GroupOut:  # noqa: A002
    """Resolve a group, now or in a release."""
    facts: dict[str, Any] = {"status": "resolved", "resolved_in_release": data.release}
    return shown(triage.set_status(call.house, call.who, project_id=project_id, group_id=id, **facts))


@get(f"{PATH}/markdown", opt=READING, tags=TAGS, media_type="text/markdown", sync_to_thread=True)
def as_markdown(call: Incoming, project_id: ProjectId, id: Id) -> str:  # noqa: A002
    """Return the group as Markdown, for a ticket or a language model."""
    project = projects.get(call.house, call.who, project_id=project_id)
    group = finding.get(call.house, call.who, project_id=project_id, group_id=id)
    places, newest = releases.of_group(call.house, group), finding.newest(call.house, call.who, group)
    link = f"{site.base(call)}/ui/projects/{project.slug}/errors/{group.id}"
    return markdown.written(project, group, places, newest, link)


@get(f"{PATH}/hours", opt=READING, tags=TAGS, sync_to_thread=True)
def list_hours(call: Incoming, project_id: ProjectId, id: Id, hours: Hours = series.DEFAULT_HOURS) -> HourSeries:  # noqa: A002
    """Count a group's events by hour, oldest first, zeros included; retention does not lower them."""
    found = series.hours(call.house, call.who, project_id=project_id, group_id=id, hours=hours)
    counted = [shapes.Spark(times.show(hour), rows) for hour, rows in found]
    return HourSeries(project_id=project_id, group_id=id, hours=counted)


@get(f"{PATH}/releases", opt=READING, tags=TAGS, sync_to_thread=True)
def list_releases(call: Incoming, project_id: ProjectId, id: Id) -> PlaceLists:  # noqa: A002
    """Say in which releases and environments a group was seen, and about how many users it reached."""
    group = finding.get(call.house, call.who, project_id=project_id, group_id=id)
    found = releases.of_group(call.house, group)
    return PlaceLists(
        first_release=found.first_release,
        last_release=found.last_release,
        releases=[place(one) for one in found.releases],
        environments=[place(one) for one in found.environments],
        user_count=group.user_count,
    )


@get(f"{PATH}/why", opt=READING, tags=TAGS, sync_to_thread=True)
def explain(call: Incoming, project_id: ProjectId, id: Id) -> FingerprintList:  # noqa: A002
    """Say why these events are together: what went into each fingerprint of the group."""
    found = why.explain(call.house, call.who, project_id=project_id, group_id=id)
    return FingerprintList(id, [because(one) for one in found])


def said(comment: comments.Comment) -> CommentOut:
    return CommentOut(**timed(comment, "created_at", "edited_at"))


def place(seen: releases.Seen) -> Place:
    return Place(
        name=seen.name or None,
        count=seen.rows,
        first_seen=times.show(seen.first_seen),
        last_seen=times.show(seen.last_seen),
    )


def because(one: why.Because) -> FingerprintOut:
    reason = one.reason
    kept = {name: getattr(reason, name) for name in ReasonOut.__struct_fields__} if reason else None
    return FingerprintOut(
        fingerprint=one.fingerprint,
        version=one.version,
        origin_id=one.origin_id,
        occurrence_count=one.occurrence_count,
        first_seen=times.show(one.first_seen),
        last_seen=times.show(one.last_seen),
        reason=ReasonOut(**kept) if kept else None,
    )


ROUTES = (
    list_comments,
    add_comment,
    edit_comment,
    delete_comment,
    list_activity,
    merge,
    unmerge,
    list_merged,
    mute,
    resolve,
    as_markdown,
    list_hours,
    list_releases,
    explain,
)
