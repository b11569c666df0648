"""This process as the system sees it."""

import os
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Return how much memory of this process is in RAM."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES
