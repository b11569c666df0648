"""Exporting logs: the answer to a search as a file, as lines of JSON, CSV or Parquet. Limits are core's."""

from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery

from headrace.core.events import export as exports
from headrace.doors.ledger import shapes
from headrace.doors.ledger.filters import ProjectId
from headrace.doors.ledger.logs import ALL, READ, TAGS, WHO, Narrowed, log
from headrace.eventstore.queries import EventRow
from headrace.wire.door import Incoming, terms
from headrace.wire.exports import Format, Rows, stream

CSV_COLUMNS = tuple(name for name in shapes.LogEntry.__struct_fields__ if name != "processing_time_ms")
ANSWER = ResponseSpec(
    shapes.LogEntry,
    generate_examples=False,
    media_type="application/x-ndjson",
    description=(
        "A file: a log per line of JSON, CSV with a header, or Parquet; newest first. Cut by a limit it ends with the "
        'line `{"truncated": "rows"|"time", "rows": n}` (CSV: `# truncated: ...`); when that is known before, '
        "`X-Export-Truncated: rows` says so."
    ),
)


def cells(row: EventRow) -> list[object]:
    entry = log(row)
    return [getattr(entry, name) for name in CSV_COLUMNS]


@get(
    "/api/v1/logs/export",
    dependencies=ALL,
    opt=terms(WHO, READ, errors=(403, 404)),
    tags=TAGS,
    responses={200: ANSWER},
    sync_to_thread=True,
)
def export(call: Incoming, *, project_id: ProjectId, narrowed: Narrowed, format: FromQuery[Format] = "ndjson") -> None:  # noqa: A002  The contract's name.
    """Download the logs that a search finds."""
    wanted = exports.begin(call.house, call.who, project_id=project_id, filters=narrowed)
    call.stream = stream(call, wanted, format, Rows(log, CSV_COLUMNS, cells), title=f"logs-{project_id}")


ROUTES = (export,)
