"""The origin when its own code fails: there is always an answer of the usual form, and a line in the log."""

import asyncio
from typing import Any

import httpx
import pytest

from headrace.core.house import House
from headrace.core.refusals import Kind, Refusal, invalid
from headrace.wire.call import Answer, Call, answer
from headrace.wire.door import Door, HotRoute, Terms
from headrace.wire.origin import Origin


async def refused(_: Call) -> Answer:
    raise invalid("field", "must be good")


async def broken(_: Call) -> Answer:
    raise ArithmeticError("of which nobody outside hears")


async def admit(_: Call) -> None:
    pass


def served(house: House, render: Any, peek: Any = lambda _: None) -> Origin:
    routes = [
        HotRoute(method="GET", path=path, run=run, terms=Terms())
        for path, run in (("/refused", refused), ("/broken", broken))
    ]
    door = Door(name="odd", title="Odd", owns=lambda *_: True, hot=routes, admit=admit, peek=peek, render=render)
    return Origin(house, [door])


def envelope(refusal: Refusal, _: Call) -> Answer:
    if refusal.kind is not Kind.BUG:
        raise TypeError("this refusal holds what cannot be encoded")
    return answer(500, {"odd": refusal.text})


def none(*_: Any) -> Any:
    raise TypeError("nothing can be encoded")


NOBODYS = {"detail": "Internal Server Error"}
IN_DOORS_WORDS = {"odd": "Internal server error"}


@pytest.mark.parametrize(
    ("path", "parts", "body"),
    [
        ("/refused", (envelope,), IN_DOORS_WORDS),
        ("/broken", (envelope,), IN_DOORS_WORDS),
        ("/missing", (envelope,), IN_DOORS_WORDS),
        ("/refused", (none,), NOBODYS),
        ("/broken", (none,), NOBODYS),
        ("/missing", (none,), NOBODYS),
        ("/broken", (envelope, none), NOBODYS),
    ],
)
def test_whatever_fails_is_answered(
    house: House, path: str, parts: tuple[Any, ...], body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(served(house, *parts)), base_url="http://x"
        ) as client:
            return await client.get(path, headers={"X-Request-ID": "mine"})

    found = asyncio.run(ask())
    assert (found.status_code, found.json()) == (500, body)
    assert found.headers["x-request-id"] == "mine"
    assert found.headers["content-type"] == "application/json"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert "request mine" in caplog.text
