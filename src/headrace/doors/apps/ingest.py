"""Ingest: one event, on the event loop. Quotas are core's."""

import sys
from datetime import timedelta
from typing import get_args

from headrace.core import keys
from headrace.core.events.append import store
from headrace.core.events.attributes import raw_attributes
from headrace.core.events.fingerprint import fingerprint
from headrace.core.events.stacks import frames, stored
from headrace.core.idempotency import Ticket
from headrace.core.projects import Project
from headrace.core.refusals import invalid
from headrace.core.rules import choice, moment
from headrace.doors.apps import shapes
from headrace.doors.apps.applications import path_id
from headrace.eventstore.ids import public_id
from headrace.eventstore.rows import NO_ATTRIBUTES, Level, MarkedEvent
from headrace.kit import times
from headrace.wire import jsons
from headrace.wire.call import Answer, Call, answer
from headrace.wire.door import HotRoute, Terms
from headrace.wire.repeats import once_beyond

# A clock this far ahead is wrong. The event counts as of its arrival, or it would be the newest for as long.
MOST_AHEAD = 10 * times.MINUTE
ORIGINAL = "ts_original"
LEVELS: dict[str, Level] = {level.upper(): level for level in get_args(Level)}


async def take(call: Call) -> Answer:
    """Take one event: 201 once it is on disk."""
    project_id = path_id(call)
    if project_id is None:
        rule = "must be a positive integer"
        raise invalid("app_id", rule, text=f"app_id {rule}")
    project = keys.resolved_project(call.house, call.who, project_id)
    return await once_beyond(call, f"events#{project_id}", lambda ticket: keep(call, project, ticket), traced=True)


async def keep(call: Call, project: Project, ticket: Ticket | None) -> Answer:
    house = call.house
    event = marked(jsons.decode(call.body, shapes.NewEvent), house.clock())
    accepted = await store(house, project, [event], ticket)
    house.counters.add("events_accepted_total", (("door", "apps"),))
    ts = event.ts or (event.timestamp - times.EPOCH) // times.MICROSECOND
    taken = shapes.Taken(
        id=public_id(ts, accepted.first_id),
        application_id=project.project_id,
        received_at=times.show(accepted.received_at),
    )
    return answer(201, taken)


def marked(sent: shapes.NewEvent, now: int) -> MarkedEvent:
    """Turn what was sent into an event of the store, with its error group. A time it cannot be of is kept as a tag."""
    ts, tags = moment(sent.occurred_at, "occurred_at"), sent.tags
    if ts > now + MOST_AHEAD:
        ts, tags = now, {**(tags or {}), ORIGINAL: sent.occurred_at}
    message = sent.message.replace("\0", "")
    if not message:
        raise invalid("message", "must be 1-10000 characters")
    plain = ts >= 0  # Before 1970 the engine's calendar may wrap; such times travel as numbers.
    event = MarkedEvent(
        timestamp=times.EPOCH + timedelta(microseconds=ts) if plain else times.EPOCH,
        ts=0 if plain else ts,
        level=LEVELS[choice(sent.level, "level", LEVELS)],
        message=message,
        # The body's limit is theirs too: attributes of one event are no larger than its body.
        attributes=NO_ATTRIBUTES if tags is None else raw_attributes(tags, sys.maxsize),
    )
    if sent.stack is not None:
        event.stack_trace = frames(sent.stack)
        event.fingerprint = fingerprint(event)
        event.stack_trace = stored(sent.stack)
    return event


HOT = (
    HotRoute(
        method="POST",
        path="/apps/{app_id}/events",
        run=take,
        terms=Terms(credential="I", body="body_limit_single", creates=True, errors=(403,)),
        summary="Ingest an event",
        status=201,
        takes=shapes.NewEvent,
        gives=shapes.Taken,
        tag="events",
    ),
)
