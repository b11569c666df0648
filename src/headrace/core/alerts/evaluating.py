"""Evaluation: alerts that are due become jobs, one server claiming each; a job measures and takes a step.

What failed is kept on the alert, and tried again at its next turn; its state stays what it was.
"""

import logging
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from headrace.core import jobs, rules
from headrace.core.alerts import definition as definitions
from headrace.core.alerts.changing import one
from headrace.core.alerts.machine import step
from headrace.core.alerts.measuring import measure
from headrace.core.alerts.notice import note, write
from headrace.core.alerts.rule import RULE, TROUBLE_AFTER, Measured, Rule, rule_of
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal
from headrace.core.schema.alerts import alert_rules
from headrace.eventstore.engine import EngineError
from headrace.kit import times

if TYPE_CHECKING:
    from headrace.core.house import House

log = logging.getLogger(__name__)

KIND = "alert.evaluate"
# Claimed in one transaction; the rest at the next look.
AT_ONCE = 200
LONGEST_ERROR = 500


def define(house: "House") -> None:
    """Name the kind of job. One try: the next turn of the alert is soon."""
    jobs.define(house, jobs.Kind(name=KIND, run=run, isolation="thread", timeout_seconds=60, tries=1, retention_days=1))


def run(context: "jobs.Context") -> dict[str, Any]:
    found = evaluate(context.house, organization_id=context.job.organization_id, alert_id=context.payload["alert_id"])
    return {"state": found.state, "value": found.value} if found else {}


def enqueue_due(house: "House") -> int:
    """Make jobs of the alerts that are due, and return how many. Of several servers one claims each turn."""
    table, now = alert_rules, house.clock()
    # No turn is further ahead than one interval, but where a clock was set back.
    astray = table.c.next_run_at - now > sa.cast(table.c.every_seconds, sa.BigInteger) * times.SECOND
    due = sa.and_(table.c.is_enabled == 1, sa.or_(table.c.next_run_at <= now, astray))
    query = sa.select(table.c.id, table.c.organization_id, table.c.every_seconds, table.c.next_run_at).where(due)
    query = query.order_by(table.c.next_run_at, table.c.id).limit(AT_ONCE)
    with house.db.read() as connection:
        if not connection.execute(query.limit(1)).first():
            return 0
    claimed = 0
    with house.db.write() as connection:
        for row in connection.execute(query.with_for_update(skip_locked=True)).all():
            same = sa.and_(table.c.id == row.id, table.c.next_run_at == row.next_run_at)
            every = row.every_seconds * times.SECOND
            # Turns that were missed while no server ran are one turn.
            later = row.next_run_at + ((now - row.next_run_at) // every + 1) * every
            if not connection.execute(sa.update(table).where(same).values(next_run_at=later)).rowcount:
                continue
            jobs.enqueue(
                house,
                connection,
                kind=KIND,
                organization_id=row.organization_id,
                payload={"alert_id": row.id},
                unique=f"{row.id}@{row.next_run_at}",
            )
            claimed += 1
    return claimed


def evaluate(house: "House", *, organization_id: int, alert_id: int) -> Rule | None:
    """Measure an alert and take a step; return it as it is then, None when it is gone, off or changed meanwhile."""
    who = Principal(kind="operator", organization_id=organization_id)
    query = sa.select(*RULE).where(
        alert_rules.c.organization_id == organization_id, alert_rules.c.id == alert_id, alert_rules.c.is_enabled == 1
    )
    with house.db.read() as connection:
        row = connection.execute(query).one_or_none()
    if row is None:
        return None
    rule = rule_of(row)
    found: Measured | str
    try:
        found = measure(house, who, rule.definition, project_id=rule.project_id, read=rule.news_read)
    except Refusal as refusal:
        found = refusal.text
    except EngineError as error:
        found = str(error)
    with house.db.write() as connection:
        # Meanwhile somebody may have changed it, or another turn been faster.
        now = connection.execute(query.with_for_update()).one_or_none()
        if now is None or (now.revision, now.evaluated_at) != (rule.revision, rule.evaluated_at):
            return None
        rule = rule_of(now)
        values = (
            _failed(connection, house, rule, found)
            if isinstance(found, str)
            else _taken(connection, house, rule, found)
        )
        changed = sa.update(alert_rules).where(alert_rules.c.id == rule.id).values(**values)
        return rule_of(connection.execute(changed.returning(*RULE)).one())


def _taken(connection: sa.Connection, house: "House", rule: Rule, found: Measured) -> dict[str, Any]:
    """Take a step, note and tell what it led to; return the columns that change."""
    now = house.clock()
    after = step(
        rule.standing,
        holds=found.holds,
        now=now,
        for_seconds=rule.for_seconds,
        cool_down_seconds=rule.cool_down_seconds,
    )
    told = note(
        connection,
        house,
        rule,
        at=now,
        to_state=after.state,
        value=found.value,
        sample_log_id=found.sample_log_id,
        reason=reason(rule, found),
    )
    read = found.news or rule.news_read
    return msgspec.structs.asdict(after) | {
        "is_told": int(told),
        "value": found.value,
        "sample_log_id": found.sample_log_id,
        "evaluated_at": now,
        "error": None,
        "error_count": 0,
        "news_id": read.id,
        "news_at": read.at,
    }


def _failed(connection: sa.Connection, house: "House", rule: Rule, text: str) -> dict[str, Any]:
    """Keep why; say so in the history and in the server's log once it goes on for a while."""
    text, count, now = text[:LONGEST_ERROR], rule.error_count + 1, house.clock()
    if count == TROUBLE_AFTER:
        log.warning("Alert %d could not be evaluated %d times in a row: %s", rule.id, count, text)
        said = f"Could not be evaluated {count} times in a row: {text}"
        write(connection, rule, now, rule.state, rule.value, rule.sample_log_id, said)
    return {"error": text, "error_count": count, "evaluated_at": now}


def reason(rule: Rule, found: Measured) -> str:
    said = definitions.sentence(rule.definition, found.value)
    return f"{said}: {'; '.join(found.details)}" if found.details else said


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation would find now. Nothing was changed by it, and nobody told."""

    at: int
    measured: Measured
    reason: str
    state: str
    next_state: str


def test(house: "House", who: Principal, *, alert_id: int) -> Trial:
    """Evaluate an alert without taking the step."""
    rules.require(who, "logs", "write")
    with house.db.read() as connection:
        rule = one(connection, who.organization_id, alert_id)
    found = measure(house, who, rule.definition, project_id=rule.project_id, read=rule.news_read)
    now = house.clock()
    after = step(
        rule.standing,
        holds=found.holds,
        now=now,
        for_seconds=rule.for_seconds,
        cool_down_seconds=rule.cool_down_seconds,
    )
    return Trial(at=now, measured=found, reason=reason(rule, found), state=rule.state, next_state=after.state)
