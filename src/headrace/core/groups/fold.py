"""Folding: what a stored segment adds to the metadata database, exactly once however often it is replayed."""

from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

import sqlalchemy as sa

from headrace.core.limits import quota
from headrace.core.schema import folded_segments, projects
from headrace.core.schema.groups import error_group_hours, error_groups
from headrace.eventstore.drain import Drained, ErrorSummary
from headrace.eventstore.ids import public_id
from headrace.kit import times

if TYPE_CHECKING:
    from headrace.core.house import House

# A name is needed only while its segment's file may come back; files go right after folding.
NAMES_KEPT = 7 * times.DAY


def fold(house: "House", drained: Drained) -> None:
    """Add a stored segment's counts: usage per project and day, error groups. A segment already folded adds nothing."""
    now = house.clock()
    with house.db.write() as connection:
        name = house.db.insert(folded_segments).values(name=drained.name, folded_at=now).on_conflict_do_nothing()
        if connection.execute(name.returning(folded_segments.c.name)).scalar() is not None:
            add_all(connection, house, drained, now)
    quota.settle(house, {(part.project, part.day): part.rows for part in drained.projects})


def add_all(connection: sa.Connection, house: "House", drained: Drained, now: int) -> None:
    """Add the counts of a segment that was not folded before."""
    connection.execute(sa.delete(folded_segments).where(folded_segments.c.folded_at < now - NAMES_KEPT))
    known = known_projects(connection, {part.project for part in drained.projects})
    quota.fold(
        house,
        connection,
        {(part.project, part.day): part.rows for part in drained.projects if part.project in known},
    )
    errors = sorted(drained.errors, key=lambda error: (error.project, error.fingerprint, error.hour))
    for (project, _), hours in groupby(errors, key=lambda error: (error.project, error.fingerprint)):
        if project in known:
            add(connection, house, known[project], list(hours), now)


def known_projects(connection: sa.Connection, wanted: Iterable[int]) -> dict[int, int]:
    """Return organization by project. Rows of a project that is gone must not stop the drain."""
    rows = connection.execute(
        sa.select(projects.c.id, projects.c.organization_id).where(projects.c.id.in_(list(wanted)))
    )
    return {row.id: row.organization_id for row in rows}


def add(connection: sa.Connection, house: "House", organization: int, hours: list[ErrorSummary], now: int) -> None:
    """Count one group's occurrences of one segment, hour by hour."""
    first, rows = hours[0], sum(hour.rows for hour in hours)
    latest = max(hours, key=lambda hour: hour.sample_ts)
    seen = {"first_seen": min(hour.first_ts for hour in hours), "last_seen": max(hour.last_ts for hour in hours)}
    sample = public_id(latest.sample_ts, latest.sample_id)
    old = error_groups.c
    # A log newer than the resolution reopens the group; ignored and muted ones stay as they are.
    reopened = sa.and_(old.status == "resolved", old.resolved_at < seen["last_seen"])
    statement = house.db.insert(error_groups).values(
        organization_id=organization,
        project_id=first.project,
        fingerprint=first.fingerprint,
        error_type=latest.error_type or None,
        error_message=latest.error_message or None,
        platform=latest.platform or None,
        occurrence_count=rows,
        status="unresolved",
        sample_log_id=sample,
        created_at=now,
        updated_at=now,
        **seen,
    )
    newer = old.last_seen <= seen["last_seen"]
    changed = {
        "occurrence_count": old.occurrence_count + rows,
        "first_seen": sa.case((old.first_seen > seen["first_seen"], seen["first_seen"]), else_=old.first_seen),
        "last_seen": sa.case((newer, seen["last_seen"]), else_=old.last_seen),
        "error_message": sa.case((newer, latest.error_message or None), else_=old.error_message),
        "sample_log_id": sa.case((newer, sample), else_=old.sample_log_id),
        "status": sa.case((reopened, "unresolved"), else_=old.status),
        "resolved_in_release": sa.case((reopened, None), else_=old.resolved_in_release),
        "resolved_at": sa.case((reopened, None), else_=old.resolved_at),
        "updated_at": now,
    }
    group = connection.execute(
        statement.on_conflict_do_update(index_elements=["project_id", "fingerprint"], set_=changed).returning(old.id)
    ).scalar_one()
    for hour in hours:
        counted = house.db.insert(error_group_hours).values(group_id=group, hour=hour.hour, count=hour.rows)
        connection.execute(
            counted.on_conflict_do_update(
                index_elements=["group_id", "hour"], set_={"count": error_group_hours.c.count + hour.rows}
            )
        )
