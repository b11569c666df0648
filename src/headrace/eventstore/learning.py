"""Learning: which attributes are worth a column and a rollup, which have too many values, and parts that lack one.

Nothing here changes an answer, only how soon it comes. `rollup` says what a rollup is.
"""

import logging
from typing import Any, Final

from headrace.eventstore import attribute_columns, rollup
from headrace.eventstore.engine import LEARNED, OF_EVENTS, Engine, quoted
from headrace.eventstore.statistics import NOT_COMPARED
from headrace.kit.times import DAY, HOUR

log = logging.getLogger(__name__)

MOST_ATTRIBUTES: Final = 8  # All projects together: each costs a file or two of a part, and CPU at every insert.
MOST_VALUES: Final = 100
# Of more values, such as ids of requests and users: each stored once more, which costs 2 bytes a log and up to 30.
MOST_VARIOUS: Final = 2
LEAST_VARIOUS_SHARE: Final = 0.2
LONGEST_VALUE: Final = 64
LEAST_SHARE: Final = 0.05  # Of the sampled rows, that have the attribute.
SAMPLE: Final = 50_000
LEAST_SAMPLE: Final = 2_000
# A rollup that has a row for fewer than five events costs more than it spares; before so many rows nobody can tell.
MOST_ROWS_SHARE: Final = 0.2
JUDGED_ROWS: Final = 1_000_000

SIZES: Final = f"""
SELECT name, sum(rows), sum(parent_rows) FROM system.projection_parts
WHERE active AND {OF_EVENTS} GROUP BY name"""

# Newest first: what is asked for is mostly of today. A rollup is made of a column, so that comes before it.
LACKING: Final = f"""
SELECT partition_id,
  groupUniqArrayArray(arrayFilter(name -> NOT has(own.names, name), columns.names)) AS of_columns,
  groupUniqArrayArray(arrayFilter(name -> NOT has(rolled.names, name), groups.names)) AS of_groups
FROM system.parts
CROSS JOIN (
  SELECT groupArray(name) AS names FROM system.columns WHERE {OF_EVENTS} AND default_kind = 'MATERIALIZED'
) AS columns
CROSS JOIN (SELECT groupArray(name) AS names FROM system.projections WHERE {OF_EVENTS}) AS groups
LEFT JOIN (
  SELECT name, groupArray(column) AS names FROM system.parts_columns
  WHERE active AND {OF_EVENTS} AND default_kind = 'MATERIALIZED' GROUP BY name
) AS own ON own.name = system.parts.name
LEFT JOIN (
  SELECT parent_name, groupArray(name) AS names FROM system.projection_parts
  WHERE active AND {OF_EVENTS} GROUP BY parent_name
) AS rolled ON rolled.parent_name = system.parts.name
WHERE active AND {OF_EVENTS} GROUP BY partition, partition_id
HAVING notEmpty(of_columns) OR notEmpty(of_groups) ORDER BY partition DESC"""
UNDER_WAY: Final = f"""
SELECT mutation_id, max(latest_fail_reason) FROM system.mutations
WHERE {OF_EVENTS} AND NOT is_done AND command LIKE '%MATERIALIZE %'
GROUP BY mutation_id"""


def learn(engine: Engine) -> None:
    """Drop rollups that grew too large, add those of attributes that repeat few values. Raises EngineError.

    Attributes of many values get a column alone; one that recent events have no more gives its place to another.
    """
    there = known(engine)
    columns = dict(engine.query(LEARNED, row=tuple[str, str], reserved=True))
    for group in [group for group in there if rollup.is_without_column(group, columns)]:
        engine.command(f"ALTER TABLE events {rollup.removal(group)}")  # An earlier release made it.
        there.discard(group)
    for group, rows, events in engine.query(SIZES, row=tuple[str, int, int], reserved=True):
        if group in there and events >= JUDGED_ROWS and rows > events * MOST_ROWS_SHARE:
            engine.command(f"ALTER TABLE events {rollup.removal(group)} SETTINGS alter_sync = 0, mutations_sync = 0")
            engine.unfit.add(group)
            there.discard(group)
            log.info("The rollup %s had %d rows for %d events; dropped", group, rows, events)
    room = MOST_ATTRIBUTES - sum(rollup.attribute_of(group) is not None for group in there)
    groups, various = candidates(engine)
    wanted = [group for group in groups if group not in there and group not in engine.unfit][: max(room, 0)]
    for group in wanted:
        engine.command(f"ALTER TABLE events {rollup.addition(group)}")
        log.info("Attribute %r has a column and a rollup from now on", rollup.attribute_of(group))
    taken = [attribute_columns.key_of(name) for name, kind in columns.items() if kind == attribute_columns.VARIOUS]
    learn_various(engine, taken, [key for key in various if attribute_columns.name_of(key) not in columns], various)
    engine.known_until = 0.0


