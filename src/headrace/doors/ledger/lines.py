"""Logs as other programs send them: lines of JSON, an array, one object, under names of their own. Good ones are kept.

What a name means, the import of files knows too (`eventstore.foreign`). A log without a level is `info`, one without a
time has that of its arrival: shippers add neither to a bare line.
"""

import asyncio
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from headrace.core.events.fingerprint import fingerprint
from headrace.core.idempotency import Ticket
from headrace.core.projects import Project
from headrace.core.refusals import Kind, Refusal, invalid
from headrace.doors.ledger.entries import ENUMS, Read, listed, read_entries, read_good_batch, utf8
from headrace.doors.ledger.ingest import BatchAccepted, decode, place, taken, target
from headrace.eventstore.foreign import FIELDS, BadLineError, Rules, as_log
from headrace.kit import times
from headrace.kit.json_text import repair
from headrace.wire import jsons
from headrace.wire.body import INLINE_BYTES
from headrace.wire.call import Answer, Call
from headrace.wire.door import HotRoute, Terms
from headrace.wire.repeats import once_beyond

MOST_LINES = 10_000
MEDIA = frozenset(
    {
        *("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonl"),
        *("application/jsonlines", "application/x-jsonlines", "application/stream+json"),
    }
)
LEVELS = ENUMS["level"]


async def lines(call: Call) -> Answer:
    """Take up to 10,000 logs: 202 once the good ones are on disk, with a text for each bad one.

    `map=timestamp=when,message=event.text` names fields that are called otherwise, `level` the level of those without.
    """
    project = target(call.house, call.who, call.headers)
    rules = rules_of(call)
    return await once_beyond(call, place(call, project), partial(take, call, project, rules), traced=True)


def rules_of(call: Call) -> Rules:
    given = dict(parse_qsl(call.scope["query_string"].decode("latin-1"), keep_blank_values=True))
    level = given.get("level", "info")
    if level not in LEVELS:
        raise invalid("level", f"must be one of {', '.join(LEVELS)}")
    names: dict[str, str] = {}
    for pair in filter(None, given.get("map", "").split(",")):
        field, _, source = (part.strip() for part in pair.partition("="))
        if field not in FIELDS or not source:
            raise invalid("map", f"must be like timestamp=when,message=text, of {', '.join(sorted(FIELDS))}")
        names[field] = source
    return Rules(names, times.show(call.house.clock()), level)


async def take(call: Call, project: Project, rules: Rules, ticket: Ticket | None) -> Answer:
    work = partial(read, call.body, rules, call.house.clock())
    noun, found = await asyncio.to_thread(work) if len(call.body) > INLINE_BYTES else work()
    return await taken(call, project, found, ticket, noun)


def read(body: bytes, rules: Rules, now: int) -> tuple[str, Read]:
    """Read each log; return what its place counts, too. Raises a refusal when there are none."""
    places: list[int] = []
    logs: list[bytes] = []
    rejected: list[tuple[int, str]] = []
    noun, entries = split(utf8(body))
    for at, text in entries:
        try:
            logs.append(as_log(text, rules))
        except BadLineError as problem:
            rejected.append((at, str(problem)))
        else:
            places.append(at)
    if not logs and not rejected:
        raise invalid("body", "must hold at least one log")
    joined = b'{"logs":[' + b",".join(logs) + b"]}"
    found = read_good_batch(joined, now, fingerprint, most=MOST_LINES)
    if found is None:
        found = read_entries(logs, now, fingerprint, decode) if logs else Read([], [], [])
    kept = places if found.places is None else [places[at] for at in found.places]
    return noun, Read(found.events, kept, [*rejected, *((places[at], text) for at, text in found.rejected)])


def split(body: bytes) -> tuple[str, list[tuple[int, bytes]]]:
    """Return each entry with its place: a Log of an array or `{"logs": [...]}` from 0 on, or a Line from 1 on."""
    start = body[:64].lstrip()
    try:
        if start[:1] == b"[":
            return "Log", list(enumerate(bounded(array(body))))
        if start[:1] == b"{" and (whole := one(body)) is not None:
            return "Log", whole
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise jsons.malformed() from None
    found = body.split(b"\n", MOST_LINES)
    bounded(found if found[-1].strip() else found[:-1])
    return "Line", [(at, line) for at, line in enumerate(found, 1) if line.strip()]


def array(text: bytes | msgspec.Raw) -> list[bytes]:
    try:
        return mended(bytes(text))
    except RecursionError:
        # One entry is deeper than the decoder goes; the others are not to suffer for it.
        return mended(jsons.pruned(bytes(text)))


def mended(text: bytes) -> list[bytes]:
    try:
        return listed(text, MOST_LINES)
    except msgspec.DecodeError:
        return listed(repair(text), MOST_LINES)


def one(body: bytes) -> list[tuple[int, bytes]] | None:
    """Read a body that is one object, on one line or many: a log, or the batch of the other route. None: it is not."""
    try:
        found = WHOLE.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    if isinstance(found.logs, msgspec.Raw) and bytes(found.logs)[:1] == b"[":
        return list(enumerate(bounded(array(found.logs))))
    return [(0, body)]


def bounded(entries: list[Any]) -> list[Any]:
    if len(entries) > MOST_LINES:
        raise Refusal(Kind.INVALID, f"Body exceeds maximum of {MOST_LINES} logs", field="body", rule="too long")
    return entries


class Whole(msgspec.Struct, gc=False):
    logs: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


WHOLE = msgspec.json.Decoder(Whole)

HOT = (
    HotRoute(
        method="POST",
        path="/api/v1/ingest/lines",
        run=lines,
        terms=Terms(credential="KO", action=("logs", "ingest"), body="body_limit_batch", creates=True, media=MEDIA),
        summary="Ingest lines of JSON as other programs write them",
        status=202,
        takes=dict[str, Any] | list[dict[str, Any]],
        gives=BatchAccepted,
        asked={
            "map": "Fields that are called otherwise: `timestamp=when,message=event.text`.",
            "level": "The level of logs that have none; `info` by itself.",
        },
        tag="Log ingestion",
    ),
)
