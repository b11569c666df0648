"""`headrace search`: logs of a running server, over HTTP, as lines or as JSON. Those that arrive: `tail`."""

import re
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from headrace.cli.client import LostError, Target, refused, target, unreachable
from headrace.cli.screen import Misuse, as_json, harmless, is_terminal, note, say
from headrace.kit import clock, times

PATH = "/api/v1/logs"
OK = 200
PAGE = 1000
AGO = re.compile(r"([0-9]{1,9})([smhdw])")
UNITS = {"s": times.SECOND, "m": times.MINUTE, "h": times.HOUR, "d": times.DAY, "w": 7 * times.DAY}
COLOURS = {"debug": "dim", "info": "green", "warning": "yellow", "error": "red", "critical": "bold white on red"}
# What a line already says elsewhere, or what only programs want.
SHOWN_ELSEWHERE = frozenset(
    {"id", "project_id", "timestamp", "ingested_at", "level", "message", "attributes", "stack_trace"}
) | {"error_fingerprint", "log_type", "importance"}


def run(given: Namespace) -> int:
    where = target(given)
    wanted = asked(given, where.project_id)
    found = 0
    for log in pages(where, wanted, given.limit):
        show(log, given.json)
        found += 1
    if not found and not given.json:
        note("nothing found")
    return 0


def asked(given: Namespace, project_id: int) -> dict[str, Any]:
    """Return the parameters of a search: project, query and period."""
    query, now = " ".join(given.query), clock.now()
    wanted: dict[str, Any] = {"project_id": project_id} | ({"q": query} if query else {})
    if given.since or given.until:
        # The API takes both ends or none.
        wanted["periodFrom"] = times.show(moment(given.since, now, "--from") if given.since else times.FIRST)
        wanted["periodTo"] = times.show(moment(given.until, now, "--to") if given.until else times.LAST)
    return wanted


def moment(text: str, now: int, flag: str) -> int:
    """Read a time: ISO 8601, `now`, or how long ago (`15m`, `2h`, `7d`). Microseconds."""
    ago = AGO.fullmatch(text)
    if ago:
        return max(now - int(ago[1]) * UNITS[ago[2]], times.FIRST)
    if text == "now":
        return now
    try:
        return times.parse(text)
    except ValueError as problem:
        raise Misuse(
            f"{flag} must be a time like 2026-01-31T08:00:00Z, or 15m, 2h, 7d ago, and is {text!r}"
        ) from problem


def pages(where: Target, wanted: Mapping[str, Any], most: int) -> Iterator[dict[str, Any]]:
    """Yield logs, newest first, over as many pages as `most` needs."""
    query = dict(wanted)
    while most > 0:
        query["limit"] = min(most, PAGE)
        try:
            answer = where.client.ask("GET", PATH, query=query)
        except LostError as problem:
            raise unreachable(where.client, problem) from problem
        if answer.status != OK:
            raise refused(answer, where.client)
        page = answer.json()
        yield from page["logs"]
        most -= len(page["logs"])
        if not page["next_cursor"]:
            return
        query["cursor"] = page["next_cursor"]


def show(log: Mapping[str, Any], json: bool) -> None:  # noqa: FBT001  One switch, passed on as given.
    if json:
        as_json(log)
        return
    message = log.get("message") or log.get("error_message") or log.get("error_type") or ""
    facts = {name: value for name, value in log.items() if name not in SHOWN_ELSEWHERE and value is not None}
    facts |= log.get("attributes") or {}
    tail = " ".join(f"{name}={_short(value)}" for name, value in facts.items() if value != message)
    when, level = str(log["timestamp"]), str(log["level"])
    if is_terminal(sys.stdout):
        _coloured(when, level, harmless(message), harmless(tail))
    else:
        say(f"{when} {level:<8} {harmless(message)}" + (f"  {harmless(tail)}" if tail else ""))


def _short(value: Any) -> str:
    import msgspec

    return value if isinstance(value, str) and " " not in value else msgspec.json.encode(value).decode()


def _coloured(when: str, level: str, message: str, tail: str) -> None:
    from rich.console import Console
    from rich.text import Text

    parts: list[str | tuple[str, str]] = [
        (when, "dim"),
        " ",
        (f"{level:<8}", COLOURS.get(level, "")),
        " ",
        message,
        (f"  {tail}" if tail else "", "dim"),
    ]
    Console(highlight=False, soft_wrap=True).print(Text.assemble(*parts))
