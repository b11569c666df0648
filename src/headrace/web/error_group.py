"""One error group: its stack, its events one by one, where it was seen, what was done to it, and the doing."""

from collections.abc import Callable
from typing import Any

import msgspec

from headrace.core import events, groups, rules
from headrace.core.events import Filters
from headrace.core.groups import Group, comments, frames, markdown, merging, releases, series, why
from headrace.core.groups.frames import Raised
from headrace.core.identity import members
from headrace.core.projects import Project
from headrace.core.refusals import invalid
from headrace.eventstore.ids import public_id
from headrace.eventstore.queries import EventRow
from headrace.kit import times
from headrace.web import forms, hostile, timeline
from headrace.web import shown as events_shown
from headrace.web.errors import ACTIONS, SPANS, end_of
from headrace.web.rendering import moved, page
from headrace.web.routing import project_of, route
from headrace.wire import site
from headrace.wire.call import Answer, Call

OCCURRENCES = 10
MOST_MARKS = 20


def show(call: Call, slug: str, group_id: str) -> Answer:
    project = project_of(call, slug)
    wanted = rules.path_id(group_id, "group_id")
    group = groups.get(call.house, call.who, project_id=project.project_id, group_id=wanted)
    if group.id != wanted:
        return moved(f"/ui/projects/{project.slug}/errors/{group.id}")
    return page(call, "error_group.html", project=project, group=group, **facts(call, project, group))


