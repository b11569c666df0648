"""Store: the durable log, the engine and the drain between them, opened and closed as one. Questions: `queries`."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from headrace.eventstore import wal
from headrace.eventstore.disk import Disk
from headrace.eventstore.drain import Drain, Drained
from headrace.eventstore.engine import Engine, EngineOptions, open_embedded, open_server


class StoreOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Named as the settings are, which give the reasons."""

    events_url: str = ""
    node: int = 0
    memory_engine: int = 400 << 20
    wal_limit_bytes: int = 2 << 30
    segment_bytes: int = 32 << 20
    segment_rows: int = 64_000
    segment_age_ms: int = 500
    disk_refuse_percent: int = 95
    query_seconds: float = 10
    query_threads: int = 4


class Store:
    """An open event store. `open`, `start`, and in the end `stop`."""

    def __init__(self, log: wal.Wal, engine: Engine, drain: Drain, disk: Disk) -> None:
        self.wal, self.engine, self.drain, self.disk = log, engine, drain, disk
        self.stopped = threading.Event()

    @classmethod
    def open(
        cls, folder: Path, *, options: StoreOptions, clock: Callable[[], int], on_drained: Callable[[Drained], None]
    ) -> "Store":
        """Open the folder: the log in `wal`, the embedded engine's tables in `engine`.

        `on_drained` runs on the drain's thread for each segment that has become searchable, again after a crash or when
        it raised. Raises EngineError and OSError.
        """
        engine_options = EngineOptions(
            memory_bytes=options.memory_engine,
            query_threads=options.query_threads,
            query_seconds=options.query_seconds,
        )
        if options.events_url:
            engine = open_server(options.events_url, engine_options)
        else:
            engine = open_embedded(folder / "engine", engine_options)
        engine.clock = clock
        limits = wal.Limits(
            segment_bytes=options.segment_bytes,
            segment_rows=options.segment_rows,
            segment_age=options.segment_age_ms / 1000,
            waiting_bytes=options.wal_limit_bytes,
        )
        try:
            log = wal.Wal.open(folder / "wal", clock=clock, node=options.node, limits=limits)
        except BaseException:  # Whatever keeps the log shut, the engine's lock must not stay behind.
            engine.close()
            raise
        drain = Drain(engine, log, on_drained)
        drain.stored_id = log.sealed[0].first_id if log.sealed else log.next_id
        return cls(log, engine, drain, Disk(folder, refuse_percent=options.disk_refuse_percent))

    def start(self) -> None:
        """Begin to drain."""
        self.drain.start()

    def stop(self, seconds: float = 30.0) -> None:
        """Take nothing more, make what was taken searchable within `seconds`, close. What is left waits in the log."""
        if self.stopped.is_set():
            return
        self.stopped.set()
        self.wal.close()
        self.drain.finish(seconds)
        self.engine.close()

    @property
    def refusing(self) -> str | None:
        """The reason why ingest must be refused now, or None."""
        return self.wal.broken or self.disk.refusing or self.log_full

    @property
    def log_full(self) -> str | None:
        full = self.wal.waiting_bytes >= self.wal.limits.waiting_bytes
        return "too many events wait to be stored" if full else None

    def wait_searchable(self, last_id: int, timeout: float) -> bool:
        """Wait until every event with an id below `last_id` is searchable; False after `timeout` seconds."""
        return self.drain.wait(last_id, timeout)

    def health(self) -> dict[str, Any]:
        """Return the state of each part, for pages, metrics and `doctor`."""
        drain, log = self.drain, self.wal
        return {
            "engine": "embedded" if self.engine.embedded else "server",
            "draining": drain.trouble is None and drain.thread.is_alive(),
            "trouble": drain.trouble,
            "refusing": self.refusing,
            "segments": drain.segments,
            "rows": drain.rows,
            "failures": drain.failures,
            "quarantined": drain.quarantined,
            "waiting_rows": log.waiting_rows,
            "waiting_bytes": log.waiting_bytes,
            "waiting_segments": len(log.sealed),
            "disk": self.disk.state,
            "disk_percent": round(self.disk.percent, 1),
        }
