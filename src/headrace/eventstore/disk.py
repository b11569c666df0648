"""Disk: how full it is, and whether ingest has to be refused. What is deleted to make room, the operator decides."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

WARN_PERCENT: Final = 80
RESUME_BELOW: Final = 5  # Percent points under the limit, so that ingest does not flap at it.
SECONDS_BETWEEN_LOOKS: Final = 0.5


class Space(Protocol):
    """What we use of os.statvfs_result."""

    @property
    def f_blocks(self) -> int: ...
    @property
    def f_bfree(self) -> int: ...
    @property
    def f_bavail(self) -> int: ...


class Disk:
    """Watches the disk of one folder. Cheap enough to be asked at every request."""

    def __init__(
        self,
        folder: Path,
        *,
        refuse_percent: int = 95,
        look: Callable[[Path], Space] = os.statvfs,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.refuse_percent, self.look, self.seconds = folder, refuse_percent, look, seconds
        self.looked_at = float("-inf")
        self.percent = 0.0
        self.refused = False

    def update(self) -> None:
        """Look again, unless it was done just now."""
        now = self.seconds()
        if now - self.looked_at < SECONDS_BETWEEN_LOOKS:
            return
        self.looked_at = now
        space = self.look(self.folder)
        used = space.f_blocks - space.f_bfree
        usable = used + space.f_bavail  # As `df` counts: without what is kept for root.
        self.percent = 100 * used / usable if usable else 100.0
        limit = self.refuse_percent - RESUME_BELOW if self.refused else self.refuse_percent
        self.refused = self.percent >= limit

    @property
    def refusing(self) -> str | None:
        """The reason why nothing can be taken in, or None."""
        self.update()
        if not self.refused:
            return None
        return f"the disk is {self.percent:.0f} % full; ingest resumes below {self.refuse_percent - RESUME_BELOW} %"

    @property
    def state(self) -> str:
        """`ok`, `warn` or `refuse`."""
        self.update()
        if self.refused:
            return "refuse"
        return "warn" if self.percent >= min(WARN_PERCENT, self.refuse_percent) else "ok"
