"""What becomes of a transition: a line of the history, and word to whoever wants to know, in one transaction."""

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from headrace.core import announcements
from headrace.core.alerts.rule import Rule
from headrace.core.schema import projects
from headrace.core.schema.alerts import alert_transitions
from headrace.kit import times

if TYPE_CHECKING:
    from headrace.core.house import House

FIRING: Final = "alert.firing"
RESOLVED: Final = "alert.resolved"
# A year of an alert that comes and goes twice a day.
MOST_KEPT = 1_000
KEPT = 365 * times.DAY


def note(
    connection: sa.Connection,
    house: "House",
    rule: Rule,
    *,
    at: int,
    to_state: str,
    value: float | None,
    sample_log_id: str | None,
    reason: str,
) -> bool:
    """Write that a rule went, or stays, in a state, and tell it where it is news; return whether its firing is told.

    A muted firing is told when it lasts longer than the mute; that it is over is told to whoever heard of it.
    """
    fires = to_state == "firing" and not rule.is_told and not rule.muted(at)
    over = to_state != "firing" and rule.is_told
    if fires or over:
        facts = {"at": at, "to_state": to_state, "value": value, "sample_log_id": sample_log_id, "reason": reason}
        tell(connection, house, rule, FIRING if fires else RESOLVED, facts)
    if to_state != rule.state or fires:
        write(connection, rule, at, to_state, value, sample_log_id, reason, told=fires or over)
    return fires or (to_state == "firing" and rule.is_told)


def write(  # noqa: PLR0917  The columns of one line.
    connection: sa.Connection,
    rule: Rule,
    at: int,
    to_state: str,
    value: float | None,
    sample_log_id: str | None,
    reason: str,
    *,
    told: bool = False,
) -> None:
    """Add a line to the history; what is too old or too much goes."""
    lines = alert_transitions
    made = lines.insert().values(
        organization_id=rule.organization_id,
        rule_id=rule.id,
        at=at,
        from_state=rule.state,
        to_state=to_state,
        value=value,
        sample_log_id=sample_log_id,
        reason=reason,
        is_told=int(told),
    )
    connection.execute(made)
    mine = lines.c.rule_id == rule.id
    beyond = sa.select(lines.c.id).where(mine).order_by(lines.c.id.desc()).limit(1).offset(MOST_KEPT).scalar_subquery()
    connection.execute(sa.delete(lines).where(mine, sa.or_(lines.c.id <= beyond, lines.c.at < at - KEPT)))


def tell(connection: sa.Connection, house: "House", rule: Rule, event: str, facts: dict[str, Any]) -> None:
    definition = rule.definition
    slug = connection.execute(sa.select(projects.c.slug).where(projects.c.id == rule.project_id)).scalar()
    base = house.settings.public_url.rstrip("/")
    data = {
        "alert_id": rule.id,
        "name": rule.name,
        "project_id": rule.project_id,
        "project_slug": slug,
        "kind": definition.kind,
        "query": definition.query,
        "window_seconds": definition.window_seconds,
        "comparison": definition.comparison,
        "threshold": definition.threshold,
        "state": facts["to_state"],
        "value": facts["value"],
        "reason": facts["reason"],
        "at": times.show(facts["at"]),
        "sample_log_id": facts["sample_log_id"],
        "url": f"{base}/ui/projects/{slug}/alerts/{rule.id}" if base else None,
    }
    announcements.tell(connection, house, organization_id=rule.organization_id, event=event, data=data)
