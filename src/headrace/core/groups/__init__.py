"""Error groups: occurrences of one error counted together, with a state that people set."""

from headrace.core.groups import (
    activity,
    comments,
    frames,
    markdown,
    merging,
    news,
    releases,
    series,
    states,
    tidying,
    why,
)
from headrace.core.groups.finding import GroupPage, by_fingerprint, fingerprints, get, list_all
from headrace.core.groups.fold import fold
from headrace.core.groups.merging import merge, unmerge
from headrace.core.groups.record import STATUSES, Group, MuteRule
from headrace.core.groups.series import Sparkline, sparkline, sparklines
from headrace.core.groups.triage import assign, mute, set_status

__all__ = [
    "STATUSES",
    "Group",
    "GroupPage",
    "MuteRule",
    "Sparkline",
    "activity",
    "assign",
    "by_fingerprint",
    "comments",
    "fingerprints",
    "fold",
    "frames",
    "get",
    "list_all",
    "markdown",
    "merge",
    "merging",
    "mute",
    "news",
    "releases",
    "series",
    "set_status",
    "sparkline",
    "sparklines",
    "states",
    "tidying",
    "unmerge",
    "why",
]
