"""Fingerprints: which error group an event belongs to. The rule is the contract's chapter on queries."""

import hashlib
import re
from functools import lru_cache

from headrace.eventstore.rows import Event

PYTHON = re.compile(r'File "?([^",\n]+)"?, line \d+(?:, in ([^\n]+))?')
JAVASCRIPT = re.compile(
    r"^[ \t]*at (?:async )?(?:([^\s(]+) \()?((?:[a-z]+:/+|/|[A-Za-z]:\\|\.|[\w@])[^\s()]*?):\d+:\d+\)?$", re.MULTILINE
)
JAVA = re.compile(r"^[ \t]*at ([\w$.<>]+)\(([^():]+)(?::\d+)?\)$", re.MULTILINE)
FOREIGN = re.compile(
    r"site-packages|dist-packages|/lib/python\d|<frozen |node_modules|node:|^internal/|^(?:java|javax|jdk|sun|kotlin)\."
)
VARYING = re.compile(r"0[xX][0-9a-fA-F]+|\b[0-9a-fA-F]{8,}\b|\b[0-9a-fA-F]{4,}(?:-[0-9a-fA-F]{4,})+\b|\d+")

INNERMOST = 3
REMEMBERED = 10_000


def fingerprint(event: Event) -> str:
    """Return the event's group as 64 hex digits, or empty when it belongs to none.

    Grouped are exceptions, and errors that carry a type or a stack.
    """
    if event.log_type != "exception" and (
        event.level not in {"error", "critical"} or (event.error_type is None and event.stack_trace is None)
    ):
        return ""
    where = place(event.stack_trace) if event.stack_trace else ""
    what = where or VARYING.sub("#", event.error_message or event.message or "")
    return digest(event.error_type or "", event.platform or "unknown", what)


@lru_cache(maxsize=REMEMBERED)
def digest(error_type: str, platform: str, what: str) -> str:
    return hashlib.sha256(f"{error_type}\0{platform}\0{what}".encode()).hexdigest()


@lru_cache(maxsize=REMEMBERED)
def place(stack_trace: str) -> str:
    """Return the three innermost in-app frames as `file:function` lines, innermost first; empty without frames."""
    frames = frames_of(stack_trace)
    own = [frame for frame in frames if FOREIGN.search(frame) is None]
    return "\n".join((own or frames)[:INNERMOST])


def frames_of(stack_trace: str) -> list[str]:
    """Read the frames of a Python, JavaScript or Java stack, innermost first, without line numbers."""
    python = [f"{file}:{(function or '').strip()}" for file, function in PYTHON.findall(stack_trace)]
    if python:
        return python[::-1]
    java = [f"{file}:{function}" for function, file in JAVA.findall(stack_trace)]
    if java:
        return java
    return [f"{file}:{function}" for function, file in JAVASCRIPT.findall(stack_trace)]
