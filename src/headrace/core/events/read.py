"""Reading events back: pages, single events, counts; each question within the caller's project and retention."""

import base64
import binascii
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from headrace.core import projects
from headrace.core.events.filters import Filters
from headrace.core.keys import resolved_project
from headrace.core.principal import Principal
from headrace.core.refusals import forbidden, invalid, not_found, unavailable
from headrace.eventstore import messages, queries, search
from headrace.eventstore.engine import QueryRefused
from headrace.eventstore.ids import public_id, read_public_id
from headrace.eventstore.queries import Bucket, EventRow, Selection, TimeColumn
from headrace.kit import times

if TYPE_CHECKING:
    from headrace.core.house import House

FACETS = ("level", "log_type", "status_class", "environment")
MOST_VALUES = 100
MOST_BUCKETS = 10_000
BUSY_RETRY_SECONDS = 2

Counted = list[tuple[str, int]]


class Surroundings(NamedTuple):
    """What happened just before an event and just after it, each newest first."""

    newer: list[EventRow]
    older: list[EventRow]


class Page(NamedTuple):
    """Events newest first; `next_cursor` is None at the end."""

    rows: list[EventRow]
    next_cursor: str | None


def search_page(
    house: "House",
    who: Principal,
    *,
    project_id: int | None,
    filters: Filters,
    limit: int,
    offset: int = 0,
    cursor: str | None = None,
    order: TimeColumn = "ts",
) -> Page:
    """Return a page of events, newest first by (`order`, id); a cursor is of one order."""
    before = None if cursor is None else read_cursor(cursor)
    return page(house, selected(house, who, project_id, filters), limit, offset, before, order)


def errors(house: "House", who: Principal, *, project_id: int, filters: Filters, limit: int, offset: int = 0) -> Page:
    """Return a page of events of level error or critical, or of type exception."""
    return page(house, selected(house, who, project_id, filters, errors=True), limit, offset, None)


def count_errors(house: "House", who: Principal, *, project_id: int, filters: Filters) -> int | None:
    """Count what `errors` lists; None where that would read more than a search may."""
    selection = selected(house, who, project_id, filters, errors=True)
    try:
        return queries.count(house.store.engine, selection)
    except QueryRefused:
        return None


def page(  # noqa: PLR0917  Called from the verbs above only.
    house: "House",
    selection: Selection,
    limit: int,
    offset: int,
    before: tuple[int, int] | None,
    order: TimeColumn = "ts",
) -> Page:
    with asked():
        rows = queries.latest(house.store.engine, selection, limit=limit + 1, offset=offset, before=before, order=order)
    return Page(rows[:limit], write_cursor(rows[limit - 1], order) if len(rows) > limit else None)


def get(house: "House", who: Principal, *, project_id: int, log_id: str) -> EventRow:
    """Return one event of the project."""
    row = find(house, who, project_id=project_id, log_id=log_id)
    if row is None:
        raise not_found("Log not found")
    return row


def find(house: "House", who: Principal, *, project_id: int, log_id: str) -> EventRow | None:
    """Return one event of the project; None when there is none of that id, or retention took it."""
    project = resolved_project(house, who, project_id)
    place = read_public_id(log_id)
    if place is None:
        return None
    floor = house.clock() - project.retention_days * times.DAY
    with asked():
        return queries.by_id(
            house.store.engine, project.organization_id, project.project_id, *place, received_floor=floor
        )


def surroundings(
    house: "House", who: Principal, *, project_id: int, log_id: str, filters: Filters, lines: int
) -> Surroundings:
    """Return the project's events next to one of its events, at most `lines` on each side."""
    selection = selected(house, who, project_id, filters)
    place = read_public_id(log_id)
    if place is None:
        raise not_found("Log not found")
    engine = house.store.engine
    with asked():
        newer = queries.following(engine, selection, *place, limit=lines)
        older = queries.latest(engine, selection, limit=lines, before=place)
    return Surroundings(newer[::-1], older)


def facets(
    house: "House", who: Principal, *, project_id: int | None, filters: Filters, fields: Sequence[str] = FACETS
) -> dict[str, Counted]:
    """Count events by each of the fields, most first."""
    selection = selected(house, who, project_id, filters)
    with asked():
        return queries.count_by_each(house.store.engine, selection, fields, limit=MOST_VALUES)


