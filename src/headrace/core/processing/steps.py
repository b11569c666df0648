"""Steps over records, from JSON to functions from a stream of records to a stream of records."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from headrace.core.processing import values
from headrace.core.processing.aggregates import aggregate
from headrace.core.processing.conditions import condition, name, reader
from headrace.core.processing.expressions import expression
from headrace.core.processing.room import Room, made
from headrace.core.processing.values import ProcessingError, Record

Step = Callable[[Iterable[Record]], Iterator[Record]]

MOST_STEPS = 50
MOST_FIELDS = 200
# A sort has to hold what it sorts.
MOST_SORTED = 200_000
MOST_LIMIT = 1_000_000
# What a record is sorted by, and its place in the list.
RANK_BYTES = 150


def read(given: Any) -> list[Step]:
    """Read the list of steps, each an object of one member: `[{"filter": ...}, {"select": ...}]`."""
    if not isinstance(given, list) or len(given) > MOST_STEPS:
        raise ProcessingError(f"steps: must be a list of at most {MOST_STEPS} steps")
    room = Room()
    return [_step(one, f"steps[{number}]", room) for number, one in enumerate(given)]


def _step(given: Any, place: str, room: Room) -> Step:
    if not isinstance(given, dict) or len(given) != 1:
        raise ProcessingError(f"{place}: must be an object of one member, one of {', '.join(STEPS)}")
    ((word, inner),) = given.items()
    if word not in STEPS:
        raise ProcessingError(f"{place}: a step is one of {', '.join(STEPS)}")
    if word in HOLDING:
        return HOLDING[word](inner, f"{place}.{word}", room)
    return PASSING[word](inner, f"{place}.{word}")


def _filter(given: Any, place: str) -> Step:
    holds = condition(given, place)
    return lambda records: (record for record in records if holds(record))


def _select(given: Any, place: str) -> Step:
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_FIELDS:
        raise ProcessingError(f"{place}: must be a list of 1 to {MOST_FIELDS} fields")
    readers = {field: reader(field) for field in (name(one, place) for one in given)}
    return lambda records: ({field: read(record) for field, read in readers.items()} for record in records)


def _rename(given: Any, place: str) -> Step:
    if not isinstance(given, dict) or not 1 <= len(given) <= MOST_FIELDS:
        raise ProcessingError(f"{place}: must be an object of 1 to {MOST_FIELDS} fields")
    names = {name(old, place): name(new, place) for old, new in given.items()}
    return lambda records: ({names.get(field, field): value for field, value in one.items()} for one in records)


def _derive(given: Any, place: str) -> Step:
    if not isinstance(given, dict) or not 1 <= len(given) <= MOST_FIELDS:
        raise ProcessingError(f"{place}: must be an object of 1 to {MOST_FIELDS} fields")
    wanted = {name(field, place): expression(one, f"{place}.{field}") for field, one in given.items()}
    return lambda records: (
        record | made({field: run(record) for field, run in wanted.items()}, place) for record in records
    )


def _sort(given: Any, place: str, room: Room) -> Step:
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_FIELDS:
        raise ProcessingError(f"{place}: must be a list of 1 to {MOST_FIELDS} fields, `-` before one that falls")
    wanted = [name(one, place) for one in given]
    keys = [(reader(name(one.removeprefix("-"), place)), one.startswith("-")) for one in wanted]

    def sort(records: Iterable[Record]) -> Iterator[Record]:
        held: list[Record] = []
        taken = 0
        for record in records:
            if len(held) == MOST_SORTED:
                raise ProcessingError(f"{place}: there are more than {MOST_SORTED} records to sort; filter them first")
            taken += room.take(record, place, more=RANK_BYTES)
            held.append(record)
        # The last key first: sorting keeps the order of what is equal.
        for read, falling in reversed(keys):
            held.sort(key=_rank(read), reverse=falling)
        yield from held
        room.give(taken)

    return sort


def _rank(read: Callable[[Record], Any]) -> Callable[[Record], Any]:
    return lambda record: values.order(read(record))


def _limit(given: Any, place: str) -> Step:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MOST_LIMIT:
        raise ProcessingError(f"{place}: must be a whole number from 0 to {MOST_LIMIT}")
    return lambda records: islice(records, given)


PASSING: dict[str, Callable[[Any, str], Step]] = {
    "filter": _filter,
    "select": _select,
    "rename": _rename,
    "derive": _derive,
    "limit": _limit,
}
HOLDING: dict[str, Callable[[Any, str, Room], Step]] = {"aggregate": aggregate, "sort": _sort}
STEPS = (*PASSING, *HOLDING)
