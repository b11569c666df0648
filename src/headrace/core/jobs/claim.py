"""Claiming: ready jobs pass into a worker's hands, fairly by lane, and never beyond a limit.

Lanes are walked in turn, beginning after the last one served; a lane that is full or paused is left out before anything
is claimed. Within a lane the order is `ord`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.jobs import statements as sql
from headrace.core.jobs.enqueue import order
from headrace.core.jobs.places import Places
from headrace.core.jobs.record import Job, Kind, Kinds
from headrace.core.jobs.statements import run

# A commit costs as much as fifty jobs do: where jobs are short and many wait, the more share one the better.
BATCH = 200
# A seek each. What a walk does not reach, the next one begins with.
LANES = 64
# Lanes that are full are walked over; there are never more of them than jobs that run.
WALKS = 16


class Turns:
    """Where the last walk ended, for one engine. `again` says that a kind was skipped for another claimer's sake."""

    def __init__(self) -> None:
        self.last_lane: dict[str, str] = {}
        self.last_kind = ""
        self.again = False


class Taker(msgspec.Struct, frozen=True):
    """Who claims, and until when the lease runs."""

    worker: str
    now: int
    until: int


class Capacity(msgspec.Struct, frozen=True):
    """How many more may be claimed, by isolation: in all, and while anything waits that is not quick, `at_once`.

    `is_quick` tells it of a kind. `places` are shared by the kinds that are `outward`.
    """

    most: Mapping[str, int]
    at_once: Mapping[str, int] = {}
    is_quick: Callable[[str], bool] = bool
    places: Callable[[], Places | None] = lambda: None

    def left(self, waiting: list[Kind]) -> dict[str, int]:
        slow = {kind.isolation for kind in waiting if kind.run is not None and not self.is_quick(kind.name)}
        return {way: min(most, self.at_once.get(way, most)) if way in slow else most for way, most in self.most.items()}


