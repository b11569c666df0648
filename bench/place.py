"""Where sections of the bench measure: a folder, how much to load, and one loaded server that several of them share."""

import sys
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from bench import corpus, workloads
from bench.client import RefusedError
from bench.server import Key, Server
from bench.table import Row
from bench.workloads import Load, Sent, apart

MANY = 20_000_000
# The client may be far ahead of the drain, and a query over 20 M logs is to be timed, not refused.
SETTINGS = {"wal_limit_bytes": str(16 << 30), "query_seconds": "60"}


def say(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr, flush=True)


class Run:
    """One server, one project with the load, another for markers."""

    def __init__(self, folder: Path, logs: int, *, quick: bool) -> None:
        self.folder, self.logs, self.quick = folder, logs, quick
        self.server = Server(folder / "data", SETTINGS)
        self.started = self.server.start()
        self.key: Key = self.server.new_key()
        self.marker_key: Key = self.server.new_key()
        self.start = time.time_ns() // 1000 - corpus.DAY - corpus.DAY // 24
        self.stored = 0  # Logs of the load so far.

    @cached_property
    def idle(self) -> float:
        """CPU of the idle server: first asked for before the load."""
        return workloads.idle(self.server, 2 if self.quick else 6)

    def send(self, logs: int, *, rate: float = 0.0, prebuilt: bool = True) -> Sent:
        """Send the next logs of the corpus. Those of each load are spread over one day up to now."""
        first, batches = self.stored // corpus.SIZE, logs // corpus.SIZE
        step = corpus.DAY / (batches * corpus.SIZE)
        load = Load(first, batches, self.start - int(first * corpus.SIZE * step), step, rate=rate, prebuilt=prebuilt)
        with apart(workloads.send_batches, self.server.target(self.key), load) as wait:
            sent: Sent = wait()
        if sent.failures:
            raise RefusedError(f"{sent.failures} of {batches} batches were not taken")
        self.stored += sent.good * corpus.SIZE
        return sent

    def grow(self, rows: int) -> None:
        """Have at least `rows` logs, all searchable and merged."""
        if rows <= self.stored:
            return
        idle = self.idle
        say(f"{rows:,} logs")
        self.send(rows - self.stored, prebuilt=False)
        workloads.settled(self.server, self.key, idle, seconds=3600)


class Place:
    """What a section is given. `rows`: how many logs the section measures at last, where the number matters."""

    def __init__(self, folder: Path, *, quick: bool, rows: int) -> None:
        self.folder, self.quick, self.rows = folder, quick, rows

    @cached_property
    def run(self) -> Run:
        """The loaded server that `ingest` fills and others reuse; a section that only reads has it grown itself."""
        return Run(self.subfolder("load"), self.logs, quick=self.quick)

    @property
    def logs(self) -> int:
        return 100_000 if self.quick else 1_000_000

    def subfolder(self, name: str) -> Path:
        """Return an empty folder, for a server of the section's own."""
        made = self.folder / name
        made.mkdir()
        return made

    def end(self) -> None:
        if "run" in self.__dict__:
            self.run.server.kill()


class Section(NamedTuple):
    """A name for `--only`, and what measures: it yields rows, and ends the servers that it started itself."""

    name: str
    measure: Callable[[Place], Iterator[Row]]
