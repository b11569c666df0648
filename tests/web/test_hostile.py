import pytest

from headrace.eventstore.search import parse
from headrace.web import hostile


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("plain", "plain"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x.example\x07link\x1b]8;;\x07", "link"),
        ("\x1b]0;title\x1b\\after", "after"),
        ("\x9b31mred", "red"),
        ("a\x00b\x07", "a␀b␇"),
        ("\x7f", "␡"),
        ("\u202egnp.exe", "⟨U+202E⟩gnp.exe"),
        ("zero\u200bwidth", "zero⟨U+200B⟩width"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("", ""),
    ],
)
def test_text_is_shown_as_it_can_be_seen(sent: str, shown: str) -> None:
    assert hostile.seen(sent) == shown


def test_text_is_cut() -> None:
    assert hostile.seen("x" * 10, 4) == "xxxx…"
    assert hostile.seen("日" * 10, 4) == "日日日日…"
    assert len(hostile.line("x" * 100_000)) == hostile.LINE + 1
    assert hostile.line("a\n  b\tc") == "a b c"


@pytest.mark.parametrize(
    ("search", "text", "marked"),
    [
        ("timeout", "a Timeout here", ["Timeout"]),
        ('"timed out"', "it timed out", ["timed out"]),
        ("time*", "timeout, times", ["time", "time"]),
        ("-timeout", "timeout", []),
        ("level:error", "error", []),
        ("a OR (b c)", "b", ["b"]),
        ("message:x", "x.x", ["x", "x"]),
        ("*", "anything", []),
        ('"<b>"', "a <b> c", ["<b>"]),
    ],
)
def test_what_was_searched_for_is_marked(search: str, text: str, marked: list[str]) -> None:
    pieces = hostile.pieces(text, hostile.words(parse(search)))
    assert [piece.text for piece in pieces if piece.marked] == marked
    assert "".join(piece.text for piece in pieces) == text
