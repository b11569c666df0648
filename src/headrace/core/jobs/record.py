"""What a job is, what a kind of job is, and what a run of one may raise. No SQL, no threads."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import sqlalchemy as sa

from headrace.core.house import House

if TYPE_CHECKING:
    from headrace.core.jobs.context import Context

LOW, NORMAL, HIGH = 20, 50, 80
PRIORITIES = 100
RESULT_BYTES = 64 << 10
PAYLOAD_BYTES = 1 << 20

Isolation = Literal["thread", "async", "process"]


class Job(msgspec.Struct, frozen=True):
    """One job. `token` is its outward id; `attempt` counts its starts, of which `tries` are allowed; times in us.

    `started_at` is the start of the last attempt. `result` is there once it succeeded, `error` (one sentence, no stack)
    after the last failure.
    """

    id: int
    token: str
    organization_id: int
    kind: str
    name: str | None
    view: str | None
    lane: str
    state: str
    priority: int
    payload: Any
    attempt: int
    tries: int
    run_at: int
    progress_done: int | None = None
    progress_total: int | None = None
    progress_message: str | None = None
    result: Any = None
    error: str | None = None
    callback_url: str | None = None
    account_id: int | None = None
    key_id: int | None = None
    created_at: int = 0
    started_at: int | None = None
    finished_at: int | None = None

    @property
    def fence(self) -> str:
        """Names this attempt: what it writes elsewhere carries this, so that an older attempt is told from it."""
        return f"{self.id}:{self.attempt}"


class Page(msgspec.Struct, frozen=True):
    """Jobs, newest first; `before` asks for the next page, None on the last one."""

    jobs: list[Job]
    before: int | None


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """How the jobs of one kind run. Without `run` they wait for workers outside (`jobs.lease`).

    `run` takes the Context and returns the result: a plain function in a thread, a coroutine function under `async`;
    under `process` a module-level function, named by its module, that gets a Context without a house (about a second
    of start). `tries` counts the first run. Waits between tries: `schedule` (+-10 %), else up to `backoff_seconds`
    doubled each time. `in_flight` and `per_lane` bound what runs at once, over all processes; `per_lane` may be a
    function of the lane, and where it says 0 the lane waits. `ended` is called inside the transaction that writes the
    final state, with the final job.
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


class Retry(Exception):  # noqa: N818  It asks for something; it is no error of the program.
    """This attempt came to nothing; try again, in `after_seconds` if given. The text is shown outside."""

    def __init__(self, text: str = "", *, after_seconds: float | None = None) -> None:
        super().__init__(text)
        self.after_seconds = after_seconds


class NonRetryable(Exception):  # noqa: N818
    """The job fails now, whatever tries are left. The text is shown outside."""


class Cancelled(Exception):  # noqa: N818
    """The job is to stop: somebody cancelled it, its time is up, or another worker has it by now."""


class TimeUpError(Exception):
    """An attempt took longer than its kind allows. The text is shown outside."""


class Kinds:
    """The kinds that this process knows."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.named: dict[str, Kind] = {}

    def __getitem__(self, name: str) -> Kind:
        try:
            return self.named[name]
        except KeyError:
            raise LookupError(f"no kind of job {name!r} is defined; app.py defines them") from None

    def usual(self, name: str) -> Kind:
        """Return a kind, or one with the usual limits in the place of what only other processes know."""
        return self.named.get(name) or Kind(name=name, run=None)


def define(house: House, kind: Kind) -> None:
    """Make a kind known to this process, before its engine starts."""
    kinds = house.part(Kinds).named
    if kind.name in kinds:
        raise ValueError(f"the kind of job {kind.name!r} is defined twice")
    kinds[kind.name] = kind


def leave(house: House, name: str) -> None:
    """Let other processes run a kind; this one enqueues it and looks after it all the same."""
    kinds = house.part(Kinds)
    kinds.named[name] = msgspec.structs.replace(kinds[name], run=None)
