"""Why events are together: what went into each fingerprint of a group."""

import json
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from headrace.core import events
from headrace.core.events import fingerprint
from headrace.core.events.fingerprint import Reason
from headrace.core.groups import finding
from headrace.core.groups.marks import readable, reason_of
from headrace.core.principal import Principal
from headrace.core.schema.groups import error_fingerprints
from headrace.eventstore.drain import Sample
from headrace.eventstore.queries import EventRow
from headrace.eventstore.rows import OBJECT_STACK

if TYPE_CHECKING:
    from headrace.core.house import House

# Fingerprints of one group that are explained, the newest.
MOST = 100
# Of those without a reason that was kept, so many are worked out from their newest event, which is a search each.
MOST_ASKED = 5


class Because(msgspec.Struct, frozen=True, kw_only=True):
    """One fingerprint. `origin_id` is the group it came with; `reason` is None when no event of it is left to ask."""

    fingerprint: str
    version: int
    origin_id: int
    occurrence_count: int
    first_seen: int
    last_seen: int
    reason: Reason | None


def explain(house: "House", who: Principal, *, project_id: int, group_id: int) -> list[Because]:
    """Say of each fingerprint of a group what went into it, the newest first."""
    group = finding.get(house, who, project_id=project_id, group_id=group_id)
    query = sa.select(error_fingerprints).where(error_fingerprints.c.group_id == group.id)
    with house.db.read() as connection:
        rows = connection.execute(query.order_by(error_fingerprints.c.id.desc()).limit(MOST)).all()
    asked = [row.id for row in rows if row.reason is None and row.sample_log_id][:MOST_ASKED]
    return [because(row, worked_out(house, who, row) if row.id in asked else row.reason) for row in rows]


def worked_out(house: "House", who: Principal, row: sa.Row[Any]) -> str | None:
    """Return the reason of a fingerprint that is older than the keeping of reasons; None when its event is gone."""
    event = events.find(house, who, project_id=row.project_id, log_id=row.sample_log_id)
    if event is None:
        return None
    sample = as_sample(event)
    made = fingerprint.of(readable(sample), row.version) == row.fingerprint
    return reason_of(sample, row.version) if made else None


def because(row: sa.Row[Any], reason: str | None) -> Because:
    return Because(
        fingerprint=row.fingerprint,
        version=row.version,
        origin_id=row.origin_id,
        occurrence_count=row.occurrence_count,
        first_seen=row.first_seen,
        last_seen=row.last_seen,
        reason=None if reason is None else msgspec.json.decode(reason, type=Reason),
    )


def as_sample(row: EventRow) -> Sample:
    stack = row.stack_trace
    return Sample(
        id=row.id,
        error_type=row.error_type,
        error_message=row.error_message,
        message=row.message,
        stack_trace=stack + OBJECT_STACK if stack and row.stack_is_object else stack,
        platform=row.platform,
        attributes=msgspec.Raw(json.dumps(row.attributes or {}).encode()),
    )
