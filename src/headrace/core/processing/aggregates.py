"""The step that makes one record of many: grouped by fields, with counts, sums and the like of each group."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from headrace.core.processing import values
from headrace.core.processing.conditions import Reader, members, name, reader
from headrace.core.processing.room import Room
from headrace.core.processing.values import ProcessingError, Record

MOST_GROUPS = 100_000
MOST_DISTINCT = 500_000
MOST_FIELDS = 50
# What a group takes beside its values, one of its tallies, and one value that is counted as different.
GROUP_BYTES, TALLY_BYTES, DISTINCT_BYTES = 300, 150, 100


class Sum:
    """The sum of what are numbers; null when none was."""

    def __init__(self) -> None:
        self.count = 0
        self.total: values.Number | None = 0

    def add(self, value: Any) -> None:
        read = values.number(value)
        if read is not None and self.total is not None:
            self.count += 1
            self.total = values.bounded(self.total + read)

    def result(self) -> Any:
        return self.total if self.count else None


class Average(Sum):
    def result(self) -> Any:
        return None if self.total is None or not self.count else self.total / self.count


class Count:
    """How many records have a value; without a field, how many records."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, value: Any) -> None:
        self.count += value is not None

    def result(self) -> Any:
        return self.count


class Kept:
    """A value that stays: the room that it takes is counted."""

    def __init__(self, room: Room, place: str) -> None:
        self.room = room
        self.place = place
        self.taken = 0

    def keep(self, value: Any) -> None:
        self.room.give(self.taken)
        self.taken = 0
        self.taken = self.room.take(value, self.place)


class Extreme(Kept):
    """The least or greatest value that is not null, in the order of `sort`."""

    def __init__(self, room: Room, place: str, *, greatest: bool) -> None:
        super().__init__(room, place)
        self.greatest = greatest
        self.best: Any = None

    def add(self, value: Any) -> None:
        if value is None:
            return
        rank = values.order(value)
        if self.best is None or (rank > self.best[0] if self.greatest else rank < self.best[0]):
            self.best = (rank, value)
            self.keep(self.best)

    def result(self) -> Any:
        return None if self.best is None else self.best[1]


class End(Kept):
    """The first or last value that is not null."""

    def __init__(self, room: Room, place: str, *, last: bool) -> None:
        super().__init__(room, place)
        self.last = last
        self.value: Any = None

    def add(self, value: Any) -> None:
        if value is not None and (self.last or self.value is None):
            self.value = value
            self.keep(value)

    def result(self) -> Any:
        return self.value


class Distinct:
    """How many different values that are not null. All groups of a step share the number of them that there may be."""

    def __init__(self, room: Room, place: str, more: list[int]) -> None:
        self.room = room
        self.place = place
        self.more = more
        self.seen: set[Any] = set()

    def add(self, value: Any) -> None:
        key = values.key(value)
        if value is None or key in self.seen:
            return
        self.seen.add(key)
        self.room.take(key, self.place, more=DISTINCT_BYTES)
        self.more[0] -= 1
        if self.more[0] < 0:
            raise ProcessingError(f"distinct: there are more than {MOST_DISTINCT} different values")

    def result(self) -> Any:
        return len(self.seen)


Tally = Sum | Count | Extreme | End | Distinct
Make = Callable[[], Tally]
TALLIES: dict[str, Callable[[Room, str], Make]] = {
    "count": lambda _room, _place: Count,
    "sum": lambda _room, _place: Sum,
    "avg": lambda _room, _place: Average,
    "min": lambda room, place: lambda: Extreme(room, place, greatest=False),
    "max": lambda room, place: lambda: Extreme(room, place, greatest=True),
    "first": lambda room, place: lambda: End(room, place, last=False),
    "last": lambda room, place: lambda: End(room, place, last=True),
}
OPERATIONS = (*TALLIES, "distinct")


def aggregate(given: Any, place: str, room: Room) -> Callable[[Iterable[Record]], Iterator[Record]]:
    """Read `{"by": [fields], "values": {name: {"op": tally, "field": field}}}`; `by` may be absent or empty."""
    asked = members(given, place, {"values"}, {"by"})
    fields = asked.get("by", [])
    if not isinstance(fields, list) or len(fields) > MOST_FIELDS:
        raise ProcessingError(f"{place}.by: must be a list of at most {MOST_FIELDS} fields")
    if not isinstance(asked["values"], dict) or not 1 <= len(asked["values"]) <= MOST_FIELDS:
        raise ProcessingError(f"{place}.values: must be an object of 1 to {MOST_FIELDS} fields")
    by = {field: reader(field) for field in (name(one, f"{place}.by") for one in fields)}
    wanted = {name(made, place): _tally(one, f"{place}.values.{made}", room) for made, one in asked["values"].items()}
    each = GROUP_BYTES + TALLY_BYTES * len(wanted)

    def run(records: Iterable[Record]) -> Iterator[Record]:
        groups: dict[tuple[Any, ...], tuple[Record, list[Tally]]] = {}
        if not by:
            groups[()] = ({}, [make() for _, make in wanted.values()])
        for record in records:
            found = {field: read(record) for field, read in by.items()}
            key = tuple(map(values.key, found.values()))
            group = groups.setdefault(key, (found, []))
            if not group[1]:
                if len(groups) > MOST_GROUPS:
                    raise ProcessingError(f"{place}: there are more than {MOST_GROUPS} groups")
                # Keys have the very values, but for those that became texts.
                room.take([found, key] if by else found, place, more=each)
                group[1].extend(make() for _, make in wanted.values())
            for (read, _), tally in zip(wanted.values(), group[1], strict=True):
                tally.add(read(record))
        for found, tallies in groups.values():
            yield found | {made: tally.result() for made, tally in zip(wanted, tallies, strict=True)}

    return run


def _tally(given: Any, place: str, room: Room) -> tuple[Reader, Make]:
    asked = members(given, place, {"op"}, {"field"})
    word = asked["op"]
    if not isinstance(word, str) or word not in OPERATIONS:
        raise ProcessingError(f"{place}: op is one of {', '.join(OPERATIONS)}")
    if "field" not in asked:
        if word != "count":
            raise ProcessingError(f"{place}: field is missing")
        return (lambda _record: True), Count
    read = reader(name(asked["field"], place))
    if word == "distinct":
        more = [MOST_DISTINCT]
        return read, lambda: Distinct(room, place, more)
    return read, TALLIES[word](room, place)
