"""Merging: several groups become one, whose fingerprints are theirs together; and each can be taken out again.

A fingerprint keeps its own counts and the group it came from, so that undoing a merge loses nothing, not even what
arrived in between.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from headrace.core import audit, projects, rules
from headrace.core.groups import activity, counts, finding
from headrace.core.groups.finding import COLUMNS, find, find_itself
from headrace.core.groups.marks import alone
from headrace.core.groups.record import OPEN, Group, group_of
from headrace.core.groups.triage import require_write
from headrace.core.principal import Principal
from headrace.core.refusals import conflict, invalid
from headrace.core.schema.groups import error_fingerprints, error_groups

if TYPE_CHECKING:
    from headrace.core.house import House

MOST_AT_ONCE = 100
MARKS = error_fingerprints.c


def merge(house: "House", who: Principal, *, project_id: int, group_id: int, group_ids: Any) -> Group:
    """Merge other groups of the project into this one, which keeps its state and its assignee."""
    require_write(who)
    wanted = checked(group_ids)
    project = projects.get(house, who, project_id=project_id)
    with house.db.write() as connection:
        alone(connection, house, [project_id])
        target = find(connection, project, group_id)
        sources = {found.id: found for found in (find(connection, project, one) for one in wanted)}
        sources.pop(target.id, None)
        if not sources:
            raise invalid("group_ids", "must name another group")
        connection.execute(
            sa.update(error_fingerprints).where(MARKS.group_id.in_(sorted(sources))).values(group_id=target.id)
        )
        taken = sa.or_(error_groups.c.id.in_(sorted(sources)), error_groups.c.merged_into.in_(sorted(sources)))
        connection.execute(sa.update(error_groups).where(taken).values(merged_into=target.id))
        for source in sorted(sources):
            activity.record(connection, house, who, source, "merged_away", {"into": target.id})
        return recorded(connection, house, who, target.id, "merged", sorted(sources))


def unmerge(house: "House", who: Principal, *, project_id: int, group_id: int, merged_id: int) -> Group:
    """Take a group out again that was merged into this one; it is unresolved then. Returns the one taken out."""
    require_write(who)
    project = projects.get(house, who, project_id=project_id)
    with house.db.write() as connection:
        alone(connection, house, [project_id])
        target = find(connection, project, group_id)
        source = find_itself(connection, project, merged_id)
        if source.merged_into != target.id:
            raise conflict("This group was not merged into that one")
        connection.execute(
            sa.update(error_fingerprints)
            .where(MARKS.group_id == target.id, MARKS.origin_id == source.id)
            .values(group_id=source.id)
        )
        values = {**OPEN, "merged_into": None}
        connection.execute(sa.update(error_groups).where(error_groups.c.id == source.id).values(values))
        recorded(connection, house, who, target.id, "unmerged", [source.id])
        activity.record(connection, house, who, source.id, "unmerged", {"from": target.id})
        return recount(connection, house, source.id)


def members(house: "House", who: Principal, *, project_id: int, group_id: int) -> list[Group]:
    """Return the groups that were merged into this one, as they were then."""
    group = finding.get(house, who, project_id=project_id, group_id=group_id)
    query = sa.select(*COLUMNS).where(error_groups.c.merged_into == group.id).order_by(error_groups.c.id)
    with house.db.read() as connection:
        return [group_of(row) for row in connection.execute(query)]


def checked(group_ids: Any) -> list[int]:
    if group_ids is None:
        raise rules.missing("group_ids")
    if not isinstance(group_ids, list | tuple) or not 1 <= len(group_ids) <= MOST_AT_ONCE:
        raise invalid("group_ids", f"must be a list of 1-{MOST_AT_ONCE} groups")
    return [rules.integer(one, "group_ids", 1) for one in group_ids]


def recorded(  # noqa: PLR0917  Called from the verbs above only.
    connection: sa.Connection, house: "House", who: Principal, group_id: int, kind: str, others: Sequence[int]
) -> Group:
    data = {"groups": list(others)}
    activity.record(connection, house, who, group_id, kind, data)
    audit.record(connection, house, who, f"group:group:{kind}", target=f"group:{group_id}", data=data)
    return recount(connection, house, group_id)


def recount(connection: sa.Connection, house: "House", group_id: int) -> Group:
    """Write a group's sums anew from its fingerprints."""
    query = sa.select(
        sa.func.sum(MARKS.occurrence_count).label("rows"),
        sa.func.min(MARKS.first_seen).label("first_seen"),
        sa.func.max(MARKS.last_seen).label("last_seen"),
    ).where(MARKS.group_id == group_id)
    sums = connection.execute(query).one()
    newest = sa.select(MARKS.sample_log_id).where(MARKS.group_id == group_id).order_by(MARKS.last_seen.desc())
    values = {
        "occurrence_count": int(sums.rows),
        "first_seen": sums.first_seen,
        "last_seen": sums.last_seen,
        "sample_log_id": connection.execute(newest.limit(1)).scalar(),
        "user_count": min(counts.users_of(connection, [group_id]).get(group_id, 0), int(sums.rows)),
        "updated_at": house.clock(),
    }
    statement = sa.update(error_groups).where(error_groups.c.id == group_id).values(values)
    return group_of(connection.execute(statement.returning(*COLUMNS)).one())
