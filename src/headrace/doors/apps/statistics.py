"""Statistics of an application: counts over time, by level, by message."""

from typing import Annotated, Literal

from litestar import get
from litestar.di import Provide
from litestar.params import QueryParameter

from headrace.core import events
from headrace.doors.apps import shapes
from headrace.doors.apps.applications import Id, existing
from headrace.doors.apps.listing import READ
from headrace.doors.apps.parameters import Asked, last_day, span, span_of_level
from headrace.kit import times
from headrace.wire.door import Incoming, terms

TAGS = ["statistics"]
ANY_LEVEL = {"asked": Provide(span, sync_to_thread=False)}
OF_LEVEL = {"asked": Provide(span_of_level, sync_to_thread=False)}
SECONDS = {"hour": 3600, "day": 86_400}
Interval = Annotated[Literal["HOUR", "DAY", "hour", "day"], QueryParameter(description="Width of a bucket, in UTC.")]
Top = Annotated[int, QueryParameter(ge=1, le=100, description="Most messages to return.")]


@get(
    "/apps/{app_id:str}/stats/timeseries",
    dependencies=OF_LEVEL,
    opt=terms("M", READ, errors=(403,)),
    tags=TAGS,
    sync_to_thread=True,
)
def timeseries(call: Incoming, app_id: Id, asked: Asked, interval: Interval = "HOUR") -> shapes.Timeseries:
    """Count events per hour or day; empty buckets are left out."""
    project = existing(call, app_id)
    day, since, until = last_day(asked, call.house.clock())
    found = events.histogram(
        call.house,
        call.who,
        project_id=project.project_id,
        filters=day.filters(),
        interval=SECONDS[interval.lower()],
        time=day.column,
    )
    series = [shapes.Bucket(bucket_start=times.show(one.start), count=one.rows) for one in found]
    return shapes.Timeseries(interval=interval, since=times.show(since), until=times.show(until), series=series)


@get(
    "/apps/{app_id:str}/stats/by-level",
    dependencies=ANY_LEVEL,
    opt=terms("M", READ, errors=(403,)),
    tags=TAGS,
    sync_to_thread=True,
)
def by_level(call: Incoming, app_id: Id, asked: Asked) -> shapes.ByLevel:
    """Count events by level, most first; levels without events are left out."""
    project = existing(call, app_id)
    day, since, until = last_day(asked, call.house.clock())
    found = events.counts(call.house, call.who, project_id=project.project_id, filters=day.filters(), by="level")
    items = [shapes.LevelCount(level=level.upper(), count=rows) for level, rows in found]
    return shapes.ByLevel(since=times.show(since), until=times.show(until), items=items)


@get(
    "/apps/{app_id:str}/stats/top-messages",
    dependencies=OF_LEVEL,
    opt=terms("M", READ, errors=(403,)),
    tags=TAGS,
    sync_to_thread=True,
)
def top_messages(call: Incoming, app_id: Id, asked: Asked, limit: Top = 10) -> shapes.TopMessages:
    """Return the most frequent messages."""
    project = existing(call, app_id)
    day, _, _ = last_day(asked, call.house.clock())
    found = events.top_messages(
        call.house,
        call.who,
        project_id=project.project_id,
        filters=day.filters(),
        limit=limit,
        time=day.column,
    )
    items = [
        shapes.MessageCount(message=one.message, count=one.rows, last_seen=times.show(one.last_seen)) for one in found
    ]
    return shapes.TopMessages(limit=limit, items=items)


ROUTES = (timeseries, by_level, top_messages)
