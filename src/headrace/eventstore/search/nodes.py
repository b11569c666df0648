"""The tree that a search text becomes, and the error that a bad one raises. How it is read or run: elsewhere."""

from typing import TypeAlias

import msgspec


class SearchError(ValueError):
    """A search text that cannot be understood.

    `position` counts characters from 1; one past the end means that something is missing there. `sentence` is the
    message without the position.
    """

    def __init__(self, sentence: str, position: int) -> None:
        super().__init__(f"position {position}: {sentence}")
        self.sentence = sentence
        self.position = position


class All(msgspec.Struct, frozen=True, tag=True):
    """Every event."""


class And(msgspec.Struct, frozen=True, tag=True):
    parts: "tuple[Node, ...]"


class Or(msgspec.Struct, frozen=True, tag=True):
    parts: "tuple[Node, ...]"


class Not(msgspec.Struct, frozen=True, tag=True):
    part: "Node"


class Words(msgspec.Struct, frozen=True, tag=True):
    """Whole words in the event's text, or in one text column.

    `pieces` is what was typed, cut at its wildcards: `time*out` is `("time", "out")`; without one it is one piece.
    """

    pieces: tuple[str, ...]
    column: str | None = None


class Text(msgspec.Struct, frozen=True, tag=True):
    """A column's whole value, case-sensitive; `pieces` as in Words."""

    column: str
    pieces: tuple[str, ...]


class OneOf(msgspec.Struct, frozen=True, tag=True):
    """A column of fixed names holds one of these."""

    column: str
    names: tuple[str, ...]


class Exists(msgspec.Struct, frozen=True, tag=True):
    column: str


class Bounds(msgspec.Struct, frozen=True):
    """A range of numbers or microseconds; None is open. A bound belongs to the range unless it is called open."""

    low: int | float | None = None
    high: int | float | None = None
    low_open: bool = False
    high_open: bool = False

    def hold(self, value: float) -> bool:
        if self.low is not None and (value < self.low or (self.low_open and value == self.low)):
            return False
        return self.high is None or value < self.high or (not self.high_open and value == self.high)


class Within(msgspec.Struct, frozen=True, tag=True):
    """A number or time column lies within the bounds; never true of an absent value."""

    column: str
    bounds: Bounds


class Attribute(msgspec.Struct, frozen=True, tag=True):
    """The value at a dotted path, as text, case-sensitive; `pieces` as in Words."""

    path: str
    pieces: tuple[str, ...]


class AttributeExists(msgspec.Struct, frozen=True, tag=True):
    path: str


class AttributeWithin(msgspec.Struct, frozen=True, tag=True):
    """The value at a dotted path is a JSON number within the bounds."""

    path: str
    bounds: Bounds


Node: TypeAlias = (
    All | And | Or | Not | Words | Text | OneOf | Exists | Within | Attribute | AttributeExists | AttributeWithin
)
