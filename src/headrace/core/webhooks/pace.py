"""How fast a receiver is sent to: half as fast each time that it says that it has too much, by and by as before.

First fewer are sent to it at once; beyond one at a time it has a rest after each.
"""

from headrace.core.house import House
from headrace.core.jobs.bell import Bell
from headrace.core.webhooks.sending import Sent
from headrace.kit.times import MINUTE, SECOND

OVERLOADED = (429, 502, 504)
# So long it is half as fast; and so often halved at most.
STEP_US = 5 * MINUTE
MOST_STEPS = 10
FRESH_US = 10 * SECOND
LONGEST_REST_US = 60 * SECOND
MOST_LANES = 10_000


class Slowed:
    """One receiver. `until` tells how often it was halved: each of the halvings takes its five minutes to end."""

    __slots__ = ("halved_at", "rests_until", "until")

    def __init__(self) -> None:
        self.until = self.halved_at = self.rests_until = 0

    def steps(self, now: int) -> int:
        return -(-max(0, self.until - now) // STEP_US)


class Pace:
    """The receivers that are slowed, by lane, as this process knows them; `slowed_until` of endpoints is stored too."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.bell = house.part(Bell)
        self.most: int = house.settings.webhook_in_flight_per_endpoint
        self.lanes: dict[str, Slowed] = {}

    def per_lane(self, lane: str) -> int:
        """Return how many may be sent to a receiver at once now; 0 while it rests."""
        slowed = self.lanes.get(lane)
        if slowed is None:
            return self.most
        now = self.house.clock()
        if slowed.rests_until > now:
            # A hint to look again then; nobody is woken now, for the one who asks is awake.
            self.bell.due = min(self.bell.due, slowed.rests_until)
            return 0
        if slowed.until <= now:
            self.lanes.pop(lane, None)
        return max(1, self.most >> slowed.steps(now))

    def learn(self, lane: str, until: int | None) -> None:
        """Take over what is stored of an endpoint: another process has slowed it, or somebody has seen to it."""
        slowed, now = self.lanes.get(lane), self.house.clock()
        if slowed is None and until is not None and until > now:
            slowed = self._slowed(lane)
        # Just after an answer of our own what is stored may be older than what is known here.
        if slowed is not None and now - slowed.halved_at > FRESH_US:
            slowed.until = until or 0

    def heard(self, lane: str, sent: Sent) -> int | None:
        """Take an answer. Returns until when the receiver is slowed, if this answer has slowed it (more)."""
        now, until = self.house.clock(), None
        if sent.status in OVERLOADED:
            slowed = self._slowed(lane)
            # Of those that were under way at the same time all say the same.
            if sent.at > slowed.halved_at:
                slowed.halved_at = now
                until = slowed.until = min(max(now, slowed.until) + STEP_US, now + MOST_STEPS * STEP_US)
        self._rest(lane, sent, now)
        return until

    def _rest(self, lane: str, sent: Sent, now: int) -> None:
        """Have a receiver that gets one at a time rest as long as its rate asks for, measured by this attempt."""
        slowed = self.lanes.get(lane)
        if slowed is not None:
            beyond = max(0, slowed.steps(now) - (self.most.bit_length() - 1))
            slowed.rests_until = now + min(sent.duration_us * (2**beyond - 1), LONGEST_REST_US)

    def _slowed(self, lane: str) -> Slowed:
        while lane not in self.lanes and len(self.lanes) >= MOST_LANES:
            self.lanes.pop(next(iter(self.lanes), ""), None)
        return self.lanes.setdefault(lane, Slowed())
