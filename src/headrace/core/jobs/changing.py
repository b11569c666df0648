"""What people do to jobs: cancel one, replay one that failed, hold a kind back for a while. Each is audited."""

import msgspec
import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.house import House
from headrace.core.jobs.bell import Bell
from headrace.core.jobs.enqueue import order
from headrace.core.jobs.reading import TABLE, one
from headrace.core.jobs.record import Job, Kinds
from headrace.core.jobs.settle import Totals, finish_unheld
from headrace.core.jobs.statements import SHOWN, job_of
from headrace.core.jobs.states import CANCELLED, CANCELLING, FAILED, FINAL, HELD, READY
from headrace.core.principal import Principal
from headrace.core.refusals import conflict, forbidden
from headrace.core.schema import jobs as schema
from headrace.kit.times import DAY

LONGEST_KIND = 64


class Stops:
    """Whom to tell in this process when a running job is cancelled; the engine puts its own ear here."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.waiting: set[int] = set()

    def ask(self, job_id: int) -> None:
        self.waiting.add(job_id)
        self.house.part(Bell).wake()


def cancel(house: House, who: Principal, *, job_id: int, view: str | None = None) -> Job:
    """Cancel a job: one that waits at once, one that runs is asked to stop. Refused (conflict) once it is over."""
    rules.require(who, "jobs", "write")
    with house.db.write() as connection:
        found = _locked(connection, who, job_id, view)
        if found.state in FINAL:
            raise conflict(f"The job is {found.state} already")
        if found.state in HELD:
            job = _change(connection, found, {"state": CANCELLING})
            house.db.after_commit(lambda: house.part(Stops).ask(job_id))
        else:
            job = _cancel_waiting(house, connection, found)
        if found.state != CANCELLING:
            audit.record(
                connection, house, who, "jobs:job:cancelled", target=f"job:{job_id}", data={"was": found.state}
            )
    return job


def _cancel_waiting(house: House, connection: sa.Connection, found: Job) -> Job:
    now, kind = house.clock(), house.part(Kinds).usual(found.kind)
    over = {"state": CANCELLED, "finished_at": now, "purge_at": now + kind.retention_days * DAY, "error": None}
    job, totals = _change(connection, found, over), Totals()
    finish_unheld(house, connection, job, totals)
    totals.write(connection)
    return job


def retry(house: House, who: Principal, *, job_id: int, view: str | None = None) -> Job:
    """Make a failed or cancelled job ready again, with a full number of tries.

    Refused (conflict) in other states, and where nobody would run it.
    """
    rules.require(who, "jobs", "write")
    with house.db.write() as connection:
        found = _locked(connection, who, job_id, view)
        if found.state not in {FAILED, CANCELLED}:
            raise conflict(f"The job is {found.state}; only failed and cancelled jobs run again")
        now, totals = house.clock(), Totals()
        kind = house.part(Kinds).usual(found.kind)
        totals.add(found, found.state, found.finished_at or now, number=-1)
        totals.write(connection)
        values = {
            "state": READY,
            "run_at": now,
            "ord": order(now, found.priority),
            "tries": found.attempt + (kind.tries if kind.replayed is None else kind.replayed(house, found)),
            "error": None,
            "finished_at": None,
            "purge_at": None,
        }
        job = _change(connection, found, values)
        audit.record(connection, house, who, "jobs:job:retried", target=f"job:{job_id}", data={"was": found.state})
        house.db.after_commit(house.part(Bell).ring)
    return job


def pause(house: House, who: Principal, *, kind: str, everywhere: bool = False) -> None:
    """Hold back the jobs of a kind (`""`: of all) until `resume`; what runs goes on.

    Of the caller's organization, which takes an admin; `everywhere` of all of them, which takes the operator.
    """
    values = _pause(who, kind, everywhere=everywhere) | {"created_at": house.clock()}
    if kind:
        _check_kind(house, kind)
    with house.db.write() as connection:
        connection.execute(house.db.insert(schema.job_pauses).values(values).on_conflict_do_nothing())
        audit.record(connection, house, who, "jobs:kind:paused", data={"kind": kind, "everywhere": everywhere})


def resume(house: House, who: Principal, *, kind: str, everywhere: bool = False) -> None:
    """End a pause, also one of a kind that only another process knows."""
    values, table = _pause(who, kind, everywhere=everywhere), schema.job_pauses
    mine = (table.c.kind == values["kind"]) & (table.c.organization_id == values["organization_id"])
    if not kind.isprintable():
        _check_kind(house, kind)  # A database need not be able to take it.
    with house.db.write() as connection:
        if not connection.execute(sa.delete(table).where(mine)).rowcount and kind:
            _check_kind(house, kind)
        audit.record(connection, house, who, "jobs:kind:resumed", data={"kind": kind, "everywhere": everywhere})
        house.db.after_commit(house.part(Bell).ring)


def _check_kind(house: House, kind: str) -> None:
    kinds = house.part(Kinds)
    if not kind.isprintable() or len(kind) > LONGEST_KIND or kinds.find(kind) is None:
        rules.choice(kind, "kind", sorted(kinds.named))


class Pause(msgspec.Struct, frozen=True):
    """A kind that is held back since a moment (`""`: all kinds), for one organization or everywhere."""

    kind: str
    everywhere: bool
    since: int


def paused(house: House, who: Principal) -> list[Pause]:
    """Return what is held back for the caller."""
    rules.require(who, "jobs", "read")
    table = schema.job_pauses
    query = sa.select(table.c.kind, table.c.organization_id, table.c.created_at).where(
        table.c.organization_id.in_((0, who.organization_id))
    )
    with house.db.read() as connection:
        rows = connection.execute(query.order_by(table.c.kind, table.c.organization_id))
        return [Pause(kind, organization_id == 0, since) for kind, organization_id, since in rows]


def _pause(who: Principal, kind: str, *, everywhere: bool) -> dict[str, object]:
    rules.require_admin(who, "jobs")
    if everywhere and who.kind != "operator" and who.role != "super_admin":
        raise forbidden("Only the operator pauses jobs of all organizations")
    return {"kind": kind, "organization_id": 0 if everywhere else who.organization_id}


def _locked(connection: sa.Connection, who: Principal, job_id: int, view: str | None) -> Job:
    """Read a job that nobody else changes until the transaction ends."""
    mine = sa.select(TABLE.c.id).where(TABLE.c.id == job_id).with_for_update()
    connection.execute(mine)
    return one(connection, who, TABLE.c.id == job_id, view)


def _change(connection: sa.Connection, found: Job, values: dict[str, object]) -> Job:
    changed = sa.update(TABLE).where(TABLE.c.id == found.id).values(values).returning(*SHOWN)
    return job_of(connection.execute(changed).one())
