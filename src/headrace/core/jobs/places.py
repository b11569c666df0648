"""Places for what waits for somebody outside: a lane takes part of what is free, so that others always find room."""

from collections import Counter
from collections.abc import Iterable

from headrace.core.jobs.record import Job

# Of this process's places for tasks so many are not for such jobs: what does not wait for others begins at once.
KEPT = 32


class Places:
    """The free places of one process, while jobs are claimed for them.

    An organization takes at most as many as it leaves free, and one lane of a kind half of those; whoever has none
    gets one while there is any.
    """

    def __init__(self, held: Iterable[Job]) -> None:
        self.free = 0
        self.held: Counter[str] = Counter()
        for job in held:
            self.held.update((_organization(job.lane), f"{job.kind} {job.lane}"))

    def room(self, kind: str, lane: str) -> int:
        """Return how many more of a lane may be claimed now."""
        free, organization = self.free - KEPT, _organization(lane)
        if free <= 0:
            return 0
        mine = (free - self.held[organization]) // 2
        return max((mine - self.held[f"{kind} {lane}"]) // 2, int(not self.held[organization]), 0)

    def take(self, kind: str, lane: str, many: int) -> None:
        """Count so many as taken, or as given back when it is less than nothing."""
        self.free -= many
        self.held[_organization(lane)] += many
        self.held[f"{kind} {lane}"] += many


def _organization(lane: str) -> str:
    return lane.partition("/")[0]
