"""Counts by hour: kept apart from the stored events, so that retention never lowers them. 90 days of them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from headrace.core.groups import finding
from headrace.core.groups.record import Group
from headrace.core.principal import Principal
from headrace.core.refusals import invalid
from headrace.core.schema.groups import error_fingerprints, error_hours
from headrace.kit import times

if TYPE_CHECKING:
    from headrace.core.house import House

SPARKLINE_HOURS = 24
KEPT_DAYS = 90
DEFAULT_HOURS = 28 * 24

Hours = list[tuple[int, int]]


class Sparkline(NamedTuple):
    """Counts of the last 24 hours, oldest first: (start of the hour in microseconds, occurrences), zeros included."""

    hours: Hours


def sparkline(house: "House", group: Group) -> Sparkline:
    """Count the occurrences of a group that was read for the caller, hour by hour over the last day."""
    return sparklines(house, [group])[group.id]


def sparklines(house: "House", groups: Iterable[Group], hours: int = SPARKLINE_HOURS) -> dict[int, Sparkline]:
    """Count for several groups at once."""
    this_hour = house.clock() // times.HOUR * times.HOUR
    wanted = [this_hour - back * times.HOUR for back in reversed(range(hours))]
    ids = [group.id for group in groups]
    counts, marks = error_hours.c, error_fingerprints.c
    query = (
        sa.select(marks.group_id, counts.hour, sa.func.sum(counts.count))
        .join(error_fingerprints, marks.id == counts.fingerprint_id)
        .where(marks.group_id.in_(ids), counts.hour.between(wanted[0], wanted[-1]))
        .group_by(marks.group_id, counts.hour)
    )
    with house.db.read() as connection:
        counted = {(group, hour): int(rows) for group, hour, rows in connection.execute(query)}
    return {one: Sparkline([(hour, counted.get((one, hour), 0)) for hour in wanted]) for one in ids}


def hours(house: "House", who: Principal, *, project_id: int, group_id: int, hours: int = DEFAULT_HOURS) -> Hours:
    """Count a group's occurrences of the last hours, at most 90 days of them, oldest first, zeros included."""
    if not 1 <= hours <= KEPT_DAYS * 24:
        raise invalid("hours", f"must be 1-{KEPT_DAYS * 24}")
    group = finding.get(house, who, project_id=project_id, group_id=group_id)
    return sparklines(house, [group], hours)[group.id].hours
