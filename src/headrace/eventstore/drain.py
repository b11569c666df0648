"""Drain: one thread that moves sealed segments from the durable log into the engine, exactly once, and tells what came.

Every step may be repeated after a crash: the insert by its token, the summary by reading ids, the caller's fold by the
segment's name. Rows that the engine cannot read are the work of `quarantine`.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from headrace.eventstore import learning, quarantine, retention
from headrace.eventstore.engine import Engine, EngineError
from headrace.eventstore.schema import string
from headrace.eventstore.segments import Segment
from headrace.kit.times import HOUR, MINUTE, SECOND

log = logging.getLogger(__name__)

TRIES_BEFORE_SIFTING = 3
LEARNED_ROWS = 1_000_000  # After so many, or an hour, rollups are looked at again.
FILLED_EVERY = 10 * SECOND
LONGEST_PAUSE = 10.0  # Seconds between tries while the engine or the caller fails.


class ProjectDay(msgspec.Struct, array_like=True, frozen=True):
    """Rows that one project received in this segment; `day` is the UTC day of arrival, counted from 1970."""

    tenant: int
    project: int
    day: int
    rows: int
    errors: int = 0


Pairs = tuple[tuple[int, ...], tuple[int, ...]]


class ErrorSummary(msgspec.Struct, array_like=True, frozen=True):
    """What one fingerprint received in this segment, per hour of event time (us), release and environment.

    The sample is its newest event. `minutes` are (minutes since 1970, events in each), `users` (places, ranks) of a
    HyperLogLog with 1,024 registers over what the events say of their users.
    """

    tenant: int
    project: int
    fingerprint: str
    hour: int
    rows: int
    first_ts: int
    last_ts: int
    error_type: str | None
    error_message: str | None
    platform: str | None
    sample_ts: int
    sample_id: int
    release: str | None = None
    environment: str | None = None
    minutes: Pairs = ((), ())
    users: Pairs = ((), ())


class Sample(msgspec.Struct, array_like=True, frozen=True):
    """What of one event goes into its fingerprint; `attributes` is JSON text with the sender's choice, if any."""

    id: int
    error_type: str | None
    error_message: str | None
    message: str | None
    stack_trace: str | None
    platform: str | None
    attributes: msgspec.Raw


class StoredSample(msgspec.Struct, array_like=True, frozen=True):
    id: int
    error_type: str
    error_message: str
    message: str
    stack_trace: str
    platform: str
    attributes: str


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that is searchable now. `last_id` is exclusive; the name is unique for ever."""

    name: str
    first_id: int
    last_id: int
    projects: list[ProjectDay]
    errors: list[ErrorSummary]


def arrived(segment: Segment) -> list[ProjectDay]:
    """Return what the segment's projects received; rows in the quarantine were acknowledged too, and count."""
    return [ProjectDay(*place, rows) for place, rows in sorted(segment.arrivals.items())]


class Log(Protocol):
    """What the drain uses of the Wal."""

    def next_sealed(self, timeout: float) -> Segment | None: ...
    def done(self, segment: Segment) -> None: ...


OF_SEGMENT = "id >= {first:UInt64} AND id < {last:UInt64}"
# A row deleted since counts all the same: it was received.
WITH_DELETED = {"apply_deleted_mask": 0}

PROJECTS = f"""
SELECT tenant, project, intDiv(received_at, 86400000000) AS day, count(), countIf(error_fingerprint != '')
FROM events WHERE {OF_SEGMENT}
GROUP BY tenant, project, day ORDER BY tenant, project, day"""

