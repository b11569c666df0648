"""Error groups as people work with them: the state, whom it is given to."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from headrace.core import audit, projects, rules
from headrace.core.groups import activity, releases
from headrace.core.groups.finding import COLUMNS, a_status, find
from headrace.core.groups.gathered import Span
from headrace.core.groups.record import PLAIN, Group, MuteRule, group_of
from headrace.core.identity import members
from headrace.core.principal import Principal
from headrace.core.refusals import beyond_scope, invalid
from headrace.core.schema.groups import error_groups
from headrace.kit import times

if TYPE_CHECKING:
    from headrace.core.house import House

LONGEST_RELEASE = 255
MOST_EVENTS, MOST_USERS, MOST_MINUTES = 1_000_000, 1_000_000, 7 * 24 * 60
LONGEST_MUTE = 366 * times.DAY


def set_status(
    house: "House",
    who: Principal,
    *,
    project_id: int,
    group_id: int,
    status: str,
    resolved_in_release: str | None = None,
) -> Group:
    """Set a group's state. `resolved` notes the time; every other state clears it.

    Resolved in a release, it opens again only with an event of that release, of one that came later, or of none.
    """
    a_status(status)
    if resolved_in_release is not None:
        rules.text(resolved_in_release, "resolved_in_release", most=LONGEST_RELEASE)
    resolved = status == "resolved"
    release = resolved_in_release if resolved else None
    values = {
        **PLAIN,
        "status": status,
        "resolved_at": house.clock() if resolved else None,
        "resolved_in_release": release,
    }
    said = {"status": status} | ({"release": release} if release else {})

    def first(connection: sa.Connection, group: Group) -> None:
        if release:
            # Were it unknown until it fails, nothing could come after it.
            now = house.clock()
            releases.note_project(connection, house, group.project_id, {release: Span(0, now, now)}, widen=False)

    return change(house, who, project_id, group_id, values, ("status", said), first)


def mute(
    house: "House",
    who: Principal,
    *,
    project_id: int,
    group_id: int,
    until: Any = None,
    events: Any = None,
    minutes: Any = None,
    users: Any = None,
) -> Group:
    """Mute a group: until a time, until `events` more events (within `minutes`), or until `users` more users.

    What comes first ends it; without any of them it stays muted.
    """
    now = house.clock()
    ends = None if until is None else rules.moment(until, "until")
    if ends is not None and not now < ends <= now + LONGEST_MUTE:
        raise invalid("until", "must be in the future, at most 366 days ahead")
    if minutes is not None and events is None:
        raise invalid("minutes", "needs events")
    rule = MuteRule(
        events=None if events is None else rules.integer(events, "events", 1, MOST_EVENTS),
        minutes=None if minutes is None else rules.integer(minutes, "minutes", 1, MOST_MINUTES),
        users=None if users is None else rules.integer(users, "users", 1, MOST_USERS),
        since=now,
    )
    asked = {"until": times.shown(ends), "events": events, "minutes": minutes, "users": users}
    said = {name: value for name, value in asked.items() if value is not None}

    def values(group: Group) -> Mapping[str, Any]:
        whole = msgspec.structs.replace(rule, base=group.user_count)
        kept = None if events is None and users is None else msgspec.json.encode(whole).decode()
        return {**PLAIN, "status": "muted", "muted_until": ends, "mute_rule": kept}

    return change(house, who, project_id, group_id, values, ("muted", said))


def assign(house: "House", who: Principal, *, project_id: int, group_id: int, assigned_to: int | None) -> Group:
    """Assign a group to an active member of the organization, or to nobody."""
    projects.get(house, who, project_id=project_id)
    known = assigned_to is None or (
        1 <= assigned_to <= rules.LARGEST and members.is_active_member(house, who, account_id=assigned_to)
    )
    if not known:
        raise invalid("assigned_to", "must be an active member of the organization")
    values = {"assigned_to": assigned_to}
    return change(house, who, project_id, group_id, values, ("assigned", values))


Values = Mapping[str, Any] | Callable[[Group], Mapping[str, Any]]


def change(  # noqa: PLR0917  Called from the verbs above only.
    house: "House",
    who: Principal,
    project_id: int,
    group_id: int,
    values: Values,
    said: tuple[str, Mapping[str, Any]],
    first: Callable[[sa.Connection, Group], None] | None = None,
) -> Group:
    """Change a group's columns, with a line of its activity and of the audit log."""
    require_write(who)
    project = projects.get(house, who, project_id=project_id)
    kind, data = said
    with house.db.write() as connection:
        old = find(connection, project, group_id)
        if first is not None:
            first(connection, old)
        new = values(old) if callable(values) else values
        statement = sa.update(error_groups).where(error_groups.c.id == old.id)
        row = connection.execute(statement.values(updated_at=house.clock(), **new).returning(*COLUMNS)).one()
        activity.record(connection, house, who, old.id, kind, dict(data))
        audit.record(connection, house, who, "group:state:changed", target=f"group:{old.id}", data=data)
        return group_of(row)


def require_write(who: Principal) -> None:
    if not who.allows("logs", "write"):
        raise beyond_scope("write")
