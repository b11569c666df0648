"""JSON in: what is repaired, what is refused, and in which words."""

import contextlib
import json
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core.refusals import Kind, Refusal
from headrace.wire import jsons


class Inner(msgspec.Struct):
    x: int
    note: str = ""


class Outer(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=5)]
    kind: Literal["a", "b"] = "a"
    logs: list[Inner] = []
    share: Annotated[int, msgspec.Meta(ge=1, le=10)] = 1
    flag: bool = False
    either: int | str | None = None
    more: dict[str, int] = {}


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("{}", "name: field required"),
        ('{"name":null}', "name: field required"),
        ('{"name":7}', "name: must be a string"),
        ('{"name":""}', "name: must be 1-5 characters"),
        ('{"name":"toolong"}', "name: must be 1-5 characters"),
        ('{"name":"n","kind":"c"}', "kind: must be one of a, b"),
        ('{"name":"n","logs":[{"x":1},{"x":"1"}]}', "logs[1].x: must be an integer"),
        ('{"name":"n","logs":[{}]}', "logs[0].x: field required"),
        ('{"name":"n","logs":{}}', "logs: must be a list"),
        ('{"name":"n","share":0}', "share: must be 1-10"),
        ('{"name":"n","share":11}', "share: must be 1-10"),
        ('{"name":"n","share":1e999}', "share: is out of range"),
        ('{"name":"n","flag":1}', "flag: must be a boolean"),
        ('{"name":"n","either":[]}', "either: must be an integer or a string"),
        ('{"name":"n","more":{"k":"v"}}', "more: must be an integer"),
        ("[]", "body: must be an object"),
        ("7", "body: must be an object"),
    ],
)
def test_a_broken_rule_names_its_field(sent: str, said: str) -> None:
    with pytest.raises(Refusal) as refused:
        jsons.decode(sent.encode(), Outer)
    assert (refused.value.kind, refused.value.text) == (Kind.INVALID, said)


@pytest.mark.parametrize(
    "sent",
    [
        *(
            b"",
            b"{",
            b'{"name":NaN}',
            b'{"name":Infinity}',
            b'{"name":"n"} x',
            b"\xff\xfe",
            b'{"name":"\xff"}',
            b"nope",
        ),
        # What comes first breaks a rule too, or would be mended.
        *(b'{"name":7', b'{"name":7} x', b'{"name":"n","kind":"c",', b'{"name":null', b'{"logs":{}}}', b"[", b"7 7"),
    ],
)
def test_what_is_no_json_is_malformed(sent: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        jsons.decode(sent, Outer)
    assert (refused.value.kind, refused.value.text) == (Kind.MALFORMED, "Invalid JSON body")


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b'\xef\xbb\xbf{"name":"bom"}', "bom"),
        (b'{"name":"a","name":"b"}', "b"),
        (b'{"name":"\\ud800"}', "\ufffd"),
        (b'{"name":"\\udc00x"}', "\ufffdx"),
        (b'{"name":"\\ud83d\\ude00"}', "\U0001f600"),
        (b'{"name":"\\\\ud8"}', "\\ud8"),
        (b'{"name":"n","unknown":{"deep":[1]}}', "n"),
        (b'{"name":"n","logs":null,"flag":null,"share":null}', "n"),
        (b'{"name":"n","logs":[{"x":1,"note":null},{"x":2,"note":null}]}', "n"),
    ],
)
def test_what_is_let_through(sent: bytes, name: str) -> None:
    assert jsons.decode(sent, Outer).name == name


@pytest.mark.parametrize(("depth", "good"), [(100, True), (101, False), (50_000, False)])
def test_depth_has_a_limit(depth: int, good: bool) -> None:
    sent = b"[" * depth + b"]" * depth
    if good:
        assert jsons.decode(sent, Any) is not None
        return
    with pytest.raises(Refusal) as refused:
        jsons.decode(sent, Any)
    assert refused.value.kind is Kind.INVALID


def test_brackets_in_texts_do_not_count() -> None:
    assert jsons.decode(json.dumps(["[{" * 500]).encode(), Any) == ["[{" * 500]


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_it_reads_what_the_standard_library_writes(value: Any) -> None:
    assert jsons.decode(json.dumps(value).encode(), Any) == value
    assert jsons.decode(json.dumps(value, ensure_ascii=False).encode(), Any) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(sent: bytes) -> None:
    with contextlib.suppress(Refusal):
        assert isinstance(jsons.decode(sent, Outer), Outer)