# Whom an error reached: the first of these that an event has; a number and its text are one user.
USER_ATTRIBUTES = ("user_id", "user.id", "enduser.id", "user.email", "user.username", "user.name")
USER_FIELDS = ("id", "email", "username", "name", "ip_address")
USER = (
    "trim(BOTH '\"' FROM firstNonDefault("
    + ", ".join(f"sent['{name}']" for name in USER_ATTRIBUTES)
    + ", if(startsWith(sent['user'], '{'), firstNonDefault("
    + ", ".join(f"JSONExtractRaw(sent['user'], '{name}')" for name in USER_FIELDS)
    + "), sent['user'])))"
)
# `sent` is the whole map: to read key by key the engine takes it apart ten times, at 0.2 us a row more.
# The place of a register is in the lower ten bits of the hash, its rank the first bit that is set in the others.
REST = "intDiv(hash, 1024)"
USERS = f"maxMapIf([toUInt16(hash % 1024)], [toUInt8(bitCount(bitXor({REST}, {REST} - 1)))], user NOT IN ('', 'null'))"
ERRORS = f"""
SELECT tenant, project, error_fingerprint, ts - positiveModulo(ts, {HOUR}) AS hour, count(), min(ts), max(ts),
  argMax(error_type, (ts, id)) AS type, argMax(error_message, (ts, id)) AS message,
  argMax(platform, (ts, id)) AS platform,
  max(ts), argMax(id, (ts, id)), its_release, its_environment,
  sumMap([intDiv(ts - positiveModulo(ts, {MINUTE}), {MINUTE})], [toUInt64(1)]), {USERS}
FROM (
  SELECT tenant, project, error_fingerprint, ts, id, error_type, error_message, platform,
    CAST(attributes AS Map(String, String)) AS sent,
    if(release = '', {string("sent['release']")}, release) AS its_release,
    if(environment = '', {string("sent['environment']")}, environment) AS its_environment,
    {USER} AS user, sipHash64(user) AS hash
  FROM events WHERE {OF_SEGMENT} AND error_fingerprint != ''
)
GROUP BY tenant, project, error_fingerprint, hour, its_release, its_environment
ORDER BY tenant, project, error_fingerprint, hour"""

SAMPLES = f"""
SELECT id, error_type, error_message, message, stack_trace, platform,
  if(attributes['fingerprint'] = '', '{{}}', concat('{{"fingerprint":', attributes['fingerprint'], '}}'))
FROM events WHERE {OF_SEGMENT} AND has({{ids:Array(UInt64)}}, id)"""
SAMPLE_TEXTS = ("error_type", "error_message", "message", "stack_trace", "platform")


def summary(engine: Engine, segment: Segment) -> Drained:
    """Count what of the segment lies in the engine."""
    ids = {"first": segment.first_id, "last": segment.last_id}
    projects = engine.query(PROJECTS, ids, row=ProjectDay, settings=WITH_DELETED, seconds=60, reserved=True)
    errors: list[ErrorSummary] = []
    if any(one.errors for one in projects):
        errors = engine.query(ERRORS, ids, row=ErrorSummary, settings=WITH_DELETED, seconds=60, reserved=True)
    return Drained(
        name=segment.name,
        first_id=segment.first_id,
        last_id=segment.last_id,
        projects=projects,
        errors=[with_absent(error) for error in errors],
    )


def samples(engine: Engine, drained: Drained, ids: Iterable[int]) -> dict[int, Sample]:
    """Read what the fingerprints of some of the segment's events were made of."""
    params = {"first": drained.first_id, "last": drained.last_id, "ids": sorted(ids)}
    rows = engine.query(SAMPLES, params, row=StoredSample, settings=WITH_DELETED, seconds=60, reserved=True)
    return {row.id: sample_of(row) for row in rows}


def sample_of(row: StoredSample) -> Sample:
    texts = {name: stored_text(getattr(row, name)) for name in SAMPLE_TEXTS}
    return Sample(id=row.id, attributes=msgspec.Raw(row.attributes.encode()), **texts)


def with_absent(error: ErrorSummary) -> ErrorSummary:
    """Read stored texts: "" is absent, one NUL is empty."""
    names = ("error_type", "error_message", "platform", "release", "environment")
    return msgspec.structs.replace(error, **{name: stored_text(getattr(error, name)) for name in names})


def stored_text(value: str | None) -> str | None:
    return None if not value else "" if value == "\0" else value


