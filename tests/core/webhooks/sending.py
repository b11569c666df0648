"""What the suites of webhooks share: events sent, deliveries waited for, signatures verified."""

import datetime as dt
from collections.abc import Callable
from typing import Any, cast

import pytest
from standardwebhooks import Webhook

from headrace.core import jobs, webhooks
from headrace.core.house import House
from headrace.core.jobs.bell import Bell
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal
from headrace.core.webhooks import signing
from headrace.kit.times import MILLISECOND
from tests.conftest import FakeClock
from tests.receiver import Received

WAITS = [1, 5, 30, 300, 1800, 7200, 18000, 36000, 36000]


Until = Callable[..., None]


def make(house: House, who: Principal, url: str, *names: str, **more: Any) -> webhooks.NewEndpoint:
    return webhooks.create(house, who, url=url, events=list(names or ("job.*",)), **more)


def clock_of(house: House) -> FakeClock:
    return cast("FakeClock", house.clock)


def emit(house: House, who: Principal, event: str = "job.failed", data: Any = None) -> int:
    """Emit one event. The clock goes on before anybody can see it: ids of one millisecond have no order."""
    with house.db.write() as connection:
        told = webhooks.emit(house, connection, organization_id=who.organization_id, event=event, data=data or {"n": 1})
        clock_of(house).advance(0.001)
    return told


def newest(house: House, who: Principal, **filters: Any) -> webhooks.Delivery:
    return webhooks.deliveries.list_all(house, who, **filters)[0]


def wait_for(until: Until, house: House, who: Principal, **fields: Any) -> webhooks.Delivery:
    until(lambda: all(getattr(newest(house, who), name) == value for name, value in fields.items()))
    return newest(house, who)


def turn(until: Until, house: House, to: int | None) -> None:
    """Go to a moment once nothing runs any more, and have the engine look at the clock."""
    assert to is not None
    until(lambda: not house.part(jobs.Engine).running)
    # A little more: the engine reckons the wait from when it heard of it.
    clock_of(house).now = to + 10 * MILLISECOND
    house.part(Bell).rung.set()


def refused(call: Callable[[], object]) -> tuple[Kind, str]:
    with pytest.raises(Refusal) as refusal:
        call()
    return refusal.value.kind, refusal.value.text


def verified(secret: str, got: Received) -> Any:
    """Verify with the official library as of the attempt's own time, and decode."""
    signed = Webhook(signing.key(secret))
    # It compares the time with the machine's; the clock here is the test's.
    signed._Webhook__verify_timestamp = lambda text: dt.datetime.fromtimestamp(int(text), dt.UTC)  # type: ignore[attr-defined]
    return signed.verify(got.body, dict(got.headers))


def one_of(house: House, who: Principal, delivery_id: str) -> webhooks.Delivery:
    return webhooks.deliveries.get(house, who, delivery_id=delivery_id).delivery


def kept(house: House, who: Principal, endpoint_id: str) -> list[webhooks.Delivery]:
    waiting = webhooks.deliveries.list_all(house, who, endpoint_id=endpoint_id, status="pending")
    return [one for one in waiting if one.next_attempt_at is None]


# On both databases.
BOTH = pytest.mark.parametrize("address", ["sqlite", "postgresql"], indirect=True)
URL = "http://127.0.0.1:8080/hook"
