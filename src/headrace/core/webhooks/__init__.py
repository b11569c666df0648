"""Webhooks: endpoints that want events, signed deliveries that are tried again, their log, and callbacks of jobs."""

from headrace.core.webhooks import deliveries
from headrace.core.webhooks.callbacks import callback, job_ended, organization_secret
from headrace.core.webhooks.delivering import kind
from headrace.core.webhooks.emitting import emit, heard
from headrace.core.webhooks.endpoints import create, delete, get, list_all, rotate_secret, send_test, update
from headrace.core.webhooks.events import EVENTS
from headrace.core.webhooks.records import Attempt, Delivery, Detail, Endpoint, NewEndpoint
from headrace.core.webhooks.resending import kind as resending_kind
from headrace.core.webhooks.resending import recover, redeliver

__all__ = [
    "EVENTS",
    "Attempt",
    "Delivery",
    "Detail",
    "Endpoint",
    "NewEndpoint",
    "callback",
    "create",
    "delete",
    "deliveries",
    "emit",
    "get",
    "heard",
    "job_ended",
    "kind",
    "list_all",
    "organization_secret",
    "recover",
    "redeliver",
    "resending_kind",
    "rotate_secret",
    "send_test",
    "update",
]
