"""Following a live tail to its end: what was missed, what comes, a sign of life between, and whether one still may."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, NamedTuple

from headrace.core.events import tail
from headrace.core.refusals import Refusal
from headrace.kit.database import UnreachableError

if TYPE_CHECKING:
    from headrace.core.house import House


class Pace(NamedTuple):
    """Seconds: the longest silence, and how long somebody whom another process shut out may read on.

    What this process changes about credentials is told to the hub, which has it checked at once.
    """

    beat: float = 15.0
    check: float = 5.0


PACE = Pace()


async def followed(
    house: "House", wish: tail.Wanted, subscription: tail.Subscription, check: Callable[[], object], pace: Pace = PACE
) -> AsyncGenerator[list[tail.Piece] | str, None]:
    """Give what a subscription gets, turn by turn (nothing in a turn: a sign of life), at last why it ended.

    It ends when `check`, which may block, refuses, or when the server stops.
    """
    hub = house.part(tail.Hub)
    checked = beaten = time.monotonic()
    try:
        for piece in await tail.missed(house, wish, subscription):
            yield [piece]
        while subscription.ended is None:
            now = time.monotonic()
            if subscription.doubted or now >= checked + pace.check:
                # First, so that a change while it is asked is asked about again.
                subscription.doubted = False
                await asyncio.to_thread(check)
                checked = now
            patience = min(checked + pace.check, beaten + pace.beat) - now
            taken = await subscription.take(max(patience, 0.0))
            if not taken and time.monotonic() < beaten + pace.beat:
                continue
            yield taken
            beaten = time.monotonic()
            await asyncio.sleep(hub.pause(sum(len(piece) for piece in taken if isinstance(piece, bytes))))
        reason = subscription.ended
    except Refusal as refusal:
        reason = refusal.text
    except UnreachableError:
        reason = "the database does not answer"
    yield reason
