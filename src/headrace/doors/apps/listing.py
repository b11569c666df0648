"""Listing an application's events, newest first."""

from typing import Annotated

from litestar import get
from litestar.di import Provide
from litestar.params import QueryParameter

from headrace.core import events
from headrace.core.rules import LARGEST
from headrace.doors.apps import shapes
from headrace.doors.apps.applications import Id, existing
from headrace.doors.apps.parameters import Asked, span_of_level
from headrace.wire.door import Incoming, terms

READ = ("logs", "read")
MOST = 50
Limit = Annotated[int, QueryParameter(ge=1, le=MOST, description="Events of a page.")]
Offset = Annotated[int, QueryParameter(ge=0, le=LARGEST - MOST, description="Events to skip.")]


@get(
    "/apps/{app_id:str}/events",
    dependencies={"asked": Provide(span_of_level, sync_to_thread=False)},
    opt=terms("M", READ, errors=(403,)),
    tags=["events"],
    sync_to_thread=True,
)
def list_all(call: Incoming, app_id: Id, asked: Asked, limit: Limit = 20, offset: Offset = 0) -> shapes.EventPage:
    """Return a page of events, newest first."""
    project = existing(call, app_id)
    page = events.search(
        call.house,
        call.who,
        project_id=project.project_id,
        filters=asked.filters(),
        limit=limit,
        offset=offset,
        order=asked.column,
    )
    more = page.next_cursor is not None
    return shapes.EventPage(
        items=[shapes.event(row) for row in page.rows], next_offset=offset + limit if more else None
    )


ROUTES = (list_all,)
