"""Reading logs: pages, one log, facets, counts, histograms, errors."""

from collections.abc import Iterable
from typing import Annotated, Literal

from litestar import get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, QueryParameter

from headrace.core.events import read
from headrace.core.events.filters import Filters
from headrace.core.groups import finding
from headrace.core.groups.record import Group
from headrace.core.refusals import invalid
from headrace.doors.ledger import shapes
from headrace.doors.ledger.filters import Limit, Offset, ProjectId, filters, period_filters, tail_filters
from headrace.eventstore.ids import public_id
from headrace.eventstore.queries import EventRow
from headrace.kit import times
from headrace.wire.door import Incoming, terms

TAGS = ["logs"]
READ = ("logs", "read")
WHO = "JKO"
ALL = {
    "unbounded": Provide(tail_filters, sync_to_thread=False),
    "narrowed": Provide(filters, sync_to_thread=False),
}
PERIOD = {"narrowed": Provide(period_filters, sync_to_thread=False)}
Narrowed = NamedDependency[Filters]
By = Literal["level", "log_type", "status_class", "environment", "importance", "error_type", "platform", "release"]
INTERVALS = {"minute": 60, "hour": 3600, "day": 86_400}
FACETS = ("level", "log_type", "status_class", "environment")
# What a stored event has under the same name; ids and times are written anew.
PLAIN_FIELDS = tuple(
    name for name in shapes.LogEntry.__struct_fields__ if name in EventRow.__struct_fields__ and name != "id"
)
ERROR_FIELDS = tuple(name for name in shapes.ErrorEntry.__struct_fields__ if name in PLAIN_FIELDS)
LONGEST_INTERVAL = 31 * 86_400


@get("/api/v1/logs", dependencies=ALL, opt=terms(WHO, READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def search(
    call: Incoming,
    *,
    project_id: ProjectId,
    narrowed: Narrowed,
    limit: Limit = 100,
    offset: Offset = 0,
    cursor: Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")] = None,
) -> shapes.LogPage:
    """Return a page of logs, newest first."""
    if cursor is not None and offset:
        raise invalid("cursor", "cannot be combined with offset")
    page = read.search_page(
        call.house, call.who, project_id=project_id, filters=narrowed, limit=limit, offset=offset, cursor=cursor
    )
    logs = [log(row) for row in page.rows]
    more = page.next_cursor
    return shapes.LogPage(project_id=project_id, logs=logs, has_more=more is not None, next_cursor=more)


@get("/api/v1/logs/facets", dependencies=ALL, opt=terms(WHO, READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def facets(call: Incoming, project_id: ProjectId, narrowed: Narrowed) -> shapes.Facets:
    """Count logs by level, type, class of status and environment."""
    found = read.facets(call.house, call.who, project_id=project_id, filters=narrowed)
    listed = {name: counted(found.get(name, ())) for name in FACETS}
    return shapes.Facets(project_id=project_id, **listed)


@get("/api/v1/logs/counts", dependencies=ALL, opt=terms(WHO, READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def counts(call: Incoming, project_id: ProjectId, narrowed: Narrowed, by: FromQuery[By] = "level") -> shapes.Counts:
    """Count logs by one field."""
    found = read.counts(call.house, call.who, project_id=project_id, filters=narrowed, by=by)
    return shapes.Counts(project_id=project_id, by=by, items=counted(found))


@get(
    "/api/v1/logs/histogram",
    dependencies=ALL,
    opt=terms(WHO, READ, errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def histogram(
    call: Incoming, project_id: ProjectId, narrowed: Narrowed, interval: FromQuery[str] = "hour"
) -> shapes.Histogram:
    """Count logs per interval of time: `minute`, `hour`, `day` or a number of seconds."""
    seconds = interval_seconds(interval)
    found = read.histogram(call.house, call.who, project_id=project_id, filters=narrowed, interval=seconds)
    buckets = [shapes.Bucket(times.show(one.start), one.rows) for one in found]
    return shapes.Histogram(project_id=project_id, interval_seconds=seconds, buckets=buckets)


@get("/api/v1/logs/{log_id:str}", opt=terms(WHO, READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def get_one(call: Incoming, project_id: ProjectId, log_id: FromPath[str]) -> shapes.LogEntry:
    """Return one log."""
    return log(read.get(call.house, call.who, project_id=project_id, log_id=log_id))


@get(
    "/api/v1/errors/list",
    dependencies=PERIOD,
    opt=terms(WHO, READ, errors=(403, 404)),
    tags=["errors"],
    sync_to_thread=True,
)
def errors(
    call: Incoming, project_id: ProjectId, narrowed: Narrowed, limit: Limit = 100, offset: Offset = 0
) -> shapes.ErrorPage:
    """Return a page of errors and exceptions, newest first, each with what is known of its group."""
    page = read.errors(call.house, call.who, project_id=project_id, filters=narrowed, limit=limit, offset=offset)
    marks = [row.error_fingerprint for row in page.rows if row.error_fingerprint]
    known = finding.by_fingerprint(call.house, call.who, project_id=project_id, fingerprints=marks)
    shown = [error(row, known.get(row.error_fingerprint or "")) for row in page.rows]
    total = read.count_errors(call.house, call.who, project_id=project_id, filters=narrowed)
    return shapes.ErrorPage(project_id=project_id, errors=shown, total=total, has_more=page.next_cursor is not None)


def log(row: EventRow) -> shapes.LogEntry:
    return shapes.LogEntry(
        id=public_id(row.ts, row.id),
        project_id=row.project,
        timestamp=times.show(row.ts),
        ingested_at=times.show(row.received_at),
        **{name: getattr(row, name) for name in PLAIN_FIELDS},
    )


def error(row: EventRow, group: Group | None) -> shapes.ErrorEntry:
    return shapes.ErrorEntry(
        log_id=public_id(row.ts, row.id),
        timestamp=times.show(row.ts),
        group_key=group.id if group else None,
        occurrence_count=group.occurrence_count if group else None,
        first_seen=times.shown(group.first_seen if group else None),
        last_seen=times.shown(group.last_seen if group else None),
        **{name: getattr(row, name) for name in ERROR_FIELDS},
    )


def counted(pairs: Iterable[tuple[str | None, int]]) -> list[shapes.Count]:
    return [shapes.Count(value, rows) for value, rows in pairs]


def interval_seconds(text: str) -> int:
    seconds = INTERVALS.get(text) or (int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0)  # noqa: PLR2004
    if not 1 <= seconds <= LONGEST_INTERVAL:
        raise invalid("interval", f"must be minute, hour, day or 1-{LONGEST_INTERVAL} seconds")
    return seconds


ROUTES = (search, facets, counts, histogram, get_one, errors)
