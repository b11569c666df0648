"""How often keys are used: counted in memory, written by one thread every few seconds, per hour and route."""

import threading

import msgspec
import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.identity import sessions
from headrace.core.schema import api_keys, key_usage
from headrace.kit.database import UnreachableError
from headrace.kit.times import DAY, HOUR, MINUTE

ROUTES_PER_KEY = 200
OTHER = "other"
KEPT = 400 * DAY


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """One hour, route and class of status (2, 3, 4, 5) of a key; durations in microseconds."""

    hour: int
    route: str
    status_class: int
    requests: int
    sum_us: int
    max_us: int


class Counts:
    """What was counted since the last flush."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.lock = threading.Lock()
        self.rows: dict[tuple[int, int, str, int], list[int]] = {}
        self.last: dict[int, int] = {}
        self.routes: dict[int, set[str]] = {}


def count(house: House, key_id: int, *microseconds: int, route: str, status: int) -> None:
    """Count answered requests by their durations; `route` is the template, so that ids do not multiply the rows."""
    part, now = house.part(Counts), house.clock()
    with part.lock:
        routes = part.routes.setdefault(key_id, set())
        if route not in routes:
            if len(routes) >= ROUTES_PER_KEY:
                route = OTHER
            routes.add(route)
        row = part.rows.setdefault((key_id, now - now % HOUR, route, status // 100), [0, 0, 0])
        row[0] += len(microseconds)
        row[1] += sum(microseconds)
        row[2] = max(row[2], *microseconds)
        part.last[key_id] = now


def flush(house: House) -> int:
    """Write what was counted (sessions' last use too); return how many rows. Called by one thread every 1 to 5 s."""
    sessions.flush(house)
    part = house.part(Counts)
    with part.lock:
        rows, part.rows = part.rows, {}
        last, part.last = part.last, {}
    if not rows:
        return 0
    try:
        _write(house, rows, last)
    except UnreachableError:
        _put_back(part, rows, last)
        raise
    return len(rows)


def of_key(house: House, key_id: int, *, since: int = 0) -> list[Usage]:
    """The hours of a key that was read for the caller, since a time, the newest first, with what is not written yet."""
    query = sa.select(key_usage).where(key_usage.c.key_id == key_id, key_usage.c.hour >= since - since % HOUR)
    with house.db.read() as connection:
        found = {
            (row.hour, row.route, row.status_class): [row.requests, row.sum_us, row.max_us]
            for row in connection.execute(query)
        }
    part = house.part(Counts)
    with part.lock:
        for (key, hour, route, status), (requests, total, longest) in part.rows.items():
            if key == key_id and hour >= since - since % HOUR:
                have = found.setdefault((hour, route, status), [0, 0, 0])
                have[:] = [have[0] + requests, have[1] + total, max(have[2], longest)]
    return [
        Usage(hour=hour, route=route, status_class=status, requests=n, sum_us=total, max_us=longest)
        for (hour, route, status), (n, total, longest) in sorted(found.items(), reverse=True)
    ]


def purge(house: House) -> None:
    """Let go of the hours that are too old; the key itself keeps its sum."""
    with house.db.write() as connection:
        connection.execute(sa.delete(key_usage).where(key_usage.c.hour < house.clock() - KEPT))


def _write(house: House, rows: dict[tuple[int, int, str, int], list[int]], last: dict[int, int]) -> None:
    insert = house.db.insert(key_usage)
    larger = sa.case((insert.excluded.max_us > key_usage.c.max_us, insert.excluded.max_us), else_=key_usage.c.max_us)
    statement = insert.on_conflict_do_update(
        index_elements=[column.name for column in key_usage.primary_key],
        set_={
            "requests": key_usage.c.requests + insert.excluded.requests,
            "sum_us": key_usage.c.sum_us + insert.excluded.sum_us,
            "max_us": larger,
        },
    )
    totals: dict[int, int] = {}
    for (key_id, *_), counts in rows.items():
        totals[key_id] = totals.get(key_id, 0) + counts[0]
    # Forward only, and at most once a minute: a busy key is not rewritten at every flush for that alone.
    seen = sa.case(
        (
            sa.or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at <= sa.bindparam("seen") - MINUTE),
            sa.bindparam("seen"),
        ),
        else_=api_keys.c.last_used_at,
    )
    used = (
        sa.update(api_keys)
        .where(api_keys.c.id == sa.bindparam("key"))
        .values(usage_count=api_keys.c.usage_count + sa.bindparam("uses"), last_used_at=seen)
    )
    names = ("key_id", "hour", "route", "status_class", "requests", "sum_us", "max_us")
    with house.db.write() as connection:
        connection.execute(
            statement, [dict(zip(names, (*key, *counts), strict=True)) for key, counts in sorted(rows.items())]
        )
        connection.execute(
            used, [{"key": key, "uses": uses, "seen": last.get(key, 0)} for key, uses in sorted(totals.items())]
        )


def _put_back(part: Counts, rows: dict[tuple[int, int, str, int], list[int]], last: dict[int, int]) -> None:
    """The database was out of reach: nothing is lost, the next flush writes it."""
    with part.lock:
        for key, counts in rows.items():
            have = part.rows.setdefault(key, [0, 0, 0])
            have[:] = [have[0] + counts[0], have[1] + counts[1], max(have[2], counts[2])]
        for key_id, seen in last.items():
            part.last[key_id] = max(part.last.get(key_id, 0), seen)
