"""What runs in processes of their own in test_jobs_engine.py: light, since each process imports it anew."""

import os
import re
import signal
import sys
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
    _fork(context)
    while True:
        signal.pause()


def stuck(context: Any) -> None:
    _fork(context)
    # Never comes back from here, and lets no other thread of the process run.
    re.fullmatch("(a+)+", "a" * 100 + "b")


def _fork(context: Any) -> None:
    child = os.fork()
    if child:
        Path(context.payload).write_text(f"{os.getpid()} {child}")
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def grows(_: Any) -> None:
    held = []
    while True:
        held.append(bytearray(1 << 20))


def killed(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def place(context: Any) -> Any:
    """What the process is to its machine, whether it can read anything, and what was prepared for it."""
    score = Path("/proc/self/oom_score_adj").read_text()
    return [os.getpriority(os.PRIO_PROCESS, 0), score.strip(), sys.stdin.read(), context.prepared]
