"""Retention: whole partitions go once every row in them is older than its class allows, by the house's clock.

Not the engine's TTL, which goes by the machine's clock and whenever it likes. Rows that a project's own days let go
earlier are hidden by the question (`Selection.received_floor`).
"""

import logging
from typing import Final

from headrace.eventstore.engine import Engine
from headrace.eventstore.schema import QUARANTINE_DAYS
from headrace.kit.times import DAY

log = logging.getLogger(__name__)

# Of `events` a partition is a day of arrival and a class, of `quarantine` a day.
# What is dropped leaves a part without rows behind for a moment.
PARTITIONS: Final = f"""
SELECT DISTINCT table, partition_id,
  toInt64OrZero(extract(partition, '^\\\\(?([0-9]+)')) AS day,
  if(table = 'events', toInt64OrZero(extract(partition, '([0-9]+)\\\\)$')), {QUARANTINE_DAYS}) AS days
FROM system.parts
WHERE active AND rows > 0 AND database = currentDatabase() AND table IN ('events', 'quarantine')
  AND day + days + 1 <= {{today:Int64}}
ORDER BY table, day, days"""


def drop_expired(engine: Engine, now: int) -> int:
    """Drop the partitions whose last row expired before `now` (us); returns how many."""
    found = engine.query(PARTITIONS, {"today": now // DAY}, row=tuple[str, str, int, int])
    for table, partition, day, days in found:
        engine.command(f"ALTER TABLE {table} DROP PARTITION ID '{partition}'")
        log.info("Dropped day %d of %s, kept for %d days", day, table, days)
    return len(found)
