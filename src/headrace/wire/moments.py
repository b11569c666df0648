"""Moments in answers: ISO 8601 in UTC, absent as null. How one is written is `kit.times`'."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from headrace.kit import times

Time = Annotated[str, Meta(description="ISO 8601, UTC")]


def timed(record: msgspec.Struct, *names: str) -> dict[str, Any]:
    """Return a record's fields, these moments as text."""
    fields = msgspec.structs.asdict(record)
    return fields | {name: times.shown(fields[name]) for name in names}
