"""Fingerprints: which error group an event belongs to. The rule is the contract's chapter on queries, in versions.

A version is never changed once events carry its fingerprints; a new one gets the next number. The fold asks what an
older version would have said before it makes a group of a fingerprint it does not know.
"""

import hashlib
import re
from functools import lru_cache
from typing import Any, Protocol

import msgspec

VERSION = 2

# Linear for any text: what stands unquoted is looked for once between two delimiters, and nothing is tried twice.
PYTHON = re.compile(r'(?:(?:(?<=[",\n])|\A)(?>[^",\n]*?File )|(?<=File )")([^",\n]++)"?, line \d+(?:, in ([^\n]+))?')
JAVASCRIPT = re.compile(
    r"^[ \t]*at (?:async )?(?:([^\s(]+) \()?((?:[a-z]+:/+|/|[A-Za-z]:\\|\.|[\w@])[^\s()]*?):\d+:\d+\)?$", re.MULTILINE
)
JAVA = re.compile(r"^[ \t]*at ([\w$.<>]+)\(([^():]+)(?::\d+)?\)$", re.MULTILINE)
LIBRARIES = r"site-packages|dist-packages|/lib/python\d|<frozen |node_modules|node:|^internal/"
# Which frames, as `file:function`, are a library's. The first version did not see those of Java.
FOREIGN_BY_VERSION = {
    1: re.compile(rf"{LIBRARIES}|^(?:java|javax|jdk|sun|kotlin)\."),
    2: re.compile(rf"{LIBRARIES}|(?:^|:)(?:java|javax|jdk|sun|kotlin)\."),
}
FOREIGN = FOREIGN_BY_VERSION[VERSION]
HEX_AND_DIGITS = r"0[xX][0-9a-fA-F]+|\b[0-9a-fA-F]{8,}\b|\b[0-9a-fA-F]{4,}(?:-[0-9a-fA-F]{4,})+\b|\d+"
# What stands before each part keeps the search linear: a run of letters is tried from its first alone.
EMAIL = r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+"
IPV6 = r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])"
VARYING = {
    1: re.compile(HEX_AND_DIGITS),
    2: re.compile(f"{EMAIL}|{IPV6}|{HEX_AND_DIGITS}"),
}

INNERMOST = 3
REMEMBERED = 10_000
# Of a fingerprint that the sender chose.
MOST_PARTS, LONGEST_PART = 20, 200
DEFAULT = "{{ default }}"
DEFAULTS = frozenset({DEFAULT, "{{default}}"})


class Grouped(Protocol):
    """What of an event goes into its fingerprint."""

    @property
    def error_type(self) -> str | None: ...
    @property
    def error_message(self) -> str | None: ...
    @property
    def message(self) -> str | None: ...
    @property
    def stack_trace(self) -> str | None: ...
    @property
    def platform(self) -> str | None: ...
    @property
    def attributes(self) -> msgspec.Raw: ...


class Event(Grouped, Protocol):
    """And what decides whether it has one."""

    @property
    def log_type(self) -> str: ...
    @property
    def level(self) -> str: ...


class Reason(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went into a fingerprint. `kind`: frames, message, or custom (the sender chose `parts`)."""

    version: int
    kind: str
    error_type: str
    platform: str
    parts: list[str]


class Chosen(msgspec.Struct):
    fingerprint: Any = None


CHOSEN = msgspec.json.Decoder(Chosen)


def fingerprint(event: Event) -> str:
    """Return the event's group as 64 hex digits, or empty when it belongs to none.

    Grouped are exceptions, and errors that carry a type or a stack.
    """
    if event.log_type != "exception" and (
        event.level not in {"error", "critical"} or (event.error_type is None and event.stack_trace is None)
    ):
        return ""
    return of(event)


def of(event: Grouped, version: int = VERSION) -> str:
    """Return the fingerprint of an event that is grouped, as this version makes it."""
    parts = chosen(event.attributes)
    if parts is None:
        return digest(event.error_type or "", event.platform or "unknown", place_or_message(event, version)[1])
    return digest("custom", "", "\0".join(expanded(parts, event, version)))


def reason(event: Grouped, version: int = VERSION) -> Reason:
    """Say what `of` took."""
    parts = chosen(event.attributes)
    if parts is None:
        kind, what = place_or_message(event, version)
        shown = what.split("\n") if kind == "frames" else [what]
    else:
        kind, shown = "custom", expanded(parts, event, version)
    return Reason(
        version=version,
        kind=kind,
        error_type=event.error_type or "",
        platform=event.platform or "unknown",
        parts=shown,
    )


def place_or_message(event: Grouped, version: int) -> tuple[str, str]:
    where = place(event.stack_trace, version) if event.stack_trace else ""
    if where:
        return "frames", where
    return "message", VARYING[version].sub("#", event.error_message or event.message or "")


def chosen(attributes: msgspec.Raw) -> list[str] | None:
    """Return the fingerprint that the sender chose: `attributes.fingerprint`, a list of texts and numbers."""
    raw = bytes(attributes)
    if b'"fingerprint"' not in raw:
        return None
    try:
        sent = CHOSEN.decode(raw).fingerprint
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(sent, list):
        return None
    parts = [str(part)[:LONGEST_PART] for part in sent[:MOST_PARTS] if isinstance(part, str | int | float)]
    return parts if parts and parts not in ([DEFAULT], ["{{default}}"]) else None


def expanded(parts: list[str], event: Grouped, version: int) -> list[str]:
    """Put the fingerprint by the rule where the sender wrote `{{ default }}`."""
    if DEFAULTS.isdisjoint(parts):
        return parts
    own = [event.error_type or "", event.platform or "unknown", place_or_message(event, version)[1]]
    return [text for part in parts for text in (own if part in DEFAULTS else [part])]


@lru_cache(maxsize=REMEMBERED)
def digest(error_type: str, platform: str, what: str) -> str:
    return hashlib.sha256(f"{error_type}\0{platform}\0{what}".encode()).hexdigest()


@lru_cache(maxsize=REMEMBERED)
def place(stack_trace: str, version: int) -> str:
    """Return the three innermost in-app frames as `file:function` lines, innermost first; empty without frames."""
    frames = frames_of(stack_trace)
    foreign = FOREIGN_BY_VERSION[version]
    own = [frame for frame in frames if foreign.search(frame) is None]
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
