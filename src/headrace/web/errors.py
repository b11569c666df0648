"""Errors: the list of a project's error groups, and the page of one."""

import msgspec

from headrace.core import events, groups, rules
from headrace.core.events.fingerprint import FOREIGN
from headrace.core.groups import Group
from headrace.core.identity import accounts, members
from headrace.core.identity.records import Account
from headrace.core.refusals import Kind, Refusal
from headrace.eventstore.queries import EventRow
from headrace.kit import times
from headrace.web import forms, hostile
from headrace.web.rendering import moved, page
from headrace.web.routing import project_of, route
from headrace.wire.call import Answer, Call

PAGE = 25
TABS = ("unresolved", "muted", "ignored", "resolved", "all")
# What a person may do, and the state that follows.
ACTIONS = (
    ("r", "Resolve", "resolved"),
    ("m", "Mute", "muted"),
    ("i", "Ignore", "ignored"),
    ("u", "Reopen", "unresolved"),
)
MOST_OFFSET = 1_000_000


def list_all(call: Call, slug: str) -> Answer:
    project = project_of(call, slug)
    given = forms.query(call)
    tab = given.get("status", "")
    tab = tab if tab in TABS else TABS[0]
    offset = number(given.get("offset", ""))
    found = groups.list_all(
        call.house,
        call.who,
        project_id=project.project_id,
        status=None if tab == "all" else tab,
        limit=PAGE,
        offset=offset,
    )
    listed = [(one, [rows for _, rows in groups.sparkline(call.house, one).hours]) for one in found.groups]
    path = f"/ui/projects/{project.slug}/errors"
    return page(
        call,
        "errors.html",
        project=project,
        listed=listed,
        tabs=[(name, forms.address(path, status=None if name == TABS[0] else name)) for name in TABS],
        tab=tab,
        older=forms.address(path, status=tab, offset=str(offset + PAGE)) if found.has_more else "",
        newer=forms.address(path, status=tab, offset=str(max(0, offset - PAGE)) or None) if offset else "",
        fresh_from=call.house.clock() - times.DAY,
    )


def show(call: Call, slug: str, group_id: str) -> Answer:
    project = project_of(call, slug)
    group = groups.get(
        call.house, call.who, project_id=project.project_id, group_id=rules.path_id(group_id, "group_id")
    )
    hours = groups.sparkline(call.house, group).hours
    sample = _sample(call, group)
    people = _people(call)
    return page(
        call,
        "error_group.html",
        project=project,
        group=group,
        hours=[(times.show(hour)[:16].replace("T", " "), rows) for hour, rows in hours],
        sample=sample,
        stack=_stack(sample),
        attributes=_pretty(sample),
        people=people,
        assignee=next((one.name for one in people if one.account_id == group.assigned_to), None),
        actions=[one for one in ACTIONS if one[2] != group.status],
        logs=forms.address(
            f"/ui/projects/{project.slug}/logs", q=f"error_fingerprint:{group.fingerprint}", period="30d"
        ),
    )


def set_status(call: Call, slug: str, group_id: str) -> Answer:
    project = project_of(call, slug)
    given = forms.fields(call)
    group = groups.set_status(
        call.house,
        call.who,
        project_id=project.project_id,
        group_id=rules.path_id(group_id, "group_id"),
        status=given.get("status", ""),
        resolved_in_release=given.get("release") or None,
    )
    return moved(f"/ui/projects/{project.slug}/errors/{group.id}")


def assign(call: Call, slug: str, group_id: str) -> Answer:
    project = project_of(call, slug)
    chosen = forms.fields(call).get("assigned_to", "")
    group = groups.assign(
        call.house,
        call.who,
        project_id=project.project_id,
        group_id=rules.path_id(group_id, "group_id"),
        assigned_to=rules.path_id(chosen, "assigned_to") if chosen else None,
    )
    return moved(f"/ui/projects/{project.slug}/errors/{group.id}")


def number(text: str) -> int:
    """Read an offset of an address; what is none is 0."""
    good = text.isascii() and text.isdigit() and len(text) <= len(str(MOST_OFFSET))
    return min(int(text), MOST_OFFSET) if good else 0


def _people(call: Call) -> list[Account]:
    """Whom an error may be given to: for an admin everybody, else oneself."""
    if call.who.is_admin:
        return [one.account for one in members.list_all(call.house, call.who) if one.is_active]
    return [accounts.me(call.house, call.who).account]


def _sample(call: Call, group: Group) -> EventRow | None:
    """Return the group's newest event; None when retention took it."""
    if not group.sample_log_id:
        return None
    try:
        return events.get(call.house, call.who, project_id=group.project_id, log_id=group.sample_log_id)
    except Refusal as refusal:
        if refusal.kind is not Kind.NOT_FOUND:
            raise
        return None


def _stack(sample: EventRow | None) -> list[tuple[str, bool]]:
    """Return the lines of a stack, each with whether it is a library's."""
    text = sample.stack_trace if sample else None
    if not text:
        return []
    if sample is not None and sample.stack_is_object:
        text = msgspec.json.format(text, indent=2)
    return [(hostile.seen(line), FOREIGN.search(line) is not None) for line in text[: hostile.WHOLE].splitlines()]


def _pretty(sample: EventRow | None) -> str:
    if sample is None or not sample.attributes:
        return ""
    return hostile.seen(msgspec.json.format(msgspec.json.encode(sample.attributes), indent=2).decode())


ROUTES = (
    route("GET", "/ui/projects/{slug}/errors", list_all),
    route("GET", "/ui/projects/{slug}/errors/{group_id}", show),
    route("POST", "/ui/projects/{slug}/errors/{group_id}/status", set_status),
    route("POST", "/ui/projects/{slug}/errors/{group_id}/assign", assign),
)
