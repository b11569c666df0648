"""The states of a job and the moves between them; docs/jobs.md draws the same, and a test compares the two."""

SCHEDULED = "scheduled"
READY = "ready"
RUNNING = "running"
CANCELLING = "cancelling"
SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELLED = "cancelled"

STATES = (SCHEDULED, READY, RUNNING, CANCELLING, SUCCEEDED, FAILED, CANCELLED)
FINAL = (SUCCEEDED, FAILED, CANCELLED)
LIVE = (SCHEDULED, READY, RUNNING, CANCELLING)
# In a worker's hands, under its lease.
HELD = (RUNNING, CANCELLING)

MOVES: dict[tuple[str, str], str] = {
    ("", READY): "enqueued",
    ("", SCHEDULED): "enqueued for later",
    (SCHEDULED, READY): "due",
    (SCHEDULED, CANCELLED): "cancelled",
    (READY, RUNNING): "claimed",
    (READY, CANCELLED): "cancelled",
    (RUNNING, SUCCEEDED): "succeeded",
    (RUNNING, FAILED): "failed, or its worker was lost, at the last try",
    (RUNNING, SCHEDULED): "failed, or its worker was lost, with tries left",
    (RUNNING, READY): "its worker was stopped",
    (RUNNING, CANCELLING): "asked to stop",
    (CANCELLING, CANCELLED): "stopped, however it ended",
    (FAILED, READY): "replayed",
    (CANCELLED, READY): "replayed",
}
