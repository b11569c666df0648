"""Error groups as people work with them: list, look at, set the state, assign."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from headrace.core import audit, projects, rules
from headrace.core.groups.record import STATUSES, Group, group_of
from headrace.core.identity import members
from headrace.core.principal import Principal
from headrace.core.refusals import forbidden, invalid, not_found
from headrace.core.schema.groups import error_group_hours, error_groups
from headrace.kit import times

if TYPE_CHECKING:
    from headrace.core.house import House

SPARKLINE_HOURS = 24
LONGEST_RELEASE = 255


class GroupPage(NamedTuple):
    groups: list[Group]
    has_more: bool


class Sparkline(NamedTuple):
    """Counts of the last 24 hours, oldest first: (start of the hour in microseconds, occurrences), zeros included."""

    hours: list[tuple[int, int]]


def list_all(
    house: "House", who: Principal, *, project_id: int, status: str | None = None, limit: int = 100, offset: int = 0
) -> GroupPage:
    """List a project's groups, last seen first."""
    project = projects.get(house, who, project_id=project_id)
    where = [
        error_groups.c.organization_id == project.organization_id,
        error_groups.c.project_id == project.project_id,
    ]
    if status is not None:
        where.append(error_groups.c.status == a_status(status))
    query = (
        sa.select(error_groups)
        .where(*where)
        .order_by(error_groups.c.last_seen.desc(), error_groups.c.id.desc())
        .limit(limit + 1)
        .offset(offset)
    )
    with house.db.read() as connection:
        groups = [group_of(row) for row in connection.execute(query)]
    return GroupPage(groups[:limit], len(groups) > limit)


def get(house: "House", who: Principal, *, project_id: int, group_id: int) -> Group:
    project = projects.get(house, who, project_id=project_id)
    with house.db.read() as connection:
        return find(connection, project.organization_id, project.project_id, group_id)


def find(connection: sa.Connection, organization_id: int, project_id: int, group_id: int) -> Group:
    query = sa.select(error_groups).where(
        error_groups.c.organization_id == organization_id,
        error_groups.c.project_id == project_id,
        error_groups.c.id == group_id,
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise not_found("Error group not found")
    return group_of(row)


def by_fingerprint(house: "House", who: Principal, *, project_id: int, fingerprints: Iterable[str]) -> dict[str, Group]:
    """Return the groups that a page of errors belongs to."""
    project = projects.get(house, who, project_id=project_id)
    query = sa.select(error_groups).where(
        error_groups.c.organization_id == project.organization_id,
        error_groups.c.project_id == project.project_id,
        error_groups.c.fingerprint.in_(set(fingerprints)),
    )
    with house.db.read() as connection:
        return {row.fingerprint: group_of(row) for row in connection.execute(query)}


def sparkline(house: "House", group: Group) -> Sparkline:
    """Count the occurrences of a group that was read for the caller, hour by hour over the last day."""
    this_hour = house.clock() // times.HOUR * times.HOUR
    hours = [this_hour - back * times.HOUR for back in reversed(range(SPARKLINE_HOURS))]
    query = sa.select(error_group_hours.c.hour, error_group_hours.c.count).where(
        error_group_hours.c.group_id == group.id, error_group_hours.c.hour.between(hours[0], hours[-1])
    )
    with house.db.read() as connection:
        counted: dict[int, int] = {hour: count for hour, count in connection.execute(query)}  # noqa: C416  Rows are no pairs to `dict`.
    return Sparkline([(hour, counted.get(hour, 0)) for hour in hours])


def set_status(
    house: "House",
    who: Principal,
    *,
    project_id: int,
    group_id: int,
    status: str,
    resolved_in_release: str | None = None,
) -> Group:
    """Set a group's state. `resolved` notes the time; every other state clears it."""
    a_status(status)
    if resolved_in_release is not None:
        rules.text(resolved_in_release, "resolved_in_release", most=LONGEST_RELEASE)
    resolved = status == "resolved"
    values = {
        "status": status,
        "resolved_at": house.clock() if resolved else None,
        "resolved_in_release": resolved_in_release if resolved else None,
    }
    return change(house, who, project_id, group_id, values)


def assign(house: "House", who: Principal, *, project_id: int, group_id: int, assigned_to: int | None) -> Group:
    """Assign a group to an active member of the organization, or to nobody."""
    projects.get(house, who, project_id=project_id)
    known = assigned_to is None or (
        1 <= assigned_to <= rules.LARGEST and members.is_active_member(house, who, account_id=assigned_to)
    )
    if not known:
        raise invalid("assigned_to", "must be an active member of the organization")
    return change(house, who, project_id, group_id, {"assigned_to": assigned_to})


def change(house: "House", who: Principal, project_id: int, group_id: int, values: Mapping[str, object]) -> Group:
    if not who.allows("logs", "write"):
        raise forbidden("Insufficient scope: write required")
    project = projects.get(house, who, project_id=project_id)
    with house.db.write() as connection:
        old = find(connection, project.organization_id, project.project_id, group_id)
        connection.execute(
            sa.update(error_groups)
            .where(error_groups.c.organization_id == project.organization_id, error_groups.c.id == old.id)
            .values(updated_at=house.clock(), **values)
        )
        audit.record(connection, house, who, "group:state:changed", target=f"group:{old.id}", data=values)
        return find(connection, project.organization_id, project.project_id, group_id)


def a_status(status: str) -> str:
    if status not in STATUSES:
        raise invalid("status", f"must be one of {', '.join(STATUSES)}", type="enum")
    return status
