"""Who pulls from which queue, and when each was last here: what a page and a waiting job can tell about it."""

import threading
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from headrace.core import rules
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.schema.workflows import workflow_workers as table
from headrace.core.workflows.definitions import RESOURCE
from headrace.kit.times import DAY, MINUTE, SECOND

# A worker asks every few seconds; its row is written less often than that.
WRITTEN_US = 15 * SECOND
# Who was not here for that long is not waited for.
GONE_US = MINUTE
KEPT_US = 7 * DAY
# Workers with a name of their own at each start must not fill the table, nor the memory.
MOST_ROWS = 200
MOST_REMEMBERED = 10_000


class Worker(msgspec.Struct, frozen=True):
    """One worker of one queue; times in microseconds."""

    queue: str
    worker: str
    first_seen_at: int
    seen_at: int


class Written:
    """When each worker's row was written last by this process."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.lock = threading.Lock()
        self.at: dict[tuple[int, str, str], int] = {}

    def due(self, key: tuple[int, str, str], now: int) -> bool:
        """Tell whether a row is to be written, and note that it is."""
        with self.lock:
            if now - self.at.get(key, -WRITTEN_US) < WRITTEN_US:
                return False
            if len(self.at) >= MOST_REMEMBERED:
                self.at.clear()
            self.at[key] = now
            return True


def seen(house: House, organization_id: int, queues: Sequence[str], worker: str) -> None:
    """Note that a worker asked for jobs of these queues."""
    now, written = house.clock(), house.part(Written)
    due = [queue for queue in dict.fromkeys(queues) if written.due((organization_id, queue, worker), now)]
    if due:
        house.db.submit(lambda connection: _write(house, connection, organization_id, due, worker, now))


def _write(  # noqa: PLR0917  One row's values.
    house: House, connection: sa.Connection, organization_id: int, queues: list[str], worker: str, now: int
) -> None:
    mine = table.c.organization_id == organization_id
    connection.execute(sa.delete(table).where(mine, table.c.seen_at < now - KEPT_US))
    rows = connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one()
    for queue in queues:
        same = sa.and_(mine, table.c.queue == queue, table.c.worker == worker)
        known = connection.execute(sa.update(table).where(same).values(seen_at=now)).rowcount
        if not known and rows < MOST_ROWS:
            rows += 1
            values = {"organization_id": organization_id, "queue": queue, "worker": worker}
            insert = house.db.insert(table).values(values | {"first_seen_at": now, "seen_at": now})
            connection.execute(insert.on_conflict_do_nothing())


def list_all(house: House, who: Principal, *, queue: str | None = None) -> list[Worker]:
    """The organization's workers of the last week, the last seen first."""
    rules.require(who, RESOURCE, "read")
    query = sa.select(*(table.c[name] for name in Worker.__struct_fields__)).where(
        table.c.organization_id == who.organization_id, table.c.seen_at >= house.clock() - KEPT_US
    )
    if queue is not None:
        query = query.where(table.c.queue == queue)
    with house.db.read() as connection:
        return [Worker(**row) for row in connection.execute(query.order_by(table.c.seen_at.desc())).mappings()]
