"""Names of workers: each engine's own, and which of this machine's are known to be dead."""

import hashlib
import os
import secrets
from functools import cache
from pathlib import Path

BOOT, NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")


def name() -> str:
    """Return a new name: `<process id>.<random>@<this boot of this machine>`."""
    return f"{os.getpid()}.{secrets.token_hex(4)}@{_machine()}"


def is_dead(worker: str) -> bool:
    """Tell whether a worker surely ended: one of this machine, boot and process namespace, whose process is gone.

    A process id that was given anew looks alive; then the lease decides.
    """
    before, _, machine = worker.partition("@")
    number = before.partition(".")[0]
    if not machine or machine != _machine() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


@cache
def _machine() -> str:
    try:
        text = BOOT.read_text() + str(NAMESPACE.readlink())
    except OSError:
        # Elsewhere nobody is known to be dead, and a lease runs its time.
        text = secrets.token_hex(16)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
