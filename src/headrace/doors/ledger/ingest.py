"""Ingest: one log or a batch, on the event loop. What an entry may hold is in `entries`; quotas are core's."""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from headrace.core import keys
from headrace.core.events.append import Accepted, append, give_back, store
from headrace.core.events.fingerprint import fingerprint
from headrace.core.house import House
from headrace.core.idempotency import Ticket
from headrace.core.principal import Principal
from headrace.core.projects import Project
from headrace.core.refusals import Kind, Refusal, invalid
from headrace.core.rules import path_id
from headrace.doors.ledger import auth, shapes
from headrace.doors.ledger.entries import Read, read_good_batch, read_good_single, read_mixed_batch, read_single
from headrace.eventstore.rows import Event
from headrace.wire import express, jsons
from headrace.wire.body import INLINE_BYTES
from headrace.wire.call import Answer, Call
from headrace.wire.door import HotRoute, Swift, Terms
from headrace.wire.repeats import once_beyond

SHOWN_REASONS = 10
# Of metrics.
DOOR = (("door", "ledger"),)


class SingleAccepted(msgspec.Struct):
    accepted: int
    rejected: int
    message: str


class BatchAccepted(msgspec.Struct):
    accepted: int
    rejected: int
    errors: list[str] | None


ENCODE = msgspec.json.Encoder().encode
ONE_ACCEPTED = ENCODE(SingleAccepted(1, 0, "Log accepted for processing"))


async def single(call: Call) -> Answer:
    """Take one log: 202 once it is on disk."""
    project = target(call.house, call.who, call.headers)
    return await once_beyond(call, place(call, project), partial(take_single, call, project), traced=True)


async def batch(call: Call) -> Answer:
    """Take up to 1,000 logs: 202 once the good ones are on disk, with a text for each bad one."""
    project = target(call.house, call.who, call.headers)
    return await once_beyond(call, place(call, project), partial(take_batch, call, project), traced=True)


def place(call: Call, project: Project) -> str:
    return f"{call.path}#{project.project_id}"


def target(house: House, who: Principal, headers: Mapping[bytes, bytes]) -> Project:
    """Return the project that the logs go to: the key's own, or the one that `X-Project-ID` names."""
    named = headers.get(b"x-project-id")
    if named is None:
        if who.project_id is None:
            raise invalid("X-Project-ID", "is required", type="missing", text="X-Project-ID is required")
        return keys.resolved_project(house, who, who.project_id)
    return keys.resolved_project(house, who, path_id(named.decode("latin-1"), "X-Project-ID"))


def read_swiftly(house: House, body: bytes) -> list[Event] | None:
    """Read one log in which all is well."""
    read = read_good_single(body, house.clock(), fingerprint)
    return None if read is None else read.events


def append_swiftly(
    house: House, who: Principal, headers: Mapping[bytes, bytes], events: Sequence[Event]
) -> express.Pending:
    """Hand one log to the durable log; raises a Refusal when it has no room."""
    project = target(house, who, headers)
    accepted = append(house, project, events)
    return express.Pending(accepted.commit, answer_swiftly, lambda: give_back(house, project, accepted))


def answer_swiftly() -> bytes:
    return ONE_ACCEPTED


def budgets_swiftly(house: House, who: Principal, bucket: str) -> express.Budgets:
    return express.Budgets(auth.own(house, who), auth.doubtful(house, bucket))


def count_swiftly(house: House, number: int) -> None:
    house.counters.add("events_accepted_total", DOOR, number)


def decode(body: bytes) -> Any:
    return jsons.decode(body, Any)


async def take_single(call: Call, project: Project, ticket: Ticket | None) -> Answer:
    house = call.house
    read = read_single(call.body, house.clock(), fingerprint, decode)
    if read.rejected:
        text = read.rejected[0][1]
        raise Refusal(Kind.INVALID, f"Invalid log entry: {text}", field="log", rule=text)
    accepted = await store(house, project, read.events, ticket)
    counted(call, accepted, 0)
    return Answer(202, ONE_ACCEPTED)


async def take_batch(call: Call, project: Project, ticket: Ticket | None) -> Answer:
    house = call.house
    read = read_good_batch(call.body, house.clock(), fingerprint)
    if read is None and len(call.body) > INLINE_BYTES:
        # Entry by entry takes milliseconds; they are not everybody's.
        read = await asyncio.to_thread(read_mixed_batch, call.body, house.clock(), fingerprint, decode)
    elif read is None:
        read = read_mixed_batch(call.body, house.clock(), fingerprint, decode)
    return await taken(call, project, read, ticket)


async def taken(call: Call, project: Project, read: Read, ticket: Ticket | None, noun: str = "Log") -> Answer:
    """Store what is good of a batch, and answer with a text for each entry that is not."""
    if not read.events:
        reasons = "; ".join(f"{noun} {place}: {text}" for place, text in read.rejected[:SHOWN_REASONS])
        raise Refusal(Kind.INVALID, f"All logs are invalid: {reasons}", field="logs", rule="all invalid")
    accepted = await store(call.house, project, read.events, ticket)
    rejected = [*read.rejected, *without_quota(read, accepted)]
    counted(call, accepted, len(rejected))
    errors = [f"{noun} {place}: {text}" for place, text in sorted(rejected)] or None
    return Answer(202, ENCODE(BatchAccepted(accepted.rows, len(rejected), errors)))


def without_quota(read: Read, accepted: Accepted) -> list[tuple[int, str]]:
    """Name the good logs for which the day's quota had no room."""
    places = read.places or range(len(read.events))
    return [(place, "Daily quota exceeded") for place in places[accepted.rows :]]


def counted(call: Call, accepted: Accepted, rejected: int) -> None:
    call.house.counters.add("events_accepted_total", DOOR, accepted.rows)
    if rejected:
        call.house.counters.add("events_rejected_total", DOOR, rejected)


HOT = (
    HotRoute(
        method="POST",
        path="/api/v1/ingest/single",
        run=single,
        terms=Terms(credential="KO", action=("logs", "ingest"), body="body_limit_single", creates=True),
        summary="Ingest a single log",
        status=202,
        takes=shapes.Log,
        gives=SingleAccepted,
        tag="Log ingestion",
        swift=Swift(read=read_swiftly, append=append_swiftly, budgets=budgets_swiftly, counted=count_swiftly),
    ),
    HotRoute(
        method="POST",
        path="/api/v1/ingest/batch",
        run=batch,
        terms=Terms(credential="KO", action=("logs", "ingest"), body="body_limit_batch", creates=True),
        summary="Ingest a batch of logs",
        status=202,
        takes=shapes.LogBatch,
        gives=BatchAccepted,
        tag="Log ingestion",
    ),
)
