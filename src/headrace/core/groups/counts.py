"""Counting: what a segment adds to fingerprints, their hours, releases, environments and users. Part of the fold."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from headrace.core.groups import sketch
from headrace.core.groups.adding import Adding
from headrace.core.groups.gathered import Part
from headrace.core.groups.marks import Mark, chunks
from headrace.core.schema.groups import error_fingerprints, error_places, error_users

if TYPE_CHECKING:
    from headrace.core.house import House

# Of one fingerprint. What comes on top is counted under an empty release and environment.
MOST_PLACES = 100

ADD_TO_MARK = (
    sa.update(error_fingerprints)
    .where(error_fingerprints.c.id == sa.bindparam("mark"))
    .values(
        occurrence_count=error_fingerprints.c.occurrence_count + sa.bindparam("rows"),
        first_seen=sa.case(
            (error_fingerprints.c.first_seen > sa.bindparam("first"), sa.bindparam("first")),
            else_=error_fingerprints.c.first_seen,
        ),
        sample_log_id=sa.case(
            (error_fingerprints.c.last_seen <= sa.bindparam("last"), sa.bindparam("sample")),
            else_=error_fingerprints.c.sample_log_id,
        ),
        last_seen=sa.case(
            (error_fingerprints.c.last_seen < sa.bindparam("last"), sa.bindparam("last")),
            else_=error_fingerprints.c.last_seen,
        ),
    )
)


def add(connection: sa.Connection, house: "House", parts: Mapping[int, Part]) -> None:
    """Add the parts of a segment, by fingerprint id."""
    marks = [
        {"mark": mark, "rows": part.all.rows, "first": part.all.first, "last": part.all.last, "sample": part.sample}
        for mark, part in parts.items()
    ]
    connection.execute(ADD_TO_MARK, marks)
    hours = [
        {"fingerprint_id": mark, "hour": hour, "count": rows}
        for mark, part in parts.items()
        for hour, rows in sorted(part.hours.items())
    ]
    connection.execute(house.part(Adding).hours, hours)
    add_places(connection, house, parts)


def add_places(connection: sa.Connection, house: "House", parts: Mapping[int, Part]) -> None:
    there = places_of(connection, parts)
    rows: dict[tuple[int, str, str], dict[str, Any]] = {}
    for mark, part in parts.items():
        known = there.get(mark, set())
        for place, span in part.places.items():
            kept = place if place in known or len(known) < MOST_PLACES else ("", "")
            known.add(kept)
            row = rows.get((mark, *kept))
            if row is None:
                row = rows[mark, *kept] = {
                    "fingerprint_id": mark,
                    "release": kept[0],
                    "environment": kept[1],
                    "count": 0,
                    "first_seen": span.first,
                    "last_seen": span.last,
                }
            row["count"] += span.rows
            row["first_seen"] = min(row["first_seen"], span.first)
            row["last_seen"] = max(row["last_seen"], span.last)
    connection.execute(house.part(Adding).places, [rows[key] for key in sorted(rows)])


def places_of(connection: sa.Connection, marks: Iterable[int]) -> dict[int, set[tuple[str, str]]]:
    found: dict[int, set[tuple[str, str]]] = {}
    columns = error_places.c
    for some in chunks(marks):
        query = sa.select(columns.fingerprint_id, columns.release, columns.environment)
        for mark, release, environment in connection.execute(query.where(columns.fingerprint_id.in_(some))):
            found.setdefault(mark, set()).add((release, environment))
    return found


def add_users(connection: sa.Connection, house: "House", parts: Mapping[int, Part]) -> None:
    """Add who was reached."""
    reached = {mark: part.users for mark, part in parts.items() if part.users}
    sketches: dict[int, bytes] = {}
    for some in chunks(reached):
        query = sa.select(error_users).where(error_users.c.fingerprint_id.in_(some)).with_for_update()
        sketches |= {row.fingerprint_id: row.registers for row in connection.execute(query)}
    changed = []
    for mark, registers in sorted(reached.items()):
        old = sketches.get(mark, sketch.EMPTY)
        new = sketch.added(old, registers)
        if new != old:
            changed.append({"fingerprint_id": mark, "registers": new})
    if changed:
        connection.execute(house.part(Adding).users, changed)


def users_of(connection: sa.Connection, groups: Iterable[int]) -> dict[int, int]:
    """Estimate the users of groups; those with none are left out."""
    sketches: dict[int, list[bytes]] = {}
    for some in chunks(groups):
        query = (
            sa.select(error_fingerprints.c.group_id, error_users.c.registers)
            .join(error_users, error_users.c.fingerprint_id == error_fingerprints.c.id)
            .where(error_fingerprints.c.group_id.in_(some))
        )
        for group, registers in connection.execute(query):
            sketches.setdefault(group, []).append(registers)
    return {
        group: sketch.estimate(found[0] if len(found) == 1 else sketch.together(found))
        for group, found in sketches.items()
    }


def by_group(parts: Mapping[int, Part], marks: Iterable[Mark]) -> dict[int, list[Part]]:
    """Return the parts of each group."""
    found: dict[int, list[Part]] = {}
    for mark in marks:
        if mark.id in parts:
            found.setdefault(mark.group_id, []).append(parts[mark.id])
    return found
