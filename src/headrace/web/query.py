"""The search text as pages edit it: a term added, turned around or taken away. What a search means, the language knows.

A text is taken apart at its top level only; one with an OR there is a single term, kept in parentheses.
"""

import re
from typing import NamedTuple

from headrace.eventstore.masks import HOLE
from headrace.eventstore.search import BY_NAME, SearchError, parse

PLAIN = re.compile(r"[^\W_][\w@/$-]*(?:\.[\w@/$-]+)*")
OPERATORS = frozenset({"AND", "OR", "NOT"})
LEADING = re.compile(r"[^\W\d]|@")
OUTSIDE_NAMES = re.compile(r"([^\w.@/$-])")
TERM = re.compile(r"(?P<minus>-?)(?P<name>(?:[^\W\d]|@)(?:[\w.@/$-]|\\.)*):(?P<value>.+)", re.DOTALL)
QUOTED = re.compile(r'"(?:[^"\\]|\\["\\]|\\(?!["\\]))*"')
# Neither a wildcard nor an escape, a comparison or a range.
BARE = re.compile(r'(?!\S*\.\.)[^\s()"*\\<>\[{][^\s()"*\\]*')
VALUE = re.compile(f"{QUOTED.pattern}|{BARE.pattern}")
GROUP = re.compile(rf"\((?P<inside>(?:{VALUE.pattern})(?: OR (?:{VALUE.pattern}))*)\)")
# A word or a phrase, as people type them: what is looked for in the message.
WORDS_ONLY = re.compile(rf'{QUOTED.pattern}|[^\s():"\\-][^\s():"\\]*')
SPACE = " \t\n\r\x0b\x0c\u00a0\u3000"
LONGEST_PHRASE = 200
# Of a pattern: enough to tell it from others.
MOST_PHRASES = 8
SHORTEST_STEM = 2
STEM = re.compile(r"[\w/][\w./*-]*", re.ASCII)
MOST_DOTS = 8  # Of an attribute's path, in the language.


class Picked(NamedTuple):
    """What a search says about one field."""

    included: tuple[str, ...]
    excluded: tuple[str, ...]


def terms(text: str) -> list[str]:
    """Take a search apart at its top level; an alternative (OR) there makes it one term."""
    found = _split(text)
    if "OR" in found:
        return [f"({text.strip()})"]
    joined: list[str] = []
    for part in found:
        if joined and joined[-1].endswith("NOT"):
            joined[-1] += f" {part}"
        elif part != "AND":
            joined.append(part)
    return joined


def _split(text: str) -> list[str]:
    """Split at spaces outside of quotes, parentheses and ranges."""
    parts, start, depth, quoted, at = [], 0, 0, False, 0
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 1
        elif character == '"':
            quoted = not quoted
        elif not quoted and character in "([{":
            depth += 1
        elif not quoted and character in ")]}":
            depth -= 1
        elif not quoted and depth <= 0 and character in SPACE:
            parts.append(text[start:at])
            start = at + 1
        at += 1
    return [part for part in (*parts, text[start:]) if part]


def value(text: str) -> str:
    """Write a value so that the language reads it as it stands."""
    if PLAIN.fullmatch(text) and text not in OPERATORS:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def name(field: str) -> str:
    """Write the name of an attribute so that the language reads it as one; empty when it cannot."""
    if "\n" in field or not field or field.count(".") >= MOST_DOTS:
        return ""
    escaped = OUTSIDE_NAMES.sub(r"\\\1", field)
    if field.lower() in BY_NAME or not LEADING.match(field) or f"{field}.".startswith("attributes."):
        return f"attributes.{escaped}"
    return escaped


def phrase(text: str) -> str:
    """Cut a text to a phrase that is worth searching for, at the end of a word."""
    flat = text.partition("\n")[0].strip()
    if len(flat) <= LONGEST_PHRASE:
        return flat
    return flat[:LONGEST_PHRASE].rpartition(" ")[0] or flat[:LONGEST_PHRASE]


