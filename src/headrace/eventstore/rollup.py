"""Rollup: counts per quarter of an hour that the engine keeps beside the events, and how a question is cut to use them.

They are aggregating projections of `events`: each part holds its own, made when the part is written, merged, or has
rows deleted, so they agree with the rows whatever happens to a part. A part that lacks one is scanned.
Which attributes have one, and the filling of parts that lack one, is the work of `learning`.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from headrace.eventstore import attribute_columns
from headrace.kit.times import MINUTE

if TYPE_CHECKING:
    from headrace.eventstore.queries import Selection

QUARTER: Final = 15 * MINUTE
ORIGIN: Final = 62_135_596_800_000_000  # Microseconds from the year 1 to 1970; a whole number of quarters.
# Of all rows, that a rollup has to cover for a question to be cut for it.
LEAST_SHARE: Final = 0.5
# Of a shorter stretch the rows themselves are few.
LEAST_QUARTERS: Final = 4

STATUS_CLASS: Final = "intDiv(status_code, 100)"
# Columns that go together: a combination of those in one group costs one row a quarter, so they depend on each other.
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "by_level": ("level", "log_type", "importance", "environment", STATUS_CLASS),
    "by_place": ("service", "host"),
    "by_release": ("release", "platform", "platform_version", "sdk_version"),
    "by_kind": ("error_type", "method", "status_code"),
}
OF_ATTRIBUTE: Final = "by_attribute_"

# Field of a selection -> the columns that its condition reads.
FILTERED: Final[dict[str, tuple[str, ...]]] = {
    "levels": ("level",),
    "log_types": ("log_type",),
    "status_classes": (STATUS_CLASS,),
    "environment": ("environment",),
    "errors": ("level", "log_type"),
}
UNCOUNTED: Final = ("fingerprint", "text", "search")


def quarter(column: str) -> str:
    """Return SQL of the number of a time's quarter, counted from the year 1."""
    return f"intDiv({column} + {ORIGIN}, {QUARTER})"


def moment(column: str) -> str:
    """Return SQL of the beginning of a time's quarter."""
    return f"({quarter(column)} * {QUARTER} - {ORIGIN})"


def group_of(key: str) -> str:
    return OF_ATTRIBUTE + key.encode().hex()


def attribute_of(group: str) -> str | None:
    return bytes.fromhex(group.removeprefix(OF_ATTRIBUTE)).decode() if group.startswith(OF_ATTRIBUTE) else None


def columns_of(group: str) -> tuple[str, ...]:
    """Return the columns that a group counts, none of a group that this release does not know."""
    key = attribute_of(group)
    return GROUPS.get(group, ()) if key is None else (attribute_columns.name_of(key),)


def is_without_column(group: str, learned: Collection[str]) -> bool:
    key = attribute_of(group)
    return key is not None and attribute_columns.name_of(key) not in learned


def body(group: str) -> str:
    """Return the SELECT of a group's projection."""
    keys = ", ".join(("tenant", "project", quarter("ts"), quarter("received_at"), *columns_of(group)))
    return f"SELECT {keys}, count(), min(ts), max(ts) GROUP BY {keys}"


def addition(group: str) -> str:
    """Return what ALTER TABLE has to do for a group, and for the column of an attribute."""
    added = f"ADD PROJECTION IF NOT EXISTS {group} ({body(group)})"
    key = attribute_of(group)
    return added if key is None else f"{attribute_columns.addition(key)}, {added}"


def removal(group: str) -> str:
    """Return what ALTER TABLE has to do so that nothing of a group stays."""
    key = attribute_of(group)
    dropped = f"DROP PROJECTION IF EXISTS {group}"
    return dropped if key is None else f"{dropped}, {attribute_columns.removal(key)}"


def settings(group: str) -> dict[str, str | float]:
    """Return what a question needs to be answered from a group; to weigh all of them takes as long as to answer."""
    return {"optimize_use_projections": 1, "preferred_optimize_projection_name": group}


def counting(selection: "Selection", columns: Iterable[str], groups: Iterable[str]) -> str | None:
    """Return the first of the groups that has all that a selection and these columns ask for."""
    if any(getattr(selection, name) is not None for name in UNCOUNTED):
        return None
    needed = set(columns)
    for name, read in FILTERED.items():
        if getattr(selection, name) not in (None, (), False):
            needed.update(read)
    return next((group for group in groups if needed <= set(columns_of(group))), None)


def together(fields: Mapping[str, str | None], selection: "Selection", groups: Iterable[str]) -> list[list[str]]:
    """Return which fields are counted at once: those of one group, and those of none. Values are their columns."""
    parts: dict[str | None, list[str]] = {}
    for field, column in fields.items():
        group = None if column is None else counting(selection, (column,), groups)
        parts.setdefault(group, []).append(field)
    return list(parts.values())


def cut(selection: "Selection") -> tuple[str, list[str]] | None:
    """Return conditions on time of the whole quarters of a selection, and of what is left; None where that is most.

    They go with the selection's other conditions: the first without its times, the others with them.
    """
    lows = [bound for bound in (selection.received_from, selection.received_floor) if bound is not None]
    of_ts = within("ts", selection.ts_from, selection.ts_to)
    of_arrival = within("received_at", max(lows, default=None), selection.received_to)
    if of_ts is None or of_arrival is None:
        return None
    (inner, outer), (inner_arrival, outer_arrival) = of_ts, of_arrival
    edges = [f"({' OR '.join(outer)})"] if outer else []
    if outer_arrival:
        edges.append(" AND ".join([*(f"NOT ({one})" for one in outer), f"({' OR '.join(outer_arrival)})"]))
    return " AND ".join(inner + inner_arrival) or "1", edges


def within(column: str, first: int | None, last: int | None) -> tuple[list[str], list[str]] | None:
    """Return conditions of the whole quarters between two moments, and of what lies around these."""
    begin = None if first is None else -(-(first + ORIGIN) // QUARTER)
    end = None if last is None else (last + 1 + ORIGIN) // QUARTER
    if begin is not None and end is not None and end - begin < LEAST_QUARTERS:
        return None
    inner, outer = [], []
    if begin is not None and first is not None:
        inner.append(f"{quarter(column)} >= {begin}")
        if begin * QUARTER - ORIGIN > first:
            outer.append(f"{column} < {begin * QUARTER - ORIGIN}")
    if end is not None and last is not None:
        inner.append(f"{quarter(column)} < {end}")
        if end * QUARTER - ORIGIN <= last:
            outer.append(f"{column} >= {end * QUARTER - ORIGIN}")
    return inner, outer
