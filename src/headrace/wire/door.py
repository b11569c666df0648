"""The Door record: all that the origin knows of a documented API. Doors are made in `doors/*` and `web`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler

from headrace.core.principal import Principal
from headrace.core.refusals import Refusal
from headrace.wire import body
from headrace.wire.call import Answer, Call
from headrace.wire.express import Budgets, Pending

if TYPE_CHECKING:
    from headrace.core.house import House

TERMS = "terms"

# How a handler of the framework asks for its request: `def list_all(call: Incoming)`.
Incoming = NamedDependency[Call]

# Runs on the event loop, must not block; raises a Refusal or returns the answer.
Hot = Callable[[Call], Awaitable[Answer]]


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a route demands before its handler runs, and what it says when that crashes.

    `credential` is a word of its door ("" = anybody), `action` the scope (`("logs", "read")`) that a key must reach.
    `body` names the setting that limits the decompressed body; without it the body is not read.
    `media` are types of bodies that it reads besides those of its door.
    `limited` is False where neither budgets nor rate headers apply. `creates`: an `Idempotency-Key` is honoured.
    """

    credential: str = ""
    action: tuple[str, str] | None = None
    body: str | None = None
    crash: str = "Internal server error"
    limited: bool = True
    creates: bool = False
    errors: tuple[int, ...] = ()
    media: frozenset[str] = frozenset()


def terms(
    credential: str = "",
    action: tuple[str, str] | None = None,
    *,
    body: str | None = None,
    crash: str = "Internal server error",
    limited: bool = True,
    creates: bool = False,
    errors: tuple[int, ...] = (),
) -> dict[str, Any]:
    """Build the `opt=` of a Litestar handler. `errors`: statuses that the route has beyond its door's common ones."""
    return {
        TERMS: Terms(
            credential=credential,
            action=action,
            body=body,
            crash=crash,
            limited=limited,
            creates=creates,
            errors=errors,
        )
    }


class Swift(msgspec.Struct, frozen=True, kw_only=True):
    """How a hot route takes a good request on the spot, without a task (see `express`).

    `read` returns what stands in a body in which all is well, else None; `append` hands that on, or raises a Refusal
    and has done nothing. `budgets` are those of a caller at an address. `counted` is told how many were answered.
    """

    read: Callable[["House", bytes], Any]
    append: Callable[["House", Principal, Mapping[bytes, bytes], Any], Pending]
    budgets: Callable[["House", Principal, str], Budgets]
    counted: Callable[["House", int], object]


class HotRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A route that is served on the event loop, past the framework. Its handler reads parameters of the path itself.

    Admission and body (`call.body`, decompressed and within its limit) are done when `run` is called. `takes` and
    `gives` are the records of body and answer, for the API description; `others` further good answers by status,
    `asked` the parameters of its query that may be given, each with what it says.
    """

    method: str
    path: str
    run: Hot
    terms: Terms
    summary: str = ""
    status: int = 200
    takes: Any = None
    gives: Any = None
    others: tuple[tuple[int, Any], ...] = ()
    asked: Mapping[str, str] = {}
    tag: str = ""
    listed: bool = True
    swift: Swift | None = None


class Door(msgspec.Struct, frozen=True, kw_only=True):
    """One documented API.

    `owns(method, path, query)` decides by path and shape (query: the raw query string), never by credential.
    `admit` checks budgets, credential and scope in that order and sets `call.principal` and `call.rates`; for a call
    that has no route (404, 405) `peek` sets `call.rates` without counting. `render` is the envelope. `answered` is told
    the status and the seconds of each answer.
    """

    name: str
    title: str
    owns: Callable[[str, str, bytes], bool]
    routes: Sequence[HTTPRouteHandler] = ()
    hot: Sequence[HotRoute] = ()
    admit: Callable[[Call], Awaitable[None]]
    peek: Callable[[Call], None]
    render: Callable[[Refusal, Call], Answer]
    answered: Callable[[Call, int, float], None] | None = None
    reads: Callable[[str], bool] = body.json_like
    security: Mapping[str, Sequence[str]] = {}
    statuses: Sequence[int] = (400, 401, 413, 415, 429, 500, 503)
    problem: Any = None


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One method on one path template, of either sort."""

    method: str
    template: str
    terms: Terms
    hot: Hot | None = None
    swift: Swift | None = None


def routes_of(door: Door) -> list[Route]:
    """Return every route of a door, in the order it lists them."""
    cold = [
        Route(method=method, template=plain(path), terms=handler.opt[TERMS])
        for handler in door.routes
        for path in sorted(handler.paths)
        for method in sorted(handler.http_methods)
    ]
    hot = [
        Route(method=one.method, template=one.path, terms=one.terms, hot=one.run, swift=one.swift) for one in door.hot
    ]
    return [*cold, *hot]


def plain(path: str) -> str:
    """Return a template without the framework's types: `/a/{b:str}` -> `/a/{b}`."""
    parts = (part.partition(":")[0] + "}" if part.startswith("{") else part for part in path.split("/"))
    return "/".join(parts)
