"""What a run of a job gets: its payload, and ways to say how far it is, to notice that it is to stop, to keep steps."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from headrace.core.attempts.record import MESSAGE_CHARACTERS, RESULT_BYTES, Cancelled, Job, NonRetryable, bounded
from headrace.core.house import House
from headrace.core.jobs.outcome import Progress, clean
from headrace.core.jobs.statements import MINE, run

log = logging.getLogger("headrace.jobs")

STEP_NAME_CHARACTERS = 128
READ_STEP = "SELECT output FROM job_steps WHERE job_id = :id AND name = :name"
KEEP_STEP = f"""INSERT INTO job_steps (job_id, name, output, attempt, created_at)
SELECT id, :name, :output, attempt, :now FROM jobs WHERE {MINE} AND state = 'running'
ON CONFLICT (job_id, name) DO UPDATE SET output = excluded.output RETURNING job_id"""


class Context:
    """One attempt. `fence` goes with all that it does elsewhere, so that a late attempt is told from this one."""

    def __init__(self, house: House, job: Job, worker: str) -> None:
        self.house = house
        self.job = job
        self.worker = worker
        self.payload = job.payload
        self.fence = job.fence
        self.said: Progress | None = None
        self.unwritten = False
        self.stopping: str | None = None

    @property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """The server's log, with the job named in each line's fields."""
        return logging.LoggerAdapter(log, {"job": self.fence, "kind": self.job.kind})

    def progress(self, done: int, total: int | None = None, message: str | None = None) -> None:
        """Say how far it is; written at most twice a second, and at the end."""
        text = None if message is None else clean(message)[:MESSAGE_CHARACTERS]
        self.said = Progress(bounded(done), None if total is None else bounded(total), text)
        self.unwritten = True

    def check(self) -> None:
        """Raise Cancelled when the job is to stop. Call it often: a thread cannot be stopped from outside."""
        if self.stopping is not None:
            raise Cancelled(self.stopping)

    def step(self, name: str, work: Callable[[], Any]) -> Any:
        """Do a piece of work once over all attempts: its output (JSON, up to 256 KiB) is kept and returned afterwards.

        Raises Cancelled when this attempt no longer holds the job; nothing is stored then.
        """
        self.check()
        stored = self._stored(name)
        if stored is not None:
            return msgspec.json.decode(stored)
        return self._keep(name, work())

    async def step_async(self, name: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do the same for work that is awaited."""
        self.check()
        stored = await asyncio.to_thread(self._stored, name)
        if stored is not None:
            return msgspec.json.decode(stored)
        output = await work()
        return await asyncio.to_thread(self._keep, name, output)

    def _stored(self, name: str) -> str | None:
        if not 1 <= len(name) <= STEP_NAME_CHARACTERS:
            raise NonRetryable(f"A step's name must be 1-{STEP_NAME_CHARACTERS} characters")
        with self.house.db.read() as connection:
            row = run(connection, READ_STEP, id=self.job.id, name=name).fetchone()
        return None if row is None else str(row[0])

    def _keep(self, name: str, output: Any) -> Any:
        text = msgspec.json.encode(output)
        if len(text) > RESULT_BYTES:
            raise NonRetryable(f"The step {name!r} has {len(text)} bytes of output; at most {RESULT_BYTES} are kept")
        values = {"id": self.job.id, "attempt": self.job.attempt, "worker": self.worker}
        kept = self.house.db.submit(
            lambda connection: run(
                connection, KEEP_STEP, name=name, output=text.decode(), now=self.house.clock(), **values
            ).fetchone()
        )
        if kept is None:
            raise Cancelled("Another worker has the job, or it was cancelled")
        return msgspec.json.decode(text)
