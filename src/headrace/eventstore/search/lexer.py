"""Characters into the pieces of the grammar: parentheses, operators, names before a colon, values. No meaning here."""

import re
from typing import Literal

import msgspec

from headrace.eventstore.search.nodes import SearchError

# `10:22:31` and `https://…` are words: a name begins with a letter, and no `//` follows its colon.
NAME = re.compile(r"((?:[^\W\d]|@)(?:[\w.@/$-]|\\.)*):(?!//)")
SPACE = " \t\n\r\x0b\x0c\u00a0\u3000"
ENDS_WORD = SPACE + '()"'
OPERATORS = ("AND", "OR", "NOT")


class Value(msgspec.Struct, frozen=True):
    """A typed value. `pieces`: cut at its wildcards. A value in quotes has one piece and means no operator."""

    pieces: tuple[str, ...]
    quoted: bool
    position: int

    @property
    def text(self) -> str:
        return "*".join(self.pieces)


class Comparison(msgspec.Struct, frozen=True):
    operator: Literal[">", ">=", "<", "<="]
    value: Value


class Interval(msgspec.Struct, frozen=True):
    """`[low TO high]`; a curly bracket leaves its bound out."""

    low: Value
    high: Value
    low_open: bool
    high_open: bool


class Scanner:
    """A cursor over the text. Positions are counted from 1."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    @property
    def position(self) -> int:
        return self.at + 1

    def skip_space(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in SPACE:
            self.at += 1

    def peek(self) -> str:
        """Return the character at the cursor, or nothing at the end."""
        return self.text[self.at : self.at + 1]

    def take(self, text: str) -> bool:
        if self.text.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def operator(self) -> str:
        """Return AND, OR or NOT if it stands here as a word of its own, without taking it."""
        for name in OPERATORS:
            end = self.at + len(name)
            if self.text.startswith(name, self.at) and (end == len(self.text) or self.text[end] in ENDS_WORD):
                return name
        return ""

    def minus(self) -> bool:
        """Take a `-` that has something to negate."""
        following = self.text[self.at + 1 : self.at + 2]
        return bool(following) and following not in SPACE + ")" and self.take("-")

    def name(self) -> str:
        """Take `name:` and return the name, or nothing where no field begins."""
        found = NAME.match(self.text, self.at)
        if found is None:
            return ""
        self.at = found.end()
        return re.sub(r"\\(.)", r"\1", found[1])

    def value(self, stop: str = "") -> Value:
        """Take a value: in quotes, or up to a space, parenthesis, quote or a character of `stop`; may be empty."""
        return self.quoted() if self.peek() == '"' else self.bare(stop)

    def quoted(self) -> Value:
        start = self.position
        self.at += 1
        taken: list[str] = []
        while self.at < len(self.text):
            character = self.text[self.at]
            self.at += 1
            if character == '"':
                return Value(("".join(taken),), quoted=True, position=start)
            if character == "\\" and self.peek() in {'"', "\\"}:
                character = self.peek()
                self.at += 1
            taken.append(character)
        raise SearchError('this quote is never closed; write \\" for a quote itself', start)

    def bare(self, stop: str) -> Value:
        start = self.position
        pieces = [""]
        while self.at < len(self.text) and self.text[self.at] not in ENDS_WORD + stop:
            character = self.text[self.at]
            self.at += 1
            if character == "*":
                pieces.append("")
                continue
            if character == "\\" and self.at < len(self.text):
                character = self.text[self.at]
                self.at += 1
            pieces[-1] += character
        if len(pieces) > 2:  # noqa: PLR2004  `a**b` is `a*b`: between the first piece and the last, empty ones say nothing.
            pieces = [pieces[0], *(piece for piece in pieces[1:-1] if piece), pieces[-1]]
        return Value(tuple(pieces), quoted=False, position=start)

    def comparison(self) -> Comparison | None:
        for operator in (">=", "<=", ">", "<"):
            if self.take(operator):
                return Comparison(operator, self.value())
        return None

    def interval(self) -> Interval | None:
        """Take `[a TO b]`, with a curly bracket on either side."""
        start = self.position
        if self.peek() not in ("[", "{") or not self.peek():
            return None
        low_open = self.take("{") or not self.take("[")
        self.skip_space()
        low = self.value("]}")
        self.skip_space()
        if not self.take("TO"):
            raise SearchError(
                "a range is written [low TO high]; put a value that begins with a bracket in quotes", start
            )
        self.skip_space()
        high = self.value("]}")
        self.skip_space()
        high_open = self.take("}")
        if not high_open and not self.take("]"):
            raise SearchError("this range is never closed with ] or }", start)
        return Interval(low, high, low_open, high_open)
