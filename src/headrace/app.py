"""The composition root: opens the house, hands rooms what they need of others, mounts doors and web, closes it all."""

import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Any

from headrace.core import (
    alerts,
    announcements,
    billing,
    groups,
    idempotency,
    jobs,
    keys,
    uptime,
    webhooks,
    workflows,
)
from headrace.core import house as rooms
from headrace.core.events import deletions, tail
from headrace.core.house import House
from headrace.core.identity import sessions
from headrace.core.limits import quota
from headrace.core.limits.windows import Limits
from headrace.core.metrics import Counters
from headrace.core.outward import Outward
from headrace.core.settings import Settings
from headrace.core.workflows import folders
from headrace.doors import apps, ledger, levqor, native, vetrai
from headrace.eventstore.drain import Drained, samples
from headrace.eventstore.store import Store, StoreOptions
from headrace.kit import process
from headrace.kit.clock import Clock
from headrace.kit.passwords import Passwords
from headrace.web import docs, operations, pages, ui
from headrace.wire import openapi
from headrace.wire.door import Door
from headrace.wire.origin import Origin

DOORS: tuple[Door, ...] = (levqor.DOOR, ledger.DOOR, vetrai.DOOR, apps.DOOR, native.DOOR)

log = logging.getLogger(__name__)

FLUSH_SECONDS = 2.0
PURGE_SECONDS = 3600.0


def open_house(settings: Settings, *, clock: Clock | None = None, passwords: Passwords | None = None) -> House:
    """Open everything, recover what the last process left, and start what runs beside requests.

    Raises SettingError, OldSchemaError, EngineError, UnreachableError and OSError; nothing stays open then.
    """
    check(settings)
    settings.data.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        db = rooms.open_database(settings)
        opened.callback(db.close)
        clock = clock or db.clock()
        limits = Limits.open(settings, clock)
        opened.callback(limits.close)
        found: list[House] = []

        def on_drained(drained: Drained) -> None:
            groups.fold(found[0], drained, partial(samples, found[0].store.engine, drained))
            deletions.replayed(found[0], drained)

        store = Store.open(settings.data / "events", options=options(settings), clock=clock, on_drained=on_drained)
        opened.callback(store.stop)
        house = House.open(
            settings, limits=limits, store=store, counters=Counters(), clock=clock, passwords=passwords, db=db
        )
        found.append(house)
        # Read now, so that a setting which is none stops the start.
        opened.callback(house.part(Outward).close)
        recover(house)
        watch(house)
        announce(house)
        store.start()
        house.part(Upkeep).start()
        start_jobs(house)
        opened.pop_all()
    return house


def check(settings: Settings) -> None:
    """Raise SettingError for what only the rooms know to be wrong, before anything is opened."""
    billing.prices.check(settings)
    folders.check(settings)


def options(settings: Settings) -> StoreOptions:
    names = StoreOptions.__struct_fields__
    return StoreOptions(**{name: getattr(settings, name) for name in names if hasattr(settings, name)})


def announce(house: House) -> None:
    """Hand rooms the ways by which they tell the world."""
    house.part(announcements.Listeners).all.append(webhooks.heard)


def start_jobs(house: House) -> None:
    """Run jobs here unless other processes do."""
    define_kinds(house)
    jobs.watch(house)
    if house.settings.jobs_workers:
        house.part(jobs.Engine).start()


def define_kinds(house: House) -> None:
    """Say what kinds of jobs there are."""
    jobs.define(house, webhooks.kind(house))
    jobs.define(house, webhooks.resending_kind())
    workflows.define_kinds(house, webhooks.job_ended)
    house.part(jobs.Duties).all.append(workflows.fire)
    alerts.define(house)
    billing.define(house)


def open_worker(settings: Settings) -> House:
    """Open what jobs need, and run them: no requests, no event store. Kinds that ask the store are left to servers.

    Raises SettingError, OldSchemaError and UnreachableError; nothing stays open then.
    """
    check(settings)
    with ExitStack() as opened:
        db = rooms.open_database(settings)
        opened.callback(db.close)
        clock = db.clock()
        limits = Limits.open(settings, clock)
        opened.callback(limits.close)
        nothing: Any = None
        house = House.open(settings, limits=limits, store=nothing, counters=Counters(), clock=clock, db=db)
        opened.callback(house.part(Outward).close)
        announce(house)
        define_kinds(house)
        jobs.leave(house, alerts.evaluating.KIND)
        house.part(jobs.Engine).start()
        opened.pop_all()
    return house


def close_worker(house: House) -> None:
    """Let what runs end, give the rest back."""
    house.part(jobs.Engine).stop()
    house.part(Outward).close()
    house.limits.close()
    house.close()


