"""A worker that pulls jobs of queues over HTTP: `Worker(url, key, queues=["mail"]).run(handle)`.

Uses the standard library alone and nothing of the server, so that this file can be copied into a program on any
machine: who does the work need not have what the server needs.
"""

import http.client
import json
import logging
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Cancelled", "Job", "Lost", "NoRetry", "Refused", "Worker"]

log = logging.getLogger("headrace.worker")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
LONGEST_ERROR = 2_000
LONGEST_MESSAGE = 500
LARGEST_NUMBER = (1 << 63) - 1
# The server keeps no more of a result, and hardly reads more.
LARGEST_RESULT = 256 << 10
LARGEST_ANSWER = 8 << 20
BUSY = frozenset({429, 500, 502, 503, 504})
GONE = 409
# What was sent is at fault, and nothing else of this worker's.
BAD = frozenset({400, 413, 422})


class Refused(Exception):  # noqa: N818  An answer of the server, said plainly.
    """The server said no, and would say no again: a bad key, a queue that is none, a request it cannot read."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Lost(Exception):  # noqa: N818  As Cancelled.
    """The job is somebody else's by now: its lease ran out. What this worker makes of it is thrown away."""


class Cancelled(Exception):  # noqa: N818  What a handler raises by `job.check()` is no error.
    """Somebody cancelled the job."""


class NoRetry(Exception):  # noqa: N818  A handler's word, not an error's name.
    """Raised by a handler: the job failed, and another try would fail too."""


