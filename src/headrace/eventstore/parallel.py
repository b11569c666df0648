"""Questions that belong together are asked at the same time: of a short one most is planning, which has one thread."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from headrace.eventstore.engine import QueryRefused

Given = TypeVar("Given")
Answer = TypeVar("Answer")


def at_once(ask: Callable[[Given], Answer], given: Sequence[Given]) -> list[Answer]:
    """Return the answers in the order of what was given; one after the other where there is no memory for all of them.

    Raises what a question raised.
    """
    with ThreadPoolExecutor(len(given), thread_name_prefix="questions") as pool:
        begun = [pool.submit(ask, one) for one in given]
    try:
        return [one.result() for one in begun]
    except QueryRefused as refused:
        if refused.kind != "memory":
            raise
    return [ask(one) for one in given]
