"""The other side of `jobs/processes.py`: a process that runs one job, and speaks JSON lines over a descriptor."""

import importlib
import os
import signal
import sys
import time
import traceback
from typing import Any, NoReturn

import msgspec

from headrace.core.attempts import bounds
from headrace.core.attempts.record import (
    ERROR_CHARACTERS,
    MESSAGE_CHARACTERS,
    Cancelled,
    Job,
    NonRetryable,
    Retry,
    bounded,
)

SAY_SECONDS = 0.1


class Order(msgspec.Struct, frozen=True):
    """What to run: `module:name` of a function, the job, what was prepared for it, and how much memory it may take."""

    run: str
    job: Job
    worker: str
    prepared: Any = None
    memory_bytes: int | None = None


class Word(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the process says: how far it is, or its result, or its error and what sort of one that is."""

    progress: tuple[int, int | None, str | None] | None = None
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: str | None = None
    sort: str = ""
    after_seconds: float | None = None


class Context:
    """What the job's function gets: as elsewhere, without a house and without steps."""

    def __init__(self, order: Order, line: int) -> None:
        self.job = order.job
        self.worker = order.worker
        self.payload = order.job.payload
        self.fence = order.job.fence
        self.prepared = order.prepared
        self.line = line
        self.said_at = -SAY_SECONDS
        self.unsaid: Word | None = None

    def progress(self, done: int, total: int | None = None, message: str | None = None) -> None:
        """Say how far it is, ten times a second at most: what is said at full speed would keep the listener busy."""
        text = None if message is None else message[:MESSAGE_CHARACTERS]
        self.unsaid = Word(progress=(bounded(done), None if total is None else bounded(total), text))
        if time.monotonic() - self.said_at >= SAY_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Say what was not said yet."""
        word, self.unsaid = self.unsaid, None
        if word is not None:
            self.said_at = time.monotonic()
            say(self.line, word)

    def check(self) -> None:
        """Nothing to do: the signal that asks it to stop raises Cancelled by itself."""


def say(line: int, word: Word) -> None:
    left = memoryview(msgspec.json.encode(word) + b"\n")
    while left:
        left = left[os.write(line, left) :]


def interrupt(_number: int, _frame: Any) -> NoReturn:
    raise Cancelled("The job is to stop")


def main() -> None:
    line, server = map(int, sys.argv[1:])
    for held in (line, server):
        # What the job starts must not hold the line open.
        os.set_inheritable(held, False)  # noqa: FBT003  Its signature.
    bounds.end_with(server)
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    bounds.stand_back()
    signal.signal(signal.SIGTERM, interrupt)
    # Made now: there is no room for it once it is needed.
    full = Word(error=f"The job needs more than {(order.memory_bytes or 0) >> 20} MiB of memory", sort="final")
    if order.memory_bytes is not None:
        bounds.limit_memory(order.memory_bytes)
    try:
        word = Word(result=msgspec.Raw(msgspec.json.encode(perform(order, line))))
    except Retry as error:
        word = Word(error=str(error)[:ERROR_CHARACTERS], sort="retry", after_seconds=error.after_seconds)
    except NonRetryable as error:
        word = Word(error=str(error)[:ERROR_CHARACTERS], sort="final")
    except BaseException as error:  # noqa: BLE001  The edge of this process: the other one keeps the error.
        word = _failed(error) if order.memory_bytes is None or not isinstance(error, MemoryError) else full
    say(line, word)


def _failed(error: BaseException) -> Word:
    return Word(error="".join(traceback.format_exception(error))[-8_192:], sort=type(error).__name__)


def perform(order: Order, line: int) -> Any:
    module, _, name = order.run.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    context = Context(order, line)
    try:
        return found(context)
    finally:
        context.flush()


if __name__ == "__main__":
    main()
