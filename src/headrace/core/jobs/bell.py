"""The bell: says that a job may be waiting. A hint only; the engine also looks by itself.

In this process it is an event set after the commit; other processes hear a NOTIFY (PostgreSQL) or see the database's
stamp change (SQLite).
"""

import logging
import secrets
import threading
import time

from headrace.core.house import House
from headrace.kit.database import UnreachableError, driver

log = logging.getLogger(__name__)

CHANNEL = "headrace_jobs"
# NOTIFY takes a lock that all of PostgreSQL shares; a worker that heard one looks several times within this.
QUIET_SECONDS = 0.005
NEVER = 1 << 62
HINT = f"SELECT set_config('synchronous_commit', 'off', true), pg_notify('{CHANNEL}', %s)"


class Bell:
    """One for each house. `due` is the earliest run_at that somebody told of since the engine last looked."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.rung = threading.Event()
        self.due = NEVER
        self.told_at = 0.0
        # Who tells: a process need not hear what it said itself.
        self.name = secrets.token_hex(8)
        # Whether an engine of this process waits, and has room.
        self.waits = False

    def ring(self, run_at: int | None = None, *, here: bool = True) -> None:
        """Wake whoever runs jobs; with `run_at`, for a job of that time. Call it after the commit.

        Other processes are told unless one that waits in this one will take the job; not `here`: it does not run it.
        """
        if run_at is not None:
            self.due = min(self.due, run_at)
        taken = here and self.waits
        self.waits = self.waits and not taken
        self.wake()
        if taken or self.house.db.dialect != "postgresql":
            return
        if time.monotonic() - self.told_at > QUIET_SECONDS:
            self.told_at = time.monotonic()
            self._tell()

    def wake(self) -> None:
        """Wake the engine of this process. Asking first is cheaper than waking it again."""
        if not self.rung.is_set():
            self.rung.set()

    def _tell(self) -> None:
        try:
            with self.house.db.write() as connection:
                driver(connection).execute(HINT, (self.name,))
        except UnreachableError:
            log.debug("no hint was sent; workers look by themselves within a second")
