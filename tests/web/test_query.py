import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.eventstore.search import parse
from headrace.eventstore.search.nodes import Attribute, Not, Text
from headrace.web import query

VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("a b", ["a", "b"]),
        ("a AND b", ["a", "b"]),
        ('"a b" c', ['"a b"', "c"]),
        ("level:(a OR b) c", ["level:(a OR b)", "c"]),
        ("a OR b", ["(a OR b)"]),
        ("NOT a b", ["NOT a", "b"]),
        ("NOT NOT a", ["NOT NOT a"]),
        ("status:[500 TO 599] x", ["status:[500 TO 599]", "x"]),
        (r'p:"a \" b" c', [r'p:"a \" b"', "c"]),
    ],
)
def test_a_search_is_taken_apart(text: str, terms: list[str]) -> None:
    assert query.terms(text) == terms


@pytest.mark.parametrize(
    ("text", "field", "value", "exclude", "after"),
    [
        ("", "level", "error", False, "level:error"),
        ("level:error", "level", "error", False, ""),
        ("level:error", "level", "critical", False, "level:(error OR critical)"),
        ("level:(error OR critical)", "level", "error", False, "level:critical"),
        ("level:error", "level", "error", True, "-level:error"),
        ("-level:error", "level", "error", True, ""),
        ("-level:error", "level", "error", False, "level:error"),
        ("timeout env:prod", "environment", "dev", False, "timeout environment:(prod OR dev)"),
        ("a OR b", "level", "info", False, "(a OR b) level:info"),
        ("", "service", "api gateway", False, 'service:"api gateway"'),
        ("", "path", "/api/*", True, '-path:"/api/*"'),
        ("level:>=warning", "level", "info", True, "level:>=warning -level:info"),
        ("status:5xx", "status_code", "4xx", False, "status_code:(5xx OR 4xx)"),
    ],
)
def test_a_value_is_toggled(text: str, field: str, value: str, exclude: bool, after: str) -> None:
    assert query.toggled(text, field, value, exclude=exclude) == after


@given(VALUES, VALUES)
def test_any_value_is_asked_for_as_it_stands(first: str, second: str) -> None:
    assert parse(query.toggled("", "service", first)) == Text("service", (first,))
    assert parse(query.toggled("", "service", first, exclude=True)) == Not(Text("service", (first,)))
    both = query.toggled(query.toggled("", "service", first), "service", second)
    expected = () if first == second else (first, second)
    assert query.picked(both, "service").included == expected


@given(VALUES, VALUES)
@example("attributes", "0")
def test_any_attribute_is_asked_for_by_its_name(key: str, value: str) -> None:
    name = query.name(key)
    if not name:
        assert "\n" in key or key.count(".") >= 8
        return
    search = query.toggled("", name, value)
    assert parse(search) == Attribute(key, (value,))
    assert query.picked(search, name).included == (value,)
    assert query.toggled(search, name, value) == ""


def test_a_phrase_ends_with_a_word() -> None:
    assert query.phrase("short\nsecond line") == "short"
    cut = query.phrase("word " * 100)
    assert len(cut) <= query.LONGEST_PHRASE
    assert cut.endswith("word")


@pytest.mark.parametrize(
    ("template", "search"),
    [
        ("order <NUM> was paid in <NUM> ms", 'order "was paid in" ms'),
        ("user <*> logged in", 'user "logged in"'),
        ("disk /dev/sd<NUM> full", "disk /dev/sd* full"),
        ("took:<NUM> <UUID>", ""),
        ("<*> <*>", ""),
        ('say "<*>" \\ to (them)', 'say "\\\\ to (them)"'),
        ("-a <NUM> b", '"-a" b'),
        ("", ""),
    ],
)
def test_a_pattern_becomes_a_search(template: str, search: str) -> None:
    assert query.of_pattern(template) == search


@given(st.text(max_size=60))
def test_a_patterns_search_can_be_read(template: str) -> None:
    assert query.readable(query.of_pattern(template.replace("\0", "")))
