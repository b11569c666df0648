"""The engine: claims jobs, has them run, and writes what became of them. One for each house.

One thread turns: each turn settles what ended and claims what may begin, in one transaction. Another keeps: leases,
deadlines, cancels, progress, the jobs of lost workers and, where this process leads, schedules and retention.
"""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from headrace.core.house import House
from headrace.core.jobs import leases, outcome, scheduler, workers
from headrace.core.jobs import statements as sql
from headrace.core.jobs.bell import NEVER, Bell
from headrace.core.jobs.claim import Capacity, Taker, Turns, claim
from headrace.core.jobs.keeping import Keeper
from headrace.core.jobs.listening import Listener
from headrace.core.jobs.outcome import Outcome
from headrace.core.jobs.places import Places
from headrace.core.jobs.processes import Processes
from headrace.core.jobs.record import Cancelled, Job, Kinds, NonRetryable, TimeUpError
from headrace.core.jobs.running import LOST, SHUTDOWN, TIMEOUT, WORDS, Runner, Running
from headrace.core.jobs.settle import settle
from headrace.core.jobs.statements import run
from headrace.core.jobs.states import FAILED
from headrace.core.jobs.tasks import Tasks
from headrace.core.jobs.threads import Threads
from headrace.kit.database import UnreachableError

log = logging.getLogger(__name__)

# SQLite tells of other processes' commits by a number in shared memory; looking costs a third of a microsecond.
# After a quiet second that is done more rarely: a hundred looks a second cost an idle process one percent of a core.
LOOK_SECONDS, RARE_LOOK_SECONDS = 0.01, 0.05
QUIET_SECONDS = 1.0
POLL_SECONDS = 1.0
# After a hint PostgreSQL is asked a few times more: a hint may have come before what it was for.
ECHO_SECONDS = (0.01, 0.05, 0.2)
TROUBLE_SECONDS = 1.0
HALT_SECONDS = 1.0
SETTLED_AT_ONCE = 500


