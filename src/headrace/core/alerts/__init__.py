"""Alerts: conditions on what arrives, evaluated again and again, with a state, a history and word of its changes."""

from headrace.core.alerts.changing import (
    RulePage,
    TransitionPage,
    create,
    delete,
    get,
    history,
    list_all,
    mute,
    unmute,
    update,
)
from headrace.core.alerts.definition import COMPARISONS, KINDS, MEASURES, NEWS, Definition, sentence
from headrace.core.alerts.evaluating import Trial, define, enqueue_due, evaluate, test
from headrace.core.alerts.machine import STATES
from headrace.core.alerts.preview import Preview, preview
from headrace.core.alerts.rule import Measured, Rule, Transition

__all__ = [
    "COMPARISONS",
    "KINDS",
    "MEASURES",
    "NEWS",
    "STATES",
    "Definition",
    "Measured",
    "Preview",
    "Rule",
    "RulePage",
    "Transition",
    "TransitionPage",
    "Trial",
    "create",
    "define",
    "delete",
    "enqueue_due",
    "evaluate",
    "get",
    "history",
    "list_all",
    "mute",
    "preview",
    "sentence",
    "test",
    "unmute",
    "update",
]
