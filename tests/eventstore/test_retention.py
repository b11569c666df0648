"""Expired partitions go by the house's clock, and no row goes early."""

import pytest

from headrace.eventstore import queries, retention
from headrace.eventstore.engine import Engine
from headrace.eventstore.queries import Selection
from tests.eventstore.conftest import ARRIVAL, DAY, SegmentOf, event, group

HOUR = 3_600_000_000
LAST = ARRIVAL // DAY * DAY + DAY - 1  # The last microsecond of the day of arrival.


@pytest.mark.parametrize(
    ("now", "left"),
    [
        (LAST, {7, 30, 90, 365}),
        (LAST + 7 * DAY, {7, 30, 90, 365}),
        (LAST + 7 * DAY + 1, {30, 90, 365}),
        (LAST + 31 * DAY, {90, 365}),
        (LAST + 91 * DAY, {365}),
        (LAST + 365 * DAY, {365}),
        (LAST + 366 * DAY, set()),
    ],
)
def test_classes_go_one_by_one(engine: Engine, tenant: int, segment_of: SegmentOf, now: int, left: set) -> None:
    groups = [group(tenant, [event(-1), event()], received_at=LAST, retention_days=days) for days in (7, 30, 90, 365)]
    segment = segment_of(groups)
    engine.insert_segment(segment.path, token=segment.name)
    retention.drop_expired(engine, now)
    rows = engine.query(f"SELECT DISTINCT retention_days FROM events WHERE tenant = {tenant}", row=tuple[int])
    assert {days for (days,) in rows} == left
    assert retention.drop_expired(engine, now) == 0


def test_a_question_hides_what_its_project_has_let_go(engine: Engine, tenant: int, segment_of: SegmentOf) -> None:
    groups = [group(tenant, [event()], received_at=ARRIVAL + days * DAY) for days in (0, 5, 10)]
    segment = segment_of(groups)
    engine.insert_segment(segment.path, token=segment.name)
    assert queries.count(engine, Selection(tenant=tenant, received_floor=ARRIVAL + 5 * DAY)) == 2
