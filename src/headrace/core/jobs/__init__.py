"""Jobs: durable work that runs after the request. States, kinds and rules are in docs/jobs.md.

A job is enqueued in the caller's transaction, claimed fairly by lane, run under a lease, and settled under a fence.
"""

from headrace.core.jobs.changing import Pause, cancel, pause, paused, resume, retry
from headrace.core.jobs.context import Context
from headrace.core.jobs.engine import Engine
from headrace.core.jobs.enqueue import enqueue, submit
from headrace.core.jobs.figures import watch
from headrace.core.jobs.leases import say
from headrace.core.jobs.outcome import Progress
from headrace.core.jobs.outside import anything, finish, hand_over, heartbeat, holder, lease
from headrace.core.jobs.reading import (
    Failure,
    Standing,
    by_token,
    counts,
    created_since,
    failures,
    get,
    is_live,
    list_all,
    live,
    standings,
    tallied,
)
from headrace.core.jobs.record import (
    HIGH,
    LOW,
    NORMAL,
    PAYLOAD_BYTES,
    RESULT_BYTES,
    Cancelled,
    Job,
    Kind,
    Kinds,
    NonRetryable,
    Page,
    Retry,
    define,
    define_family,
    leave,
)
from headrace.core.jobs.scheduler import Duties
from headrace.core.jobs.states import FINAL, LIVE, STATES

__all__ = [
    "FINAL",
    "HIGH",
    "LIVE",
    "LOW",
    "NORMAL",
    "PAYLOAD_BYTES",
    "RESULT_BYTES",
    "STATES",
    "Cancelled",
    "Context",
    "Duties",
    "Engine",
    "Failure",
    "Job",
    "Kind",
    "Kinds",
    "NonRetryable",
    "Page",
    "Pause",
    "Progress",
    "Retry",
    "Standing",
    "anything",
    "by_token",
    "cancel",
    "counts",
    "created_since",
    "define",
    "define_family",
    "enqueue",
    "failures",
    "finish",
    "get",
    "hand_over",
    "heartbeat",
    "holder",
    "is_live",
    "lease",
    "leave",
    "list_all",
    "live",
    "pause",
    "paused",
    "resume",
    "retry",
    "say",
    "standings",
    "submit",
    "tallied",
    "watch",
]
