"""What the commands say, and how: plain lines, or colours when a person looks at a terminal. No verb's own words."""

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TextIO

import msgspec

# A log may hold anything, also sequences that a terminal would obey.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class Trouble(Exception):  # noqa: N818  It is what a person reads, not an error of the program.
    """The command failed (exit 1). The text says what happened and what to do next."""


class Misuse(Exception):  # noqa: N818  Likewise.
    """The command or a setting was written wrongly (exit 2). One line."""


def say(text: str = "") -> None:
    print(text, flush=True)


def note(text: str) -> None:
    """Tell something beside the output, on stderr."""
    print(text, file=sys.stderr, flush=True)


def complain(text: str) -> None:
    note(_painted(text, "31") if is_terminal(sys.stderr) else text)


def warn(text: str) -> None:
    note(_painted(text, "1;33") if is_terminal(sys.stderr) else text)


def is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def harmless(text: str) -> str:
    """Spell control characters out, so that a log cannot write over the terminal or forge a second line."""
    return CONTROL.sub(lambda found: NAMED.get(found[0], f"\\x{ord(found[0]):02x}"), text)


def as_json(value: Any) -> None:
    """Print one JSON value on one line."""
    say(msgspec.json.encode(value).decode())


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print rows under their column names, padded; `-` where there is nothing."""
    lines = [[harmless(_cell(row.get(column))) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[at]) for line in lines), 0) for at, column in enumerate(columns)]
    head = "  ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True)).rstrip()
    say(_painted(head, "1") if is_terminal(sys.stdout) else head)
    for line in lines:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def count(number: int, noun: str) -> str:
    """Write `1 line` or `12,000 lines`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _cell(value: Any) -> str:
    match value:
        case None | "":
            return "-"
        case bool():
            return "yes" if value else "no"
        case list() | tuple() | set() | frozenset():
            return ",".join(sorted(map(str, value))) or "-"
        case _:
            return str(value)


def _painted(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"
