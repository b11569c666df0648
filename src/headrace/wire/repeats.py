"""Requests that name themselves by an `Idempotency-Key`: the same one again gets the first answer again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from headrace.core import idempotency
from headrace.core.idempotency import Asked, Replay, Ticket
from headrace.wire.call import Answer, Call
from headrace.wire.threads import within

T = TypeVar("T")
# What broke off in one of these ways may still go on where it was begun.
CUT_OFF = (TimeoutError, asyncio.CancelledError)


async def once(call: Call, place: str, run: Callable[[], Answer], *, beyond: bool = False) -> Answer:
    """Run, in a thread, what writes to the metadata database, or give its first answer again.

    `place` names what is asked. Effect and answer are committed together, unless the effect goes `beyond` the database.
    """
    if beyond:
        return await once_beyond(call, place, lambda _: within(call, run))
    asked = _asked(call, place)
    if asked is None:
        return await within(call, run)

    def work() -> Replay:
        made = run()
        return Replay(made.status, made.body)

    found, again = await within(call, idempotency.once, call.house, asked, work)
    return _given(call, found, again=again)


def once_here(call: Call, place: str, kind: type[T], run: Callable[[], T]) -> T:
    """Do the same for a handler that runs in a thread and returns a record."""
    asked = _asked(call, place)
    if asked is None:
        return run()

    def work() -> Replay:
        return Replay(0, msgspec.json.encode(run()))

    found, again = idempotency.once(call.house, asked, work)
    return msgspec.json.decode(_given(call, found, again=again).body, type=kind)


async def once_beyond(
    call: Call, place: str, run: Callable[[Ticket | None], Awaitable[Answer]], *, traced: bool = False
) -> Answer:
    """Run what has effects beyond the metadata database, or give its first answer again.

    When this process dies between the effect and the answer, the request is refused from then on, never repeated; with
    `traced` it runs again, and looks first for what its ticket has left.
    """
    asked = _asked(call, place)
    if asked is None:
        return await run(None)
    begun = await asyncio.to_thread(idempotency.begin, call.house, asked, traced=traced)
    if isinstance(begun, Replay):
        return _given(call, begun, again=True)
    try:
        answer = await run(begun)
    except CUT_OFF:
        raise
    except BaseException:  # Whatever it was, it came to nothing, and the key must not stay taken.
        await asyncio.to_thread(idempotency.drop, call.house, begun)
        raise
    await asyncio.to_thread(idempotency.finish, call.house, begun, Replay(answer.status, answer.body))
    return answer


def _asked(call: Call, place: str) -> Asked | None:
    key = call.header("idempotency-key")
    return None if key is None else Asked(who=call.who, method=call.method, route=place, key=key, body=call.body)


def _given(call: Call, found: Replay, *, again: bool) -> Answer:
    if again:
        call.added.append((b"idempotency-replayed", b"true"))
    return Answer(found.status, found.body)
