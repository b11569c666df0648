"""What keeps the process of a job within bounds: it ends with its server, stands back for it, has so much memory.

Each is the system's own doing, so that nothing that the job runs can get in its way.
"""

import contextlib
import fcntl
import os
import resource
import signal
import threading
from pathlib import Path

NICE = 10
STATM, OOM_SCORE = Path("/proc/self/statm"), Path("/proc/self/oom_score_adj")
# The kernel's scale ends here.
FIRST_TO_GO = "1000"


def end_with(line: int) -> None:
    """Kill this process and its whole group once nobody holds the other end of a pipe, however the server ended.

    Nothing may ever be written to that pipe. On Linux the kernel sends the signal, whatever the job is doing; elsewhere
    a thread waits for the end of the pipe.
    """
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(line, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(line, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(line, fcntl.F_SETFL, fcntl.fcntl(line, fcntl.F_GETFL) | os.O_ASYNC)
    # Also for what happened before that.
    threading.Thread(target=_wait, args=(line,), name="server", daemon=True).start()


def _wait(line: int) -> None:
    while os.read(line, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


def stand_back() -> None:
    """Let the server go first, and stay longer where the machine runs out of memory."""
    os.nice(NICE)
    # Only Linux has that file.
    with contextlib.suppress(OSError):
        OOM_SCORE.write_text(FIRST_TO_GO)


def limit_memory(more: int) -> None:
    """Let this process take `more` bytes of address space beyond what it has: then MemoryError is raised in it."""
    try:
        has = int(STATM.read_text().split()[0]) * resource.getpagesize()
    except OSError:
        return  # Elsewhere than on Linux the limit does not hold.
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = has + more if most == resource.RLIM_INFINITY else min(has + more, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
