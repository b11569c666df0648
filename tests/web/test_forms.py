"""Forms and addresses: what cannot be read is refused in words."""

import pytest

from headrace.core.refusals import Kind, Refusal
from headrace.web import forms


def test_an_address_of_too_many_fields_is_refused() -> None:
    assert forms.of_address("/ui/x?a=1&b=2") == {"a": "1", "b": "2"}
    with pytest.raises(Refusal, match="could not be read"):
        forms.of_address("/ui/x?" + "&".join(f"f{number}=1" for number in range(51)))


@pytest.mark.parametrize(
    ("offset", "more", "following", "before"),
    [
        (0, False, "", ""),
        (0, True, "/l?offset=25&q=a", ""),
        (25, False, "", "/l?q=a"),
        (10, True, "/l?offset=35&q=a", "/l?q=a"),
        (75, True, "/l?offset=100&q=a", "/l?offset=50&q=a"),
    ],
)
def test_the_way_through_a_list(offset: int, more: bool, following: str, before: str) -> None:
    assert forms.steps("/l", offset, 25, more=more, q="a") == (following, before)


def test_what_is_no_choice_is_the_first() -> None:
    for sent, read in (("b", "b"), ("c", "a"), ("", "a")):
        assert forms.choice({"x": sent}, "x", {"a": 1, "b": 2}) == read
    assert forms.choice({}, "x", ("a", "b")) == "a"


@pytest.mark.parametrize(
    ("text", "read"), [("7", 7), ("0", 0), ("", 0), ("-1", 0), ("1e3", 0), ("٣", 0), ("999", 300), ("9999", 0)]
)
def test_numbers_of_an_address(text: str, read: int) -> None:
    assert forms.number(text, 300) == read


def test_what_a_page_says_of_a_refusal() -> None:
    mended, broken = Refusal(Kind.CONFLICT, "again"), Refusal(Kind.UNAVAILABLE, "busy")
    assert forms.said(mended) is mended
    assert forms.said(broken, Kind.UNAVAILABLE) is broken
    with pytest.raises(Refusal, match="busy"):
        forms.said(broken)
