"""Quarantine: events of a segment that the engine cannot read are set aside with the reason; the others are stored.

Which they are is found by halving: first groups (lines), then events of a bad group. The same segment gives the same
parts each time, so that each step may be repeated after a crash.
"""

import functools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from headrace.eventstore import schema
from headrace.eventstore.engine import Engine, EngineError
from headrace.eventstore.segments import Segment

log = logging.getLogger(__name__)

RAW_BYTES = 65_536  # Of a bad event, kept to look at.

# The engine in trouble says nothing about the text it reads: space, memory, time, cancelled, network, file missing.
ENVIRONMENT = frozenset({None, 241, 243, 159, 160, 394, 209, 210, 107, 74, 75, 76, 202, 999})


class RawGroup(msgspec.Struct):
    rows: int
    tenant: int
    project: int
    received_at: int
    retention_days: int
    first_id: int
    events: list[msgspec.Raw]


class Bad(msgspec.Struct, array_like=True):
    """One event, or one line that is no group, which was set aside. `id` is 0 for a line."""

    tenant: int
    project: int
    received_at: int
    id: int
    segment: str
    reason: str
    raw: str


INSERT = "INSERT INTO quarantine SELECT * FROM {source}"
COLUMNS = "tenant, project, received_at, id, segment, reason, raw"


def problem_of(engine: Engine, path: Path) -> str | None:
    """Return why the engine cannot read the file, or None. Raises EngineError when the engine itself is in trouble."""
    try:
        engine.read_segment(path)
    except EngineError as problem:
        if problem.code in ENVIRONMENT:
            raise
        return str(problem)
    return None


def readable(engine: Engine, path: Path) -> bool:
    return problem_of(engine, path) is None


def sift(engine: Engine, segment: Segment) -> int:
    """Store the good events of an unreadable segment, set the others aside; returns how many were set aside."""
    scratch = segment.path.with_suffix(".sift")
    try:
        probe = functools.partial(problem_with, engine, scratch)
        # A line that is no group does not say when it arrived; where no other does, it counts as arrived now.
        good, bad = parts(segment, probe, segment.first_day or engine.clock())
        if good:
            scratch.write_bytes(b"".join(good))
            engine.insert_segment(scratch, token=f"{segment.name}.r")
        if bad:
            scratch.write_bytes(b"".join(msgspec.json.encode(as_object(one)) + b"\n" for one in bad))
            engine.insert_file(scratch, INSERT, schema.QUARANTINE_STRUCTURE, token=f"{segment.name}.q")
    finally:
        scratch.unlink(missing_ok=True)
    log.error("Segment %s: %d events went to the quarantine", segment.name, len(bad))
    return len(bad)


def as_object(one: Bad) -> dict[str, object]:
    return {name: getattr(one, name) for name in Bad.__struct_fields__}


def problem_with(engine: Engine, scratch: Path, lines: Sequence[bytes]) -> str | None:
    scratch.write_bytes(b"".join(lines))
    return problem_of(engine, scratch)


Probe = Callable[[Sequence[bytes]], str | None]


def parts(segment: Segment, probe: Probe, arrived: int) -> tuple[list[bytes], list[Bad]]:
    """Return the readable lines of a segment and what was taken out of it; `arrived` is for lines that do not say."""
    good: list[bytes] = []
    bad: list[Bad] = []
    lines = segment.path.read_bytes().splitlines(keepends=True)
    for line, reason in halved(lines, probe):
        if reason is None:
            good.append(line)
            continue
        try:
            group = msgspec.json.decode(line, type=RawGroup)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            bad.append(Bad(0, 0, arrived, 0, segment.name, f"not a group of events: {reason}", shown(line)))
            continue
        ones = [single(group, number) for number in range(len(group.events))]
        for number, (one, why) in enumerate(halved(ones, probe)):
            if why is None:
                good.append(one)
            else:
                raw = shown(bytes(group.events[number]))
                event_id = group.first_id + number
                bad.append(Bad(group.tenant, group.project, group.received_at, event_id, segment.name, why, raw))
    return good, bad


def single(group: RawGroup, number: int) -> bytes:
    """Return a group line of one event of `group`, with the event's own id."""
    fields = {"rows": 1, "first_id": group.first_id + number, "events": [group.events[number]]}
    return msgspec.json.encode(msgspec.structs.replace(group, **fields)) + b"\n"


def halved(lines: list[bytes], probe: Probe) -> list[tuple[bytes, str | None]]:
    """Return each line with why it cannot be read, or None, in order."""
    reason = probe(lines)
    if reason is None:
        return [(line, None) for line in lines]
    if len(lines) == 1:
        return [(lines[0], reason)]
    middle = len(lines) // 2
    return halved(lines[:middle], probe) + halved(lines[middle:], probe)


def shown(raw: bytes) -> str:
    return raw[:RAW_BYTES].decode(errors="replace").replace("\0", "\N{SYMBOL FOR NULL}")


def listed(engine: Engine, tenant: int, project: int, limit: int = 100) -> list[Bad]:
    """Return what was set aside of a project, newest first."""
    params = {"tenant": tenant, "project": project, "limit": limit}
    where = "tenant = {tenant:UInt32} AND project = {project:UInt32}"
    sql = f"SELECT {COLUMNS} FROM quarantine WHERE {where} ORDER BY received_at DESC, id DESC LIMIT {{limit:UInt32}}"
    return engine.query(sql, params, row=Bad)