def picked(text: str, field: str) -> Picked:
    """Return the values that a search includes and excludes of a field, by the terms that pages write."""
    included: list[str] = []
    excluded: list[str] = []
    for term in terms(text):
        read = _read(term)
        if read is not None and read[0] == field:
            (excluded if read[2] else included).extend(read[1])
    return Picked(tuple(included), tuple(excluded))


def without(text: str, field: str) -> str:
    """Return the search without what it says of a field."""
    kept = [term for term in terms(text) if (read := _read(term)) is None or read[0] != field]
    return " ".join(kept)


def toggled(text: str, field: str, chosen: str, *, exclude: bool = False) -> str:
    """Include a value of a field, or exclude it; what was said of that value before goes, the same said twice too.

    `field` is as the language writes it. Included values of one field are alternatives.
    """
    now = picked(text, field)
    included = [one for one in now.included if one != chosen]
    excluded = [one for one in now.excluded if one != chosen]
    if exclude and chosen not in now.excluded:
        excluded.append(chosen)
    elif not exclude and chosen not in now.included:
        included.append(chosen)
    written = [f"-{field}:{value(one)}" for one in excluded]
    if included:
        listed = " OR ".join(value(one) for one in included)
        written.insert(0, f"{field}:{listed}" if len(included) == 1 else f"{field}:({listed})")
    return " ".join(part for part in (without(text, field), *written) if part)


def added(text: str, term: str) -> str:
    """Add one more condition; the same one twice stays one."""
    kept = terms(text)
    return " ".join(kept if term in kept else [*kept, term])


def conditions(text: str) -> list[tuple[int, str]]:
    """Return the terms that are more than free text, each with its place among all: fields, alternatives, NOT."""
    found = enumerate(terms(text))
    return [(at, one) for at, one in found if not WORDS_ONLY.fullmatch(one)]


def excludes(term: str) -> bool:
    return term.startswith(("-", "NOT "))


def flipped(term: str) -> str:
    """Turn a term around: what it asks for is left out, what it leaves out is asked for."""
    if term.startswith("NOT "):
        return term[len("NOT ") :]
    return term[1:] if term.startswith("-") else f"-{term}" if readable(f"-{term}") else f"NOT {term}"


def replaced(text: str, place: int, *terms_: str) -> str:
    """Return the search with other terms, or none, in place of one."""
    kept = terms(text)
    return " ".join([*kept[:place], *terms_, *kept[place + 1 :]])


def of_pattern(template: str) -> str:
    """Return a search for what a pattern of messages has in common; it may find others too. Empty when it says nothing.

    Words that stay are phrases; a word of which a part changes is one with a wildcard, where the language can write it.
    """
    found: list[str] = []
    phrase_words: list[str] = []

    def close() -> None:
        if any(character.isalnum() for one in phrase_words for character in one):
            found.append(value(" ".join(phrase_words)))
        phrase_words.clear()

    for word in template.split(" "):
        if HOLE.search(word) is None:
            phrase_words.append(word)
            continue
        close()
        stem = HOLE.sub("*", word)
        if STEM.fullmatch(stem) and sum(character.isalnum() for character in stem) >= SHORTEST_STEM:
            found.append(stem)
    close()
    return " ".join(dict.fromkeys(found[:MOST_PHRASES]))


def readable(text: str) -> bool:
    try:
        parse(text)
    except SearchError:
        return False
    return True


def _read(term: str) -> tuple[str, list[str], bool] | None:
    """Return field, values and whether they are excluded, of a term such as pages write; else None."""
    found = TERM.fullmatch(term)
    if found is None:
        return None
    field = found["name"]
    known = BY_NAME.get(field.lower())
    group = GROUP.fullmatch(found["value"])
    if group is not None:
        values = [_unquoted(one) for one in VALUE.findall(group["inside"]) if one != "OR"]
    elif QUOTED.fullmatch(found["value"]) or BARE.fullmatch(found["value"]):
        values = [_unquoted(found["value"])]
    else:
        return None
    return known.column if known else field, values, bool(found["minus"])


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text
    return re.sub(r'\\(["\\])', r"\1", text[1:-1])
