"""Releases of a project: the order in which errors, or people, first named them; and where a group was seen."""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from headrace.core.groups.adding import Adding
from headrace.core.groups.gathered import Part, Span, widen
from headrace.core.groups.record import Group
from headrace.core.schema.groups import error_fingerprints, error_places, error_releases

if TYPE_CHECKING:
    from headrace.core.house import House

# Of one project. `tidying` lets the longest unseen go; until then further ones have no place in the order.
MOST_RELEASES = 2_000
# release -> its place in the project's order
Order = Mapping[str, tuple[int, int]]


class Seen(NamedTuple):
    """A release or environment ("" = none was named) with its events, first and last time."""

    name: str
    rows: int
    first_seen: int
    last_seen: int


class Places(NamedTuple):
    """Where a group was seen: releases in the order of their first time in it, environments by events."""

    releases: list[Seen]
    environments: list[Seen]

    @property
    def first_release(self) -> str | None:
        return next((one.name for one in self.releases if one.name), None)

    @property
    def last_release(self) -> str | None:
        named = [one for one in self.releases if one.name]
        return max(named, key=lambda one: (one.last_seen, one.first_seen)).name if named else None


def reached(order: Order, release: str, target: str) -> bool:
    """Tell whether a release is the target or came after it. One without a place in the order counts as later."""
    if release == target or release not in order or target not in order:
        return True
    return order[release] >= order[target]


def order_of(connection: sa.Connection, project: int, releases: Collection[str]) -> Order:
    table = error_releases.c
    query = sa.select(table.release, table.first_seen, table.id).where(
        table.project_id == project, table.release.in_(sorted(releases))
    )
    return {row.release: (row.first_seen, row.id) for row in connection.execute(query)}


def note(connection: sa.Connection, house: "House", parts: Iterable[Part]) -> None:
    """Give the releases of a segment their places, the earliest seen first."""
    projects: dict[int, dict[str, Span]] = {}
    for part in parts:
        for release, span in part.releases.items():
            if release:
                widen(projects.setdefault(part.project, {}), release, span)
    for project, spans in sorted(projects.items()):
        note_project(connection, house, project, spans)


def note_project(
    connection: sa.Connection, house: "House", project: int, spans: Mapping[str, Span], *, widen: bool = True
) -> None:
    """Give releases places; `widen` counts the spans of those that have one too."""
    known = order_of(connection, project, spans)
    fresh = sorted((name for name in spans if name not in known), key=lambda name: (spans[name].first, name))
    if fresh:
        count = sa.select(sa.func.count()).where(error_releases.c.project_id == project)
        fresh = fresh[: max(0, MOST_RELEASES - connection.execute(count).scalar_one())]
    rows = [
        {"project_id": project, "release": name, "first_seen": spans[name].first, "last_seen": spans[name].last}
        # In one order everywhere, so that two processes never wait for each other's rows.
        for name in sorted([*(known if widen else ()), *fresh])
    ]
    if not rows:
        return
    connection.execute(house.part(Adding).releases, rows)


def of_project(house: "House", project_id: int, limit: int = 100) -> list[str]:
    """Return the releases of a project that was read for the caller, the one that came last first."""
    table = error_releases.c
    query = sa.select(table.release).where(table.project_id == project_id)
    with house.db.read() as connection:
        ordered = query.order_by(table.first_seen.desc(), table.id.desc()).limit(limit)
        return list(connection.execute(ordered).scalars())


def of_group(house: "House", group: Group) -> Places:
    """Return where a group was seen that was read for the caller."""
    with house.db.read() as connection:
        return places(connection, group.id)


def places(connection: sa.Connection, group_id: int) -> Places:
    """Return where a group's fingerprints were seen."""
    columns = error_places.c
    query = (
        sa.select(
            columns.release, columns.environment, columns.count.label("rows"), columns.first_seen, columns.last_seen
        )
        .join(error_fingerprints, error_fingerprints.c.id == error_places.c.fingerprint_id)
        .where(error_fingerprints.c.group_id == group_id)
    )
    releases: dict[str, Span] = {}
    environments: dict[str, Span] = {}
    for row in connection.execute(query):
        span = Span(row.rows, row.first_seen, row.last_seen)
        widen(releases, row.release, span)
        widen(environments, row.environment, span)
    return Places(
        sorted(listed(releases), key=lambda one: (one.first_seen, one.name)),
        sorted(listed(environments), key=lambda one: (-one.rows, one.name)),
    )


def listed(spans: Mapping[str, Span]) -> list[Seen]:
    return [Seen(name, span.rows, span.first, span.last) for name, span in spans.items()]
