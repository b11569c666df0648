"""Deletions: an organization's admin has the logs of a project deleted that a query finds. Durable, resumed, audited.

One covers what was acknowledged before it was asked for, also what still waits in the durable log: it begins once that
is stored. A segment that is stored again after that (its file came back by a power cut) has them run once more.
"""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.events.filters import Filters
from headrace.core.events.read import asked, selected
from headrace.core.keys import resolved_project
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal, conflict, invalid, not_found
from headrace.core.schema import deletions
from headrace.eventstore import deletion as stored
from headrace.eventstore.drain import Drained
from headrace.eventstore.engine import EngineError, QueryRefused
from headrace.eventstore.quarantine import ENVIRONMENT
from headrace.eventstore.queries import Selection
from headrace.kit import times

if TYPE_CHECKING:
    from headrace.core.house import House

log = logging.getLogger(__name__)

OPEN = ("pending", "running")
# Each one makes the engine write the masks of many parts anew.
MOST_OPEN = 10
MOST_LISTED = 1_000
# The filters of a deletion may name what was to be forgotten; the audit log keeps who and when.
KEPT_DAYS = 365
# A turn of the upkeep thread, which has other work too.
TURN_SECONDS = 1.0


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """`matched` is known once it runs; `state`: pending, running, completed, failed (`reason` says why), cancelled."""

    id: int
    organization_id: int
    project_id: int
    account_id: int | None
    filters: Filters
    last_id: int
    state: str
    reason: str | None
    matched: int | None
    deleted: int
    created_at: int
    started_at: int | None
    finished_at: int | None


SHOWN = [deletions.c[name] for name in Deletion.__struct_fields__]
UNSEEN = "Deletion not found"


def preview(house: "House", who: Principal, *, project_id: int, filters: Filters) -> int:
    """Return how many stored logs a deletion would take now; also those that retention hides already."""
    _may(house, who, project_id)
    covered = _covered(house, who, project_id, filters, house.clock())
    with asked():
        return sum(
            rows for _, rows in stored.counted(house.store.engine, covered, seconds=house.settings.query_seconds)
        )


def create(house: "House", who: Principal, *, project_id: int, filters: Filters) -> Deletion:
    """Ask for a deletion. Refused: no filter at all, and more than MOST_OPEN at once (conflict)."""
    _may(house, who, project_id)
    if not (filters.query or "").strip():
        # A search of blanks finds every log, and nobody has written it to delete them all.
        filters = msgspec.structs.replace(filters, query=None)
    if filters == Filters():
        raise invalid("q", "none", text="Give at least one filter; periodTo alone covers everything up to a time")
    last_id, now = house.store.wal.next_id, house.clock()
    _covered(house, who, project_id, filters, now)  # A query that cannot be read is refused now.
    mine = deletions.c.organization_id == who.organization_id
    with house.db.write() as connection:
        number = sa.select(sa.func.count()).where(mine, deletions.c.state.in_(OPEN)).select_from(deletions)
        if connection.execute(number).scalar_one() >= MOST_OPEN:
            raise conflict(f"{MOST_OPEN} deletions wait already; try again when one is done")
        over = deletions.c.finished_at < now - KEPT_DAYS * times.DAY
        connection.execute(sa.delete(deletions).where(mine, over))
        values = {
            "organization_id": who.organization_id,
            "project_id": project_id,
            "account_id": who.account_id,
            "node": house.settings.node,
            "filters": msgspec.json.encode(filters).decode(),
            "last_id": last_id,
            "state": "pending",
            "deleted": 0,
            "created_at": now,
        }
        row = connection.execute(deletions.insert().values(values).returning(*SHOWN)).one()
        made = _deletion(row)
        _record(connection, house, who, made, "requested")
    return made


def list_all(house: "House", who: Principal, *, project_id: int) -> list[Deletion]:
    """Return a project's deletions, newest first."""
    _may(house, who, project_id)
    query = sa.select(*SHOWN).where(
        deletions.c.organization_id == who.organization_id, deletions.c.project_id == project_id
    )
    with house.db.read() as connection:
        rows = connection.execute(query.order_by(deletions.c.id.desc()).limit(MOST_LISTED)).all()
    return [_deletion(row) for row in rows]


def get(house: "House", who: Principal, *, deletion_id: int) -> Deletion:
    """Return one deletion of the organization."""
    rules.require_admin(who, "logs")
    with house.db.read() as connection:
        return _one(connection, who, deletion_id)


def cancel(house: "House", who: Principal, *, deletion_id: int) -> Deletion:
    """End a deletion that waits or runs; what it has deleted stays deleted. Refused (conflict) once it is over."""
    rules.require_admin(who, "logs")
    with house.db.write() as connection:
        found = _one(connection, who, deletion_id)
        over = {"state": "cancelled", "finished_at": house.clock()}
        if not _changed(connection, found, over, OPEN):
            raise conflict(f"The deletion is {found.state} already")
        _record(connection, house, who, found, "cancelled")
        return _one(connection, who, deletion_id)


def work(house: "House") -> None:
    """Carry deletions of this server on for about TURN_SECONDS. Only one thread of a process may do this.

    Raises EngineError while the engine is in trouble; nothing is lost by it.
    """
    ends_at = time.monotonic() + TURN_SECONDS
    while _turn(house) and time.monotonic() < ends_at:
        pass


