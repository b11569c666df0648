"""Workflows: named work. Built in, an installed function, an endpoint that is pushed to, a queue that is pulled."""

from headrace.core.workflows.defining import BUILTIN, Defined, define, remove, update
from headrace.core.workflows.definitions import Definition, get, list_all
from headrace.core.workflows.kinds import define as define_kinds
from headrace.core.workflows.queues import complete, fail, heartbeat, lease
from headrace.core.workflows.starting import start
from headrace.core.workflows.waiting import WaitingFor, waiting_for
from headrace.core.workflows.workers import Worker

__all__ = [
    "BUILTIN",
    "Defined",
    "Definition",
    "WaitingFor",
    "Worker",
    "complete",
    "define",
    "define_kinds",
    "fail",
    "get",
    "heartbeat",
    "lease",
    "list_all",
    "remove",
    "start",
    "update",
    "waiting_for",
]
