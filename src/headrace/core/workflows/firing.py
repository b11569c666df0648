"""Firing: what schedules are due is started. `app.py` has the process that leads do it once a second."""

import logging
from typing import Any

import sqlalchemy as sa

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal
from headrace.core.schema.workflows import workflow_schedules as table
from headrace.core.workflows import cron, starting
from headrace.core.workflows.schedules import SHOWN, Schedule, schedule_of
from headrace.core.workflows.starting import Order

log = logging.getLogger(__name__)

AT_ONCE = 100


def fire(house: House) -> int:
    """Start what schedules are due. Returns how many jobs that were; the same run is never started twice."""
    now = house.clock()
    # Those that cannot run come last: they are asked again each time, and must not keep the others waiting.
    due = (
        sa.select(*SHOWN)
        .where(table.c.next_at <= now, table.c.paused_at.is_(None))
        .order_by(table.c.error.is_not(None), table.c.next_at)
    )
    with house.db.read() as connection:
        if connection.execute(due.limit(1)).first() is None:
            return 0
    with house.db.write() as connection:
        rows = connection.execute(due.limit(AT_ONCE).with_for_update(skip_locked=True)).mappings().all()
        return sum(_fire(house, connection, schedule_of(row), now) for row in rows)


def _fire(house: House, connection: sa.Connection, schedule: Schedule, now: int) -> int:
    mine = sa.update(table).where(table.c.id == schedule.id)
    try:
        runs, values = _run(house, connection, schedule, now)
    except Refusal as refusal:  # A time zone that this machine does not know must not stop the others.
        if refusal.text != schedule.error:
            log.warning("The schedule %d does not run here: %s", schedule.id, refusal.text)
            connection.execute(mine.values(error=refusal.text))
        return 0
    connection.execute(mine.values(values))
    return runs


def _run(house: House, connection: sa.Connection, schedule: Schedule, now: int) -> tuple[int, dict[str, Any]]:
    """Start what is due; return how many jobs that were, and what is then to be written of the schedule."""
    runs, next_at = cron.due(schedule.cron, schedule.time_zone, schedule.next_at, now, schedule.missed)
    left_out = 0
    if schedule.overlap == "skip" and runs:
        is_live = schedule.last_job_id is not None and jobs.is_live(connection, schedule.last_job_id)
        left_out = len(runs) if is_live else len(runs) - 1
    values = {"next_at": next_at, "skipped": schedule.skipped + left_out, "error": None}
    for at in runs[left_out:]:
        job = starting.enqueue(house, connection, _order(schedule, at))
        values |= {"last_at": at, "last_job_id": job.id}
    return len(runs) - left_out, values


def _order(schedule: Schedule, at: int) -> Order:
    who = Principal(kind="operator", organization_id=schedule.organization_id, account_id=schedule.created_by)
    fields = {
        "workflow": schedule.workflow,
        "payload": schedule.payload,
        "priority": schedule.priority,
        "unique": f"schedule:{schedule.id}:{at}",
    }
    return Order(who, fields)
