"""Tidying: mutes that have ended, and what is let go so that no table grows for ever. Runs beside the requests."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import sqlalchemy as sa

from headrace.core.groups import activity, news, releases, series
from headrace.core.groups.record import OPEN
from headrace.core.schema import folded_segments
from headrace.core.schema.groups import (
    error_fingerprints,
    error_groups,
    error_hours,
    error_places,
    error_releases,
    error_users,
    group_activity,
    group_comments,
    group_news,
)
from headrace.kit import times

if TYPE_CHECKING:
    from headrace.core.house import House

AT_ONCE = 500
# A name is needed only while its segment's file may come back; files go right after folding.
NAMES_KEPT = 7 * times.DAY
# A group that nothing was heard of for so long goes, with its comments.
GROUPS_KEPT = 400 * times.DAY
# A project that is full keeps this many of a hundred of its groups, those seen last.
KEPT_PERCENT = 90


class Turns:
    """When each kind of work was last done."""

    def __init__(self, house: "House") -> None:
        del house
        self.minute = self.hour = 0


def work(house: "House") -> None:
    """Do what is due: once a minute mutes, once an hour the rest. May be called as often as one likes."""
    turns, now = house.part(Turns), house.clock()
    if abs(now - turns.minute) >= times.MINUTE:
        turns.minute = now
        end_mutes(house)
    if abs(now - turns.hour) >= times.HOUR:
        turns.hour = now
        tidy(house)


def end_mutes(house: "House") -> int:
    """Open the groups again whose mute has ended; return how many."""
    now, columns = house.clock(), error_groups.c
    due = sa.select(columns.id, columns.organization_id).where(columns.muted_until <= now, columns.status == "muted")
    with house.db.read() as connection:
        if connection.execute(due.limit(1)).first() is None:
            return 0
    with house.db.write() as connection:
        rows = connection.execute(due.order_by(columns.id).limit(AT_ONCE).with_for_update()).all()
        ids = [row.id for row in rows]
        if not ids:
            return 0
        connection.execute(sa.update(error_groups).where(columns.id.in_(ids)).values(**OPEN, updated_at=now))
        lines = [activity.system_line(row.organization_id, row.id, "unmuted", now, {"reason": "time"}) for row in rows]
        connection.execute(group_activity.insert(), lines)
        activity.trim(connection, ids)
    return len(ids)


def tidy(house: "House") -> None:
    """Let go of what is too old or too much."""
    now = house.clock()
    with house.db.write() as connection:
        connection.execute(sa.delete(error_hours).where(error_hours.c.hour < now - series.KEPT_DAYS * times.DAY))
        connection.execute(sa.delete(group_news).where(group_news.c.at < now - news.KEPT))
        connection.execute(sa.delete(folded_segments).where(folded_segments.c.folded_at < now - NAMES_KEPT))
        trim_releases(connection)
    while forget(house, now):
        pass


def trim_releases(connection: sa.Connection) -> None:
    """Let the longest unseen releases of a full project go."""
    columns = error_releases.c
    full = sa.select(columns.project_id).group_by(columns.project_id)
    for project in connection.execute(full.having(sa.func.count() >= releases.MOST_RELEASES)).scalars().all():
        kept = releases.MOST_RELEASES * KEPT_PERCENT // 100
        newest = sa.select(columns.id).where(columns.project_id == project).order_by(columns.last_seen.desc())
        past = connection.execute(newest.offset(kept)).scalars().all()
        connection.execute(sa.delete(error_releases).where(columns.id.in_(past)))


def forget(house: "House", now: int) -> int:
    """Delete some of the groups that are to go; return how many."""
    with house.db.write() as connection:
        ids = too_old(connection, now) or too_many(connection, house.settings.error_groups)
        if ids:
            delete(connection, ids)
    return len(ids)


def too_old(connection: sa.Connection, now: int) -> list[int]:
    columns = error_groups.c
    # Arrival counts too: an old log that was sent today is not forgotten today.
    query = sa.select(columns.id).where(columns.last_seen < now - GROUPS_KEPT, columns.updated_at < now - GROUPS_KEPT)
    return with_members(connection, connection.execute(query.limit(AT_ONCE)).scalars().all())


def too_many(connection: sa.Connection, most: int) -> list[int]:
    columns = error_groups.c
    full = sa.select(columns.project_id).group_by(columns.project_id).having(sa.func.count() >= most)
    for project in connection.execute(full).scalars().all():
        found = with_members(connection, past_room(connection, project, most * KEPT_PERCENT // 100)[:AT_ONCE])
        if found:
            return found
    return []


def past_room(connection: sa.Connection, project: int, room: int) -> list[int]:
    """Return the groups of a project that those seen later leave no room for, the latest first; never the very latest.

    What was merged into a group takes room too, and goes with it.
    """
    columns, member = error_groups.c, error_groups.alias()
    merged = sa.select(sa.func.count()).where(member.c.merged_into == columns.id).scalar_subquery()
    roots = sa.select(columns.id, merged).where(columns.project_id == project, columns.merged_into.is_(None))
    past, held = [], 0
    for group, members in connection.execute(roots.order_by(columns.last_seen.desc(), columns.id.desc())):
        if held and held + 1 + members > room:
            past.append(group)
        else:
            held += 1 + members
    return past


def with_members(connection: sa.Connection, ids: Sequence[int]) -> list[int]:
    """Return those of the groups that no other group holds, with all that were merged into them."""
    columns = error_groups.c
    alone = sa.select(columns.id).where(columns.id.in_(ids), columns.merged_into.is_(None))
    roots = list(connection.execute(alone).scalars())
    members = sa.select(columns.id).where(columns.merged_into.in_(roots))
    return [*roots, *connection.execute(members).scalars()]


def delete(connection: sa.Connection, ids: list[int]) -> None:
    marks = sa.select(error_fingerprints.c.id).where(error_fingerprints.c.group_id.in_(ids))
    for table in (error_hours, error_places, error_users):
        connection.execute(sa.delete(table).where(table.c.fingerprint_id.in_(marks)))
    connection.execute(sa.delete(error_fingerprints).where(error_fingerprints.c.group_id.in_(ids)))
    for table in (group_comments, group_activity, group_news):
        connection.execute(sa.delete(table).where(table.c.group_id.in_(ids)))
    connection.execute(sa.delete(error_groups).where(error_groups.c.id.in_(ids)))
