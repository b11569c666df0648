"""Work that blocks, done in a thread within the time that a request has."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from headrace.wire.call import Call

P = ParamSpec("P")
T = TypeVar("T")


async def within(call: Call, work: Callable[P, T], *args: P.args, **fields: P.kwargs) -> T:
    """Return what `work` returns; the origin answers TimeoutError, when it takes longer than `request_seconds`."""
    async with asyncio.timeout(call.house.settings.request_seconds):
        return await asyncio.to_thread(work, *args, **fields)
