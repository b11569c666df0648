"""How an attempt ended, and what that means: a result, another try after a wait, or the end. No SQL."""

import random
import traceback
from typing import Any

import msgspec

from headrace.core.attempts.record import ERROR_CHARACTERS
from headrace.core.jobs.record import RESULT_BYTES, Job, Kind, NonRetryable, Retry, TimeUpError
from headrace.core.jobs.states import FAILED, READY, SCHEDULED, SUCCEEDED
from headrace.kit.times import SECOND

TRACE_BYTES = 8 << 10
JITTER = 0.1
LOST = "The worker was lost"
RECOVERY_SECONDS, RECOVERY_CAP_SECONDS = 2.0, 60.0


class Progress(msgspec.Struct, frozen=True):
    """What a run last said of itself; what is None stays as it was."""

    done: int | None
    total: int | None
    message: str | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker wants written of a job that it held: the state it goes to, unless it was being cancelled.

    `error` is shown outside, `trace` is not. `free`: this attempt is not counted against the tries; `unbegun`: there
    was none.
    """

    job: Job
    worker: str
    state: str
    result: str | None = None
    error: str | None = None
    trace: str | None = None
    wait_us: int = 0
    free: bool = False
    unbegun: bool = False
    progress: Progress | None = None

    @property
    def key(self) -> tuple[int, int]:
        return self.job.id, self.job.attempt


def succeeded(kind: Kind, job: Job, worker: str, result: Any, progress: Progress | None = None) -> Outcome:
    """Take a result; one that cannot be kept fails the job for good, since the next would be no smaller."""
    if result is None:
        return Outcome(job=job, worker=worker, state=SUCCEEDED, progress=progress)
    try:
        text = msgspec.json.encode(result)
    except (TypeError, ValueError, RecursionError) as error:
        return failed(kind, job, worker, NonRetryable(f"The result is no JSON: {error}"), progress)
    return encoded(kind, job, worker, text, progress)


def encoded(kind: Kind, job: Job, worker: str, text: bytes, progress: Progress | None = None) -> Outcome:
    """Take a result that is JSON already."""
    if len(text) > RESULT_BYTES:
        said = f"The result has {len(text)} bytes as JSON; at most {RESULT_BYTES} are kept"
        return failed(kind, job, worker, NonRetryable(said), progress)
    return Outcome(job=job, worker=worker, state=SUCCEEDED, result=text.decode(), progress=progress)


def failed(kind: Kind, job: Job, worker: str, error: BaseException, progress: Progress | None = None) -> Outcome:
    """Decide whether there is another try, and when."""
    trace = clean("".join(traceback.format_exception(error)))[-TRACE_BYTES:]
    again = isinstance(error, NonRetryable) is False and job.attempt < job.tries
    after = error.after_seconds if isinstance(error, Retry) else None
    return Outcome(
        job=job,
        worker=worker,
        state=SCHEDULED if again else FAILED,
        error=outward(error),
        trace=trace,
        wait_us=round((wait(kind, job.attempt) if after is None else max(0.0, after)) * SECOND),
        progress=progress,
    )


def lost(job: Job, worker: str) -> Outcome:
    """Decide what becomes of a job whose worker went away: the next try waits, for the job may be the reason."""
    state = SCHEDULED if job.attempt < job.tries else FAILED
    wait_us = round(recovery_seconds(job.attempt) * SECOND)
    return Outcome(job=job, worker=worker, state=state, error=LOST, trace=f"{LOST}: {worker}", wait_us=wait_us)


def released(job: Job, worker: str) -> Outcome:
    """Give a job back that this worker will not finish; it costs the job no try."""
    return Outcome(job=job, worker=worker, state=READY, free=True)


def unbegun(job: Job, worker: str) -> Outcome:
    """Give a job back whose attempt never began: it is as if it had not been claimed."""
    return Outcome(job=job, worker=worker, state=READY, unbegun=True)


def outward(error: BaseException) -> str:
    """One sentence without a stack: what was raised to be shown as it stands, of anything else the type alone."""
    if isinstance(error, Retry | NonRetryable | TimeUpError) and str(error):
        return clean(str(error))[:ERROR_CHARACTERS]
    return f"The job failed: {type(error).__name__}"


def clean(text: str) -> str:
    """Leave out what no database stores: null characters and lone surrogates."""
    return text.replace("\0", "").encode(errors="replace").decode()


def wait(kind: Kind, attempt: int) -> float:
    """Seconds until the try after `attempt`: by the kind's schedule, else full jitter under a doubling bound."""
    if kind.schedule is not None:
        base = kind.schedule[min(attempt, len(kind.schedule)) - 1] if kind.schedule else 0.0
        return base * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  Spreads load; guards nothing.
    most = min(kind.backoff_cap_seconds, kind.backoff_seconds * 2.0 ** min(attempt - 1, 62))
    return random.uniform(0.0, most)  # noqa: S311


def recovery_seconds(attempt: int) -> float:
    """Seconds until the try after one that ended in a crash: 1-2, 2-4, 4-8, up to a minute, whatever the kind says."""
    most = min(RECOVERY_CAP_SECONDS, RECOVERY_SECONDS * 2.0 ** min(attempt - 1, 62))
    return most * random.uniform(0.5, 1.0)  # noqa: S311  Spreads load; guards nothing.
