"""Public ids of events: 32 hex digits of (event time, id), so that one event is found by the primary key."""

import re

# Moves every event time of the years 1 to 9999 into the positive numbers, so that ids sort as times do.
OFFSET = 1 << 62
SHAPE = re.compile(r"[0-9a-f]{32}")


def public_id(ts: int, event_id: int) -> str:
    return f"{ts + OFFSET:016x}{event_id:016x}"


def read_public_id(text: str) -> tuple[int, int] | None:
    """Return (event time in microseconds, id), or None when the text was never an id of ours."""
    if SHAPE.fullmatch(text) is None:
        return None
    return int(text[:16], 16) - OFFSET, int(text[16:], 16)
