"""The records of alerts, and how rows become them."""

from typing import Any

import msgspec

from headrace.core.alerts.definition import Definition
from headrace.core.alerts.machine import Standing
from headrace.core.schema.alerts import alert_rules, alert_transitions

# So many evaluations that failed one after the other are no hiccup any more.
TROUBLE_AFTER = 5


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One alert. Times in microseconds. `value` and `sample_log_id` are of the last evaluation that came to an end.

    `error` is why the last one did not, `error_count` how many in a row did not. `is_told`: it fires, and was told so.
    """

    id: int
    organization_id: int
    project_id: int
    account_id: int | None
    name: str
    definition: Definition
    every_seconds: int
    for_seconds: int
    cool_down_seconds: int
    is_enabled: bool
    muted_until: int | None
    state: str
    since: int
    held_since: int | None
    resolved_at: int | None
    is_told: bool
    value: float | None
    sample_log_id: str | None
    evaluated_at: int | None
    error: str | None
    error_count: int
    news_id: int
    news_at: int | None
    next_run_at: int
    revision: int
    created_at: int
    updated_at: int

    @property
    def standing(self) -> Standing:
        return Standing(state=self.state, since=self.since, held_since=self.held_since, resolved_at=self.resolved_at)

    @property
    def news_read(self) -> "NewsRead":
        return NewsRead(id=self.news_id, at=self.news_at, value=self.value or 0.0, sample_log_id=self.sample_log_id)

    @property
    def in_trouble(self) -> bool:
        return self.error_count >= TROUBLE_AFTER

    def muted(self, now: int) -> bool:
        return self.muted_until is not None and self.muted_until > now


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """A line of an alert's history; `is_told`: those who want to know were told of it."""

    id: int
    rule_id: int
    at: int
    from_state: str
    to_state: str
    value: float | None
    sample_log_id: str | None
    reason: str
    is_told: bool


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation found: the value, an event that belongs to it, and in words what it was.

    `details` names what is new, at most a few of them. `news` is how far the news of error groups were read now.
    """

    value: float
    holds: bool
    sample_log_id: str | None
    details: tuple[str, ...] = ()
    news: "NewsRead | None" = None


class NewsRead(msgspec.Struct, frozen=True, kw_only=True):
    """News of error groups up to `id` were read; at the moment `at` (None: never) some counted, as many as `value`."""

    id: int
    at: int | None = None
    value: float = 0.0
    sample_log_id: str | None = None


RULE = [alert_rules.c[name] for name in Rule.__struct_fields__]
TRANSITION = [alert_transitions.c[name] for name in Transition.__struct_fields__]


def rule_of(row: Any) -> Rule:
    flags = {name: bool(getattr(row, name)) for name in ("is_enabled", "is_told")}
    definition = msgspec.json.decode(row.definition, type=Definition)
    return Rule(**{**row._mapping, **flags, "definition": definition})  # noqa: SLF001  The documented mapping of a row.


def transition_of(row: Any) -> Transition:
    return Transition(**{**row._mapping, "is_told": bool(row.is_told)})  # noqa: SLF001
