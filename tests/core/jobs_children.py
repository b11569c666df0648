"""What runs in processes of their own in test_jobs_engine.py: light, since each process imports it anew."""

import os
import signal
from pathlib import Path
from typing import Any

from headrace.core.attempts import Retry


def echo(context: Any) -> Any:
    return context.payload


def never(_: Any) -> None:
    signal.pause()


def too_much(_: Any) -> str:
    return "x" * 1_000_000


def bomb(_: Any) -> str:
    for descriptor in (1, 2):
        for _ in range(200):
            os.write(descriptor, b"x" * 65_536)
    return "still here"


def quits(_: Any) -> None:
    os._exit(3)


def retries(_: Any) -> None:
    raise Retry("busy there")


def fails(_: Any) -> None:
    raise KeyError("s3cret")


def tells(context: Any) -> None:
    context.check()
    context.progress(3, 5)


def forks(context: Any) -> None:
    child = os.fork()
    if child:
        Path(context.payload).write_text(str(child))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()
