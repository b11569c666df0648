"""The ear for hints of other processes: LISTEN on PostgreSQL, on a connection of its own. Nothing depends on it."""

import logging
import threading
import time
from typing import Any

from headrace.core.house import House
from headrace.core.jobs.bell import CHANNEL, Bell

log = logging.getLogger(__name__)

# The name that it has among the sessions of the server, for whoever looks there.
NAME = "headrace jobs listener"
WAIT_SECONDS = 1.0
ALIVE_SECONDS = 10.0
AGAIN_SECONDS = 1.0


class Listener:
    """Runs on PostgreSQL alone; elsewhere it hears nothing."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.heard_at = 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, name="jobs-listener", daemon=True)

    def start(self) -> None:
        if self.house.db.dialect == "postgresql":
            self.thread.start()

    def stop(self) -> None:
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()

    def _run(self) -> None:
        import psycopg  # noqa: PLC0415  Costs 60 ms, which a house on SQLite need not pay.

        address = self.house.db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        while not self.ended.is_set():
            try:
                with psycopg.connect(address, autocommit=True, application_name=NAME) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._listen(connection)
            except psycopg.Error as error:
                log.warning("Hints of waiting jobs cannot be heard; jobs are looked for each second: %s", error)
                self.ended.wait(AGAIN_SECONDS)

    def _listen(self, connection: Any) -> None:
        bell, asked = self.house.part(Bell), time.monotonic()
        # What was told while nobody listened is looked for.
        bell.wake()
        while not self.ended.is_set():
            for hint in connection.notifies(timeout=WAIT_SECONDS, stop_after=1):
                if hint.payload != bell.name:
                    self.heard_at = time.monotonic()
                    bell.wake()
            if time.monotonic() - asked > ALIVE_SECONDS:
                asked = time.monotonic()
                connection.execute("SELECT 1")
