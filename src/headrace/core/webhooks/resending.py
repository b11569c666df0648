"""Deliveries sent again: one, all that failed since a moment, or what was kept for an endpoint while it was off."""

from typing import Any

import sqlalchemy as sa

from headrace.core import audit, jobs
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import conflict
from headrace.core.schema.webhooks import deliveries, endpoints
from headrace.core.webhooks import deliveries as log
from headrace.core.webhooks.emitting import delivery_of, enqueue_job
from headrace.core.webhooks.records import FAILED, PENDING, Delivery, found, require

RESEND = "webhook.resend"
# Of one transaction: others want to write too.
PIECE = 200
OFF = "The endpoint is switched off; what waits for it goes out when it is switched on"


def kind() -> jobs.Kind:
    return jobs.Kind(name=RESEND, run=run, per_lane=1, retention_days=1)


def redeliver(house: House, who: Principal, *, delivery_id: str) -> Delivery:
    """Send one delivery again now, whatever became of it: the same `webhook-id`, a new time, all attempts anew."""
    require(who, "write")
    with house.db.write() as connection:
        row = log.found(connection, who, delivery_id, lock=True)
        if row.endpoint_id is not None and not found(connection, who, row.endpoint_id).is_active:
            raise conflict(OFF)
        again = _again(house, connection, row)
        facts = {"event": row.event, "status": row.status}
        audit.record(connection, house, who, "webhook:delivery:resent", target=f"delivery:{delivery_id}", data=facts)
    return again


def recover(house: House, who: Principal, *, endpoint_id: str, since: int, until: int | None = None) -> int:
    """Send again all of an endpoint's deliveries that failed and were made since then; return how many. By a job."""
    require(who, "write")
    with house.db.write() as connection:
        row = found(connection, who, endpoint_id)
        if not row.is_active:
            raise conflict(OFF)
        last = house.clock() + 1 if until is None else until
        which = {"endpoint": endpoint_id, "status": FAILED, "since": since, "until": last}
        count = sa.select(sa.func.count()).select_from(deliveries).where(*_chosen(which))
        number: int = connection.execute(count).scalar_one()
        _enqueue(house, connection, who.organization_id, which)
        facts = {"since": since, "until": last, "deliveries": number}
        audit.record(connection, house, who, "webhook:endpoint:recovered", target=f"webhook:{endpoint_id}", data=facts)
    return number


def resume(house: House, connection: sa.Connection, *, organization_id: int, endpoint_id: str) -> None:
    """Put in the job that sends what was kept for an endpoint."""
    _enqueue(house, connection, organization_id, {"endpoint": endpoint_id, "status": PENDING})


def _enqueue(house: House, connection: sa.Connection, organization_id: int, which: dict[str, Any]) -> None:
    jobs.enqueue(
        house,
        connection,
        kind=RESEND,
        organization_id=organization_id,
        payload=which,
        lane=which["endpoint"],
    )


def run(context: jobs.Context) -> int:
    """Send again what the payload chooses, a piece in each transaction; what is sent once is not chosen twice."""
    house, sent, last = context.house, 0, ""
    while True:
        context.check()
        with house.db.write() as connection:
            active = sa.select(endpoints.c.is_active).where(endpoints.c.id == context.payload["endpoint"])
            if not connection.execute(active).scalar():
                return sent
            query = sa.select(deliveries).where(*_chosen(context.payload), deliveries.c.id > last)
            rows = connection.execute(query.order_by(deliveries.c.id).limit(PIECE).with_for_update()).all()
            for row in rows:
                _again(house, connection, row)
        if not rows:
            return sent
        sent, last = sent + len(rows), rows[-1].id


def _chosen(which: dict[str, Any]) -> list[sa.ColumnElement[bool]]:
    chosen = [deliveries.c.endpoint_id == which["endpoint"], deliveries.c.status == which["status"]]
    if which["status"] == PENDING:
        return [*chosen, deliveries.c.next_attempt_at.is_(None)]
    return [*chosen, deliveries.c.created_at >= which["since"], deliveries.c.created_at < which["until"]]


def _again(house: House, connection: sa.Connection, row: sa.Row[Any]) -> Delivery:
    """Begin a new round: the job of the last one, should it still wait, finds that it counts no more."""
    values = {"status": PENDING, "round": row.round + 1, "next_attempt_at": house.clock()}
    changed = sa.update(deliveries).where(deliveries.c.id == row.id).values(values).returning(deliveries)
    again = delivery_of(connection.execute(changed).one())
    enqueue_job(house, connection, row.organization_id, again, row.round + 1)
    return again
