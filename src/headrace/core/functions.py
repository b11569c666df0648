"""Python functions that the operator installed as workflows: the entry points of the group `headrace.workflows`.

A function takes (context, payload) and returns a result that is JSON. Its attribute `headrace`, a dict, may say how it
runs: `isolation` (process, thread, async), `timeout_seconds`, `tries`, `in_flight`. This module stands apart from
`core/workflows` because every process of a job imports it.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from headrace.core.attempts import NonRetryable

if TYPE_CHECKING:
    from headrace.core.jobs import Context

GROUP = "headrace.workflows"
PREFIX = "workflow:"
LONGEST_NAME = 128
LONGEST_READABLE = 50
PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a function runs. A process of its own is the safe choice: it can be ended, whatever the function does."""

    isolation: Literal["process", "thread", "async"] = "process"
    timeout_seconds: float = 300.0
    tries: int = 4
    in_flight: int | None = None


class BrokenFunctionError(Exception):
    """An entry point that cannot be loaded, or is no function; the sentence is for the operator."""


def kind_name(name: str) -> str:
    """Return the name of the kind of job that a function's jobs are: of bounded length, the same on every server."""
    if len(name) <= LONGEST_READABLE and PLAIN.fullmatch(name):
        return PREFIX + name
    return f"{PREFIX}#{sha256(name.encode()).hexdigest()[:32]}"


@cache
def installed() -> Mapping[str, EntryPoint]:
    """Return the functions that are installed beside this program, by workflow; none is imported by that."""
    return {one.name: one for one in entry_points(group=GROUP) if 1 <= len(one.name) <= LONGEST_NAME}


def load(entry: EntryPoint) -> tuple[Callable[..., Any], Options]:
    """Import a function and read how it wants to run. Raises BrokenFunctionError."""
    try:
        function = entry.load()
    except Exception as error:  # The edge to somebody else's code, which does as it likes when it is imported.
        raise BrokenFunctionError(f"{entry.value} cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(function):
        raise BrokenFunctionError(f"{entry.value} is no function")
    usual = {"isolation": "async"} if inspect.iscoroutinefunction(function) else {}
    try:
        options = msgspec.convert(usual | getattr(function, "headrace", {}), Options)
    except (msgspec.ValidationError, TypeError) as error:
        raise BrokenFunctionError(f"{entry.value}.headrace: {error}") from error
    return function, options


def run(context: "Context") -> Any:
    """Run the function of a job, in whichever process this is."""
    return _function(context)(context, context.payload)


async def run_async(context: "Context") -> Any:
    return await _function(context)(context, context.payload)


def _function(context: "Context") -> Callable[..., Any]:
    entry = installed().get(context.job.name or "")
    if entry is None:
        raise NonRetryable(f"no function of the name {context.job.name!r} is installed")
    try:
        return load(entry)[0]
    except BrokenFunctionError as error:
        raise NonRetryable(str(error)) from error
