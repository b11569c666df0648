"""How much memory the records of one job may take: counted as they are held, and for a record in the making."""

from sys import getsizeof
from typing import Any

from headrace.core.processing.values import ProcessingError

# What sorting and grouping hold, in all steps of a job: 200,000 records of a dozen short fields. It has to stay well
# below what the job's process may take, so that this is what is said of a job that wants too much.
MOST_HELD_BYTES = 256 << 20
# Of the texts that one `derive` makes for one record.
MOST_MADE_BYTES = 4 << 20
# Of one record of a JSON array: decoded it takes up to thirty times as much.
MOST_RECORD_BYTES = 8 << 20


class Room:
    """The room that is left for what steps hold."""

    def __init__(self) -> None:
        self.left = MOST_HELD_BYTES

    def take(self, value: Any, place: str, *, more: int = 0) -> int:
        """Hold a value, and `more` bytes beside it. Returns how many bytes that takes, for `give`."""
        taken = size(value, self.left) + more
        self.left -= taken
        if self.left < 0:
            raise ProcessingError(
                f"{place}: the records that have to be held take more than {MOST_HELD_BYTES >> 20} MiB; "
                "filter them, or select fewer fields, before that"
            )
        return taken

    def give(self, taken: int) -> None:
        self.left += taken


def size(value: Any, most: int) -> int:
    """Return about how many bytes a value takes in memory; of what is larger than `most` something above that."""
    total, waiting = 0, [value]
    while waiting and total <= most:
        one = waiting.pop()
        total += getsizeof(one)
        if isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
    return total


def made(fresh: dict[str, Any], place: str) -> dict[str, Any]:
    """Check what a step made for one record: a few operations turn a short text into megabytes."""
    if sum(getsizeof(one) for one in fresh.values() if isinstance(one, str)) > MOST_MADE_BYTES:
        raise ProcessingError(f"{place}: the texts of one record take more than {MOST_MADE_BYTES >> 20} MiB")
    return fresh
