"""How an endpoint fares: a record of failures, warnings, and the switch that turns off what has failed for days."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from headrace.core import audit
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.schema.webhooks import endpoints
from headrace.core.webhooks.emitting import emit
from headrace.core.webhooks.events import DISABLED
from headrace.core.webhooks.events import FAILING as WARNING
from headrace.core.webhooks.records import FAILING
from headrace.kit.times import HOUR, SECOND, shown

# Fewer failures than this say little, however long ago the first one was.
FEWEST = 10
WARN_PERCENT = (90, 50)
CLEAN = {"failing_since": None, "failures": 0, "warned_percent": 0}
CLEAR = sa.update(endpoints).where(
    endpoints.c.id == sa.bindparam("of"),
    sa.or_(
        endpoints.c.last_triggered_at.is_(None),
        endpoints.c.last_triggered_at <= sa.bindparam("before"),
        endpoints.c.failures > 0,
    ),
)


def succeeded(connection: sa.Connection, endpoint_ids: Sequence[str], now: int) -> None:
    """Clear records of failures. Of many successes in a second one is written: they all say the same."""
    if endpoint_ids:
        about = {"before": now - SECOND, "last_triggered_at": now, **CLEAN}
        connection.execute(CLEAR, [{"of": one, **about} for one in endpoint_ids])


def failed(
    house: House, connection: sa.Connection, endpoint_id: str, now: int, slowed_until: int | None = None
) -> None:
    """Count a failure. Once every attempt of the setting's hours has failed, the endpoint is switched off."""
    counted: dict[str, Any] = {
        "failing_since": sa.func.coalesce(endpoints.c.failing_since, now),
        "failures": endpoints.c.failures + 1,
        "last_triggered_at": now,
    }
    if slowed_until is not None:
        counted["slowed_until"] = slowed_until
    changed = sa.update(endpoints).where(endpoints.c.id == endpoint_id).values(counted).returning(endpoints)
    row = connection.execute(changed).one_or_none()
    if row is None or not row.is_active or row.failures < FEWEST:
        return
    percent = 100 * (now - row.failing_since) // (house.settings.webhook_disable_hours * HOUR)
    if percent >= 100:  # noqa: PLR2004
        switch_off(house, connection, endpoint_id, reason=FAILING)
        return
    warned = next((one for one in WARN_PERCENT if percent >= one), 0)
    if warned > row.warned_percent:
        connection.execute(sa.update(endpoints).where(endpoints.c.id == endpoint_id).values(warned_percent=warned))
        _tell(house, connection, row, WARNING, percent=warned)


def switch_off(house: House, connection: sa.Connection, endpoint_id: str, *, reason: str) -> None:
    """Switch an endpoint off, say so in the audit log and to the organization's other endpoints. What waits is kept."""
    which = endpoints.c.id == endpoint_id, endpoints.c.is_active == 1
    values = {"is_active": 0, "disabled_reason": reason, "disabled_at": house.clock()}
    row = connection.execute(sa.update(endpoints).where(*which).values(values).returning(endpoints)).one_or_none()
    if row is not None:
        _tell(house, connection, row, DISABLED, reason=reason)


def _tell(house: House, connection: sa.Connection, row: sa.Row[Any], event: str, **about: Any) -> None:
    who = Principal(kind="system", organization_id=row.organization_id)
    what = event.removeprefix("webhook.")
    facts = about | {
        "url": row.url,
        "failing_since": shown(row.failing_since),
        "failures": row.failures,
    }
    audit.record(
        connection, house, who, f"webhook:endpoint:{what}", target=f"webhook:{row.id}", outcome="failure", data=facts
    )
    data = {"endpoint_id": row.id, **facts}
    emit(house, connection, organization_id=row.organization_id, event=event, data=data)
