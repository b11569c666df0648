"""The real server as a process of its own: started, killed, and measured from outside by /proc."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from bench.client import Address, Caller

TICK = os.sysconf("SC_CLK_TCK")
# What a measurement must not run into: the documented limits of callers, and the quota of a day.
ROOMY = {
    "key_per_minute": "10000000",
    "key_per_hour": "1000000000",
    "daily_quota": "2000000000",
    "queue_limit": "200000000",
    "log_level": "warning",
}


PASSWORD = "Measured-123"


class Key(NamedTuple):
    """A project and its key; its name in a page's address, and the account that made it."""

    project: int
    secret: str
    slug: str = ""
    email: str = ""


class Target(NamedTuple):
    """What a client in another process has to know."""

    address: Address
    pid: int
    key: Key


class Thread(NamedTuple):
    """Seconds of CPU and bytes written since its start."""

    cpu: float
    written: int


class Cpu(NamedTuple):
    """What a process had used at one moment: seconds of CPU of all threads, dead ones too; each living thread."""

    whole: float
    threads: dict[int, Thread]


class Spent(NamedTuple):
    """Seconds of CPU between two moments: of all threads; of the event loop and the committer of the log."""

    whole: float
    accepting: float


class ServerError(Exception):
    """The server did not come up, or stopped."""


def until(condition: Callable[[], object], what: str, *, seconds: float = 60.0, pause: float = 0.02) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise ServerError(f"{what} did not happen within {seconds} s")
        time.sleep(pause)


def held_port() -> socket.socket:
    """Take a free port for servers that come one after another, until the socket is closed.

    It is bound and not listened on: a server that reuses addresses may listen there, and the system gives the port to
    nobody else, neither while no server runs nor for an outgoing connection.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


def end_on_sigterm() -> None:
    """Have `finally` end the server also when this process is told to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Server:
    """One data folder and the process that serves it, on the same port over all restarts."""

    def __init__(self, data: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.settings = {**ROOMY, **(settings or {})}
        self.output = data.parent / f"{data.name}.log"
        held = held_port()
        weakref.finalize(self, held.close)
        self.address: Address = held.getsockname()[:2]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self.process is None:
            raise ServerError("the server is not started")
        return self.process.pid

    def start(self, seconds: float = 60.0) -> float:
        """Start and wait until it answers; returns how long that took."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        environ |= {f"HEADRACE_{name.upper()}": value for name, value in self.settings.items()}
        command = [sys.executable, "-m", "headrace", "serve", "--data", str(self.data), "--port", str(self.address[1])]
        begun = time.monotonic()
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        until(self.answers, "the first answer of the server", seconds=seconds)
        return time.monotonic() - begun

    def answers(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            tail = self.output.read_text(errors="replace")[-2000:]
            raise ServerError(f"the server ended with status {self.process.returncode}:\n{tail}")
        with contextlib.suppress(OSError), Caller(self.address) as caller:
            return caller.ask("GET", "/health")[0] == 200
        return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(30)
            self.process = None

    def stop(self, seconds: float = 120.0) -> None:
        """Stop politely, so that it drains what it holds; kill it when it does not stop."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(seconds)
            self.process = None
        except subprocess.TimeoutExpired as problem:
            self.kill()
            raise ServerError(f"the server did not stop within {seconds} s") from problem

    # -- measuring ---------------------------------------------------------------------------------------------------

    def target(self, key: Key) -> Target:
        return Target(self.address, self.pid, key)

    def most_memory(self) -> int:
        """Resident bytes, the most since the start."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) << 10

    # -- setting up --------------------------------------------------------------------------------------------------

    def new_key(self) -> Key:
        """Register an account and make a project with a key."""
        name = secrets.token_hex(6)
        account = {"email": f"{name}@example.com", "password": PASSWORD, "name": "Bench"}
        with Caller(self.address) as caller:
            caller.key = caller.post("/api/v1/accounts/register", account)["access_token"]
            project = caller.post("/api/v1/projects", {"name": f"Bench {name}", "slug": f"bench-{name}"})["project_id"]
            made = caller.post(f"/api/v1/projects/{project}/api-keys", {"name": "bench"})
        return Key(project, made["full_key"], f"bench-{name}", account["email"])


def cpu(pid: int) -> Cpu:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    threads = {}
    for task in os.scandir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):  # A thread that ended just now.
            threads[int(task.name)] = thread(Path(task))
    return Cpu((int(fields[11]) + int(fields[12])) / TICK, threads)


def thread(task: Path) -> Thread:
    """The scheduler counts nanoseconds: ticks are too coarse for a short run."""
    busy = int((task / "schedstat").read_text().split()[0]) / 1e9
    return Thread(busy, int((task / "io").read_text().split("wchar: ")[1].split()[0]))


def spent(pid: int, before: Cpu, after: Cpu) -> Spent:
    """The main thread runs the event loop. The committer is known by what it writes: the whole log, uncompressed."""
    grown = {}
    for number, now in after.threads.items():
        then = before.threads.get(number, Thread(0.0, 0))
        grown[number] = Thread(now.cpu - then.cpu, now.written - then.written)
    loop = grown.pop(pid)
    committer = max(grown.values(), key=lambda each: each.written, default=Thread(0.0, 0))
    return Spent(after.whole - before.whole, loop.cpu + committer.cpu)
