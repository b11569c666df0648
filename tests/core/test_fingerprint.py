"""Fingerprints: what belongs together, and what does not."""

import datetime as dt
import re
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from headrace.core.events.fingerprint import PYTHON as PYTHON_FRAME
from headrace.core.events.fingerprint import VERSION, fingerprint, frames_of, of, reason
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


@pytest.mark.parametrize(
    "piece", ["File ", 'File "', '"File ', "File x", 'File "a, ', ", line 1", 'File "\n', "at ", "at a (", "\tat a.b("]
)
def test_no_stack_takes_longer_than_its_length(piece: str) -> None:
    """A search that begins anew at each piece would take hours."""
    assert not frames_of(piece * 150_000)[1:]


@given(
    st.lists(st.sampled_from(["File ", '"', ", line 3", ", in f\n", "\n", "a", "/x.py", "  ", ",", "1"]), max_size=14)
)
def test_python_frames_are_what_a_plain_expression_finds(pieces: list[str]) -> None:
    stack = "".join(pieces)
    plain = re.findall(r'File "?([^",\n]+)"?, line \d+(?:, in ([^\n]+))?', stack)
    # Of two frames in one line without their functions only the first is read.
    assume(re.search(r"line \d+[^,\n]*File ", stack) is None)
    assert PYTHON_FRAME.findall(stack) == plain


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
    assert mark(message="a" * 10_000, error_message=None)
    assert mark(message="a.a-" * 2_500 + "@", error_message=None)
    assert mark(message="f:" * 5_000, error_message=None)


# -- versions ----------------------------------------------------------------------------------------------------------


def an_event(**fields: Any) -> Event:
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    return Event(timestamp=at, **{"level": "error", "error_type": "ValueError", **fields})


@pytest.mark.parametrize(
    ("message", "first", "second"),
    [
        ("user 17 lost 0xdeadbeef", "user # lost #", "user # lost #"),
        ("to eve.o-x@mail.example.com", "to eve.o-x@mail.example.com", "to #"),
        ("host 10.1.2.3:80", "host #.#.#.#:#", "host #.#.#.#:#"),
        ("host fe80::1ff:fe23:4567:890a", "host fe#::#ff:fe#:#:#a", "host #"),
        ("std::vector", "std::vector", "std::vector"),
    ],
)
def test_what_each_version_blanks(message: str, first: str, second: str) -> None:
    """Versions that are out never change: old groups would not be found any more."""
    event = an_event(message=message)
    assert [reason(event, version).parts for version in (1, 2)] == [[first], [second]]
    assert VERSION == 2


def test_fingerprints_of_released_versions_stay() -> None:
    event = an_event(message="order 17 failed", platform="python")
    framed = an_event(stack_trace=PYTHON.format(1, 2), platform="python")
    assert [of(event, 1)[:12], of(framed, 1)[:12]] == [of(event, 2)[:12], of(framed, 2)[:12]] == FIRST


FIRST = ["893262aa03a8", "45cce9dc9d2e"]


def test_library_frames_of_java_do_not_count() -> None:
    stack = "X: no\n\tat java.util.Objects.requireNonNull(Objects.java:7)\n" + JAVA.partition("\n")[2].format(1, 2)
    assert reason(an_event(stack_trace=stack)).parts == [
        "Orders.java:com.shop.Orders.load",
        "Views.java:com.shop.Views.handle",
    ]
    assert reason(an_event(stack_trace=stack), 1).parts[0] == "Objects.java:java.util.Objects.requireNonNull"


# -- chosen by the sender ----------------------------------------------------------------------------------------------


def chosen(attributes: str, **fields: Any) -> str:
    return mark(attributes=msgspec.Raw(attributes.encode()), **fields)


def test_a_fingerprint_that_the_sender_chose() -> None:
    one = chosen('{"fingerprint": ["checkout", 5]}', message="a", error_type="KeyError", platform="node")
    assert one == chosen('{"fingerprint":["checkout","5"],"more":1}', message="b")
    assert one != chosen('{"fingerprint":["checkout"]}')
    default = mark(message="no 5")
    assert chosen('{"fingerprint":["{{ default }}"]}', message="no 7") == default
    mixed = '{"fingerprint":["{{ default }}","eu"]}'
    assert chosen(mixed, message="no 7") == chosen(mixed.replace("{{ default }}", "{{default}}"), message="no 8")
    assert chosen(mixed, message="no 7") not in {default, chosen(mixed, message="yes")}


@pytest.mark.parametrize(
    "attributes",
    ['{"fingerprint":"text"}', '{"fingerprint":[]}', '{"fingerprint":[{}]}', '{"a":"\\"fingerprint\\""}', "null"],
)
def test_what_is_no_fingerprint_leaves_the_rule(attributes: str) -> None:
    assert chosen(attributes, message="m") == mark(message="m")


def test_a_chosen_fingerprint_is_cut() -> None:
    assert chosen('{"fingerprint":["' + "x" * 300 + '"]}') == chosen('{"fingerprint":["' + "x" * 200 + '"]}')
    assert chosen('{"fingerprint":[' + ",".join(["1"] * 30) + "]}") == chosen(
        '{"fingerprint":[' + ",".join(["1"] * 20) + "]}"
    )
