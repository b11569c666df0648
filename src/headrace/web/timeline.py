"""A group's timeline in words: what people did and said, and what it did by itself. Text only; templates escape it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from headrace.core.groups import Group, activity, comments
from headrace.core.groups.activity import Line
from headrace.core.groups.comments import Comment
from headrace.core.principal import Principal
from headrace.kit import times
from headrace.web import hostile, period

if TYPE_CHECKING:
    from headrace.core.house import House

MOST_LINES = 200
# The comment itself stands in the timeline.
SILENT = frozenset({"commented", "comment_edited"})
MINUTES = ((24 * 60, "day"), (60, "hour"), (1, "minute"))


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, of the line or of the comment."""

    at: int
    who: str
    words: str
    kind: str
    comment: Comment | None = None


def read(house: "House", who: Principal, project_id: int, group_id: int, people: Mapping[int, str]) -> list[Entry]:
    """Return a group's comments and activity, oldest first."""
    of: dict[str, Any] = {"project_id": project_id, "group_id": group_id}
    lines = activity.list_all(house, who, **of, limit=MOST_LINES)
    found = [entry(line, people) for line in lines if line.kind not in SILENT]
    found += [said(one, people) for one in comments.list_all(house, who, **of)]
    return sorted(found, key=lambda one: one.at)


def said(comment: Comment, people: Mapping[int, str]) -> Entry:
    words = "said" if comment.edited_at is None else "said (edited)"
    return Entry(
        at=comment.created_at, who=name(comment.account_id, people), words=words, kind="remark", comment=comment
    )


def entry(line: Line, people: Mapping[int, str]) -> Entry:
    who = "" if line.actor_kind == activity.SYSTEM else name(line.account_id, people)
    return Entry(at=line.at, who=who, words=words_of(line.kind, line.data, people), kind=line.kind)


def name(account_id: int | None, people: Mapping[int, str]) -> str:
    return "The operator" if account_id is None else hostile.line(people.get(account_id, f"account {account_id}"))


def words_of(kind: str, data: Mapping[str, Any], people: Mapping[int, str]) -> str:
    """Say what a line of activity says."""
    release = f" in release {hostile.line(data['release'])}" if data.get("release") else ""
    others = ", ".join(f"#{one}" for one in data.get("groups", ()))
    if kind == "status":
        states = {"unresolved": "reopened it", "resolved": "resolved it", "ignored": "ignored it", "muted": "muted it"}
        return states.get(data.get("status", ""), "changed its state") + release
    if kind == "assigned":
        given = data.get("assigned_to")
        return f"gave it to {name(given, people)}" if given is not None else "gave it to nobody"
    plain = {
        "muted": f"muted it {limits(data)}".rstrip(),
        "unmuted": f"The mute ended: {ended(data)}",
        "regressed": f"It came back{release}",
        "comment_deleted": "deleted a comment",
        "merged": f"merged {others} into it",
        "unmerged": f"took {others} out again" if others else f"took it out of #{data.get('from')}",
        "merged_away": f"merged it into #{data.get('into')}",
    }
    return plain.get(kind, kind)


def limits(data: Mapping[str, Any]) -> str:
    """Say how a mute ends."""
    parts = []
    if data.get("until"):
        parts.append(f"until {period.shown(times.parse(data['until']))[:16]} UTC")
    if data.get("events"):
        within = f" in {span(data['minutes'])}" if data.get("minutes") else ""
        parts.append(f"until {data['events']:,} events{within}")
    if data.get("users"):
        parts.append(f"until {data['users']:,} more users")
    return " or ".join(parts)


def ended(data: Mapping[str, Any]) -> str:
    if data.get("reason") == "events":
        within = f" in {span(data['minutes'])}" if data.get("minutes") else ""
        return f"{data['events']:,} events{within}"
    return f"{data['users']:,} more users" if data.get("reason") == "users" else "its time was over"


def span(minutes: int) -> str:
    size, unit = next((size, unit) for size, unit in MINUTES if minutes % size == 0)
    number = minutes // size
    return f"{number} {unit}{'' if number == 1 else 's'}"


def mute(group: Group) -> str:
    """Say how a muted group's mute ends, empty when it does not."""
    if group.status != "muted":
        return ""
    rule = group.mute_rule
    data: dict[str, Any] = {} if rule is None else {n: getattr(rule, n) for n in ("events", "minutes", "users")}
    return limits(data | {"until": times.shown(group.muted_until)})
