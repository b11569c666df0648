"""Jobs in processes of their own: one each, that can be killed, and whose output is bounded.

The other side is `core/attempts/child.py`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import msgspec

from headrace.core.attempts import child
from headrace.core.jobs import outcome
from headrace.core.jobs.record import RESULT_BYTES, NonRetryable, Retry
from headrace.core.jobs.running import Ear, Running

# One message: a result in its envelope. A job that says more is stopped for it.
LONGEST = RESULT_BYTES + 4_096
EXIT_SECONDS = 5.0
CRASHED = object()


class CrashedError(Retry):
    """The process ended without a result: something killed it, or it ended itself."""


class Processes:
    """Up to `count` at once, each watched by a thread."""

    def __init__(self, ear: Ear, count: int) -> None:
        self.ear = ear
        self.count = count
        self.held = 0
        self.lock = threading.Lock()

    def start(self) -> None:
        """Processes begin with their jobs."""

    def put(self, many: Sequence[Running]) -> None:
        with self.lock:
            self.held += len(many)
        for one in many:
            threading.Thread(target=self._watch, args=(one,), name="job-process", daemon=True).start()

    def capacity(self) -> int:
        return max(0, self.count - self.held)

    def stop(self, one: Running) -> None:
        _signal(one, signal.SIGTERM)

    def kill(self, one: Running) -> None:
        _signal(one, signal.SIGKILL)
        with self.lock:
            self.held -= 1

    def close(self) -> None:
        """Each thread ends with its process."""

    def _watch(self, one: Running) -> None:
        if not self.ear.begin(one):
            self._free()
            return
        try:
            result = _run(one)
        except Exception as error:  # noqa: BLE001  The edge between the engine and what a kind does; the job keeps it.
            heard = self.ear.ended(one, error=error)
        else:
            heard = self.ear.ended(one, result)
        if heard:
            self._free()

    def _free(self) -> None:
        with self.lock:
            self.held -= 1


def _run(one: Running) -> Any:
    order = _order(one)
    reading, writing = os.pipe()
    # Nothing is ever written to this one: the process ends itself when it closes, also when this one was killed.
    held, life = os.pipe()
    with os.fdopen(reading, "rb") as said, os.fdopen(life, "wb"):
        try:
            process = subprocess.Popen(  # noqa: S603  Our own interpreter.
                [sys.executable, "-m", child.__name__, str(writing), str(held)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(writing, held),
                # A group of its own: what it starts is ended with it.
                start_new_session=True,
            )
        finally:
            os.close(writing)
            os.close(held)
        one.handle = process
        if one.context.stopping is not None:
            _signal(one, signal.SIGTERM)
        try:
            _hand_over(process, order)
            result = _listen(one, said)
            if result is CRASHED:
                raise _crashed(one, process)
            return result
        except BaseException:  # It said its last word, or more than it may, or nothing: there is nothing to wait for.
            _signal(one, signal.SIGKILL)
            raise
        finally:
            _end(one, process)


def _order(one: Running) -> child.Order:
    kind, run = one.kind, one.kind.run
    assert run is not None  # noqa: S101  Claimed kinds have one.
    prepared = None if kind.prepare is None else kind.prepare(one.context)
    place = f"{run.__module__}:{run.__qualname__}"
    return child.Order(place, one.job, one.context.worker, prepared, kind.memory_bytes)


def _hand_over(process: subprocess.Popen[bytes], order: child.Order) -> None:
    assert process.stdin is not None  # noqa: S101  It was opened as a pipe.
    # One that has ended already is noticed by its silence.
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(msgspec.json.encode(order) + b"\n")


def _listen(one: Running, said: BinaryIO) -> Any:
    for line in _lines(said):
        word = msgspec.json.decode(line, type=child.Word)
        if word.progress is not None:
            one.context.progress(*word.progress)
        elif word.error is not None:
            raise _error(word)
        else:
            return word.result
    return CRASHED


def _crashed(one: Running, process: subprocess.Popen[bytes]) -> CrashedError:
    try:
        code = process.wait(EXIT_SECONDS)
    except subprocess.TimeoutExpired:
        code = 0
    said = f"The job's process ended without a result, with code {code}"
    if code < 0:
        said = f"The job's process was killed by signal {-code}; the machine may be out of memory"
    return CrashedError(said, after_seconds=outcome.recovery_seconds(one.job.attempt))


def _lines(said: BinaryIO) -> Iterator[bytes]:
    while line := said.readline(LONGEST):
        if len(line) == LONGEST and not line.endswith(b"\n"):
            raise NonRetryable(f"The result has more than {RESULT_BYTES} bytes as JSON; that many are kept")
        yield line


def _error(word: child.Word) -> Exception:
    if word.sort == "retry":
        return Retry(word.error or "", after_seconds=word.after_seconds)
    if word.sort == "final":
        return NonRetryable(word.error or "")
    # Made under the name that it had there, which is all that is shown outside.
    return type(word.sort, (Exception,), {})(word.error)  # type: ignore[no-any-return]


def _end(one: Running, process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(EXIT_SECONDS)
    # The whole group, also when the process itself has ended: it may have left others behind.
    _signal(one, signal.SIGKILL)
    process.wait()


def _signal(one: Running, number: int) -> None:
    process = one.handle
    if process is None:
        return
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        return
