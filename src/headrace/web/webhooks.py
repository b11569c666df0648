"""Webhooks of the organization: endpoints, one of them, the log, one delivery with what was sent and answered."""

import re
from typing import Any

from headrace.core import webhooks
from headrace.core.refusals import Refusal
from headrace.core.webhooks import EVENTS, NewEndpoint, deliveries
from headrace.kit import times
from headrace.web import forms
from headrace.web.rendering import moved, page
from headrace.web.routing import route
from headrace.wire.call import Answer, Call

ROOT = "/ui/webhooks"
LOG = f"{ROOT}/deliveries"
PAGE = 50
RECENT = 10
STATUSES = ("all", "pending", "delivered", "failed")
# What a form says of a recovery: hours back.
SPANS = {"1": "hour", "24": "day", "168": "week", "720": "30 days"}
SEPARATORS = re.compile(r"[\s,]+")


def list_all(call: Call) -> Answer:
    return _endpoints(call)


def create(call: Call) -> Answer:
    """Make an endpoint; the answer is the one page that ever shows its secret."""
    given = forms.fields(call)
    try:
        made = webhooks.create(
            call.house,
            call.who,
            url=given.get("url", "").strip(),
            events=_names(given.get("events", "")),
            description=given.get("description", "").strip() or None,
            secret=given.get("secret", "").strip() or None,
        )
    except Refusal as refusal:
        return _endpoints(call, given=given, refused=forms.said(refusal))
    return _endpoint(call, made.endpoint.id, made=made)


def show(call: Call, endpoint_id: str) -> Answer:
    return _endpoint(call, endpoint_id)


def change(call: Call, endpoint_id: str) -> Answer:
    """Change where it is and what it hears of."""
    given = forms.fields(call)
    fields: dict[str, Any] = {
        "url": given.get("url", "").strip(),
        "events": _names(given.get("events", "")),
        "description": given.get("description", "").strip() or None,
    }
    return _done(call, endpoint_id, lambda: webhooks.update(call.house, call.who, endpoint_id=endpoint_id, **fields))


def switch(call: Call, endpoint_id: str) -> Answer:
    on = forms.fields(call).get("to") == "on"
    return _done(
        call, endpoint_id, lambda: webhooks.update(call.house, call.who, endpoint_id=endpoint_id, is_active=on)
    )


def send_test(call: Call, endpoint_id: str) -> Answer:
    """Send a test, and show what becomes of it."""
    try:
        sent = webhooks.send_test(call.house, call.who, endpoint_id=endpoint_id)
    except Refusal as refusal:
        return _endpoint(call, endpoint_id, refused=forms.said(refusal))
    return moved(f"{LOG}/{sent.id}")


def rotate(call: Call, endpoint_id: str) -> Answer:
    """Make a new secret; the answer is the one page that ever shows it."""
    return _endpoint(call, endpoint_id, made=webhooks.rotate_secret(call.house, call.who, endpoint_id=endpoint_id))


def recover(call: Call, endpoint_id: str) -> Answer:
    """Send again what failed in the last hours."""
    hours = forms.fields(call).get("hours", "")
    since = call.house.clock() - int(hours if hours in SPANS else "24") * times.HOUR
    return _done(
        call, endpoint_id, lambda: webhooks.recover(call.house, call.who, endpoint_id=endpoint_id, since=since)
    )


def delete(call: Call, endpoint_id: str) -> Answer:
    webhooks.delete(call.house, call.who, endpoint_id=endpoint_id)
    return moved(ROOT)


def log(call: Call) -> Answer:
    given = forms.query(call)
    status = forms.choice(given, "status", STATUSES)
    one, before = given.get("endpoint") or None, given.get("before") or None
    found = deliveries.list_all(
        call.house,
        call.who,
        status=None if status == STATUSES[0] else status,
        endpoint_id=one,
        before=before,
        limit=PAGE,
    )
    kept = {"endpoint": one, "status": None if status == STATUSES[0] else status}
    tabs = [(word, forms.address(LOG, endpoint=one, status=word if word != STATUSES[0] else None)) for word in STATUSES]
    return page(
        call,
        "webhook_deliveries.html",
        found=found,
        tab=status,
        tabs=tabs,
        endpoint=webhooks.get(call.house, call.who, endpoint_id=one) if one else None,
        older=forms.address(LOG, **kept, before=found[-1].id) if len(found) == PAGE else "",
        newest=forms.address(LOG, **kept) if before else "",
    )


def delivery(call: Call, delivery_id: str) -> Answer:
    return _delivery(call, delivery_id)


def redeliver(call: Call, delivery_id: str) -> Answer:
    try:
        webhooks.redeliver(call.house, call.who, delivery_id=delivery_id)
    except Refusal as refusal:
        return _delivery(call, delivery_id, refused=forms.said(refusal))
    return moved(f"{LOG}/{delivery_id}")


def _done(call: Call, endpoint_id: str, work: Any) -> Answer:
    """Do it and come back to the endpoint's page, or say there why not."""
    try:
        work()
    except Refusal as refusal:
        return _endpoint(call, endpoint_id, refused=forms.said(refusal))
    return moved(f"{ROOT}/{endpoint_id}")


def _endpoints(call: Call, *, given: dict[str, str] | None = None, refused: Refusal | None = None) -> Answer:
    return page(
        call,
        "webhooks.html",
        endpoints=webhooks.list_all(call.house, call.who),
        known=EVENTS,
        given=given or {},
        refused=refused,
    )


def _endpoint(
    call: Call, endpoint_id: str, *, made: NewEndpoint | None = None, refused: Refusal | None = None
) -> Answer:
    house, who = call.house, call.who
    return page(
        call,
        "webhook.html",
        one=webhooks.get(house, who, endpoint_id=endpoint_id),
        recent=deliveries.list_all(house, who, endpoint_id=endpoint_id, limit=RECENT),
        known=EVENTS,
        spans=SPANS,
        made=made,
        refused=refused,
    )


def _delivery(call: Call, delivery_id: str, *, refused: Refusal | None = None) -> Answer:
    found = deliveries.get(call.house, call.who, delivery_id=delivery_id)
    return page(
        call,
        "webhook_delivery.html",
        one=found.delivery,
        body=found.body,
        attempts=found.attempts[::-1],
        refused=refused,
    )


def _names(text: str) -> list[str]:
    return [name for name in SEPARATORS.split(text) if name]


ROUTES = (
    route("GET", ROOT, list_all),
    route("POST", ROOT, create),
    route("GET", LOG, log),
    route("GET", LOG + "/{delivery_id}", delivery),
    route("POST", LOG + "/{delivery_id}/redeliver", redeliver),
    route("GET", ROOT + "/{endpoint_id}", show),
    route("POST", ROOT + "/{endpoint_id}", change),
    route("POST", ROOT + "/{endpoint_id}/switch", switch),
    route("POST", ROOT + "/{endpoint_id}/test", send_test),
    route("POST", ROOT + "/{endpoint_id}/rotate", rotate),
    route("POST", ROOT + "/{endpoint_id}/recover", recover),
    route("POST", ROOT + "/{endpoint_id}/delete", delete),
)
