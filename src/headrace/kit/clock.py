"""The clock: microseconds since 1970-01-01 UTC. The only place that reads the machine's wall clock."""

import time
from collections.abc import Callable

Clock = Callable[[], int]


def now() -> int:
    return time.time_ns() // 1000
