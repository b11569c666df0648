"""A group as Markdown, for a ticket or a language model: what senders wrote stands in fences or is escaped."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from headrace.core.groups.record import Group
from headrace.core.groups.releases import Places, Seen
from headrace.core.projects import Project
from headrace.eventstore.queries import EventRow
from headrace.kit import times

MOST_STACK, MOST_MESSAGE, MOST_ATTRIBUTES, MOST_CRUMBS = 20_000, 5_000, 10_000, 30
LONGEST_TITLE = 200
MOST_PLACES = 10
# Controls but tab and line feed, and what turns the direction of text around or takes no room.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
# What has a meaning inside a line; other signs have one at its beginning alone, where none of these texts stands.
PUNCTUATION = re.compile(r"([\\`*_\[\]#!|~]|:(?=//))")
ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"})
FACTS = ("level", "environment", "release", "service", "host", "platform", "platform_version", "sdk_version", "method")


def written(project: Project, group: Group, places: Places, newest: EventRow | None, link: str) -> str:
    """Return a group as Markdown. `newest` is its newest event, None when that is gone; `link` is where it is shown."""
    lines = [f"# {inline(group.error_type or 'Error')}", "", *fenced((group.error_message or "")[:MOST_MESSAGE])]
    lines += [f"- Project: {inline(project.name)}", f"- State: {state(group)}"]
    lines += [f"- Events: {group.occurrence_count}", f"- Users: about {group.user_count}"]
    lines += [f"- First seen: {times.show(group.first_seen)}", f"- Last seen: {times.show(group.last_seen)}"]
    lines += [f"- {said}" for said in (named("Releases", places.releases), named("Environments", places.environments))]
    lines += [f"- Link: {link}", "", *(event(newest) if newest else ["Its newest event is no longer stored."])]
    return "\n".join(lines).rstrip() + "\n"


def state(group: Group) -> str:
    if group.status == "resolved" and group.resolved_in_release:
        return f"resolved in {inline(group.resolved_in_release)}"
    if group.status == "muted" and group.muted_until is not None:
        return f"muted until {times.show(group.muted_until)}"
    return f"{group.status}, seen again after it was resolved" if group.regressed_at else group.status


def named(title: str, places: list[Seen]) -> str:
    """List the last places; the number of others is told."""
    shown = places[-MOST_PLACES:]
    texts = [f"{inline(one.name) if one.name else 'none'} ({one.rows})" for one in shown]
    more = [f"and {len(places) - len(shown)} before"] if len(places) > len(shown) else []
    return f"{title}: {', '.join([*texts, *more])}"


def event(row: EventRow) -> Iterator[str]:
    yield f"## Newest event, {times.show(row.ts)}"
    yield ""
    facts = [f"- {name}: {inline(str(getattr(row, name)))}" for name in FACTS if getattr(row, name) is not None]
    facts += [f"- path: {inline(row.path)}"] if row.path else []
    yield from [*facts, ""]
    if row.message and row.message != row.error_message:
        yield from ["### Message", "", *fenced(row.message[:MOST_MESSAGE])]
    if row.stack_trace:
        stack = row.stack_trace
        text = msgspec.json.format(stack, indent=2) if row.stack_is_object else stack
        yield from ["### Stack trace", "", *fenced(text[:MOST_STACK])]
    attributes = dict(row.attributes or {})
    crumbs = breadcrumbs(attributes.pop("breadcrumbs", None))
    if crumbs:
        yield from ["### Breadcrumbs", "", *fenced("\n".join(crumbs))]
    if attributes:
        text = msgspec.json.format(msgspec.json.encode(attributes), indent=2).decode("utf-8", "replace")
        yield from ["### Attributes", "", *fenced(text[:MOST_ATTRIBUTES], "json")]


def breadcrumbs(value: Any) -> list[str]:
    """Read what happened before, one line each; Sentry's clients send a list, or an object with it as `values`."""
    listed = value.get("values") if isinstance(value, dict) else value
    if not isinstance(listed, list):
        return []
    lines = []
    for one in listed[-MOST_CRUMBS:]:
        fields = one if isinstance(one, dict) else {"message": one}
        parts = [fields.get(name) for name in ("timestamp", "level", "category", "message")]
        text = " ".join(str(part) for part in parts if part is not None)
        lines.append(" ".join(text.split())[:500])
    return lines


def inline(text: str) -> str:
    """Return a text as one line that means nothing in Markdown or HTML, and mentions nobody."""
    line = " ".join(UNSEEN.sub("\ufffd", text[:LONGEST_TITLE]).split())
    return PUNCTUATION.sub(r"\\\1", line).translate(ENTITIES)


def fenced(text: str, language: str = "text") -> list[str]:
    """Return a text in a fence that nothing in it can end."""
    shown = UNSEEN.sub("\ufffd", text.replace("\r\n", "\n")).strip("\n")
    if not shown:
        return []
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}{language}", shown, fence, ""]
