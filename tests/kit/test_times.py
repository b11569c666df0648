import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.kit import times

FIRST = times.parse("0001-01-01")
LAST = times.parse("9999-12-31T23:59:59.999999Z")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2025-10-17T10:00:00Z", "2025-10-17T10:00:00Z"),
        ("2025-10-17T10:00:00z", "2025-10-17T10:00:00Z"),
        ("2025-10-17t10:00:00Z", "2025-10-17T10:00:00Z"),
        ("2025-10-17 10:00:00", "2025-10-17T10:00:00Z"),
        ("2025-10-17", "2025-10-17T00:00:00Z"),
        ("2025-10-17T10:00", "2025-10-17T10:00:00Z"),
        ("2025-10-17T10:00:00+02:00", "2025-10-17T08:00:00Z"),
        ("2025-10-17T10:00:00-0530", "2025-10-17T15:30:00Z"),
        ("2025-10-17T10:00:00.5Z", "2025-10-17T10:00:00.5Z"),
        ("2025-10-17T10:00:00.120000Z", "2025-10-17T10:00:00.12Z"),
        ("2025-10-17T10:00:00.123456789Z", "2025-10-17T10:00:00.123456Z"),
        ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
    ],
)
def test_reads_and_shows(text: str, shown: str) -> None:
    assert times.show(times.parse(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2025-13-01",
        "2025-02-30",
        "2025-10-17T24:00:00Z",
        "2025-10-17T10:60:00Z",
        "2025-10-17T10:00:00 Z",
        "2025-10-17T10:00:00Z\n",
        "2025-W42-5",
        "20251017",
        "1760695200",
        "2025-10-17T10",
        "2025-10-17T10:00:00.Z",
        "2025-10-17T10:00:00+25:00",
        "\uff12\uff10\uff12\uff15-10-17",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "0000-01-01",
    ],
)
def test_refuses(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        times.parse(text)


@given(st.integers(FIRST, LAST))
def test_what_is_shown_reads_back(moment: int) -> None:
    assert times.parse(times.show(moment)) == moment


def test_days_count_from_1970_in_both_directions() -> None:
    assert [times.day(times.parse(text)) for text in ("1970-01-01", "1970-01-02", "1969-12-31T23:59:59Z")] == [0, 1, -1]
