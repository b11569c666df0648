"""Fingerprints: what belongs together, and what does not."""

import datetime as dt
from typing import Any

import pytest

from headrace.core.events.fingerprint import fingerprint, frames_of
from headrace.eventstore.rows import Event

PYTHON = """Traceback (most recent call last):
  File "/srv/app/views.py", line {}, in handle
    return load(request)
  File "/usr/lib/python3.11/json/__init__.py", line 346, in loads
    return decode(text)
  File "/srv/app/orders.py", line {}, in load
    raise ValueError
"""
JAVASCRIPT = """TypeError: x is not a function
    at load (/srv/app/orders.js:{}:5)
    at async handle (/srv/app/views.js:{}:9)
    at next (/srv/node_modules/express/lib/router.js:12:1)
"""
JAVA = """java.lang.IllegalStateException: no
    at com.shop.Orders.load(Orders.java:{})
    at com.shop.Views.handle(Views.java:{})
    at java.base/java.lang.Thread.run(Thread.java:829)
"""


def mark(**fields: Any) -> str:
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return fingerprint(Event(timestamp=at, **{"level": "error", "error_type": "ValueError", **fields}))


@pytest.mark.parametrize("stack", [PYTHON, JAVASCRIPT, JAVA])
def test_line_numbers_and_messages_do_not_split_a_group(stack: str) -> None:
    one = mark(stack_trace=stack.format(1, 2), message="order 17 failed")
    assert one == mark(stack_trace=stack.format(30, 40), message="order 18 failed")
    assert one != mark(stack_trace=stack.format(1, 2).replace("load", "save"))
    assert len(one) == 64


@pytest.mark.parametrize(
    ("stack", "frames"),
    [
        (PYTHON, ["/srv/app/orders.py:load", "/usr/lib/python3.11/json/__init__.py:loads", "/srv/app/views.py:handle"]),
        (
            JAVASCRIPT,
            ["/srv/app/orders.js:load", "/srv/app/views.js:handle", "/srv/node_modules/express/lib/router.js:next"],
        ),
        ("Traceback (most recent call last):\n  File app.py, line 42", ["app.py:"]),
        ("no frames at all", []),
    ],
)
def test_frames_are_read_innermost_first(stack: str, frames: list[str]) -> None:
    assert frames_of(stack.format(1, 2)) == frames


def test_java_frames() -> None:
    assert frames_of(JAVA.format(1, 2))[:2] == ["Orders.java:com.shop.Orders.load", "Views.java:com.shop.Views.handle"]


def test_without_frames_digits_and_hex_runs_are_blanked() -> None:
    one = mark(message="user 17 lost 0xdeadbeef in 3fa85f64-5717-4562-b3fc-2c963f66afa6")
    assert one == mark(message="user 9 lost 0xcafe in 9b2e7f10-0000-4562-b3fc-2c963f66afa6")
    assert one != mark(message="user 17 lost his way")


def test_type_and_platform_split() -> None:
    assert len({mark(), mark(error_type="KeyError"), mark(platform="python"), mark(platform="node")}) == 4
    assert mark(platform=None) == mark(platform="unknown")


@pytest.mark.parametrize(
    ("fields", "grouped"),
    [
        ({"level": "info", "log_type": "exception", "error_type": None}, True),
        ({"level": "critical", "error_type": None, "stack_trace": "x"}, True),
        ({"level": "error", "error_type": None}, False),
        ({"level": "warning"}, False),
    ],
)
def test_only_errors_and_exceptions_are_grouped(fields: dict[str, Any], grouped: bool) -> None:
    assert bool(mark(**fields)) is grouped


def test_a_long_stack_costs_no_more_than_its_length() -> None:
    assert mark(stack_trace="at " * 16_000)
    assert mark(stack_trace='File "' * 8_000)
    assert mark(stack_trace="at a.b(" * 7_000)
    assert mark(stack_trace=("\n" + " " * 100) * 490)