class Engine:
    """Threads of its own; `start` and `stop` once each. Nothing runs before `start`."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.worker = workers.name()
        self.bell = house.part(Bell)
        self.lock = threading.Lock()
        self.quiet = threading.Condition(self.lock)
        # Held by each turn.
        self.turning = threading.Lock()
        self.running: dict[tuple[int, int], Running] = {}
        self.done: deque[Outcome] = deque()
        self.turns = Turns()
        self.due = 0
        self.looked_at = self.busy_at = 0.0
        self.stamp = -1
        self.told = False
        self.stopping = False
        self.ending = False
        self.started = False
        count = house.settings.jobs_workers
        self.threads = Threads(self, count)
        self.runners: dict[str, Runner] = {
            "thread": self.threads,
            "async": Tasks(self),
            "process": Processes(self, count),
        }
        self.keeper = Keeper(self)
        self.listener = Listener(house)
        self.thread = threading.Thread(target=self._run, name="jobs", daemon=True)

    def start(self) -> None:
        self.started = True
        for runner in self.runners.values():
            runner.start()
        self.listener.start()
        self.thread.start()
        self.keeper.start()

    def stop(self, grace_seconds: float = 20.0) -> None:
        """Claim no more, let what runs end within the grace, give the rest back so that others begin at once."""
        if not self.started:
            return
        self.stopping = True
        # A turn that is under way may claim yet: what it claims is waited for and given back like the rest.
        with self.turning:
            pass
        self._give_back_unbegun()
        self.bell.wake()
        self._wait_for_quiet(grace_seconds)
        for one in self.held():
            self.halt(one, SHUTDOWN)
        self._wait_for_quiet(HALT_SECONDS)
        for one in self.held():
            self.give_up(one)
        self.ending = True
        self.bell.wake()
        self.thread.join()
        self.keeper.stop()
        self.listener.stop()
        for runner in self.runners.values():
            runner.close()
        self.started = False

    def held(self) -> list[Running]:
        with self.lock:
            return [one for one in self.running.values() if not one.settled]

    def begin(self, one: Running) -> bool:
        with self.lock:
            if one.settled:
                return False
            one.began = time.monotonic()
            return True

    def ended(self, one: Running, result: Any = None, error: BaseException | None = None) -> bool:
        """Take what an attempt came to. False when that was decided before: it was given back, or given up."""
        with self.lock:
            if one.settled:
                return False
            one.settled = True
            reason = one.reason
        if reason == LOST:
            self._forget([one.key])
            return True
        self.done.append(self._outcome(one, reason, result, error))
        self.bell.wake()
        return True

    def _outcome(self, one: Running, reason: str | None, result: Any, error: BaseException | None) -> Outcome:
        kind, job, said = one.kind, one.job, one.context.said
        if reason == SHUTDOWN and error is not None:
            return outcome.released(job, self.worker)
        if reason == TIMEOUT:
            error = TimeUpError(f"The job ran longer than {kind.timeout_seconds:g} s")
        if error is not None:
            return outcome.failed(kind, job, self.worker, error, said)
        return outcome.succeeded(kind, job, self.worker, result, said)

    def halt(self, one: Running, reason: str) -> None:
        """Ask an attempt to stop; the first reason counts."""
        with self.lock:
            if one.settled or one.reason is not None:
                return
            one.reason = reason
            one.halted = time.monotonic()
            one.context.stopping = WORDS[reason]
        self.runners[one.kind.isolation].stop(one)

    def give_up(self, one: Running) -> None:
        """Be rid of an attempt that did not stop in time."""
        if self.ended(one, error=Cancelled(WORDS[one.reason or LOST])):
            self.runners[one.kind.isolation].kill(one)

    def give_back(self, one: Running) -> None:
        """Let others have a job that was claimed ahead and has not begun: as if nobody had claimed it."""
        with self.lock:
            if one.settled or one.began is not None:
                return
            one.settled = True
        self.done.append(outcome.unbegun(one.job, self.worker))
        self.bell.wake()

    def _give_back_unbegun(self) -> None:
        for one in self.held():
            self.give_back(one)

    def _wait_for_quiet(self, seconds: float) -> None:
        with self.quiet:
            self.quiet.wait_for(lambda: not self.running, seconds)

    def _run(self) -> None:
        while not (self.ending and not self.done):
            self._await()
            try:
                with self.turning:
                    while self._turn():
                        pass
            except UnreachableError:
                log.warning("The database does not answer; jobs wait", exc_info=True)
                threading.Event().wait(TROUBLE_SECONDS)
                if self.ending:
                    return  # What ended was not written: the leases run out, and others take it up.
            except Exception:  # The edge of this thread: a bug in one turn must not end all of them.
                log.exception("A turn of the job engine failed; what ended is written one by one")
                self._settle_apart()
                threading.Event().wait(TROUBLE_SECONDS)

    def _settle_apart(self) -> None:
        """Write outcomes one by one, after one of them broke a turn: that job fails, the others are as they are."""
        for _ in range(len(self.done)):
            one = self.done.popleft()
            try:
                self._count([one], self.house.db.submit(partial(settle, self.house, given=[one])))
                self._forget([one.key])
            except UnreachableError:
                self.done.append(one)
            except Exception as error:  # The same edge: an outcome that cannot be written is told as far as it can be.
                log.exception("What became of job %s cannot be written", one.job.fence)
                kind = self.house.part(Kinds)[one.job.kind]
                said = NonRetryable(f"What became of the job cannot be written: {type(error).__name__}")
                if one.state != FAILED:
                    self.done.append(outcome.failed(kind, one.job, self.worker, said))
                else:
                    self._forget([one.key])

    def _await(self) -> None:
        """Wait until there may be something to do: a bell, a commit of another process, a job that is due."""
        rung, polled = self.bell.rung, time.monotonic() + POLL_SECONDS
        looking = self.house.db.dialect == "sqlite" and not self.stopping
        while not rung.is_set():
            left = min(polled - time.monotonic(), self._until_echo())
            free = any(self._capacity().values())
            wait = min(left, self._until_look() if looking else left, self._until_due() if free else left)
            self.bell.waits = free
            if left <= 0 or rung.wait(max(wait, 0.001)) or not looking:
                break
            if free and min(self.due, self.bell.due) <= self.house.clock():
                break
            if free and self.house.db.stamp() != self.stamp:
                break
        # Where a look costs as much as a claim, what a bell rang for is claimed at once.
        self.told = rung.is_set() and not looking
        self.bell.waits = False
        rung.clear()

    def _until_echo(self) -> float:
        since = time.monotonic() - self.listener.heard_at
        return next((echo - since for echo in ECHO_SECONDS if since < echo), POLL_SECONDS)

    def _until_look(self) -> float:
        return LOOK_SECONDS if time.monotonic() - self.busy_at < QUIET_SECONDS else RARE_LOOK_SECONDS

    def _until_due(self) -> float:
        return max(0.0, (min(self.due, self.bell.due) - self.house.clock()) / 1e6)

    def _capacity(self) -> dict[str, int]:
        return {} if self.stopping else {name: runner.capacity() for name, runner in self.runners.items()}

    def _turn(self) -> bool:
        """Settle and claim once. Tells whether another turn is worth it at once."""
        capacity = self._capacity()
        given = [self.done.popleft() for _ in range(min(len(self.done), SETTLED_AT_ONCE))]
        self.stamp = self.house.db.stamp() if self.house.db.dialect == "sqlite" else 0
        wanted = any(capacity.values()) and (bool(given) or self.told or self._anything())
        self.told = False
        if not given and not wanted:
            return False
        try:
            settled, jobs, due = self.house.db.submit(
                lambda connection: self._write(connection, given, capacity if wanted else {})
            )
        except BaseException:  # Whatever it was, what ended is not lost by it.
            self.done.extendleft(reversed(given))
            raise
        self.due = due
        self.busy_at = time.monotonic()
        self._count(given, settled)
        self._dispatch(jobs, given)
        return bool(jobs) or bool(self.done)

    def _anything(self) -> bool:
        """Ask whether a claim is worth it: on SQLite a look costs a fraction of a write."""
        self.bell.due = NEVER
        with self.house.db.read() as connection:
            ready, due = run(connection, sql.LOOK).fetchone()
        # Others, too, enqueue jobs for later.
        self.due, self.looked_at = NEVER if due is None else due, time.monotonic()
        return ready is not None or self.due <= self.house.clock()

    def _write(
        self, connection: sa.Connection, given: list[Outcome], capacity: dict[str, int]
    ) -> tuple[dict[int, str], list[Job], int]:
        settled = settle(self.house, connection, given) if given else {}
        now, due = self.house.clock(), min(self.due, self.bell.due)
        if due <= now or time.monotonic() - self.looked_at > POLL_SECONDS:
            self.bell.due, self.looked_at = NEVER, time.monotonic()
            due = scheduler.promote(connection, now)
        if not capacity:
            return settled, [], due
        taker = Taker(self.worker, now, now + leases.lease_us(self.house))
        room = Capacity(capacity, {"thread": self.threads.at_once()}, self.threads.is_quick, self._places)
        return settled, claim(self.house, connection, self.turns, taker, room), due

    def _places(self) -> Places:
        return Places(one.job for one in self.held() if one.kind.outward)

    def _count(self, given: list[Outcome], settled: dict[int, str]) -> None:
        for (kind, state), number in Counter((one.job.kind, settled.get(one.job.id, "lost")) for one in given).items():
            self.house.counters.add("jobs_settled_total", (("kind", kind), ("state", state)), number)

    def _forget(self, keys: list[tuple[int, int]], begins: Sequence[Running] = ()) -> None:
        """Know of what ended no more, and of what begins, at once: nobody sees an engine without jobs in between."""
        with self.quiet:
            for key in keys:
                self.running.pop(key, None)
            self.running |= {one.key: one for one in begins}
            if not self.running:
                self.quiet.notify_all()

    def _dispatch(self, jobs: list[Job], given: list[Outcome]) -> None:
        kinds, ways = self.house.part(Kinds), dict[str, list[Running]]()
        begins = [Running(self.house, job, kinds[job.kind], self.worker) for job in jobs]
        self._forget([one.key for one in given], begins)
        if not begins:
            return
        self.house.counters.add("jobs_claimed_total", (), len(begins))
        for one in begins:
            ways.setdefault(one.kind.isolation, []).append(one)
        for way, many in ways.items():
            self.runners[way].put(many)
