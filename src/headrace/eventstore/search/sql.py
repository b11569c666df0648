"""The tree as a condition in the engine's SQL. All that was typed travels as parameters, attribute names too."""

from typing import assert_never

import msgspec

from headrace.eventstore.search import attributes, text
from headrace.eventstore.search.fields import BY_COLUMN, TEXT_COLUMNS
from headrace.eventstore.search.nodes import (
    All,
    And,
    Attribute,
    AttributeExists,
    AttributeWithin,
    Bounds,
    Exists,
    Node,
    Not,
    OneOf,
    Or,
    Text,
    Within,
    Words,
)

TEXT_COLUMN = "text"  # An ALIAS of `text.TEXT`, with the text index on it.
EMPTY_TEXTS = "('', '\\0')"  # Absent, and sent as an empty text: to a search they are the same.

Parameter = str | int | float | list[str]


class Compiled(msgspec.Struct, frozen=True):
    """A condition on the table `events` with `{name:Type}` placeholders, and their values."""

    sql: str
    params: dict[str, Parameter]


def compile(node: Node, *, prefix: str = "search") -> Compiled:  # noqa: A001  Read as `search.compile`, like `re.compile`.
    """Return the condition, in parentheses where it needs them. Parameters are named `<prefix>_0`, `<prefix>_1`, ..."""
    writer = Writer(prefix)
    return Compiled(writer.condition(node), writer.params)


class Writer:
    """Writes conditions and collects their parameters. Each is 0 or 1, never NULL, so that NOT turns it around."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.params: dict[str, Parameter] = {}

    def bind(self, value: Parameter, kind: str) -> str:
        name = f"{self.prefix}_{len(self.params)}"
        self.params[name] = value
        return f"{{{name}:{kind}}}"

    def string(self, value: str) -> str:
        return self.bind(value, "String")

    def strings(self, values: tuple[str, ...]) -> str:
        return self.bind(list(values), "Array(String)")

    def condition(self, node: Node) -> str:  # noqa: C901, PLR0912  One case for each kind of node.
        match node:
            case All():
                return "1"
            case And(parts):
                return "(" + " AND ".join(map(self.condition, parts)) + ")"
            case Or(parts):
                return "(" + " OR ".join(map(self.condition, parts)) + ")"
            case Not(part):
                return f"(NOT {self.condition(part)})"
            case Words(pieces, column):
                return self.words(pieces, column)
            case Text(column, pieces):
                return f"({column} IN {EMPTY_TEXTS})" if pieces == ("",) else self.like(column, pieces)
            case OneOf(column, names):
                return f"({column} IN {self.strings(names)})" if names else "0"
            case Exists(column):
                return f"({self.present(column)})"
            case Within(column, bounds):
                return self.within(column, bounds)
            case Attribute(path, pieces):
                return self.attribute(path, pieces)
            case AttributeExists(path):
                return either([self.key(top, below) for top, below in attributes.places(path)])
            case AttributeWithin(path, bounds):
                return either([self.number_at(top, below, bounds) for top, below in attributes.places(path)])
            case _:
                assert_never(node)

    def words(self, pieces: tuple[str, ...], column: str | None) -> str:
        """The index narrows by whole tokens, or by a fragment of one; a regular expression decides where tokens cannot.

        The words of message and error_message are in the indexed text too, so the index serves those columns as well.
        """
        found = text.pattern(pieces)
        folded = TEXT_COLUMN if column is None else text.folded(column)
        indexed = TEXT_COLUMN if column in TEXT_COLUMNS else folded
        parts = []
        if found.tokens:
            tokens = self.strings(found.tokens)
            parts = [f"hasAllTokens({searched}, {tokens})" for searched in dict.fromkeys((indexed, folded))]
        elif found.fragment:
            parts = [f"{indexed} LIKE {self.string(f'%{found.fragment}%')}"]
        if not found.exact:
            parts.append(f"match({folded}, {self.string(found.re2)})")
        return "(" + " AND ".join(parts) + ")"

    def like(self, value: str, pieces: tuple[str, ...]) -> str:
        if len(pieces) == 1:
            return f"({value} = {self.string(pieces[0])})"
        return f"({value} LIKE {self.string('%'.join(map(like_literal, pieces)))})"

    def present(self, column: str) -> str:
        absent = BY_COLUMN[column].absent
        if absent is None:
            return "1"
        return f"{column} NOT IN {EMPTY_TEXTS}" if absent == "" else f"{column} != {absent}"

    def within(self, column: str, bounds: Bounds) -> str:
        kind = {"time": "Int64", "integer": "UInt64"}.get(BY_COLUMN[column].kind, "Float64")
        if column == "status_code":
            kind = "Float64"
        parts = [] if BY_COLUMN[column].absent is None else [self.present(column)]
        parts += self.compared(column, bounds, kind)
        return "(" + " AND ".join(parts or ["1"]) + ")"

    def compared(self, value: str, bounds: Bounds, kind: str) -> list[str]:
        if bounds.low == bounds.high and bounds.low is not None and not (bounds.low_open or bounds.high_open):
            return [f"{value} = {self.bind(bounds.low, kind)}"]
        parts = []
        if bounds.low is not None:
            parts.append(f"{value} {'>' if bounds.low_open else '>='} {self.bind(bounds.low, kind)}")
        if bounds.high is not None:
            parts.append(f"{value} {'<' if bounds.high_open else '<='} {self.bind(bounds.high, kind)}")
        return parts

    def key(self, top: str, below: tuple[str, ...]) -> str:
        """The place exists; the JSON text of a value is never empty."""
        value = f"attributes[{self.string(top)}]"
        return f"JSONHas({value}, {', '.join(map(self.string, below))})" if below else f"({value} != '')"

    def raw(self, top: str, below: tuple[str, ...]) -> str:
        """The JSON text at a place, empty where there is none."""
        value = f"attributes[{self.string(top)}]"
        return f"JSONExtractRaw({value}, {', '.join(map(self.string, below))})" if below else value

    def attribute(self, path: str, pieces: tuple[str, ...]) -> str:
        """Equality of a top-level value has an index over the values to skip by, and reads the one key."""
        conditions = []
        for top, below in attributes.places(path):
            if len(pieces) == 1 and not below:
                spelled = self.strings(attributes.spellings(pieces[0]))
                conditions.append(f"attributes[{self.string(top)}] IN {spelled}")
                continue
            exists = self.key(top, below)
            raw = self.raw(top, below)
            if len(pieces) == 1:
                conditions.append(f"({exists} AND {raw} IN {self.strings(attributes.spellings(pieces[0]))})")
            else:
                value = f"if(startsWith({raw}, '\"'), JSONExtractString({raw}), {raw})"
                conditions.append(f"({exists} AND {self.like(value, pieces)})")
        return either(conditions)

    def number_at(self, top: str, below: tuple[str, ...], bounds: Bounds) -> str:
        number = f"toFloat64OrNull({self.raw(top, below)})"
        parts = [self.key(top, below), f"isNotNull({number})"]
        parts += [f"ifNull({part}, 0)" for part in self.compared(number, bounds, "Float64")]
        return "(" + " AND ".join(parts) + ")"


def either(conditions: list[str]) -> str:
    return conditions[0] if len(conditions) == 1 else "(" + " OR ".join(conditions) + ")"


def like_literal(piece: str) -> str:
    return piece.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