class Drain:
    """The thread. `start`, then `stop`; the counters may be read at any time."""

    def __init__(self, engine: Engine, wal: Log, on_drained: Callable[[Drained], None]) -> None:
        self.engine, self.wal, self.on_drained = engine, wal, on_drained
        self.stopping = threading.Event()  # Now;
        self.finishing = threading.Event()  # once nothing waits any more.
        self.changed = threading.Condition()
        self.stored_id = 0  # Ids below it, of this log, are searchable.
        self.segments = self.rows = self.failures = self.quarantined = 0
        self.trouble: str | None = None
        self.tidied_at = self.learned_at = self.learned_rows = self.filled_at = 0
        self.filled = False
        self.thread = threading.Thread(target=self.run, name="drain", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def run(self) -> None:
        while not self.stopping.is_set():
            segment = self.wal.next_sealed(0.2)
            if segment is not None:
                self.persist(segment)
                self.learn()
            elif self.finishing.is_set():
                return
            else:
                self.tidy()
                self.fill_rollups()

    def tidy(self) -> None:
        """Once an hour, when nothing waits, let go what has expired."""
        now = self.engine.clock()
        if abs(now - self.tidied_at) < HOUR:
            return
        self.tidied_at = now
        try:
            retention.drop_expired(self.engine, now)
        except EngineError as problem:
            log.warning("Expired events could not be dropped: %s", problem)

    def learn(self) -> None:
        """Once an hour or a million rows, have rollups suit what comes."""
        now = self.engine.clock()
        if abs(now - self.learned_at) < HOUR and self.rows - self.learned_rows < LEARNED_ROWS:
            return
        self.learned_at, self.learned_rows = now, self.rows
        try:
            learning.learn(self.engine)
            self.filled = False
        except EngineError as problem:
            log.warning("Rollups stay as they are: %s", problem)

    def fill_rollups(self) -> None:
        """Now and then, when nothing waits, have the engine make rollups that a partition lacks, until none does."""
        now = self.engine.clock()
        if self.filled or abs(now - self.filled_at) < FILLED_EVERY:
            return
        self.filled_at = now
        try:
            self.filled = not learning.backfill(self.engine)
        except EngineError as problem:
            log.warning("Rollups could not be filled: %s", problem)

    def persist(self, segment: Segment) -> None:
        """Drain one segment, however long the engine or the caller fails; gives up only when stopped."""
        pause, tries = 0.05, 0
        while True:
            try:
                self.drain(segment, sift=tries >= TRIES_BEFORE_SIFTING)
            # The edge of a thread: whatever fails here (engine, disk, the caller's fold), the events stay in the log
            # and must be tried again, or ingest would stop for ever without a word.
            except Exception as problem:  # noqa: BLE001 - see above
                tries += 1
                self.failures += 1
                self.trouble = f"segment {segment.name}: {problem}"
                log.warning("Segment %s could not be stored, try %d: %s", segment.name, tries, problem)
                if self.stopping.wait(pause):
                    return
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self.trouble = None
                return

    def drain(self, segment: Segment, *, sift: bool = False) -> None:
        """Insert, verify, tell, forget. With `sift`, put what cannot be read into the quarantine first."""
        bad = 0
        self.engine.arrived(segment.first_day)
        if sift and not quarantine.readable(self.engine, segment.path):
            bad = quarantine.sift(self.engine, segment)
        else:
            self.engine.insert_segment(segment.path, token=segment.name)
        drained = summary(self.engine, segment)
        stored = sum(project.rows for project in drained.projects)
        if stored < segment.rows - bad:
            drained = self.fill(segment, stored, bad)
        self.on_drained(msgspec.structs.replace(drained, projects=arrived(segment)))
        self.wal.done(segment)
        with self.changed:
            self.segments += 1
            self.rows += segment.rows
            self.quarantined += bad
            self.stored_id = segment.last_id
            self.changed.notify_all()

    def fill(self, segment: Segment, stored: int, bad: int) -> Drained:
        """Insert the rows that are missing although the engine took the segment, then count again.

        It happens when the engine forgot rows it had reported (a lost part), so the first token no longer helps.
        """
        log.error("Segment %s has %d of %d rows in the engine; inserting the rest", segment.name, stored, segment.rows)
        if bad:
            raise EngineError(f"{stored} of {segment.rows - bad} rows are stored")
        of_segment = f"id >= {segment.first_id} AND id < {segment.last_id}"
        missing = f"first_id + n - 1 NOT IN (SELECT id FROM events WHERE {of_segment})"
        self.engine.insert_segment(segment.path, token=f"{segment.name}.fill.{stored}", condition=missing)
        drained = summary(self.engine, segment)
        found = sum(project.rows for project in drained.projects)
        if found < segment.rows:
            raise EngineError(f"{found} of {segment.rows} rows are stored")
        return drained

    def wait(self, last_id: int, timeout: float) -> bool:
        """Wait until every event below `last_id` of this log is searchable."""
        with self.changed:
            return self.changed.wait_for(lambda: self.stored_id >= last_id, timeout)

    def finish(self, seconds: float) -> None:
        """Drain what a closed log still holds, for at most `seconds`, then stop; the rest waits for the next start."""
        self.finishing.set()
        if self.thread.is_alive():
            self.thread.join(seconds)
        self.stop()

    def stop(self) -> None:
        """Stop after the segment in hand."""
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join()
