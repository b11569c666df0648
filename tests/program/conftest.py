"""The real program as a process of its own: started on a free port in a temporary folder, ended by its id."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench.server import held_port

READY = re.compile(r"Headrace \S+ on (\S+), ready in ([0-9.]+) s")
# How long anything of a server may take; a machine with much else to do needs a good part of it.
SECONDS = 60.0
# What a caller meets whose server is killed: nobody there, no answer, or one that breaks off anywhere.
GONE = (OSError, ValueError, http.client.HTTPException)


def environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of Headrace."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    return clean | {"PYTHONUNBUFFERED": "1"} | more


def command(*arguments: str, stdin: str | bytes | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    """Run one `headrace` command to its end."""
    content = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [sys.executable, "-m", "headrace", *arguments],
        input=content,
        stdin=subprocess.DEVNULL if content is None else None,
        env=environment(**more),
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


class Served:
    """One server process. `url` is known once `ready` has returned."""

    def __init__(
        self, folder: Path, arguments: tuple[str, ...], *, verb: str = "serve", program: Path | None = None
    ) -> None:
        self.folder = folder
        self.url = ""
        self.ready_seconds = 0.0
        self.lines: list[str] = []
        self.arrived = threading.Condition()
        self.ended = False
        self.log = folder.with_name(f"{folder.name}.log")
        start = [str(program)] if program else [sys.executable, "-m", "headrace"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*start, verb, "--data", str(folder), "--port", "0", *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(),
            )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def ready(self, seconds: float = SECONDS) -> "Served":
        """Wait until the server has said that it listens."""
        with self.arrived:
            self.arrived.wait_for(lambda: READY.search(self.output) or self.ended, seconds)
        found = READY.search(self.output)
        if found is None:
            self.kill()
            pytest.fail(f"The server did not start:\n{self.output}\n{self.log.read_text()}")
        self.url, self.ready_seconds = found[1], float(found[2])
        return self

    def said(self, pattern: str, seconds: float = SECONDS) -> re.Match[str]:
        """Wait until the output matches."""
        with self.arrived:
            self.arrived.wait_for(lambda: re.search(pattern, self.output) or self.ended, seconds)
        found = re.search(pattern, self.output)
        if found is None:
            pytest.fail(f"The server did not say {pattern!r}:\n{self.output}\n{self.log.read_text()}")
        return found

    def get(self, path: str, key: str = "") -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, answer.read()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self._wait()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop, wait until it has; return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self._wait()

    def _wait(self) -> int:
        status = self.process.wait(SECONDS)
        self.reader.join(SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.arrived:
                self.lines.append(line)
                self.arrived.notify_all()
        with self.arrived:
            self.ended = True
            self.arrived.notify_all()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start servers: `serve()`, `serve("--open", verb="demo", folder=...)`; each is ready when returned."""
    started: list[Served] = []

    def start(*arguments: str, folder: Path | None = None, verb: str = "serve", program: Path | None = None) -> Served:
        served = Served(folder or tmp_path / "data", arguments, verb=verb, program=program)
        started.append(served)
        return served.ready()

    yield start
    for served in started:
        if served.process.poll() is None:
            served.kill()


@pytest.fixture
def port() -> Iterator[str]:
    """A port for servers of one test that come one after another: `serve("--port", port)`."""
    with held_port() as held:
        yield str(held.getsockname()[1])


class Demo:
    """A running `headrace demo` that many tests share, with what it printed at its first start."""

    def __init__(self, served: Served) -> None:
        self.served, self.url, self.folder = served, served.url, served.folder
        self.key = served.said(r"key\s+(ldg_proj_\S+)")[1]
        self.password = served.said(r"password\s+(\S+)")[1]
        self.project_id = int(self.key.split("_")[2])
        self.token = ""

    def post(self, path: str, body: dict) -> dict:
        """Ask as the sample account, which logs in at the first call."""
        if not self.token and not path.endswith("/login"):
            login = {"email": "sample@example.com", "password": self.password}
            self.token = self.post("/api/v1/accounts/login", login)["access_token"]
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.loads(answer.read())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    served = Served(tmp_path_factory.mktemp("demo") / "data", (), verb="demo")
    try:
        yield Demo(served.ready())
    finally:
        if served.process.poll() is None:
            served.kill()
