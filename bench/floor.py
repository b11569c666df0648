"""The least that durable ingest can cost: decode typed, encode as lines, write, sync, in one bare loop on one core."""

import datetime as dt
import os
import resource
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec


class Log(msgspec.Struct, omit_defaults=True, gc=False):
    """What a documented log may hold, with its types."""

    timestamp: dt.datetime
    level: Literal["debug", "info", "warning", "error", "critical"]
    log_type: Literal["console", "logger", "exception", "custom", "network", "database", "endpoint"] = "logger"
    importance: Literal["low", "standard", "high", "critical"] = "standard"
    message: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    stack_trace: str | None = None
    environment: str | None = None
    release: str | None = None
    sdk_version: str | None = None
    platform: str | None = None
    platform_version: str | None = None
    attributes: dict[str, Any] | None = None


class Body(msgspec.Struct, gc=False):
    logs: list[Log]


class Floor(NamedTuple):
    """Seconds per log."""

    cpu: float
    wall: float


def floor(bodies: Iterable[bytes], folder: Path) -> Floor:
    """Measure the loop over batch bodies; the file is in `folder`, on the disk that the server writes to."""
    decode, encode = msgspec.json.Decoder(Body).decode, msgspec.json.Encoder().encode_lines
    rows = cpu = wall = 0.0
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for body in bodies:
            began, busy = time.perf_counter(), processor()
            logs = decode(body).logs
            file.write(encode(logs))
            file.flush()
            os.fdatasync(file.fileno())
            wall += time.perf_counter() - began
            cpu += processor() - busy
            rows += len(logs)
    return Floor(cpu / rows, wall / rows)


def processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
