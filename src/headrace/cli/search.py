"""`headrace search` and `headrace tail`: logs of a running server, over HTTP, as lines or as JSON."""

import re
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from headrace.cli.client import LostError, Target, refused, target, unreachable
from headrace.cli.screen import Misuse, as_json, harmless, is_terminal, note, say
from headrace.kit import clock, times

PATH = "/api/v1/logs"
OK = 200
PASSING = frozenset({429, 500, 502, 503, 504})
PAGE = 1000
AGO = re.compile(r"([0-9]{1,9})([smhdw])")
UNITS = {"s": times.SECOND, "m": times.MINUTE, "h": times.HOUR, "d": times.DAY, "w": 7 * times.DAY}
POLL_SECONDS = 1.0
# Logs become searchable in the order of their segments, a little out of the order of their arrival.
OVERLAP = 2 * times.SECOND
MOST_AT_ONCE = 10 * PAGE
COLOURS = {"debug": "dim", "info": "green", "warning": "yellow", "error": "red", "critical": "bold white on red"}
# What a line already says elsewhere, or what only programs want.
SHOWN_ELSEWHERE = frozenset(
    {"id", "project_id", "timestamp", "ingested_at", "level", "message", "attributes", "stack_trace"}
) | {"error_fingerprint", "log_type", "importance"}


def run(given: Namespace) -> int:
    where = target(given)
    query = " ".join(given.query)
    if given.verb == "tail":
        return _tail(where, query, given)
    now = clock.now()
    wanted: dict[str, Any] = {"project_id": where.project_id} | ({"q": query} if query else {})
    if given.since or given.until:
        # The API takes both ends or none.
        wanted["periodFrom"] = times.show(moment(given.since, now, "--from") if given.since else times.FIRST)
        wanted["periodTo"] = times.show(moment(given.until, now, "--to") if given.until else times.LAST)
    found = 0
    for log in _pages(where, wanted, given.limit):
        _print(log, given.json)
        found += 1
    if not found and not given.json:
        note("nothing found")
    return 0


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


def _pages(where: Target, wanted: Mapping[str, Any], most: int) -> Iterator[dict[str, Any]]:
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


def _tail(where: Target, query: str, given: Namespace) -> int:
    """Print the latest logs, then those that arrive, until Ctrl-C or until nobody reads.

    Only the server's times are compared: this machine's clock may be wrong.
    """
    wanted: dict[str, Any] = {"project_id": where.project_id} | ({"q": query} if query else {})
    latest = list(_pages(where, wanted, max(given.lines, 1)))
    seen = {log["id"]: _arrival(log) for log in latest}
    newest = max(seen.values(), default=OVERLAP)
    # What arrived before the newest of them is no news, though it was not among the latest lines.
    seen |= {log["id"]: _arrival(log) for log in _since(where, wanted, newest)[0] if _arrival(log) <= newest}
    for log in reversed(latest[: given.lines]):
        _print(log, given.json)
    told = ""
    while True:
        trouble = ""
        logs: list[dict[str, Any]] = []
        try:
            logs, is_whole = _since(where, wanted, newest)
        except ConnectionError as problem:
            trouble = f"{problem}; trying again until it is back"
        else:
            logs = [log for log in logs if log["id"] not in seen]
            if logs and not is_whole:
                trouble = f"more than {MOST_AT_ONCE:,} logs at once; some are left out. A narrower query shows all"
        if trouble and trouble != told:
            note(trouble)
        told = trouble
        for log in sorted(logs, key=_order):
            _print(log, given.json)
            seen[log["id"]] = _arrival(log)
        newest = max([newest, *seen.values()])
        seen = {key: arrival for key, arrival in seen.items() if arrival >= newest - OVERLAP}
        time.sleep(POLL_SECONDS)


def _since(where: Target, wanted: Mapping[str, Any], newest: int) -> tuple[list[dict[str, Any]], bool]:
    """Everything that arrived since shortly before `newest`, and whether it is all of it.

    ConnectionError while the server is away or busy.
    """
    query = {**wanted, "receivedFrom": times.show(newest - OVERLAP), "limit": PAGE}
    logs: list[dict[str, Any]] = []
    while len(logs) < MOST_AT_ONCE:
        try:
            answer = where.client.ask("GET", PATH, query=query)
        except LostError as problem:
            raise ConnectionError(f"cannot reach {where.client.url}: {problem}") from problem
        if answer.status in PASSING:
            raise ConnectionError(f"{where.client.url} answered {answer.status}: {answer.detail}")
        if answer.status != OK:
            raise refused(answer, where.client)
        page = answer.json()
        logs += page["logs"]
        if not page["next_cursor"]:
            return logs, True
        query["cursor"] = page["next_cursor"]
    return logs, False


def _arrival(log: Mapping[str, Any]) -> int:
    return times.parse(log["ingested_at"])


def _order(log: Mapping[str, Any]) -> tuple[int, int]:
    return _arrival(log), times.parse(log["timestamp"])


def _print(log: Mapping[str, Any], json: bool) -> None:  # noqa: FBT001  One switch, passed on as given.
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