def counts(house: "House", who: Principal, *, project_id: int | None, filters: Filters, by: str) -> Counted:
    """Count events by one field, most first."""
    selection = selected(house, who, project_id, filters)
    with asked():
        return queries.count_by(house.store.engine, selection, by, limit=MOST_VALUES)


def histogram(
    house: "House",
    who: Principal,
    *,
    project_id: int | None,
    filters: Filters,
    interval: int,
    time: TimeColumn = "ts",
    split: str | None = None,
) -> list[Bucket]:
    """Count events per `interval` seconds of event time or arrival, oldest first; empty buckets are left out.

    `split` counts the values of a field apart.
    """
    selection = selected(house, who, project_id, filters)
    with asked():
        buckets = queries.histogram(house.store.engine, selection, interval * times.SECOND, column=time, split=split)
    if len(buckets) > MOST_BUCKETS:
        raise invalid("interval", f"gives more than {MOST_BUCKETS} buckets; take a longer one or a shorter period")
    return buckets


def top_messages(
    house: "House", who: Principal, *, project_id: int, filters: Filters, limit: int, time: TimeColumn = "ts"
) -> list[messages.TopMessage]:
    """Return the most frequent messages, on a tie the one seen last; `last_seen` is of event time or arrival."""
    selection = selected(house, who, project_id, filters)
    with asked():
        return messages.top(house.store.engine, selection, limit=limit, column=time)


def kept_since(house: "House", who: Principal) -> int:
    """Return since when all projects of the caller's organization keep their events: the shortest time that one has."""
    if who.project_id is not None:
        raise forbidden("This key reads one project alone")
    days = [one.retention_days for one in projects.list_all(house, who)]
    return house.clock() - min(days, default=0) * times.DAY


def selected(
    house: "House", who: Principal, project_id: int | None, filters: Filters, *, errors: bool = False
) -> Selection:
    """Return the selection that filters make of a project the caller may read; None: of all of the organization.

    Of several projects only what each of them still keeps is selected, so that counts and lists agree.
    """
    project = None if project_id is None else resolved_project(house, who, project_id)
    floor = kept_since(house, who) if project is None else house.clock() - project.retention_days * times.DAY
    with asked():
        has_older = house.store.engine.holds_before(floor)
    return Selection(
        tenant=who.organization_id if project is None else project.organization_id,
        project=None if project is None else project.project_id,
        ts_from=filters.ts_from,
        ts_to=filters.ts_to,
        received_from=filters.received_from,
        received_to=filters.received_to,
        # Where nothing stored is that old, a condition that no event fails would read a column for nothing.
        received_floor=floor if has_older else None,
        levels=filters.levels,
        log_types=filters.log_types,
        status_classes=filters.status_classes,
        environment=filters.environment,
        errors=errors,
        text=filters.text,
        search=compiled(filters.query) if filters.query else None,
    )


def compiled(query: str, field: str = "q") -> search.Compiled:
    """Understand a search, or refuse the field that it was given in."""
    try:
        return search.compile(search.parse(query))
    except search.SearchError as error:
        raise invalid(field, str(error)) from error


@contextmanager
def asked() -> Iterator[None]:
    """Turn the engine's refusal of a question into core's."""
    try:
        yield
    except QueryRefused as refused:
        if refused.kind == "busy":
            raise unavailable(refused.text, BUSY_RETRY_SECONDS) from refused
        raise invalid("query", refused.kind, text=refused.text) from refused


def write_cursor(row: EventRow, order: TimeColumn = "ts") -> str:
    moment = getattr(row, order)
    text = f"{times.show(moment)}|{public_id(moment, row.id)}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[int, int]:
    """Return (time, id) of the last event of the page before, in the order of the pages."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        moment, _, log_id = text.partition("|")
        place = read_public_id(log_id)
        if place is not None and times.parse(moment) == place[0]:
            return place
    except (ValueError, binascii.Error):
        pass
    raise invalid("cursor", "is not one of ours", text="Invalid cursor")