def _turn(house: "House") -> bool:
    """Take one step of the first deletion that can go on; tell whether there was one."""
    found = next((one for one in _open(house) if _is_stored(house, one)), None)
    if found is None:
        return False
    try:
        _step(house, found)
    except (QueryRefused, Refusal) as refused:
        _finish(house, found, "failed", refused.text)
    except EngineError as problem:
        if problem.code in ENVIRONMENT:
            raise
        _finish(house, found, "failed", str(problem))
    return True


def replayed(house: "House", drained: Drained) -> None:
    """Have deletions run again that were done before this segment was stored, and cover events of it."""
    projects = {part.project for part in drained.projects}
    done = sa.and_(
        deletions.c.state == "completed",
        deletions.c.node == house.settings.node,
        deletions.c.last_id > drained.first_id,
        deletions.c.project_id.in_(projects),
    )
    with house.db.read() as connection:
        found = connection.execute(sa.select(deletions.c.id).where(done)).scalars().all()
    if found:
        log.warning("Segment %s was stored again; deletions %s run again", drained.name, found)
        with house.db.write() as connection:
            connection.execute(sa.update(deletions).where(done).values(state="pending", finished_at=None))


def _step(house: "House", found: Deletion) -> None:
    """Begin a deletion, or take one partition, or finish."""
    engine, covered = house.store.engine, _covered_by(house, found)
    left = stored.counted(engine, covered)
    rows = sum(count for _, count in left)
    if found.matched is None or found.state == "pending":
        started = {"state": "running", "started_at": house.clock(), "matched": found.deleted + rows}
        with house.db.write() as connection:
            _changed(connection, found, started, ("pending",))
        return
    if left:
        partition, taken = left[0]
        stored.remove(engine, covered, partition)
        _progress(house, found, found.matched - rows + taken)
        return
    stored.remove_quarantined(engine, covered)
    _progress(house, found, found.matched)
    # A backup holds the drain still between its copies of the engine and of the database. Its copy must not say that a
    # deletion is done which its copy of the engine has not seen.
    with engine.draining:
        _finish(house, found, "completed", None)


def _progress(house: "House", found: Deletion, deleted: int) -> None:
    with house.db.write() as connection:
        _changed(connection, found, {"deleted": deleted}, (*OPEN, "cancelled"))


def _finish(house: "House", found: Deletion, state: str, reason: str | None) -> None:
    who = Principal(kind="user", organization_id=found.organization_id, account_id=found.account_id)
    with house.db.write() as connection:
        if _changed(connection, found, {"state": state, "reason": reason, "finished_at": house.clock()}, OPEN):
            _record(connection, house, who, _one(connection, who, found.id), state)


def _open(house: "House") -> list[Deletion]:
    mine = sa.and_(deletions.c.state.in_(OPEN), deletions.c.node == house.settings.node)
    with house.db.read() as connection:
        return [_deletion(row) for row in connection.execute(sa.select(*SHOWN).where(mine).order_by(deletions.c.id))]


def _is_stored(house: "House", found: Deletion) -> bool:
    """Tell whether everything taken before the request has left the durable log, so that nothing of it comes back."""
    store = house.store
    # Ids of requests that failed were given and never stored, so the log may also just be empty.
    return store.drain.stored_id >= found.last_id or not store.wal.waiting_rows


def _covered_by(house: "House", found: Deletion) -> Selection:
    owner = Principal(kind="operator", organization_id=found.organization_id)
    return _covered(house, owner, found.project_id, found.filters, found.created_at)


def _covered(house: "House", who: Principal, project_id: int, filters: Filters, until: int) -> Selection:
    """Return what a deletion takes: what had arrived by `until`, hidden by retention or not."""
    found = selected(house, who, project_id, filters)
    ends = [until] if found.received_to is None else [until, found.received_to]
    return msgspec.structs.replace(found, received_to=min(ends), received_floor=None)


def _may(house: "House", who: Principal, project_id: int) -> None:
    rules.require_admin(who, "logs")
    resolved_project(house, who, project_id)


def _one(connection: sa.Connection, who: Principal, deletion_id: int) -> Deletion:
    mine = sa.and_(deletions.c.id == deletion_id, deletions.c.organization_id == who.organization_id)
    row = connection.execute(sa.select(*SHOWN).where(mine)).one_or_none()
    if row is None:
        raise not_found(UNSEEN)
    return _deletion(row)


def _deletion(row: Any) -> Deletion:
    return Deletion(**{**row._mapping, "filters": msgspec.json.decode(row.filters, type=Filters)})  # noqa: SLF001


def _changed(connection: sa.Connection, found: Deletion, values: dict[str, Any], states: Sequence[str]) -> bool:
    """Change a deletion unless another hand has brought it into a state besides these."""
    mine = sa.and_(deletions.c.id == found.id, deletions.c.state.in_(states))
    return connection.execute(sa.update(deletions).where(mine).values(**values)).rowcount == 1


def _record(connection: sa.Connection, house: "House", who: Principal, found: Deletion, action: str) -> None:
    data = {"project_id": found.project_id, "matched": found.matched, "deleted": found.deleted}
    outcome = "failure" if action == "failed" else "success"
    target = f"deletion:{found.id}"
    audit.record(connection, house, who, f"logs:deletion:{action}", target=target, outcome=outcome, data=data)
