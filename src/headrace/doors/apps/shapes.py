"""What this door reads and writes, field for field as the document shows it; and how a stored event looks here."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from headrace.core.projects import Project
from headrace.eventstore.ids import public_id
from headrace.eventstore.queries import EventRow
from headrace.kit import times
from headrace.wire.moments import Time

Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]


class NewApp(msgspec.Struct, kw_only=True):
    id: int
    name: str
    ingest_key: str
    created_at: Time


class App(msgspec.Struct, kw_only=True):
    id: int
    name: str
    created_at: Time


class NewEvent(msgspec.Struct, kw_only=True, gc=False):
    """An event as it is sent."""

    occurred_at: Time
    level: Annotated[str, Meta(extra_json_schema={"enum": list(get_args(Level))})]
    message: Annotated[str, Meta(min_length=1, max_length=10_000)]
    stack: dict[str, Any] | None = None
    tags: dict[str, Any] | None = None


class Taken(msgspec.Struct, kw_only=True, gc=False):
    id: str
    application_id: int
    received_at: Time


class Event(msgspec.Struct, kw_only=True):
    """An event as it is shown; `stack` and `tags` only when they were given."""

    id: str
    application_id: int
    occurred_at: Time
    received_at: Time
    level: str
    message: str
    stack: Any = UNSET
    tags: dict[str, Any] | UnsetType = UNSET


class EventPage(msgspec.Struct, kw_only=True):
    items: Sequence[Event]
    next_offset: int | None


class Bucket(msgspec.Struct, kw_only=True):
    bucket_start: Time
    count: int


class Timeseries(msgspec.Struct, kw_only=True):
    interval: str
    since: Time
    until: Time
    series: Sequence[Bucket]


class LevelCount(msgspec.Struct, kw_only=True):
    level: str
    count: int


class ByLevel(msgspec.Struct, kw_only=True):
    since: Time
    until: Time
    items: Sequence[LevelCount]


class MessageCount(msgspec.Struct, kw_only=True):
    message: str
    count: int
    last_seen: Time


class TopMessages(msgspec.Struct, kw_only=True):
    limit: int
    items: Sequence[MessageCount]


def app(project: Project) -> App:
    return App(id=project.project_id, name=project.app_name, created_at=times.show(project.created_at))


def event(row: EventRow) -> Event:
    """Show a stored event, also one that came in as a log: it may have no message."""
    said = (row.message, row.error_message, row.error_type)
    return Event(
        id=public_id(row.ts, row.id),
        application_id=row.project,
        occurred_at=times.show(row.ts),
        received_at=times.show(row.received_at),
        level=row.level.upper(),
        message=next((text for text in said if text is not None), ""),
        stack=stack(row),
        tags=UNSET if row.attributes is None else row.attributes,
    )


def stack(row: EventRow) -> Any:
    """Return the object that was sent as `stack`, or a log's stack trace as one."""
    if row.stack_trace is None:
        return UNSET
    return msgspec.Raw(row.stack_trace.encode()) if row.stack_is_object else {"trace": row.stack_trace}
