"""Error groups: occurrences of one error counted together, with a state that people set."""

from headrace.core.groups.fold import fold
from headrace.core.groups.record import STATUSES, Group
from headrace.core.groups.triage import (
    GroupPage,
    Sparkline,
    assign,
    by_fingerprint,
    get,
    list_all,
    set_status,
    sparkline,
)

__all__ = [
    "STATUSES",
    "Group",
    "GroupPage",
    "Sparkline",
    "assign",
    "by_fingerprint",
    "fold",
    "get",
    "list_all",
    "set_status",
    "sparkline",
]
