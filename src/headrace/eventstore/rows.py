"""Rows: the shape of an event on its way to disk. What the engine stores stands in `schema`; who may write, in core."""

import datetime as dt
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import msgspec

Level = Literal["debug", "info", "warning", "error", "critical"]
LogType = Literal["console", "logger", "exception", "custom", "network", "database", "endpoint"]
Importance = Literal["low", "standard", "high", "critical"]

# Retention is kept by whole partitions, so a row belongs to the class nearest above its project's days.
RETENTION_CLASSES = (7, 30, 90, 365)

NO_ATTRIBUTES = msgspec.Raw(b"null")

# Ends a stack_trace that is the JSON text of an object that was sent; no sent text holds it (the doors strip it).
OBJECT_STACK = "\0"


class Event(msgspec.Struct, omit_defaults=True, gc=False):
    """One event as it stands in a group line; absent = default.

    `timestamp` is read by the engine. `attributes` is raw JSON text of one object on one line, or `null`.
    """

    timestamp: dt.datetime
    level: Level
    log_type: LogType = "logger"
    importance: Importance = "standard"
    message: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    stack_trace: str | None = None
    environment: str | None = None
    release: str | None = None
    sdk_version: str | None = None
    platform: str | None = None
    platform_version: str | None = None
    attributes: msgspec.Raw = NO_ATTRIBUTES


class MarkedEvent(Event, omit_defaults=True, gc=False):
    """An event about which core knows more than the sender said.

    `fingerprint` is its error group's, hex, or empty. `ts` is the event time in microseconds where the engine's
    calendar would wrap (before 1970); 0 = `timestamp` counts.
    """

    fingerprint: str = ""
    ts: int = 0


class Group(msgspec.Struct, gc=False):
    """One line of a segment: the events of one request. Event `i` has the id `first_id + i`.

    `rows` = len(events), first in the line so that a restart can count a segment without decoding it.
    """

    rows: int
    tenant: int
    project: int
    received_at: int
    retention_days: int
    first_id: int
    events: Sequence[Event]


@lru_cache(maxsize=512)
def retention_class(days: int) -> int:
    """Return the class that keeps rows for at least `days`."""
    return next((kept for kept in RETENTION_CLASSES if kept >= days), RETENTION_CLASSES[-1])
