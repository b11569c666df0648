"""`/public/openapi.json`: every API of the origin as OpenAPI 3.0, made at the first request and kept."""

import asyncio
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec

from headrace.wire import openapi_30
from headrace.wire.call import Answer, Call
from headrace.wire.door import HotRoute, Terms

PATH = "/public/openapi.json"
NOT_MODIFIED = 304


def route(document: Callable[[], dict[str, Any]]) -> HotRoute:
    """Build the route; `document` returns the description as OpenAPI 3.1."""
    made: list[tuple[bytes, bytes]] = []

    def make() -> tuple[bytes, bytes]:
        content = msgspec.json.encode(openapi_30.converted(document()))
        return content, b'"' + sha256(content).hexdigest()[:32].encode() + b'"'

    async def description(call: Call) -> Answer:
        """Describe every route of every API."""
        if not made:
            made.append(await asyncio.to_thread(make))
        content, tag = made[0]
        call.family = "described"
        known = call.headers.get(b"if-none-match", b"")
        if known == b"*" or tag in {one.strip().removeprefix(b"W/") for one in known.split(b",")}:
            return Answer(NOT_MODIFIED, b"", ((b"etag", tag),))
        return Answer(200, content, ((b"etag", tag),))

    return HotRoute(
        method="GET", path=PATH, run=description, terms=Terms(), summary="Every API as OpenAPI 3.0", tag="metrics"
    )