def facts(call: Call, project: Project, group: Group) -> dict[str, Any]:
    """Return all that the page shows."""
    house, who = call.house, call.who
    of: dict[str, Any] = {"project_id": project.project_id, "group_id": group.id}
    path = f"/ui/projects/{project.slug}/errors/{group.id}"
    marks = groups.fingerprints(house, group)
    found = " OR ".join(f"error_fingerprint:{mark}" for mark in marks[:MOST_MARKS])
    filters = Filters(query=found, ts_from=group.first_seen, ts_to=group.last_seen)
    latest = events.search(house, who, project_id=project.project_id, filters=filters, limit=OCCURRENCES).rows
    chosen = forms.query(call).get("event", "")
    newest = latest[0] if latest else None
    sample = events.find(house, who, project_id=project.project_id, log_id=chosen) if chosen else newest
    people = members.names(house, who)
    hours = series.sparklines(house, [group], series.DEFAULT_HOURS)[group.id].hours
    places = releases.of_group(house, group)
    return {
        "path": path,
        "chosen": chosen,
        "sample": sample,
        "neighbours": neighbours(call, group, sample, filters) if sample else ("", ""),
        "raised": stack(sample),
        "plain_stack": events_shown.stack(sample) if sample and sample.stack_trace else "",
        "crumbs": crumbs(sample),
        "attributes": attributes(sample),
        "occurrences": [(public_id(row.ts, row.id), row, hostile.line(events_shown.said(row))) for row in latest],
        "hours": hours,
        "day": [(times.show(hour)[:16].replace("T", " "), rows) for hour, rows in hours[-24:]],
        "series": msgspec.json.encode([[at // times.SECOND for at, _ in hours], [n for _, n in hours]]).decode(),
        "places": places,
        "known_releases": releases.of_project(house, project.project_id, 50),
        "people": people,
        "actions": [one for one in ACTIONS if one[2] not in {group.status, "resolved", "muted"}],
        "spans": SPANS,
        "ends": timeline.mute(group),
        "timeline": timeline.read(house, who, project.project_id, group.id, people),
        "why": why.explain(house, who, **of),
        "merged": merging.members(house, who, **of),
        "markdown": hostile.seen(markdown.written(project, group, places, newest, site.base(call) + path)),
        "logs": forms.address(f"/ui/projects/{project.slug}/logs", q=found, period="30d"),
        "mine": who.account_id,
    }


def neighbours(call: Call, group: Group, row: EventRow, filters: Filters) -> tuple[str, str]:
    """Return the ids of the group's next older and next newer event, empty where there is none."""
    around = events.surroundings(
        call.house,
        call.who,
        project_id=group.project_id,
        log_id=public_id(row.ts, row.id),
        filters=filters,
        lines=1,
    )
    older, newer = ([public_id(one.ts, one.id) for one in some] for some in (around.older, around.newer))
    return (older or [""])[0], (newer or [""])[0]


def stack(row: EventRow | None) -> list[Raised]:
    if row is None or not row.stack_trace:
        return []
    return frames.read(row.stack_trace[: hostile.WHOLE], is_object=row.stack_is_object)


def crumbs(row: EventRow | None) -> list[str]:
    given = (row.attributes or {}).get("breadcrumbs") if row else None
    return [hostile.line(one) for one in markdown.breadcrumbs(given)]


def attributes(row: EventRow | None) -> str:
    given = {name: value for name, value in ((row.attributes if row else None) or {}).items() if name != "breadcrumbs"}
    return events_shown.pretty(given) if given else ""


# -- doing -------------------------------------------------------------------------------------------------------------


Deed = Callable[[Call, dict[str, Any], dict[str, str]], object]


def done(deed: Deed) -> Callable[..., Answer]:
    """Make a handler that does something to the group of its path, and shows the group then."""

    def handler(call: Call, slug: str, group_id: str) -> Answer:
        project = project_of(call, slug)
        number = rules.path_id(group_id, "group_id")
        deed(call, {"project_id": project.project_id, "group_id": number}, forms.fields(call))
        return moved(f"/ui/projects/{project.slug}/errors/{number}")

    return handler


def set_status(call: Call, of: dict[str, Any], given: dict[str, str]) -> None:
    release = given.get("release", "").strip() or None
    groups.set_status(call.house, call.who, **of, status=given.get("status", ""), resolved_in_release=release)


def mute(call: Call, of: dict[str, Any], given: dict[str, str]) -> None:
    """Mute for a span, or until so many events or users, or for ever."""
    span = given.get("span", "")
    until = end_of(call, span)
    limits: dict[str, Any] = {name: whole(given, name) for name in ("events", "minutes", "users")}
    if limits["events"] is None:
        limits["minutes"] = None
    if span == "limit" and limits["events"] is None and limits["users"] is None:
        raise invalid("events", "missing", text="Say how many events or users end the mute.")
    groups.mute(call.house, call.who, **of, until=until, **(limits if span == "limit" else {}))


def whole(given: dict[str, str], name: str) -> int | None:
    text = given.get(name, "").strip()
    return rules.path_id(text, name) if text else None


def assign(call: Call, of: dict[str, Any], given: dict[str, str]) -> None:
    chosen = given.get("assigned_to", "")
    groups.assign(call.house, call.who, **of, assigned_to=rules.path_id(chosen, "assigned_to") if chosen else None)


def comment(call: Call, of: dict[str, Any], given: dict[str, str]) -> None:
    """Add, change or delete a comment, as the pressed button says."""
    text, what = given.get("text", "").replace("\r\n", "\n"), given.get("action", "add")
    if what == "add":
        comments.add(call.house, call.who, **of, text=text)
        return
    number = rules.path_id(given.get("comment_id", ""), "comment_id")
    if what == "delete":
        comments.delete(call.house, call.who, **of, comment_id=number)
    else:
        comments.edit(call.house, call.who, **of, comment_id=number, text=text)


def unmerge(call: Call, of: dict[str, Any], given: dict[str, str]) -> None:
    groups.unmerge(call.house, call.who, **of, merged_id=rules.path_id(given.get("merged_id", ""), "merged_id"))


PATH = "/ui/projects/{slug}/errors/{group_id}"
ROUTES = (
    route("GET", PATH, show),
    route("POST", f"{PATH}/status", done(set_status)),
    route("POST", f"{PATH}/mute", done(mute)),
    route("POST", f"{PATH}/assign", done(assign)),
    route("POST", f"{PATH}/comments", done(comment)),
    route("POST", f"{PATH}/unmerge", done(unmerge)),
)