def learn_various(engine: Engine, taken: list[str], wanted: list[str], common: list[str]) -> None:
    room = MOST_VARIOUS - len(taken)
    for key in [key for key in taken if key not in common][: max(len(wanted) - room, 0)]:
        engine.command(
            f"ALTER TABLE events {attribute_columns.removal(key)} SETTINGS alter_sync = 0, mutations_sync = 0"
        )
        log.info("Attribute %r has no column any more", key)
        room += 1
    for key in wanted[: max(room, 0)]:
        engine.command(f"ALTER TABLE events {attribute_columns.addition(key, attribute_columns.VARIOUS)}")
        log.info("Attribute %r has a column from now on", key)


def known(engine: Engine) -> set[str]:
    sql = f"SELECT name FROM system.projections WHERE {OF_EVENTS}"
    return {name for (name,) in engine.query(sql, row=tuple[str], reserved=True)}


def candidates(engine: Engine) -> tuple[list[str], list[str]]:
    """Return attributes that many recent events have, most common first: rollups of few values, and keys of many."""
    now = engine.clock()
    for since in (now - HOUR, now - DAY):
        params: dict[str, Any] = {"since": since, "never": list(NOT_COMPARED)}
        sql = (
            "WITH (SELECT count() FROM sampled) AS size,"
            " sampled AS (SELECT attributes::Array(Tuple(String, String)) AS items FROM events"
            f" WHERE received_at >= {{since:Int64}} LIMIT {SAMPLE})"
            f" SELECT items.1 AS key, uniqExact(items.2) <= {MOST_VALUES} AS repeats FROM sampled ARRAY JOIN items"
            " WHERE key NOT IN {never:Array(String)}"
            " GROUP BY key"
            f" HAVING count() >= any(size) * if(repeats, {LEAST_SHARE}, {LEAST_VARIOUS_SHARE})"
            f" AND max(length(items.2)) <= {LONGEST_VALUE} AND any(size) >= {LEAST_SAMPLE}"
            " AND countIf(startsWith(items.2, '{') OR startsWith(items.2, '[')) = 0"
            f" ORDER BY count() DESC, key LIMIT {4 * MOST_ATTRIBUTES}"
        )
        found = engine.query(sql, params, row=tuple[str, int], settings={"max_threads": 1}, reserved=True)
        keys = [(key, few) for key, few in found if attribute_columns.can_name(key)]
        if found:
            return [rollup.group_of(key) for key, few in keys if few], [key for key, few in keys if not few]
    return [], []


def backfill(engine: Engine) -> bool:
    """Have the engine make in the background what the newest partition lacks; tells whether to ask again."""
    under_way = engine.query(UNDER_WAY, row=tuple[str, str])
    for mutation, reason in under_way:
        if reason:  # The engine would try it for ever.
            engine.command(f"KILL MUTATION WHERE table = 'events' AND mutation_id = {quoted(mutation)} SYNC")
            log.warning("Rollups could not be made: %s", reason.partition("\n")[0])
            return False
    if under_way:
        return True
    for partition, columns, groups in engine.query(LACKING, row=tuple[str, list[str], list[str]]):
        kind, names = ("COLUMN", columns) if columns else ("PROJECTION", groups)
        asked = {f"MATERIALIZE {kind} {name} IN PARTITION ID '{partition}'" for name in names} - engine.filled
        if not asked:  # A part whose rows are all deleted has none, and is tried once.
            continue
        engine.filled |= asked
        engine.command(f"ALTER TABLE events {', '.join(sorted(asked))} SETTINGS mutations_sync = 0")
        log.info("Rollups of partition %s are being made", partition)
        return True
    return False
