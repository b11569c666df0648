"""The keeper: what an engine looks after while its jobs run, once in a while, on a thread of its own."""

import logging
import threading
import time
from typing import TYPE_CHECKING

from headrace.core.jobs import leases, scheduler
from headrace.core.jobs.changing import Stops
from headrace.core.jobs.running import CANCEL, LOST, STOP_SECONDS, TIMEOUT, Running
from headrace.kit.database import UnreachableError

if TYPE_CHECKING:
    from headrace.core.jobs.engine import Engine

log = logging.getLogger(__name__)

BUSY_SECONDS, IDLE_SECONDS = 0.1, 0.5
SAY_SECONDS = 0.5
UPKEEP_SECONDS = 1.0
PURGE_SECONDS = 600.0
# A job that was claimed ahead and has not begun by then is given back: the one before it takes long.
UNBEGUN_SECONDS = 0.3


class Keeper:
    """`tick` does what is due; the thread calls it again and again."""

    def __init__(self, engine: "Engine") -> None:
        self.engine = engine
        self.house = engine.house
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, name="jobs-keeper", daemon=True)
        self.renewed_at = time.monotonic()
        self.renewed_clock = 0
        self.looked_at = self.upkept_at = self.purged_at = 0.0
        self.leads = False

    def start(self) -> None:
        self.renewed_clock = self.house.clock()
        self.thread.start()

    def stop(self) -> None:
        self.ended.set()
        self.thread.join()
        if self.leads and self.house.db.dialect == "postgresql":
            try:
                scheduler.resign(self.house, self.engine.worker)
            except UnreachableError:
                log.warning("The lead could not be given back; it ends by itself")

    def _run(self) -> None:
        while not self.ended.wait(BUSY_SECONDS if self.engine.running else IDLE_SECONDS):
            try:
                self.tick()
            except UnreachableError:
                log.warning("The database does not answer; the leases of jobs are not renewed", exc_info=True)
            except Exception:  # The edge of this thread: without it every lease would run out.
                log.exception("Looking after jobs failed; it is tried again")

    def tick(self) -> None:
        """Look at deadlines and cancels, write progress, set the clock, renew leases, take back what the lost held."""
        now, held = time.monotonic(), self.engine.held()
        for one in held:
            self._deadline(one, now)
        self._stops(held)
        if held and now - self.looked_at >= SAY_SECONDS:
            self.looked_at = now
            self._cancelled(held)
            self._say(held)
        self.house.keep_time()
        self._renew(held, now)
        if now - self.upkept_at >= UPKEEP_SECONDS and not self.engine.stopping:
            self.upkept_at = now
            self._upkeep(now)

    def _deadline(self, one: Running, now: float) -> None:
        if one.began is None:
            if now - one.claimed > UNBEGUN_SECONDS:
                self.engine.give_back(one)
        elif one.halted is not None:
            if now - one.halted > STOP_SECONDS:
                self.engine.give_up(one)
        elif now - one.began > one.kind.timeout_seconds:
            self.engine.halt(one, TIMEOUT)

    def _stops(self, held: list[Running]) -> None:
        """Stop what was cancelled in this process, without waiting for the next look at the database."""
        asked = self.house.part(Stops).waiting
        if asked:
            for one in held:
                if one.job.id in asked:
                    self.engine.halt(one, CANCEL)
            asked.clear()

    def _cancelled(self, held: list[Running]) -> None:
        stopping = set(leases.stopping(self.house, self.engine.worker))
        for one in held:
            if one.key in stopping:
                self.engine.halt(one, CANCEL)

    def _say(self, held: list[Running]) -> None:
        said = {}
        for one in held:
            if one.context.unwritten and one.context.said is not None:
                one.context.unwritten = False
                said[one.key] = one.context.said
        if said:
            leases.say(self.house, self.engine.worker, said)

    def _renew(self, held: list[Running], now: float) -> None:
        lease = leases.lease_us(self.house)
        # By both clocks: the house's decides when a lease is over, and may be turned on.
        if now - self.renewed_at < lease / 3e6 and self.house.clock() - self.renewed_clock < lease // 3:
            return
        self.renewed_at, self.renewed_clock = now, self.house.clock()
        if not held:
            return
        kept = leases.renew(self.house, self.engine.worker, [one.job.id for one in held])
        for one in held:
            if kept.get(one.job.id) != one.job.attempt and not one.settled:
                log.warning("Job %s is another worker's by now; what it does here comes to nothing", one.job.fence)
                self.house.counters.add("jobs_leases_lost_total")
                self.engine.halt(one, LOST)

    def _upkeep(self, now: float) -> None:
        # Everybody's: who leads may be the one that was lost.
        leases.reap(self.house)
        self.leads = scheduler.lead(self.house, self.engine.worker)
        if not self.leads:
            return
        if now - self.purged_at >= PURGE_SECONDS:
            self.purged_at = now
            scheduler.purge(self.house)
        for duty in self.house.part(scheduler.Duties).all:
            duty(self.house)
