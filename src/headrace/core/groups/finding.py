"""Finding groups: one, a page of them, those of fingerprints. A merged group is found as the one that took it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from headrace.core import events, projects, rules
from headrace.core.groups.record import STATUSES, Group, group_of
from headrace.core.principal import Principal
from headrace.core.projects import Project
from headrace.core.refusals import invalid, not_found
from headrace.core.schema.groups import error_fingerprints, error_groups, error_places
from headrace.eventstore.queries import EventRow

if TYPE_CHECKING:
    from headrace.core.house import House

COLUMNS = [error_groups.c[name] for name in Group.__struct_fields__]
SORTS = {
    "last_seen": error_groups.c.last_seen,
    "first_seen": error_groups.c.first_seen,
    "events": error_groups.c.occurrence_count,
    "users": error_groups.c.user_count,
}
LONGEST_SEARCH = 200


class GroupPage(NamedTuple):
    """`total`: on all pages together."""

    groups: list[Group]
    has_more: bool
    total: int


def list_all(
    house: "House",
    who: Principal,
    *,
    project_id: int,
    status: str | None = None,
    sort: str = "last_seen",
    search: str | None = None,
    assigned_to: int | None = None,
    release: str | None = None,
    limit: int = 100,
    offset: int = 0,
) -> GroupPage:
    """List a project's groups, last seen first unless another sort is asked for (the largest first).

    `search` is part of the type or message, ignoring case; `assigned_to` 0 means nobody.
    """
    project = projects.get(house, who, project_id=project_id)
    rules.choice(sort, "sort", SORTS)
    where = [*of_project(project), error_groups.c.merged_into.is_(None)]
    if status is not None:
        where.append(error_groups.c.status == a_status(status))
    if search:
        text = rules.text(search, "search", most=LONGEST_SEARCH)
        columns = error_groups.c.error_type, error_groups.c.error_message
        where.append(sa.or_(*(column.icontains(text, autoescape=True) for column in columns)))
    if assigned_to is not None:
        where.append(error_groups.c.assigned_to == assigned_to if assigned_to else error_groups.c.assigned_to.is_(None))
    if release is not None:
        where.append(error_groups.c.id.in_(seen_in(release)))
    query = sa.select(*COLUMNS).where(*where).order_by(SORTS[sort].desc(), error_groups.c.id.desc())
    with house.db.read() as connection:
        groups = [group_of(row) for row in connection.execute(query.limit(limit + 1).offset(offset))]
        # A project has so many groups at most as the settings say, and this is answered from an index of it.
        total = connection.execute(sa.select(sa.func.count()).select_from(error_groups).where(*where)).scalar_one()
    return GroupPage(groups[:limit], len(groups) > limit, total)


def of_project(project: Project) -> list[sa.ColumnElement[bool]]:
    return [
        error_groups.c.organization_id == project.organization_id,
        error_groups.c.project_id == project.project_id,
    ]


def seen_in(release: str) -> sa.Select[tuple[int]]:
    return (
        sa.select(error_fingerprints.c.group_id)
        .join(error_places, error_places.c.fingerprint_id == error_fingerprints.c.id)
        .where(error_places.c.release == release)
    )


def a_status(status: str) -> str:
    if status not in STATUSES:
        raise invalid("status", f"must be one of {', '.join(STATUSES)}", type="enum")
    return status


def get(house: "House", who: Principal, *, project_id: int, group_id: int) -> Group:
    """Return a group; of a merged one the group it was merged into."""
    project = projects.get(house, who, project_id=project_id)
    with house.db.read() as connection:
        return find(connection, project, group_id)


def find(connection: sa.Connection, project: Project, group_id: int) -> Group:
    """Refused: not found, also when the group is another project's."""
    group = find_itself(connection, project, group_id)
    return group if group.merged_into is None else find_itself(connection, project, group.merged_into)


def find_itself(connection: sa.Connection, project: Project, group_id: int) -> Group:
    query = sa.select(*COLUMNS).where(*of_project(project), error_groups.c.id == group_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise not_found("Error group not found")
    return group_of(row)


def by_fingerprint(house: "House", who: Principal, *, project_id: int, fingerprints: Iterable[str]) -> dict[str, Group]:
    """Return the groups that a page of errors belongs to."""
    project = projects.get(house, who, project_id=project_id)
    marks = error_fingerprints.c
    query = (
        sa.select(marks.fingerprint.label("mark"), *COLUMNS)
        .join(error_groups, error_groups.c.id == marks.group_id)
        .where(
            marks.organization_id == project.organization_id,
            marks.project_id == project.project_id,
            marks.fingerprint.in_(set(fingerprints)),
        )
    )
    with house.db.read() as connection:
        return {row.mark: group_of(row) for row in connection.execute(query)}


def newest(house: "House", who: Principal, group: Group) -> EventRow | None:
    """Return the newest event of a group that was read for the caller; None when retention took it."""
    if group.sample_log_id is None:
        return None
    return events.find(house, who, project_id=group.project_id, log_id=group.sample_log_id)


def fingerprints(house: "House", group: Group) -> list[str]:
    """Return the fingerprints of a group that was read for the caller, the one seen last first."""
    marks = error_fingerprints.c
    query = sa.select(marks.fingerprint).where(marks.group_id == group.id)
    query = query.order_by(marks.last_seen.desc(), marks.id.desc())
    with house.db.read() as connection:
        return list(connection.execute(query).scalars())
