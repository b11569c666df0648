"""Alerts as people work with them: make, list, change, mute, delete, read the history. Evaluation stands elsewhere."""

from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.alerts import definition as definitions
from headrace.core.alerts.machine import STATES
from headrace.core.alerts.notice import note
from headrace.core.alerts.rule import RULE, TRANSITION, Rule, Transition, rule_of, transition_of
from headrace.core.groups import news
from headrace.core.house import House
from headrace.core.keys import resolved_project
from headrace.core.principal import Principal
from headrace.core.refusals import invalid, not_found
from headrace.core.schema.alerts import alert_rules, alert_transitions

UNSEEN = "Alert not found"
LEAST_EVERY, MOST_EVERY = 30, 86_400
MOST_SECONDS: Final = 7 * 86_400
# What is asked anew when one of these changes: its state says nothing about the new condition.
MEASURED = ("definition", "for_seconds", "is_enabled")


class RulePage(NamedTuple):
    rules: list[Rule]
    has_more: bool


class TransitionPage(NamedTuple):
    """Newest first."""

    transitions: list[Transition]
    has_more: bool


def create(house: House, who: Principal, *, project_id: int, **fields: Any) -> Rule:
    """Make an alert of a project; the fields are those of `_fields` and of its definition."""
    rules.require(who, "logs", "write")
    project = resolved_project(house, who, project_id)
    values, now = _fields(**fields), house.clock()
    count = sa.select(sa.func.count()).select_from(alert_rules)
    with house.db.write() as connection:
        number = connection.execute(count.where(alert_rules.c.organization_id == who.organization_id)).scalar_one()
        if number >= house.settings.alert_limit:
            raise invalid("alert", "full", text=f"Alert limit reached: {house.settings.alert_limit}")
        made = alert_rules.insert().values(
            organization_id=who.organization_id,
            project_id=project.project_id,
            account_id=who.account_id,
            revision=1,
            created_at=now,
            updated_at=now,
            **_afresh(house, now),
            **values,
        )
        rule = rule_of(connection.execute(made.returning(*RULE)).one())
        _record(connection, house, who, rule, "created")
    return rule


def list_all(
    house: House,
    who: Principal,
    *,
    project_id: int | None = None,
    state: str | None = None,
    limit: int = 100,
    offset: int = 0,
) -> RulePage:
    """Return alerts of the organization, or of one project: those that fire first, then by name."""
    rules.require(who, "logs", "read")
    where = [alert_rules.c.organization_id == who.organization_id]
    if project_id is not None:
        where.append(alert_rules.c.project_id == resolved_project(house, who, project_id).project_id)
    if state is not None:
        where.append(alert_rules.c.state == rules.choice(state, "state", STATES))
    order = sa.case({"firing": 0, "pending": 1}, value=alert_rules.c.state, else_=2)
    query = sa.select(*RULE).where(*where).order_by(order, alert_rules.c.name, alert_rules.c.id)
    with house.db.read() as connection:
        rows = connection.execute(query.limit(limit + 1).offset(offset)).all()
    return RulePage([rule_of(row) for row in rows[:limit]], len(rows) > limit)


def get(house: House, who: Principal, *, alert_id: int) -> Rule:
    rules.require(who, "logs", "read")
    with house.db.read() as connection:
        return one(connection, who.organization_id, alert_id)


def update(house: House, who: Principal, *, alert_id: int, **fields: Any) -> Rule:
    """Replace all of an alert but its project. When it measures something else now, it begins anew."""
    rules.require(who, "logs", "write")
    values, now = _fields(**fields), house.clock()
    with house.db.write() as connection:
        old = one(connection, who.organization_id, alert_id)
        before = {name: getattr(old, name) for name in MEASURED}
        after = values | {"definition": msgspec.json.decode(values["definition"], type=definitions.Definition)}
        values |= {"revision": old.revision + 1, "updated_at": now}
        if any(before[name] != after[name] for name in MEASURED):
            _end(connection, house, old, "The alert was changed")
            values |= _afresh(house, now)
        changed = sa.update(alert_rules).where(alert_rules.c.id == old.id).values(**values)
        rule = rule_of(connection.execute(changed.returning(*RULE)).one())
        _record(connection, house, who, rule, "changed")
    return rule