def claim(house: House, connection: sa.Connection, turns: Turns, taker: Taker, capacity: Capacity) -> list[Job]:
    """Claim up to BATCH jobs of the kinds known here."""
    turns.again = False
    kinds = house.part(Kinds).named
    looked = run(connection, sql.KINDS).fetchall()
    paused = {(kind, number) for kind, number in looked if number is not None}
    if ("", 0) in paused:
        return []
    waiting = [name for name, number in looked if number is None and name in kinds and (name, 0) not in paused]
    waiting = [name for name in waiting if name > turns.last_kind] + [n for n in waiting if n <= turns.last_kind]
    left = capacity.left([kinds[name] for name in waiting])
    places = capacity.places() if any(kinds[name].outward for name in waiting) else None
    found: list[Job] = []
    for place, name in enumerate(waiting):
        kind = kinds[name]
        share = -(-(BATCH - len(found)) // (len(waiting) - place))
        room = min(share, left.get(kind.isolation, 0) if kind.run is not None else 0)
        if room <= 0:
            continue
        if places is not None:
            places.free = left[kind.isolation]
        free = _Room(kind, room, places if kind.outward else None)
        jobs = _of_kind(connection, turns, taker, free, _shut(paused, name))
        if jobs:
            turns.last_kind = name
            left[kind.isolation] -= len(jobs)
            found += jobs
    return found


def _shut(paused: set[tuple[str, int]], kind: str) -> frozenset[int]:
    return frozenset(number for name, number in paused if name in {"", kind} and number)


def _of_kind(connection: sa.Connection, turns: Turns, taker: Taker, free: "_Room", shut: frozenset[int]) -> list[Job]:
    kind = free.kind
    if free.limited and not free.look(connection):
        turns.again = True
        return []
    found: list[Job] = []
    after, seen = turns.last_lane.get(kind.name, ""), set[str]()
    for _ in range(WALKS):
        if free.left <= 0:
            break
        rows = run(connection, sql.LANES, kind=kind.name, after=after, many=LANES)
        lanes = [row[0] for row in rows if row[0] not in seen]
        seen.update(lanes)
        open_lanes = [lane for lane in lanes if int(lane.partition("/")[0]) not in shut and free.of(lane) > 0]
        jobs = _take(connection, kind.name, taker, free.shares(open_lanes[: free.left])) if open_lanes else []
        free.taken(jobs)
        found += jobs
        if jobs:
            turns.last_lane[kind.name] = jobs[-1].lane
        if len(lanes) < LANES:
            break  # Once round.
        after = lanes[-1]
    return found


class _Room:
    """How many jobs of a kind may be claimed now, in all and by lane."""

    def __init__(self, kind: Kind, room: int, places: Places | None) -> None:
        self.kind = kind
        self.left = room
        self.places = places
        self.asked: list[tuple[str, int]] = []
        self.limited = kind.in_flight is not None or kind.per_lane is not None
        self.held: dict[str, int] = {}
        self.most: dict[str, int] = {}

    def look(self, connection: sa.Connection) -> bool:
        """Count what is held. On PostgreSQL one claimer of a limited kind at a time; False while it is another."""
        if (
            connection.dialect.name == "postgresql"
            and not run(connection, sql.TRY_KIND, kind=self.kind.name).fetchone()[0]
        ):
            return False
        self.held = dict(run(connection, sql.HELD_LANES, kind=self.kind.name))
        if self.kind.in_flight is not None:
            self.left = min(self.left, self.kind.in_flight - sum(self.held.values()))
        return True

    def of(self, lane: str) -> int:
        bound = self.kind.per_lane
        left = self.left if self.places is None else min(self.left, self.places.room(self.kind.name, lane))
        if bound is None:
            return left
        if lane not in self.most:
            self.most[lane] = bound if isinstance(bound, int) else bound(lane)
        return min(left, self.most[lane] - self.held.get(lane, 0))

    def shares(self, lanes: list[str]) -> list[tuple[str, int]]:
        """Return how many to ask of each; the places that one may take are not there for the next."""
        share = -(-self.left // len(lanes))
        self.asked = []
        for lane in lanes:
            many = min(share, self.of(lane))
            if many > 0:
                self.asked.append((lane, many))
                self._place(lane, many)
        return self.asked

    def taken(self, jobs: list[Job]) -> None:
        self.left -= len(jobs)
        for lane, many in self.asked:
            self._place(lane, -many)
        self.asked = []
        for job in jobs:
            self.held[job.lane] = self.held.get(job.lane, 0) + 1
            self._place(job.lane, 1)

    def _place(self, lane: str, many: int) -> None:
        if self.places is not None:
            self.places.take(self.kind.name, lane, many)


def _take(connection: sa.Connection, kind: str, taker: Taker, shares: list[tuple[str, int]]) -> list[Job]:
    """Claim from each lane its share, in the order of the lanes."""
    values: dict[str, Any] = {"kind": kind, "worker": taker.worker, "now": taker.now, "until": taker.until}
    if connection.dialect.name == "postgresql":
        values |= {"lanes": [lane for lane, _ in shares], "numbers": [many for _, many in shares]}
        rows = run(connection, sql.TAKE_POSTGRESQL, **values).fetchall()
    else:
        ids: list[int] = []
        for many in {many for _, many in shares}:
            lanes = msgspec.json.encode([lane for lane, number in shares if number == many]).decode()
            ids += [row[0] for row in run(connection, sql.PICK_SQLITE, kind=kind, lanes=lanes, many=many)]
        rows = run(connection, sql.TAKE_SQLITE, ids=sql.some(connection, ids), **values).fetchall()
    place = {lane: number for number, (lane, _) in enumerate(shares)}
    jobs = [sql.job_of(row) for row in rows]
    jobs.sort(key=lambda job: (place[job.lane], order(job.run_at, job.priority), job.id))
    return jobs
