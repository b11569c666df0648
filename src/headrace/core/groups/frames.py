"""Frames: a stack as people read it, exception by exception, the innermost frame first. What the fingerprint takes of
a stack stands in `events/fingerprint`; here nothing is lost, and a stack that cannot be read has no frames.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from headrace.core.events.fingerprint import FOREIGN, JAVA, JAVASCRIPT, PYTHON

MOST_FRAMES = 200
MOST_LINES = 20
# What stands between the exceptions of a chain.
CHAIN = re.compile(
    r"^(?:During handling of the above exception, another exception occurred:"
    r"|The above exception was the direct cause of the following exception:)$"
    r"|^(?=Caused by: )",
    re.MULTILINE,
)
POINTERS = re.compile(r"^\s*[\^~]+\s*$")
LINE = re.compile(r":(\d+)(?::(\d+))?\)?\s*$")
PYTHON_LINE = re.compile(r"line (\d+)")


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `source` is the code that was sent with it: (line number or None, text, whether it is the one)."""

    file: str
    function: str
    line: int | None = None
    column: int | None = None
    own: bool = True
    source: tuple[tuple[int | None, str, bool], ...] = ()
    variables: Mapping[str, str] = {}


class Raised(msgspec.Struct, frozen=True, kw_only=True):
    """One exception of a chain: what it says, and its frames, innermost first."""

    title: str
    frames: tuple[Frame, ...]


def read(stack: str, *, is_object: bool = False) -> list[Raised]:
    """Return the exceptions of a stack, the last one raised first; empty when no frame can be read."""
    if is_object:
        return of_object(msgspec.json.decode(stack))
    found = [raised(piece) for piece in CHAIN.split(stack) if piece and piece.strip()]
    found = [one for one in found if one.frames]
    return found if JAVA.search(stack) else found[::-1]


def raised(text: str) -> Raised:
    lines = text.splitlines()
    if PYTHON.search(text):
        said = [line for line in lines if line and not line[0].isspace() and not line.startswith("Traceback")]
        return Raised(title=said[-1] if said else "", frames=tuple(python(lines))[::-1][:MOST_FRAMES])
    frames = [frame for line in lines if (frame := other(line)) is not None]
    said = [line for line in lines if line.strip() and not line.lstrip().startswith("at ")]
    return Raised(title=said[0].strip() if said else "", frames=tuple(frames[:MOST_FRAMES]))


def python(lines: list[str]) -> Iterator[Frame]:
    """Yield the frames of a traceback, outermost first, each with the code below it."""
    starts = [(place, found) for place, line in enumerate(lines) if (found := PYTHON.search(line))]
    for (place, found), (end, _) in zip(starts, [*starts[1:], (len(lines), None)], strict=True):
        number = PYTHON_LINE.search(lines[place], found.end(1))
        source = []
        for line in lines[place + 1 : min(end, place + 1 + MOST_LINES)]:
            if not line.startswith(" "):
                break
            if not POINTERS.match(line):
                source.append(line.strip())
        at = int(number[1]) if number else None
        yield Frame(
            file=found[1],
            function=(found[2] or "").strip(),
            line=at,
            own=FOREIGN.search(f"{found[1]}:{found[2]}") is None,
            source=tuple((None if place else at, text, True) for place, text in enumerate(source)),
        )


def other(line: str) -> Frame | None:
    """Read one line of a Java or JavaScript stack."""
    found = JAVA.match(line)
    if found:
        function, file = found[1], found[2]
    else:
        found = JAVASCRIPT.match(line)
        if not found:
            return None
        function, file = found[1] or "", found[2]
    at = LINE.search(line)
    return Frame(
        file=file,
        function=function,
        line=int(at[1]) if at else None,
        column=int(at[2]) if at and at[2] else None,
        own=FOREIGN.search(f"{file}:{function}") is None,
    )


# -- stacks that were sent as objects ----------------------------------------------------------------------------------


def of_object(value: Any) -> list[Raised]:
    """Find lists of frames in any object: each a dict with a function or a file, as Sentry's clients send them.

    Those lists are outermost first.
    """
    return [Raised(title=title, frames=frames) for title, frames in lists(value, "", 0)][::-1]


def lists(value: Any, title: str, depth: int) -> Iterator[tuple[str, tuple[Frame, ...]]]:
    if depth > 8:  # noqa: PLR2004  Deeper nothing is looked for.
        return
    if isinstance(value, dict):
        kind, text = value.get("type"), value.get("value", value.get("message"))
        title = ": ".join(part for part in (kind, text) if isinstance(part, str) and part) or title
        for inner in value.values():
            yield from lists(inner, title, depth + 1)
    elif isinstance(value, list):
        frames = tuple(frame for one in value if (frame := sent(one)) is not None)
        if frames:
            yield title, frames[::-1][:MOST_FRAMES]
        else:
            for inner in value:
                yield from lists(inner, title, depth + 1)


def sent(value: Any) -> Frame | None:
    if not isinstance(value, dict):
        return None
    file = first_text(value, "filename", "file", "abs_path", "module")
    function = first_text(value, "function", "name", "method")
    if not file and not function:
        return None
    in_app = value.get("in_app")
    return Frame(
        file=file,
        function=function,
        line=whole(value, "lineno", "line", "line_number"),
        column=whole(value, "colno", "column"),
        own=in_app if isinstance(in_app, bool) else FOREIGN.search(f"{file}:{function}") is None,
        source=tuple(code(value)),
        variables={name: shown(held) for name, held in list((value.get("vars") or {}).items())[:MOST_LINES]}
        if isinstance(value.get("vars"), dict)
        else {},
    )


def code(value: dict[str, Any]) -> Iterator[tuple[int | None, str, bool]]:
    """Yield the lines of source around a frame's own."""
    own, at = value.get("context_line"), whole(value, "lineno", "line")
    before, after = texts(value.get("pre_context"))[-5:], texts(value.get("post_context"))[:5]
    for place, text in enumerate(before, -len(before)):
        yield None if at is None else at + place, text, False
    if isinstance(own, str):
        yield at, own, True
        for place, text in enumerate(after, 1):
            yield None if at is None else at + place, text, False


def texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


def first_text(value: dict[str, Any], *names: str) -> str:
    return next((value[name] for name in names if isinstance(value.get(name), str) and value[name]), "")


def whole(value: dict[str, Any], *names: str) -> int | None:
    found = (value[name] for name in names if isinstance(value.get(name), int) and not isinstance(value[name], bool))
    return next(found, None)


def shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
