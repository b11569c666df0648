"""The bell: says that a job may be waiting. A hint only; the engine also looks by itself.

In this process it is an event set after the commit; other processes hear a NOTIFY (PostgreSQL) or see the database's
stamp change (SQLite).
"""

import logging
import threading
import time

from headrace.core.house import House
from headrace.kit.database import UnreachableError, driver

log = logging.getLogger(__name__)

CHANNEL = "headrace_jobs"
# NOTIFY takes a lock that all of PostgreSQL shares; a worker that heard one looks several times within this.
QUIET_SECONDS = 0.005
NEVER = 1 << 62
HINT = f"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', '')"


class Bell:
    """One for each house. `due` is the earliest run_at that somebody told of since the engine last looked."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.rung = threading.Event()
        self.due = NEVER
        self.told_at = 0.0

    def ring(self, run_at: int | None = None) -> None:
        """Wake whoever runs jobs; with `run_at`, for a job of that time. Call it after the commit."""
        if run_at is not None:
            self.due = min(self.due, run_at)
        self.rung.set()
        if self.house.db.dialect == "postgresql" and time.monotonic() - self.told_at > QUIET_SECONDS:
            self.told_at = time.monotonic()
            self._tell()

    def _tell(self) -> None:
        try:
            with self.house.db.write() as connection:
                driver(connection).execute(HINT)
        except UnreachableError:
            log.debug("no hint was sent; workers look by themselves within a second")