class Job:
    """One job in hand. `payload` is what was sent, `attempt` counts from 1."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.id: str = given["id"]
        self.queue: str = given["queue"]
        self.payload: Any = given["payload"]
        self.attempt: int = given["attempt"]
        self.tries: int = given["tries"]
        self.fence: str = given["fence"]
        self.cancelled = threading.Event()
        self.lost = threading.Event()
        self.renewed_at = time.monotonic()
        self._progress: dict[str, Any] | None = None

    def progress(self, done: int, total: int | None = None, message: str | None = None) -> None:
        """Say how far the work is, in whole numbers; sent with the next heartbeat. Raises as `check` does.

        ValueError for what the server would not take; of a message 500 characters are kept.
        """
        _whole("done", done)
        if total is not None:
            _whole("total", total)
        if message is not None:
            message = _clean(message)[:LONGEST_MESSAGE]
        self._progress = {"done": done, "total": total, "message": message}
        self.check()

    def check(self) -> None:
        """Raise Cancelled or Lost when going on is of no use."""
        if self.lost.is_set():
            raise Lost(self.id)
        if self.cancelled.is_set():
            raise Cancelled(self.id)

    def taken_progress(self) -> dict[str, Any] | None:
        """Return what is to be told of the progress, once."""
        found, self._progress = self._progress, None
        return found


Handler = Callable[[Job], Any]


class Worker:
    """Leases jobs, keeps their leases while `handler` works, and reports what came out.

    `handler(job)` returns the result (JSON) or raises; it runs in `concurrency` threads. A job is led by a lease of
    `lease_seconds`, renewed every third of that; a worker that dies loses it, and another one gets the job.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        queues: Sequence[str],
        name: str | None = None,
        concurrency: int = 1,
        lease_seconds: int = 60,
        wait_seconds: int = 5,
    ) -> None:
        self.address = urlsplit(url)
        if self.address.scheme not in {"http", "https"} or not self.address.hostname:
            raise ValueError(f"url must be an http or https address, and is {url!r}")
        self.key = key
        self.queues = list(queues)
        self.name = name or f"{socket.gethostname()}-{os.getpid()}"
        self.concurrency = concurrency
        self.lease_seconds = lease_seconds
        self.wait_seconds = wait_seconds
        self.stopping = threading.Event()
        self.held: dict[str, Job] = {}
        self.lock = threading.Lock()
        self.failure: BaseException | None = None

    def run(self, handler: Handler) -> None:
        """Work until `stop()`, SIGTERM or SIGINT; what is in hand is finished first. Raises Refused."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: self.stop())
        beating = threading.Event()
        heart = threading.Thread(target=self._beat, args=(beating,), name="heartbeat", daemon=True)
        heart.start()
        try:
            with ThreadPoolExecutor(self.concurrency, thread_name_prefix="worker") as pool:
                for _ in range(self.concurrency):
                    pool.submit(self._work, handler)
        finally:
            beating.set()
            heart.join()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """Take no further job; `run` returns when those in hand are done."""
        self.stopping.set()

    def _work(self, handler: Handler) -> None:
        try:
            while not self.stopping.is_set():
                for job in self._lease():
                    self._handle(handler, job)
        except BaseException as error:  # noqa: BLE001  The edge of this thread: `run` raises it where it is seen.
            self.failure = error
            self.stop()

    def _lease(self) -> list[Job]:
        wanted = {"queues": self.queues, "worker": self.name, "limit": 1}
        times = {"seconds": self.lease_seconds, "wait": self.wait_seconds}
        answer = self._ask("lease", wanted | times, until=None)
        return [] if answer is None else [Job(one) for one in answer["jobs"]]

    def _handle(self, handler: Handler, job: Job) -> None:
        with self.lock:
            self.held[job.fence] = job
        try:
            report = self._outcome(handler, job)
        finally:
            with self.lock:
                self.held.pop(job.fence, None)
        if report is None:
            log.warning("job %s was cancelled, or given to another worker", job.id)
            return
        try:
            self._report(job, *report)
        except Refused as error:
            if error.status == GONE:
                log.warning("job %s: what came out was not taken: %s", job.id, error)
            elif error.status in BAD and report[0] == "complete":
                # The next worker's result would be refused as well.
                self._report(job, "fail", _failure(f"The result was refused: {error}", retry=False))
            else:
                raise

    def _report(self, job: Job, verb: str, facts: dict[str, Any]) -> None:
        until = time.monotonic() + self.lease_seconds
        self._ask(verb, {"fence": job.fence, "worker": self.name} | facts, until=until)

    def _outcome(self, handler: Handler, job: Job) -> tuple[str, dict[str, Any]] | None:
        """Run the handler; return what is to be reported, None when nobody wants to know."""
        try:
            result = handler(job)
            size = len(json.dumps(result, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode())
        except (Lost, Cancelled):
            return None
        except NoRetry as error:
            return "fail", _failure(_said(error), retry=False)
        except Exception as error:  # The edge of the handler's code: whatever it raises is the job's failure.
            log.exception("job %s failed", job.id)
            return "fail", _failure(_said(error), retry=True)
        if size > LARGEST_RESULT:
            said = f"The result has {size} bytes as JSON; at most {LARGEST_RESULT} are kept"
            return "fail", _failure(said, retry=False)
        return "complete", {"result": result}

    def _beat(self, beating: threading.Event) -> None:
        """Renew every lease, until `beating` is set: also while the last jobs are finished."""
        while not beating.wait(self.lease_seconds / 3):
            with self.lock:
                held = list(self.held.values())
            for job in held:
                self._renew(job)

    def _renew(self, job: Job) -> None:
        try:
            answer = self._heartbeat(job)
        except Refused as error:
            if error.status == GONE:
                job.lost.set()
            else:
                log.warning("job %s: its lease was not renewed: %s", job.id, error)
        except OSError as error:
            log.warning("job %s: its lease was not renewed: %s", job.id, error)
            if time.monotonic() - job.renewed_at > self.lease_seconds:
                # Nobody could tell, but by now somebody else may have it.
                job.lost.set()
        else:
            job.renewed_at = time.monotonic()
            if answer["cancelled"]:
                job.cancelled.set()

    def _heartbeat(self, job: Job) -> Any:
        wanted = {"fence": job.fence, "worker": self.name, "seconds": self.lease_seconds}
        progress = job.taken_progress()
        if progress is None:
            return self._send("heartbeat", wanted)
        try:
            return self._send("heartbeat", wanted | {"progress": progress})
        except Refused as error:
            if error.status not in BAD:
                raise
            # The lease matters more.
            log.warning("job %s: its progress was refused: %s", job.id, error)
            return self._send("heartbeat", wanted)

    def _ask(self, verb: str, body: dict[str, Any], *, until: float | None) -> Any:
        """Send, and again while the server is away or busy: until a moment, or (None) until `stop()`; then None."""
        pause = FIRST_PAUSE
        while True:
            try:
                return self._send(verb, body)
            except OSError as error:
                wait = max(pause, error.after if isinstance(error, _BusyError) else 0.0) * random.uniform(0.8, 1.2)  # noqa: S311
                log.warning("%s: %s; again in %.1f s", verb, error, wait)
            pause = min(LONGEST_PAUSE, pause * 2)
            if until is None:
                if self.stopping.wait(wait):
                    return None
            elif time.monotonic() + wait > until:
                return None
            else:
                threading.Event().wait(wait)

    def _send(self, verb: str, body: dict[str, Any]) -> Any:
        """Send one request. Raises Refused, and OSError for what may be better later."""
        secure = self.address.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self.address.hostname or "", self.address.port, timeout=self.wait_seconds + 30)
        path = f"{self.address.path.rstrip('/')}/api/v1/workers/{verb}"
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        try:
            connection.request("POST", path, json.dumps(body, allow_nan=False).encode(), headers)
            answer = connection.getresponse()
            content = answer.read(LARGEST_ANSWER)
        except http.client.HTTPException as error:
            raise OSError(f"the answer was not HTTP: {type(error).__name__}") from error
        finally:
            connection.close()
        if answer.status in BUSY:
            after = answer.getheader("Retry-After", "")
            raise _BusyError(answer.status, float(after) if after.isdigit() else 0.0)
        if answer.status != http.client.OK:
            raise Refused(answer.status, _detail(content))
        try:
            return json.loads(content)
        except ValueError as error:
            raise OSError("the answer was not JSON") from error


class _BusyError(OSError):
    """The server is there, and cannot now."""

    def __init__(self, status: int, after: float) -> None:
        super().__init__(f"the server answered {status}")
        self.after = min(after, LONGEST_PAUSE)


def _detail(content: bytes) -> str:
    try:
        return str(json.loads(content)["detail"])
    except (ValueError, KeyError, TypeError):
        return content[:200].decode("utf-8", "replace")


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _failure(error: str, *, retry: bool) -> dict[str, Any]:
    return {"error": _clean(error)[:LONGEST_ERROR], "retry": retry}


def _clean(text: str) -> str:
    """Leave out what the server does not take: null characters and lone surrogates."""
    return text.replace("\0", "").encode(errors="replace").decode()


def _whole(name: str, number: Any) -> None:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= LARGEST_NUMBER:
        raise ValueError(f"{name} must be a whole number, not below 0, and is {number!r}")
