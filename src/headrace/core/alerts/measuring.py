"""Measuring: what an alert's condition asks of stored events and of error groups. What follows is the machine's."""

from typing import TYPE_CHECKING

import msgspec

from headrace.core import groups
from headrace.core.alerts.definition import Definition, window_us
from headrace.core.alerts.rule import Measured, NewsRead
from headrace.core.events import Filters
from headrace.core.events.novelty import new_patterns
from headrace.core.events.read import asked, selected
from headrace.core.groups import Group, news
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal, unavailable
from headrace.eventstore import statistics
from headrace.eventstore.ids import public_id
from headrace.eventstore.queries import Selection
from headrace.kit import times

if TYPE_CHECKING:
    from headrace.core.house import House

MOST_DETAILS = 5
LONGEST_DETAIL = 200
# Of news, at one evaluation; the next one goes on.
MOST_PAGES = 20
# The lower part of an event's id is never below its arrival in microseconds; above it stands the server's number.
COUNTER = (1 << 53) - 1


def measure(house: "House", who: Principal, definition: Definition, *, project_id: int, read: NewsRead) -> Measured:
    """Return what the condition finds now. By arrival, up to a moment ago: an event counts whatever time it names.

    Raises a Refusal when the question costs too much, or when events of that time still wait to be stored.
    """
    if definition.kind == "new_error":
        return _errors(house, who, definition, project_id, read)
    end = house.clock() - house.settings.alert_settle_seconds * times.SECOND
    if not settled(house, end):
        raise unavailable("Events that have arrived wait to be stored; what is stored does not tell yet", 10)
    if definition.kind == "new_pattern":
        return _patterns(house, who, definition, project_id, end)
    return _count(house, who, definition, project_id, end)


def settled(house: "House", end: int) -> bool:
    """Tell whether all that has arrived here up to a moment is searchable."""
    store = house.store
    return not store.wal.waiting_rows or (store.drain.stored_id & COUNTER) > end


def arrived(  # noqa: PLR0917  What every measure says in the same order.
    house: "House", who: Principal, definition: Definition, project_id: int, first: int, last: int
) -> Selection:
    filters = Filters(received_from=first, received_to=last, query=definition.query or None)
    return selected(house, who, project_id, filters)


def _count(house: "House", who: Principal, definition: Definition, project_id: int, end: int) -> Measured:
    window = window_us(definition)
    twice = 2 if definition.measure == "change_percent" else 1
    selection = arrived(house, who, definition, project_id, end - twice * window + 1, end)
    with asked():
        found = statistics.tally(house.store.engine, selection, end - window, rows=house.settings.alert_rows)
    value = counted(definition, found.after, found.before)
    sample = public_id(*found.last) if found.after else None
    return Measured(value=value, holds=definition.holds(value), sample_log_id=sample)


def counted(definition: Definition, rows: int, before: int) -> float:
    """Return the value of so many events in the window, and in the one before it."""
    if definition.measure == "per_minute":
        return rows * 60 / definition.window_seconds
    if definition.measure == "change_percent":
        # From nothing each event is another hundred percent.
        return (rows - before) * 100 / max(before, 1)
    return float(rows)


def _patterns(house: "House", who: Principal, definition: Definition, project_id: int, end: int) -> Measured:
    begin = end - window_us(definition)
    back = (definition.look_back_seconds or 0) * times.SECOND
    recent = arrived(house, who, definition, project_id, begin + 1, end)
    before = arrived(house, who, definition, project_id, begin - back, begin)
    found = new_patterns(house, recent, before, rows=house.settings.alert_rows)
    value = float(len(found))
    return Measured(
        value=value,
        holds=definition.holds(value),
        sample_log_id=found[0].sample_id if found else None,
        details=tuple(one.template[:LONGEST_DETAIL] for one in found[:MOST_DETAILS]),
    )


def _errors(house: "House", who: Principal, definition: Definition, project_id: int, read: NewsRead) -> Measured:
    """Count the groups that the news not read yet are about. What counted holds for a window from when it was read.

    Not by the times of the events: one that was sent late is news all the same.
    """
    now, last, found = house.clock(), read.id, []
    for _ in range(MOST_PAGES):
        page = news.since(house, project_id, last)
        last = page[-1].id if page else last
        found += [one.group_id for one in page if definition.news in {"any", one.kind}]
        if len(page) < news.MOST:
            break
    if not found:
        lasts = read.at is not None and now - read.at < window_us(definition)
        value, sample = (read.value, read.sample_log_id) if lasts else (0.0, None)
        kept = msgspec.structs.replace(read, id=last, value=value, sample_log_id=sample)
        return Measured(value=value, holds=definition.holds(value), sample_log_id=sample, news=kept)
    fresh = list(dict.fromkeys(found))
    named = [group for one in fresh[-MOST_DETAILS:] if (group := _group(house, who, project_id, one))]
    sample = next((one.sample_log_id for one in named if one.sample_log_id), None)
    value = float(len(fresh))
    return Measured(
        value=value,
        holds=definition.holds(value),
        sample_log_id=sample,
        details=tuple(f"{one.error_type or 'Error'}: {one.error_message or ''}"[:LONGEST_DETAIL] for one in named),
        news=NewsRead(id=last, at=now, value=value, sample_log_id=sample),
    )


def news_times(house: "House", definition: Definition, project_id: int, first: int) -> list[int]:
    """Return the event times, since `first`, of the news that a definition counts."""
    found, last = [], 0
    for _ in range(MOST_PAGES):
        page = news.since(house, project_id, last, first=first)
        found += [one.at for one in page if definition.news in {"any", one.kind}]
        if len(page) < news.MOST:
            break
        last = page[-1].id
    return sorted(found)


def _group(house: "House", who: Principal, project_id: int, group_id: int) -> Group | None:
    """Return a group; None for one that has been merged into another since, or deleted."""
    try:
        return groups.get(house, who, project_id=project_id, group_id=group_id)
    except Refusal as refusal:
        if refusal.kind is not Kind.NOT_FOUND:
            raise
        return None