def delete(house: House, who: Principal, *, alert_id: int) -> None:
    """Delete an alert and its history; those who were told that it fires are told that it is over."""
    rules.require(who, "logs", "write")
    with house.db.write() as connection:
        old = one(connection, who.organization_id, alert_id)
        _end(connection, house, old, "The alert was deleted")
        connection.execute(sa.delete(alert_transitions).where(alert_transitions.c.rule_id == old.id))
        connection.execute(sa.delete(alert_rules).where(alert_rules.c.id == old.id))
        _record(connection, house, who, old, "deleted")


def mute(house: House, who: Principal, *, alert_id: int, until: Any) -> Rule:
    """Say nothing of an alert until a moment (ISO 8601). Its state and history go on."""
    rules.require(who, "logs", "write")
    moment = rules.moment(until, "until")
    if moment <= house.clock():
        raise invalid("until", "past", text="until must be in the future")
    return _muted(house, who, alert_id, moment, "muted")


def unmute(house: House, who: Principal, *, alert_id: int) -> Rule:
    rules.require(who, "logs", "write")
    return _muted(house, who, alert_id, None, "unmuted")


def history(
    house: House, who: Principal, *, alert_id: int, limit: int = 100, before: int | None = None
) -> TransitionPage:
    """Return what an alert went through, newest first; `before` is the id of the last one seen."""
    rules.require(who, "logs", "read")
    query = sa.select(*TRANSITION).where(
        alert_transitions.c.organization_id == who.organization_id, alert_transitions.c.rule_id == alert_id
    )
    if before is not None:
        query = query.where(alert_transitions.c.id < before)
    with house.db.read() as connection:
        one(connection, who.organization_id, alert_id)
        rows = connection.execute(query.order_by(alert_transitions.c.id.desc()).limit(limit + 1)).all()
    return TransitionPage([transition_of(row) for row in rows[:limit]], len(rows) > limit)


def one(connection: sa.Connection, organization_id: int, alert_id: int) -> Rule:
    query = sa.select(*RULE).where(alert_rules.c.organization_id == organization_id, alert_rules.c.id == alert_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise not_found(UNSEEN)
    return rule_of(row)


def _fields(
    *,
    name: Any,
    every_seconds: Any = 60,
    for_seconds: Any = 0,
    cool_down_seconds: Any = 0,
    is_enabled: Any = True,
    **given: Any,
) -> dict[str, Any]:
    rules.flag(is_enabled, "is_enabled")
    return {
        "name": rules.name(name),
        "every_seconds": rules.integer(every_seconds, "every_seconds", LEAST_EVERY, MOST_EVERY),
        "for_seconds": rules.integer(for_seconds, "for_seconds", 0, MOST_SECONDS),
        "cool_down_seconds": rules.integer(cool_down_seconds, "cool_down_seconds", 0, MOST_SECONDS),
        "is_enabled": int(is_enabled),
        "definition": msgspec.json.encode(definitions.made(**given)).decode(),
    }


def _afresh(house: House, now: int) -> dict[str, Any]:
    """What is known of an alert that was never evaluated; errors that are known already are no news to it."""
    unknown = ("held_since", "resolved_at", "value", "sample_log_id", "evaluated_at", "error", "news_at")
    begun = {"state": STATES[0], "since": now, "is_told": 0, "error_count": 0, "next_run_at": now}
    begun["news_id"] = news.newest(house)
    return begun | dict.fromkeys(unknown)


def _end(connection: sa.Connection, house: House, old: Rule, reason: str) -> None:
    """Bring an alert that is in any other state than ok back to it."""
    if old.state != STATES[0]:
        now = house.clock()
        note(connection, house, old, at=now, to_state=STATES[0], value=None, sample_log_id=None, reason=reason)


def _muted(house: House, who: Principal, alert_id: int, until: int | None, action: str) -> Rule:
    with house.db.write() as connection:
        old = one(connection, who.organization_id, alert_id)
        values = {"muted_until": until, "updated_at": house.clock()}
        changed = sa.update(alert_rules).where(alert_rules.c.id == old.id).values(**values)
        rule = rule_of(connection.execute(changed.returning(*RULE)).one())
        _record(connection, house, who, rule, action)
    return rule


def _record(connection: sa.Connection, house: House, who: Principal, rule: Rule, action: str) -> None:
    audit.record(connection, house, who, f"logs:alert:{action}", target=f"alert:{rule.id}", data={"name": rule.name})
