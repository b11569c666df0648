import pytest

from headrace.core.refusals import Refusal
from headrace.kit import times
from headrace.web import period

NOW = times.parse("2026-01-31T12:00:00Z")


@pytest.mark.parametrize(
    ("given", "start", "end", "width"),
    [
        ({}, "2026-01-31T11:00:00Z", None, 60),
        ({"period": "5m"}, "2026-01-31T11:55:00Z", None, 5),
        ({"period": "30d"}, "2026-01-01T12:00:00Z", None, 43_200),
        ({"period": "365d"}, "2025-01-31T12:00:00Z", None, 604_800),
        (
            {"from": "2026-01-01 10:00", "to": "2026-01-01 10:00:30"},
            "2026-01-01T10:00:00Z",
            "2026-01-01T10:00:30Z",
            1,
        ),
        ({"from": "2026-01-31"}, "2026-01-31T00:00:00Z", "2026-01-31T12:00:00Z", 900),
        ({"from": "0001-01-01", "to": "9999-12-31"}, "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", 3_153_600_000),
    ],
)
def test_a_period_is_read(given: dict[str, str], start: str, end: str | None, width: int) -> None:
    found = period.read(given, NOW)
    assert times.show(found.start) == start
    assert (None if found.until is None else times.show(found.until)) == end
    assert found.width == width
    assert period.read(found.parameters, NOW) == found


@pytest.mark.parametrize("given", [{"period": "1y"}, {"from": "yesterday"}, {"from": "2026-01-02", "to": "2026-01-01"}])
def test_what_is_no_period_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(Refusal):
        period.read(given, NOW)


@pytest.mark.parametrize(
    ("back", "said"), [(0, "just now"), (30, "30s ago"), (90, "1m ago"), (7_200, "2h ago"), (200_000, "2d ago")]
)
def test_how_long_ago(back: int, said: str) -> None:
    assert period.ago(NOW - back * times.SECOND, NOW) == said
