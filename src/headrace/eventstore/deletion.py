"""Deleting stored events by a selection: counted first, then partition by partition. Which may go is core's affair.

Rows vanish from questions at once; their bytes go when the engine next merges the part.
"""

from typing import Final

from headrace.eventstore import queries
from headrace.eventstore.engine import Engine
from headrace.eventstore.queries import Selection

# A count that decides what is deleted may take its time: nobody waits for it.
COUNT_SECONDS: Final = 600.0


def counted(engine: Engine, selection: Selection, *, seconds: float = COUNT_SECONDS) -> list[tuple[str, int]]:
    """Return the partitions that hold rows of the selection, each with how many."""
    condition, params = queries.where(selection)
    sql = f"SELECT _partition_id, count() FROM events WHERE {condition} GROUP BY _partition_id ORDER BY _partition_id"
    return engine.query(sql, params, row=tuple[str, int], seconds=seconds)


def remove(engine: Engine, selection: Selection, partition: str) -> None:
    """Delete the selection's rows of one partition; returns once no question finds them. Safe to repeat."""
    condition, params = queries.where(selection)
    engine.command(f"DELETE FROM events IN PARTITION ID '{partition}' WHERE {condition}", params)


def remove_quarantined(engine: Engine, selection: Selection) -> None:
    """Delete what was set aside of the project, by its arrival within the selection's times: nothing else is known."""
    bounds = {
        "received_at >= {first:Int64}": [selection.ts_from, selection.received_from],
        "received_at <= {last:Int64}": [selection.ts_to, selection.received_to],
    }
    params: dict[str, int | None] = {"tenant": selection.tenant, "project": selection.project}
    conditions = ["tenant = {tenant:UInt32}", "project = {project:UInt32}"]
    for (condition, times), name, chosen in zip(bounds.items(), ("first", "last"), (max, min), strict=True):
        known = [time for time in times if time is not None]
        if known:
            conditions.append(condition)
            params[name] = chosen(known)
    engine.command(f"DELETE FROM quarantine WHERE {' AND '.join(conditions)}", params)
