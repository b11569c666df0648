"""What a job is, what an attempt at it may raise, and how much it may say. No SQL, no threads, light imports."""

from typing import Any

import msgspec

# Room for the largest payload of a workflow (204,800 bytes) and what `echo` puts around it.
RESULT_BYTES = 256 << 10
MESSAGE_CHARACTERS = 500
ERROR_CHARACTERS = 1_000
LARGEST = (1 << 63) - 1


class Job(msgspec.Struct, frozen=True):
    """One job. `token` is its outward id; `attempt` counts its starts, of which `tries` are allowed; times in us.

    `started_at` is the start of the last attempt. `result` is there once it succeeded, `error` (one sentence, no stack)
    after the last failure.
    """

    id: int
    token: str
    organization_id: int
    kind: str
    name: str | None
    view: str | None
    lane: str
    state: str
    priority: int
    payload: Any
    attempt: int
    tries: int
    run_at: int
    progress_done: int | None = None
    progress_total: int | None = None
    progress_message: str | None = None
    result: Any = None
    error: str | None = None
    callback_url: str | None = None
    account_id: int | None = None
    key_id: int | None = None
    created_at: int = 0
    started_at: int | None = None
    finished_at: int | None = None

    @property
    def fence(self) -> str:
        """Names this attempt: what it writes elsewhere carries this, so that an older attempt is told from it."""
        return f"{self.id}:{self.attempt}"


class Retry(Exception):  # noqa: N818  It asks for something; it is no error of the program.
    """This attempt came to nothing; try again, in `after_seconds` if given. The text is shown outside."""

    def __init__(self, text: str = "", *, after_seconds: float | None = None) -> None:
        super().__init__(text)
        self.after_seconds = after_seconds


class NonRetryable(Exception):  # noqa: N818
    """The job fails now, whatever tries are left. The text is shown outside."""


class Cancelled(Exception):  # noqa: N818
    """The job is to stop: somebody cancelled it, its time is up, or another worker has it by now."""


def bounded(number: int) -> int:
    """A whole number that every database stores."""
    return max(-LARGEST, min(int(number), LARGEST))
