"""One attempt at a job as the function that does it sees it: the job, and what it may raise.

Every process of a job imports this anew, so it is light: no engine, no database. Functions that the operator installs
raise what stands here.
"""

from headrace.core.attempts.record import Cancelled, Job, NonRetryable, Retry

__all__ = ["Cancelled", "Job", "NonRetryable", "Retry"]
