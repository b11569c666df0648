"""One attempt in this process's hands, and what its three ways to run have in common."""

import time
from collections.abc import Sequence
from typing import Any, Protocol

from headrace.core.house import House
from headrace.core.jobs.context import Context
from headrace.core.jobs.record import Job, Kind

# What is asked to stop has this long; then it is left to itself (a thread), dropped (a task) or killed (a process).
STOP_SECONDS = 5.0

TIMEOUT, CANCEL, LOST, SHUTDOWN = "timeout", "cancel", "lost", "shutdown"
WORDS = {
    TIMEOUT: "The job's time is up",
    CANCEL: "The job was cancelled",
    LOST: "Another worker has the job",
    SHUTDOWN: "The worker is stopping",
}


class Running:
    """Its state: claimed, begun, perhaps asked to stop for a reason, settled once."""

    __slots__ = ("began", "claimed", "context", "halted", "handle", "job", "kind", "reason", "settled")

    def __init__(self, house: House, job: Job, kind: Kind, worker: str) -> None:
        self.job = job
        self.kind = kind
        self.context = Context(house, job, worker)
        self.claimed = time.monotonic()
        self.began: float | None = None
        self.halted: float | None = None
        self.reason: str | None = None
        self.settled = False
        self.handle: Any = None

    @property
    def key(self) -> tuple[int, int]:
        return self.job.id, self.job.attempt


class Ear(Protocol):
    """The engine, as its runners see it."""

    def begin(self, one: Running) -> bool:
        """Say that an attempt begins; False when it was given back meanwhile."""

    def ended(self, one: Running, result: Any = None, error: BaseException | None = None) -> bool:
        """Say how it ended; False when nobody waits for that any more."""


class Runner(Protocol):
    """One way to run jobs."""

    def start(self) -> None: ...

    def put(self, many: Sequence[Running]) -> None: ...

    def capacity(self) -> int:
        """Return how many more may be claimed for it."""

    def stop(self, one: Running) -> None:
        """Ask an attempt to stop; its context says so already."""

    def kill(self, one: Running) -> None:
        """Be rid of an attempt that did not stop."""

    def close(self) -> None: ...
