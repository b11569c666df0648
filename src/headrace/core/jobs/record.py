"""What a kind of job is, and which kinds there are. No SQL, no threads. The job itself stands in `core/attempts`."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import sqlalchemy as sa

from headrace.core.attempts.record import RESULT_BYTES, Cancelled, Job, NonRetryable, Retry
from headrace.core.house import House

if TYPE_CHECKING:
    from headrace.core.jobs.context import Context

__all__ = [
    "HIGH",
    "LOW",
    "NORMAL",
    "PAYLOAD_BYTES",
    "PRIORITIES",
    "RESULT_BYTES",
    "Cancelled",
    "Isolation",
    "Job",
    "Kind",
    "Kinds",
    "NonRetryable",
    "Page",
    "Retry",
    "TimeUpError",
    "define",
    "define_family",
    "leave",
]

LOW, NORMAL, HIGH = 20, 50, 80
PRIORITIES = 100
PAYLOAD_BYTES = 1 << 20

Isolation = Literal["thread", "async", "process"]


class Page(msgspec.Struct, frozen=True):
    """Jobs, newest first; `before` asks for the next page, None on the last one."""

    jobs: list[Job]
    before: int | None


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """How the jobs of one kind run. Without `run` they wait for workers outside (`jobs.lease`).

    `run` takes the Context and returns the result: a plain function in a thread, a coroutine function under `async`;
    under `process` a module-level function, named by its module, that gets a Context without a house (a tenth of a
    second of start, and what its module imports). `prepare` is called before that in the engine's process, and its
    answer (JSON) is `context.prepared` there; `memory_bytes` is what the process may take beyond what it begins with.
    `tries` counts the first run. Waits between tries: `schedule` (+-10 %), else up to `backoff_seconds`
    doubled each time. `in_flight` and `per_lane` bound what runs at once, over all processes; `per_lane` may be a
    function of the lane, and where it says 0 the lane waits. `ended` is called inside the transaction that writes the
    final state, with the final job. `replayed` says how many tries a job gets when it is replayed, where that is not
    the kind's number, or raises the refusal. Where runs mostly wait for somebody outside (`outward`), a lane takes part
    of what is free (`places`).
    """

    name: str
    run: "Callable[[Context], Any] | None"
    isolation: Isolation = "thread"
    timeout_seconds: float = 300.0
    tries: int = 4
    backoff_seconds: float = 1.0
    backoff_cap_seconds: float = 300.0
    schedule: tuple[float, ...] | None = None
    in_flight: int | None = None
    per_lane: int | Callable[[str], int] | None = None
    retention_days: int = 30
    ended: Callable[[sa.Connection, House, Job], None] | None = None
    prepare: "Callable[[Context], Any] | None" = None
    memory_bytes: int | None = None
    replayed: Callable[[House, Job], int] | None = None
    outward: bool = False


class TimeUpError(Exception):
    """An attempt took longer than its kind allows. The text is shown outside."""


class Kinds:
    """The kinds that this process knows."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.named: dict[str, Kind] = {}
        # By how their names begin: kinds that only other processes run, and what is the same of all of them.
        self.families: dict[str, Kind] = {}

    def __getitem__(self, name: str) -> Kind:
        found = self.find(name)
        if found is None:
            raise LookupError(f"no kind of job {name!r} is defined; app.py defines them")
        return found

    def find(self, name: str) -> Kind | None:
        """Return a kind that this process runs, or can at least look after."""
        found = self.named.get(name)
        if found is None:
            family = next((one for prefix, one in self.families.items() if name.startswith(prefix)), None)
            found = None if family is None else msgspec.structs.replace(family, name=name)
        return found

    def usual(self, name: str) -> Kind:
        """Return a kind, or one with the usual limits in the place of what only other processes know."""
        return self.find(name) or Kind(name=name, run=None)


def define(house: House, kind: Kind) -> None:
    """Make a kind known to this process, before its engine starts."""
    kinds = house.part(Kinds).named
    if kind.name in kinds:
        raise ValueError(f"the kind of job {kind.name!r} is defined twice")
    kinds[kind.name] = kind


def define_family(house: House, prefix: str, kind: Kind) -> None:
    """Have this process enqueue and look after every kind whose name begins so; others, or later ones, run them."""
    house.part(Kinds).families[prefix] = kind


def leave(house: House, name: str) -> None:
    """Let other processes run a kind; this one enqueues it and looks after it all the same."""
    kinds = house.part(Kinds)
    kinds.named[name] = msgspec.structs.replace(kinds[name], run=None)
