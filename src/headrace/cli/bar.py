"""How far a long command has come: a bar on a terminal, otherwise a plain line every few seconds, on stderr."""

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from headrace.cli.screen import is_terminal, note

if TYPE_CHECKING:
    import rich.progress

EVERY_SECONDS = 5.0


class Bar:
    """Progress through one file. `size` in bytes, 0 = unknown. Quiet when `quiet`."""

    def __init__(self, title: str, size: int, *, quiet: bool = False) -> None:
        self.title, self.size, self.quiet = title, size, quiet
        self.began = self.told = time.monotonic()
        self.bar: rich.progress.Progress | None = None

    def __enter__(self) -> Self:
        if not self.quiet and is_terminal(sys.stderr):
            from rich import progress as rich_progress
            from rich.console import Console

            self.bar = rich_progress.Progress(
                rich_progress.TextColumn("{task.description}", markup=False),
                rich_progress.BarColumn(),
                rich_progress.TaskProgressColumn(),
                rich_progress.TextColumn("{task.fields[words]}", markup=False),
                rich_progress.TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self.bar.start()
            self.bar.add_task(self.title, total=self.size or None, words="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    def show(self, lines: int, position: int) -> None:
        """Tell how many lines were sent in this run, and how many bytes of the file are read."""
        now = time.monotonic()
        words = f"{lines:,} lines, {lines / max(now - self.began, 0.001):,.0f}/s"
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=position, words=words)
        elif not self.quiet and now - self.told >= EVERY_SECONDS:
            self.told = now
            note(f"{self.title}: {words}" + (f", {position * 100 // self.size} %" if self.size else ""))

    def wait(self, seconds: float, reason: str) -> None:
        """Tell why nothing moves, then wait."""
        words = f"{reason}; next try in {seconds:.0f} s" if seconds >= 1 else reason
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], words=words)
        elif not self.quiet and seconds >= 1:
            note(f"{self.title}: {words}")
        time.sleep(seconds)
