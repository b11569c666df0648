"""Marks: the fingerprints that are known, and the making of groups for those that are not."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import msgspec
import sqlalchemy as sa

from headrace.core.events import fingerprint
from headrace.core.events.stacks import frames
from headrace.core.groups.gathered import Part
from headrace.core.schema.groups import error_fingerprints, error_groups
from headrace.eventstore.drain import Sample
from headrace.eventstore.rows import OBJECT_STACK

if TYPE_CHECKING:
    from headrace.core.house import House

AT_ONCE = 500
# Of a reason's parts; a whole message may be longer.
LONGEST_PART = 1_000
# The first of two numbers of an advisory lock; the second is the project.
LOCK = 487_122
V = TypeVar("V", int, str)
Key = tuple[int, str]
# Reads events of the segment by their ids.
Read = Callable[[Iterable[int]], Mapping[int, Sample]]


class Told(NamedTuple):
    """What an event's content says: the fingerprints of earlier versions, the newest first, and the reason as JSON."""

    older: list[str]
    reason: str | None


NOTHING = Told([], None)


class Mark(msgspec.Struct, frozen=True):
    id: int
    project_id: int
    fingerprint: str
    group_id: int
    origin_id: int


SHOWN = [error_fingerprints.c[name] for name in Mark.__struct_fields__]


def alone(connection: sa.Connection, house: "House", wanted: Iterable[int]) -> None:
    """Let no other process fold or merge groups of these projects before this transaction ends.

    Which group a fingerprint points to is read first and counted on later. SQLite has one writer anyway.
    """
    if house.db.dialect == "postgresql":
        for project in sorted(set(wanted)):
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK, sa.cast(project, sa.Integer))))


def known(connection: sa.Connection, keys: Iterable[Key]) -> dict[Key, Mark]:
    """Return which of the fingerprints there are, by (project, fingerprint)."""
    by_project: dict[int, set[str]] = {}
    for project, mark in keys:
        by_project.setdefault(project, set()).add(mark)
    found: dict[Key, Mark] = {}
    for project, marks in by_project.items():
        for some in chunks(marks):
            query = sa.select(*SHOWN).where(
                error_fingerprints.c.project_id == project, error_fingerprints.c.fingerprint.in_(some)
            )
            for row in connection.execute(query):
                found[row.project_id, row.fingerprint] = Mark(*row)
    return found


def chunks(wanted: Iterable[V]) -> Iterator[list[V]]:
    """Yield what is asked for in order, as many at once as one statement takes."""
    ordered = sorted(wanted)
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]


def make(
    connection: sa.Connection, house: "House", parts: Sequence[Part], told: Mapping[int, Told], now: int
) -> tuple[dict[Key, Mark], set[int]]:
    """Give fingerprints that are not known a group; return them and which groups are new.

    Where an older version of the rule would have said a fingerprint that is known, its group is theirs too. A project
    that has as many groups as it may gets no further ones: its errors are stored, and in no group.
    """
    of = {part.latest.sample_id: told.get(part.latest.sample_id, NOTHING) for part in parts}
    before = known(connection, {(part.project, old) for part in parts for old in of[part.latest.sample_id].older})
    room = {
        project: house.settings.error_groups - groups_of(connection, project) for project in {p.project for p in parts}
    }
    made: dict[Key, Mark] = {}
    fresh: set[int] = set()
    for part in parts:
        older, reason = of[part.latest.sample_id]
        old = next((before[part.project, one] for one in older if (part.project, one) in before), None)
        if old is None:
            if room[part.project] <= 0:
                continue
            room[part.project] -= 1
        group, is_new = (old.group_id, False) if old else make_group(connection, house, part, now)
        fresh |= {group} if is_new else set()
        origin = old.origin_id if old else group
        made[part.project, part.fingerprint] = make_mark(connection, house, part, (group, origin), reason, now)
    return made, fresh


def tell(sample: Sample) -> Told:
    """Say of an event what a fingerprint keeps of it."""
    event = readable(sample)
    older = [fingerprint.of(event, version) for version in range(fingerprint.VERSION - 1, 0, -1)]
    return Told(older, reason_of(sample, fingerprint.VERSION))


def reason_of(sample: Sample, version: int) -> str:
    """Return a fingerprint's reason as JSON text."""
    reason = fingerprint.reason(readable(sample), version)
    parts = [part[:LONGEST_PART] for part in reason.parts]
    return msgspec.json.encode(msgspec.structs.replace(reason, parts=parts)).decode()


def readable(sample: Sample) -> Sample:
    """Return the sample with its stack as the fingerprint was made of it: one sent as an object, text by text."""
    stack = sample.stack_trace
    if stack is None or not stack.endswith(OBJECT_STACK):
        return sample
    return msgspec.structs.replace(sample, stack_trace=frames(msgspec.json.decode(stack.removesuffix(OBJECT_STACK))))


def groups_of(connection: sa.Connection, project: int) -> int:
    count = sa.select(sa.func.count()).where(error_groups.c.project_id == project)
    return connection.execute(count).scalar_one()


def make_group(connection: sa.Connection, house: "House", part: Part, now: int) -> tuple[int, bool]:
    """Insert a group without events; another process may just have made it."""
    latest = part.latest
    insert = house.db.insert(error_groups).values(
        organization_id=part.organization,
        project_id=part.project,
        fingerprint=part.fingerprint,
        error_type=latest.error_type or None,
        error_message=latest.error_message or None,
        platform=latest.platform or None,
        first_seen=part.all.first,
        last_seen=part.all.last,
        occurrence_count=0,
        status="unresolved",
        sample_log_id=part.sample,
        created_at=now,
        updated_at=now,
    )
    made = connection.execute(insert.on_conflict_do_nothing().returning(error_groups.c.id)).scalar()
    if made is not None:
        return made, True
    query = sa.select(error_groups.c.id).where(
        error_groups.c.project_id == part.project, error_groups.c.fingerprint == part.fingerprint
    )
    return connection.execute(query).scalar_one(), False


def make_mark(  # noqa: PLR0917  Called from above only.
    connection: sa.Connection, house: "House", part: Part, groups: tuple[int, int], reason: str | None, now: int
) -> Mark:
    group, origin = groups
    insert = house.db.insert(error_fingerprints).values(
        organization_id=part.organization,
        project_id=part.project,
        fingerprint=part.fingerprint,
        version=fingerprint.VERSION,
        group_id=group,
        origin_id=origin,
        occurrence_count=0,
        first_seen=part.all.first,
        last_seen=part.all.last,
        sample_log_id=part.sample,
        reason=reason,
        created_at=now,
    )
    row = connection.execute(insert.on_conflict_do_nothing().returning(*SHOWN)).one_or_none()
    return Mark(*row) if row else known(connection, [(part.project, part.fingerprint)])[part.project, part.fingerprint]
