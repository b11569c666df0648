"""Workflows: named work. Built in, an installed function, an endpoint that is pushed to, a queue that is pulled."""

from headrace.core.functions import installed
from headrace.core.workflows.defining import BUILTIN, Defined, define, remove, update
from headrace.core.workflows.definitions import Definition, get, list_all
from headrace.core.workflows.firing import fire
from headrace.core.workflows.kinds import define as define_kinds
from headrace.core.workflows.kinds import pausable
from headrace.core.workflows.queues import Pulled, Waits, anything, complete, fail, heartbeat, lease
from headrace.core.workflows.schedules import MISSED, OVERLAP, Schedule
from headrace.core.workflows.starting import Order, start, start_together
from headrace.core.workflows.waiting import WaitingFor, notes, waiting_for
from headrace.core.workflows.workers import Worker
from headrace.core.workflows.workers import list_all as list_workers

__all__ = [
    "BUILTIN",
    "MISSED",
    "OVERLAP",
    "Defined",
    "Definition",
    "Order",
    "Pulled",
    "Schedule",
    "WaitingFor",
    "Waits",
    "Worker",
    "anything",
    "complete",
    "define",
    "define_kinds",
    "fail",
    "fire",
    "get",
    "heartbeat",
    "installed",
    "lease",
    "list_all",
    "list_workers",
    "notes",
    "pausable",
    "remove",
    "start",
    "start_together",
    "update",
    "waiting_for",
]
