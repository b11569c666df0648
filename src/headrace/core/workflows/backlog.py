"""How many jobs of an organization are not over: no more are taken in than the setting allows."""

import threading

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.refusals import unavailable
from headrace.kit.times import MINUTE, SECOND

# A number is trusted for so long; one that leaves no room only until it may have changed.
FRESH_US, FULL_US = MINUTE, SECOND
RETRY_SECONDS = 60
MOST_REMEMBERED = 10_000


class Backlog:
    """What this process counted, and took in since: jobs that end in between make the true number smaller."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.lock = threading.Lock()
        # By organization: when it was counted, and how many there were and came since.
        self.known: dict[int, tuple[int, int]] = {}

    def take(self, organization_id: int) -> None:
        """Count one more; refused (unavailable) when there are as many as there may be."""
        most, now = self.house.settings.jobs_limit, self.house.clock()
        with self.lock:
            at, before = self.known.get(organization_id, (now - FRESH_US, 0))
            is_due = now - at >= (FRESH_US if before < most else FULL_US)
            if is_due:
                self._know(organization_id, now, before)
        if is_due:
            # To count up to a million takes its time: who comes meanwhile does not wait, and goes by what was known.
            try:
                counted = jobs.live(self.house, organization_id=organization_id, most=most)
            except BaseException:  # Whatever it was, nothing is known of this organization then.
                with self.lock:
                    self.known.pop(organization_id, None)
                raise
        with self.lock:
            at, number = self.known.get(organization_id, (now, before))
            if is_due:
                number = counted + number - before
            self._know(organization_id, at, min(most, number + 1))
        if number >= most:
            raise unavailable(
                f"{most} jobs of this organization wait or run; more are taken once some end", RETRY_SECONDS
            )

    def _know(self, organization_id: int, at: int, number: int) -> None:
        while len(self.known) >= MOST_REMEMBERED and organization_id not in self.known:
            del self.known[next(iter(self.known))]
        self.known[organization_id] = (at, number)
