"""Fixtures that every suite shares; those of one room stand in that room's folder."""

import threading
import time
from collections.abc import Callable

import pytest


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait for a condition: `until(lambda: queue.empty(), seconds=5)`. Fails at the deadline."""

    def wait(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"The condition did not hold within {seconds} s.")
            pause.wait(0.005)

    return wait
