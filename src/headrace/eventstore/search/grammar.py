"""The grammar: a search text into a tree. Reads pieces from `lexer`; what a value means to a field, see `terms`."""

from headrace.eventstore.search import terms
from headrace.eventstore.search.fields import BY_NAME, Field
from headrace.eventstore.search.lexer import Scanner, Value
from headrace.eventstore.search.nodes import All, And, Node, Not, Or, SearchError, Words

MAX_LENGTH = 2_000  # A longer one is no search that a person wrote.
MAX_TERMS = 100  # Each is a condition that the engine tests on every row left.
MAX_DEPTH = 20  # Parentheses and negations; keeps recursion, here and in the engine, shallow.

PREFIX = "attributes."


def parse(text: str) -> Node:
    """Read a search. An empty text is All. Raises SearchError with the position of what cannot be understood."""
    if len(text) > MAX_LENGTH:
        raise SearchError(f"a search has at most {MAX_LENGTH:,} characters", MAX_LENGTH + 1)
    if "\0" in text:
        raise SearchError("a search holds no NUL character", text.index("\0") + 1)
    return Parser(text).whole()


def target_of(name: str) -> Field | str:
    """Return the column's field, or the attribute's path."""
    if name.startswith(PREFIX) and name != PREFIX:
        return name.removeprefix(PREFIX)
    return BY_NAME.get(name.lower(), name)


class Parser:
    """Recursive descent: `or` of `and` of negations of terms. A list after a field passes its field down."""

    def __init__(self, text: str) -> None:
        self.scanner = Scanner(text)
        self.terms = 0
        self.depth = 0

    def whole(self) -> Node:
        self.scanner.skip_space()
        if not self.scanner.peek():
            return All()
        node = self.alternatives(None)
        if self.scanner.peek():
            raise SearchError("this parenthesis closes nothing", self.scanner.position)
        return node

    def alternatives(self, target: Field | str | None) -> Node:
        parts = [self.sequence(target)]
        while self.scanner.operator() == "OR":
            self.scanner.take("OR")
            parts.append(self.sequence(target))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def sequence(self, target: Field | str | None) -> Node:
        parts = [self.negation(target)]
        while True:
            self.scanner.skip_space()
            if self.scanner.operator() == "AND":
                self.scanner.take("AND")
            elif self.scanner.peek() in ("", ")") or self.scanner.operator() == "OR":
                return parts[0] if len(parts) == 1 else And(tuple(parts))
            parts.append(self.negation(target))

    def negation(self, target: Field | str | None) -> Node:
        self.scanner.skip_space()
        start = self.scanner.position
        if self.scanner.operator() != "NOT" and not self.scanner.minus():
            return self.primary(target)
        self.scanner.take("NOT")
        self.deeper(start)
        node = Not(self.negation(target))
        self.depth -= 1
        return node

    def primary(self, target: Field | str | None) -> Node:
        start = self.scanner.position
        if self.scanner.peek() in ("", ")") or self.scanner.operator():
            found = self.scanner.operator() or self.scanner.peek()
            advice = f"before {found}; put {found} in quotes to search for it" if found else "at the end"
            raise SearchError(f"a word or field is missing {advice}", start)
        if self.scanner.take("("):
            return self.group(target, start)
        return self.term(target, start)

    def group(self, target: Field | str | None, start: int) -> Node:
        self.deeper(start)
        node = self.alternatives(target)
        if not self.scanner.take(")"):
            raise SearchError("this parenthesis is never closed", start)
        self.depth -= 1
        return node

    def term(self, target: Field | str | None, start: int) -> Node:
        if target is not None:
            return self.condition(target, start)
        name = self.scanner.name()
        if not name:
            self.count(start)
            return words(self.scanner.value())
        target = target_of(name)
        if name in ("attributes", PREFIX):
            raise SearchError("name the attribute: attributes.<name>", start)
        if self.scanner.peek() == "" or self.scanner.peek() in " \t\r\n)":
            return self.nothing_after(name, target, start)
        opening = self.scanner.position
        if self.scanner.take("("):
            return self.group(target, opening)
        return self.condition(target, start)

    def nothing_after(self, name: str, target: Field | str, start: int) -> Node:
        """A pasted `KeyError: 'x'` is a word with a colon; after a name that we know, the colon was meant."""
        if isinstance(target, Field):
            raise SearchError(
                f"{name}: has no value; write it right after the colon, or {name} in quotes for the word", start
            )
        self.count(start)
        return Words((name,))

    def condition(self, target: Field | str, start: int) -> Node:
        self.count(start)
        scanner = self.scanner
        operand = scanner.interval() or scanner.comparison() or scanner.value()
        if isinstance(target, str):
            return terms.attribute(target, operand, start)
        return terms.column(target, operand, start)

    def count(self, position: int) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise SearchError(f"a search has at most {MAX_TERMS} terms", position)

    def deeper(self, position: int) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise SearchError(f"parentheses and negations go at most {MAX_DEPTH} deep", position)


def words(value: Value) -> Node:
    """A bare word or phrase; a `*` alone is every event."""
    if value.pieces == ("", ""):
        return All()
    if not value.text.strip():
        raise SearchError("there is nothing between these quotes", value.position)
    return Words(value.pieces)
