"""Folding: what a stored segment adds to the metadata database, exactly once however often it is replayed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from headrace.core.groups import activity, counts, marks, news, releases, states
from headrace.core.groups.finding import COLUMNS
from headrace.core.groups.gathered import Part, gather
from headrace.core.groups.marks import Read, Told, chunks
from headrace.core.groups.record import OPEN, Group, group_of
from headrace.core.limits import quota
from headrace.core.schema import folded_segments, projects
from headrace.core.schema.groups import error_groups, group_activity
from headrace.eventstore.drain import Drained, Sample

if TYPE_CHECKING:
    from headrace.core.house import House

READ_AT_ONCE = 200

CHANGED = (
    "occurrence_count",
    "user_count",
    "first_seen",
    "last_seen",
    "error_message",
    "sample_log_id",
    "status",
    "resolved_at",
    "resolved_in_release",
    "regressed_at",
    "muted_until",
    "mute_rule",
    "updated_at",
)
CHANGE = (
    sa.update(error_groups)
    .where(error_groups.c.id == sa.bindparam("of_group"))
    .values({name: sa.bindparam(f"new_{name}") for name in CHANGED})
)


def nothing(_: Iterable[int]) -> Mapping[int, Sample]:
    return {}


def fold(house: "House", drained: Drained, read: Read = nothing) -> None:
    """Add a stored segment's counts: usage per project and day, error groups. A segment already folded adds nothing.

    `read` gives events of the segment by their ids; it is asked about fingerprints that are not known.
    """
    now = house.clock()
    told = told_of(house, drained, read)
    with house.db.write() as connection:
        name = house.db.insert(folded_segments).values(name=drained.name, folded_at=now).on_conflict_do_nothing()
        if connection.execute(name.returning(folded_segments.c.name)).scalar() is not None:
            add_all(connection, house, drained, told, now)
    quota.settle(house, {(part.project, part.day): part.rows for part in drained.projects})


def told_of(house: "House", drained: Drained, read: Read) -> dict[int, Told]:
    """Read events of unknown fingerprints, before the transaction: the engine is not asked under a lock."""
    newest: dict[marks.Key, tuple[int, int]] = {}
    for error in drained.errors:
        key = error.project, error.fingerprint
        newest[key] = max(newest.get(key, (error.sample_ts, 0)), (error.sample_ts, error.sample_id))
    if not newest:
        return {}
    with house.db.read() as connection:
        there = marks.known(connection, newest)
    # Some at once: however many there are, few of their stacks are in memory.
    unknown = sorted(sample for key, (_, sample) in newest.items() if key not in there)
    some = (unknown[start : start + READ_AT_ONCE] for start in range(0, len(unknown), READ_AT_ONCE))
    return {number: marks.tell(sample) for ids in some for number, sample in read(ids).items()}


def add_all(connection: sa.Connection, house: "House", drained: Drained, told: Mapping[int, Told], now: int) -> None:
    """Add the counts of a segment that was not folded before."""
    known = known_projects(connection, {part.project for part in drained.projects})
    quota.fold(
        house,
        connection,
        {(part.project, part.day): part.rows for part in drained.projects if part.project in known},
    )
    parts = gather(drained.errors, known)
    if parts:
        add_errors(connection, house, parts, told, now)


def known_projects(connection: sa.Connection, wanted: Iterable[int]) -> dict[int, int]:
    """Return the organization by project. Rows of a project that is gone must not stop the drain."""
    query = sa.select(projects.c.id, projects.c.organization_id)
    rows = connection.execute(query.where(projects.c.id.in_(list(wanted))))
    return {row.id: row.organization_id for row in rows}


def add_errors(
    connection: sa.Connection, house: "House", parts: Sequence[Part], told: Mapping[int, Told], now: int
) -> None:
    marks.alone(connection, house, (part.project for part in parts))
    known = marks.known(connection, {(part.project, part.fingerprint) for part in parts})
    unknown = [part for part in parts if (part.project, part.fingerprint) not in known]
    fresh: set[int] = set()
    if unknown:
        made, fresh = marks.make(connection, house, unknown, told, now)
        known |= made
    placed = {
        known[part.project, part.fingerprint].id: part for part in parts if (part.project, part.fingerprint) in known
    }
    if not placed:
        return
    groups = locked(connection, {mark.group_id for mark in known.values()})
    counts.add(connection, house, placed)
    counts.add_users(connection, house, placed)
    releases.note(connection, house, parts)
    change(connection, house, groups, counts.by_group(placed, known.values()), fresh, now)


def locked(connection: sa.Connection, wanted: Iterable[int]) -> dict[int, Group]:
    """Read groups so that no other process changes them before this transaction ends."""
    found: dict[int, Group] = {}
    for some in chunks(wanted):
        query = sa.select(*COLUMNS).where(error_groups.c.id.in_(some)).order_by(error_groups.c.id).with_for_update()
        found |= {row.id: group_of(row) for row in connection.execute(query)}
    return found


def change(  # noqa: PLR0917  Called from above only.
    connection: sa.Connection,
    house: "House",
    groups: Mapping[int, Group],
    parts: Mapping[int, Sequence[Part]],
    fresh: set[int],
    now: int,
) -> None:
    """Write what the segment did to groups: counts, times, states, and the news of it."""
    users = counts.users_of(connection, [group for group, some in parts.items() if any(part.users for part in some)])
    orders = orders_of(connection, groups, parts)
    rows, lines, heard = [], [], []
    for group_id, some in sorted(parts.items()):
        group = groups[group_id]
        reached = users.get(group_id, group.user_count)
        if group.mute_rule is not None:
            group = msgspec.structs.replace(group, mute_rule=states.counted(group.mute_rule, some))
        turn = states.turn(group, some, orders.get(group.project_id, {}), reached)
        row = counted(group, some, reached) | {"updated_at": now}
        if turn is not None:
            row |= {**OPEN, "regressed_at": turn.at}
            lines.append(activity.system_line(group.organization_id, group_id, turn.kind, now, turn.data))
        rows.append({"of_group": group_id} | {f"new_{name}": row[name] for name in CHANGED})
        kind = "new" if group_id in fresh else turn.news if turn is not None else None
        if kind is not None:
            heard.append(line_of(group, kind, max(part.all.last for part in some)))
    connection.execute(CHANGE, rows)
    if lines:
        connection.execute(group_activity.insert(), lines)
        activity.trim(connection, [line["group_id"] for line in lines])
    news.write(connection, house, heard)


def orders_of(
    connection: sa.Connection, groups: Mapping[int, Group], parts: Mapping[int, Sequence[Part]]
) -> dict[int, releases.Order]:
    """Read the order of the releases that matter: of groups resolved in one."""
    wanted: dict[int, set[str]] = {}
    for group_id, some in parts.items():
        target = groups[group_id].resolved_in_release
        if target:
            named = {target, *(release for part in some for release in part.releases)}
            wanted.setdefault(groups[group_id].project_id, set()).update(named)
    return {project: releases.order_of(connection, project, named) for project, named in wanted.items()}


def counted(group: Group, parts: Sequence[Part], users: int) -> dict[str, Any]:
    """Return a group's columns with the events of the parts."""
    newest = max(parts, key=lambda part: (part.latest.sample_ts, part.latest.sample_id))
    newer = newest.all.last >= group.last_seen
    row = msgspec.structs.asdict(group)
    rule, events = group.mute_rule, group.occurrence_count + sum(part.all.rows for part in parts)
    return row | {
        "occurrence_count": events,
        # An estimate may be too high, but never by more than anybody can see.
        "user_count": min(users, events),
        "first_seen": min(group.first_seen, *(part.all.first for part in parts)),
        "last_seen": max(group.last_seen, newest.all.last),
        "error_message": (newest.latest.error_message or None) if newer else group.error_message,
        "sample_log_id": newest.sample if newer else group.sample_log_id,
        "mute_rule": msgspec.json.encode(rule).decode() if rule is not None else None,
    }


def line_of(group: Group, kind: str, at: int) -> dict[str, object]:
    return {
        "organization_id": group.organization_id,
        "project_id": group.project_id,
        "group_id": group.id,
        "kind": kind,
        "at": at,
    }