def recover(house: House) -> None:
    """Count what was acknowledged before the last stop and is not stored yet."""
    counts: dict[tuple[int, int], int] = {}
    for (_, project, day), rows in house.store.wal.arrivals.items():
        counts[project, day] = counts.get((project, day), 0) + rows
    quota.recover(house, counts)


def watch(house: House) -> None:
    """Name what the metrics ask of the rooms."""
    wal, drain, engine, disk = house.store.wal, house.store.drain, house.store.engine, house.store.disk
    readings: tuple[tuple[str, str, str, Callable[[], float]], ...] = (
        ("wal_commits_total", "counter", "Group commits: writes with one sync each.", lambda: wal.commits),
        ("events_waiting", "gauge", "Events acknowledged and not yet searchable.", lambda: wal.waiting_rows),
        ("events_waiting_bytes", "gauge", "Bytes of them on disk.", lambda: wal.waiting_bytes),
        ("segments_waiting", "gauge", "Sealed segments that wait to be stored.", lambda: len(wal.sealed)),
        ("events_refused", "gauge", "1 while no events are taken.", lambda: bool(house.store.refusing)),
        ("drain_segments_total", "counter", "Segments stored.", lambda: drain.segments),
        ("drain_events_total", "counter", "Events stored.", lambda: drain.rows),
        ("drain_failures_total", "counter", "Tries to store a segment that failed.", lambda: drain.failures),
        ("quarantined_total", "counter", "Events the engine could not read, set aside.", lambda: drain.quarantined),
        ("queries_total", "counter", "Questions put to the engine.", lambda: engine.asked),
        ("query_seconds_total", "counter", "Time the engine took for them.", lambda: engine.seconds),
        ("queries_refused_total", "counter", "Questions over their limits, or cancelled.", lambda: engine.refused),
        ("disk_used_percent", "gauge", "How full the data folder's disk is.", lambda: disk.percent),
        (
            "rate_window_failures_total",
            "counter",
            "Times the shared rate store was silent.",
            lambda: house.limits.failures,
        ),
        ("live_tails", "gauge", "Live tails that are open.", lambda: house.part(tail.Hub).count),
        ("threads", "gauge", "Threads of this process.", threading.active_count),
        ("memory_bytes", "gauge", "Resident memory of this process.", process.resident_bytes),
        ("cpu_seconds_total", "counter", "Processor time of this process.", time.process_time),
    )
    for name, kind, meaning, read in readings:
        house.counters.declare(name, kind, meaning)
        house.counters.gauge(name, read)


class Upkeep:
    """One thread that writes what was counted in memory and deletes what is over."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join()

    def _run(self) -> None:
        purged = 0.0
        while not self.stopping.wait(FLUSH_SECONDS):
            purged += FLUSH_SECONDS
            attempt(self.house.keep_time)
            attempt(lambda: keys.usage.flush(self.house))
            attempt(lambda: uptime.mark(self.house))
            attempt(lambda: deletions.work(self.house))
            attempt(lambda: alerts.enqueue_due(self.house))
            attempt(lambda: groups.tidying.work(self.house))
            if purged >= PURGE_SECONDS:
                purged = 0.0
                attempt(lambda: idempotency.purge(self.house))
                attempt(lambda: sessions.purge(self.house))
                attempt(lambda: keys.usage.purge(self.house))
                attempt(lambda: billing.renew(self.house))
                attempt(lambda: webhooks.deliveries.purge(self.house))


def attempt(work: Callable[[], object]) -> None:
    """Do a piece of upkeep; what fails is logged and done again at the next turn."""
    try:
        work()
    except Exception:  # The edge of this thread: a database that is away for a while must not end it.
        log.exception("upkeep failed; it is tried again")


def build(house: House) -> Origin:
    """Return the ASGI application of all doors and the origin's own pages."""

    def description() -> dict[str, object]:
        return openapi.document(origin.doors, origin.apps)

    web = pages.door([*docs.routes(description), *operations.ROUTES])
    doors = (levqor.described(description) if door is levqor.DOOR else door for door in DOORS)
    origin = Origin(house, (*doors, ui.door(), web))
    return origin


def end_tails(house: House) -> None:
    """End every live tail; none begins after that."""
    house.part(tail.Hub).close()
    house.part(workflows.Waits).end()


def close(house: House) -> None:
    """Stop in reverse: jobs, upkeep, the store (what is acknowledged is stored, or stays on disk), the database."""
    end_tails(house)
    house.part(jobs.Engine).stop()
    house.part(Upkeep).stop()
    house.store.stop()
    attempt(lambda: keys.usage.flush(house))
    attempt(lambda: uptime.mark(house))
    house.part(Outward).close()
    house.limits.close()
    house.close()
