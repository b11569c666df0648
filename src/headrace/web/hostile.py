"""Text that senders wrote, on its way into a page: cut, without escape sequences, with nothing invisible in it.

Escaping is the templates' (they escape everything); here is what escaping does not change.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from headrace.eventstore.search import Node
from headrace.eventstore.search.nodes import And, Or, Words

LINE = 2_000  # Code points of one cell of a list.
WHOLE = 256 * 1024  # Of one value where an event is shown whole.

# What terminals obey: control sequences (CSI), strings such as links and titles (OSC, DCS, ...), two-character escapes.
ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-~]"
)
# Controls but tab and line feed, and what turns the direction of text around or takes no room.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
PICTURES = 0x2400
DELETE = 0x7F


class Piece(NamedTuple):
    """A part of a text; `marked` when the search was for it."""

    text: str
    marked: bool


def seen(text: str, most: int = WHOLE) -> str:
    """Return the text as it may be shown, at most `most` code points of it."""
    cut = text[:most]
    if cut.isascii() and cut.isprintable():
        return cut if len(text) <= most else cut + "…"
    shown = UNSEEN.sub(_picture, ANSI.sub("", cut))
    return shown if len(text) <= most else shown + "…"


def _picture(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < ord(" "):
        return chr(PICTURES + code)
    return "␡" if code == DELETE else f"⟨U+{code:04X}⟩"


def line(text: str) -> str:
    """Return a text for one line of a list."""
    return " ".join(seen(text[: LINE + 1], LINE).split())


def words(node: Node) -> re.Pattern[str] | None:
    """Return what finds the words that a search asked for; None when it asked for none."""
    found = [r"\S*?".join(map(re.escape, one.pieces)) for one in _wanted(node) if any(one.pieces)]
    return re.compile("|".join(found), re.IGNORECASE) if found else None


def _wanted(node: Node) -> Iterator[Words]:
    if isinstance(node, Words):
        yield node
    elif isinstance(node, And | Or):
        for part in node.parts:
            yield from _wanted(part)


def pieces(text: str, pattern: re.Pattern[str] | None) -> list[Piece]:
    """Take a text apart at what the pattern finds."""
    if pattern is None:
        return [Piece(text, marked=False)]
    found, at = [], 0
    for match in pattern.finditer(text):
        if match.end() > match.start():
            found += [Piece(text[at : match.start()], marked=False), Piece(match[0], marked=True)]
            at = match.end()
    return [piece for piece in (*found, Piece(text[at:], marked=False)) if piece.text]
