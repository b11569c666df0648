"""Requests that name themselves by an `Idempotency-Key`: the same one again gets the first answer again."""

import asyncio
from collections.abc import Awaitable, Callable

from headrace.core import idempotency
from headrace.wire.call import Answer, Call


async def once(call: Call, place: str, run: Callable[[], Awaitable[Answer]]) -> Answer:
    """Run a creating request of a hot route, or give its first answer again. `place` names what it is asked of."""
    key = call.header("idempotency-key")
    if key is None:
        return await run()
    begun = await asyncio.to_thread(
        idempotency.begin, call.house, call.who, method=call.method, route=place, key=key, body=call.body
    )
    if isinstance(begun, idempotency.Replay):
        call.added.append((b"idempotency-replayed", b"true"))
        return Answer(begun.status, begun.body)
    try:
        answer = await run()
    except BaseException:  # Cancelled too: the key must not stay taken.
        await asyncio.to_thread(idempotency.drop, call.house, begun)
        raise
    await asyncio.to_thread(idempotency.finish, call.house, begun, status=answer.status, headers={}, body=answer.body)
    return answer
