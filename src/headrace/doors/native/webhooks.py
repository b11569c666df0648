"""Webhook endpoints and the log of deliveries. Rules are core's; docs/webhooks.md tells what is sent."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from litestar import delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from headrace.core import rules, webhooks
from headrace.core.webhooks import deliveries
from headrace.kit import times
from headrace.wire.door import Incoming, terms
from headrace.wire.moments import Time

TAGS = ["webhooks"]
READ, WRITE = ("webhooks", "read"), ("webhooks", "write")
ENDPOINTS, DELIVERIES = "/api/v1/webhook-endpoints", "/api/v1/webhook-deliveries"
DONE, ACCEPTED = 204, 202

Limit = Annotated[int, QueryParameter(ge=1, le=deliveries.MOST)]
Url = Annotated[str, Meta(description="http or https", extra_json_schema={"maxLength": 2048})]
Names = Annotated[Sequence[str], Meta(description="Names of events, or patterns with *", examples=[["job.*"]])]
Secret = Annotated[str, Meta(description="Shown this once", examples=["whsec_..."])]


class NewEndpoint(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`secret`: 8-255 characters of your own; without one it is made. `headers` are sent with every delivery."""

    url: Url
    events: list[str]
    secret: str | None = None
    description: str | None = None
    headers: dict[str, str] | None = None


class EndpointChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays. `headers` replace all; a null among their values keeps that one."""

    url: Url | msgspec.UnsetType = msgspec.UNSET
    events: list[str] | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    headers: dict[str, str | None] | msgspec.UnsetType = msgspec.UNSET
    is_active: bool | msgspec.UnsetType = msgspec.UNSET


class Rotation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    secret: str | None = None


class EndpointOut(msgspec.Struct, kw_only=True):
    id: str
    url: str
    events: Names
    description: str | None
    headers: Sequence[str]
    is_active: bool
    disabled_reason: str | None
    disabled_at: Time | None
    failing_since: Time | None
    failures: int
    last_triggered_at: Time | None
    slowed_until: Time | None
    previous_until: Time | None
    created_at: Time
    updated_at: Time


class EndpointWithSecret(EndpointOut, kw_only=True):
    secret: Secret


class EndpointList(msgspec.Struct):
    webhook_endpoints: Sequence[EndpointOut]
    total: int


class DeliveryOut(msgspec.Struct, kw_only=True):
    """`id` is the `webhook-id` that is sent."""

    id: str
    kind: str
    endpoint_id: str | None
    event: str
    url: str
    status: str
    attempts: int
    created_at: Time
    last_attempt_at: Time | None
    next_attempt_at: Time | None
    response_status: int | None
    error: str | None


class AttemptOut(msgspec.Struct, kw_only=True):
    number: int
    at: Time
    duration_ms: float
    response_status: int | None
    error: str | None
    request_headers: dict[str, str]
    response: str | None
    next_attempt_at: Time | None


class DeliveryDetail(DeliveryOut, kw_only=True):
    body: str
    log: Sequence[AttemptOut]


class DeliveryList(msgspec.Struct):
    """`before` asks for the next page; null on the last one."""

    webhook_deliveries: Sequence[DeliveryOut]
    before: str | None


class Recovered(msgspec.Struct):
    deliveries: int


@get(ENDPOINTS, opt=terms("A", READ, errors=(403,)), tags=TAGS, sync_to_thread=True)
def list_endpoints(call: Incoming) -> EndpointList:
    """List the organization's webhook endpoints."""
    found = [shown(one) for one in webhooks.list_all(call.house, call.who)]
    return EndpointList(found, len(found))


@post(ENDPOINTS, opt=terms("A", WRITE, body="body_limit", errors=(403,)), tags=TAGS, sync_to_thread=True)
def create_endpoint(call: Incoming, data: JSONBody[NewEndpoint]) -> EndpointWithSecret:
    """Make a webhook endpoint; its secret is in this answer and in no other."""
    return with_secret(webhooks.create(call.house, call.who, **msgspec.structs.asdict(data)))


@get(ENDPOINTS + "/{id:str}", opt=terms("A", READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def get_endpoint(call: Incoming, id: FromPath[str]) -> EndpointOut:  # noqa: A002  The parameter's name.
    """Return one webhook endpoint."""
    return shown(webhooks.get(call.house, call.who, endpoint_id=id))


@patch(
    ENDPOINTS + "/{id:str}",
    opt=terms("A", WRITE, body="body_limit", errors=(403, 404)),
    tags=TAGS,
    sync_to_thread=True,
)
def change_endpoint(call: Incoming, id: FromPath[str], data: JSONBody[EndpointChange]) -> EndpointOut:  # noqa: A002
    """Change a webhook endpoint. Switched on, what was kept for it is sent."""
    given = {name: value for name, value in msgspec.structs.asdict(data).items() if value is not msgspec.UNSET}
    return shown(webhooks.update(call.house, call.who, endpoint_id=id, **given))


@delete(
    ENDPOINTS + "/{id:str}",
    opt=terms("A", WRITE, errors=(403, 404)),
    tags=TAGS,
    status_code=DONE,
    sync_to_thread=True,
)
def remove_endpoint(call: Incoming, id: FromPath[str]) -> None:  # noqa: A002
    """Delete a webhook endpoint and its log."""
    webhooks.delete(call.house, call.who, endpoint_id=id)


@post(
    ENDPOINTS + "/{id:str}/test",
    opt=terms("A", WRITE, errors=(403, 404, 409)),
    tags=TAGS,
    status_code=ACCEPTED,
    sync_to_thread=True,
)
def send_test(call: Incoming, id: FromPath[str]) -> DeliveryOut:  # noqa: A002
    """Send the event `webhook.test` to this endpoint, once."""
    return delivery(webhooks.send_test(call.house, call.who, endpoint_id=id))


@post(
    ENDPOINTS + "/{id:str}/secret/rotate",
    opt=terms("A", WRITE, body="body_limit", errors=(403, 404)),
    tags=TAGS,
    status_code=200,
    sync_to_thread=True,
)
def rotate_secret(
    call: Incoming,
    id: FromPath[str],  # noqa: A002
    data: JSONBody[Rotation | None] = None,
) -> EndpointWithSecret:
    """Give a webhook endpoint a new secret; for 24 hours the old one signs too. Without a body it is made up here."""
    secret = data.secret if data is not None else None
    return with_secret(webhooks.rotate_secret(call.house, call.who, endpoint_id=id, secret=secret))


@post(
    ENDPOINTS + "/{id:str}/recover",
    opt=terms("A", WRITE, errors=(403, 404, 409)),
    tags=TAGS,
    status_code=ACCEPTED,
    sync_to_thread=True,
)
def recover(
    call: Incoming,
    id: FromPath[str],  # noqa: A002
    since: FromQuery[str],
    until: FromQuery[str | None] = None,
) -> Recovered:
    """Send again every delivery of this endpoint that failed and was made since then; says how many."""
    last = None if until is None else rules.moment(until, "until")
    number = webhooks.recover(call.house, call.who, endpoint_id=id, since=rules.moment(since, "since"), until=last)
    return Recovered(number)


@get(DELIVERIES, opt=terms("A", READ, errors=(403,)), tags=TAGS, sync_to_thread=True)
def list_deliveries(  # noqa: PLR0917  The framework passes them by name.
    call: Incoming,
    endpoint_id: FromQuery[str | None] = None,
    status: FromQuery[str | None] = None,
    kind: FromQuery[str | None] = None,
    event: FromQuery[str | None] = None,
    since: FromQuery[str | None] = None,
    until: FromQuery[str | None] = None,
    limit: Limit = 50,
    before: FromQuery[str | None] = None,
) -> DeliveryList:
    """List deliveries, newest first."""
    found = deliveries.list_all(
        call.house,
        call.who,
        endpoint_id=endpoint_id,
        status=status,
        kind=kind,
        event=event,
        since=None if since is None else rules.moment(since, "since"),
        until=None if until is None else rules.moment(until, "until"),
        limit=limit,
        before=before,
    )
    return DeliveryList([delivery(one) for one in found], found[-1].id if len(found) == limit else None)


@get(DELIVERIES + "/{id:str}", opt=terms("A", READ, errors=(403, 404)), tags=TAGS, sync_to_thread=True)
def get_delivery(call: Incoming, id: FromPath[str]) -> DeliveryDetail:  # noqa: A002
    """Return one delivery: what was sent, and each attempt."""
    found = deliveries.get(call.house, call.who, delivery_id=id)
    log = [attempt(one) for one in found.attempts]
    return DeliveryDetail(**msgspec.structs.asdict(delivery(found.delivery)), body=found.body, log=log)


@post(
    DELIVERIES + "/{id:str}/redeliver",
    opt=terms("A", WRITE, errors=(403, 404, 409)),
    tags=TAGS,
    status_code=ACCEPTED,
    sync_to_thread=True,
)
def redeliver(call: Incoming, id: FromPath[str]) -> DeliveryOut:  # noqa: A002
    """Send one delivery again: the same `webhook-id`, a new time."""
    return delivery(webhooks.redeliver(call.house, call.who, delivery_id=id))


def shown(one: webhooks.Endpoint) -> EndpointOut:
    return EndpointOut(**written(one))


def with_secret(made: webhooks.NewEndpoint) -> EndpointWithSecret:
    return EndpointWithSecret(**written(made.endpoint), secret=made.secret)


def delivery(one: webhooks.Delivery) -> DeliveryOut:
    return DeliveryOut(**written(one))


def attempt(one: webhooks.Attempt) -> AttemptOut:
    fields = written(one)
    return AttemptOut(duration_ms=fields.pop("duration_us") / times.MILLISECOND, **fields)


def written(record: msgspec.Struct) -> dict[str, Any]:
    """A record's fields, times as text."""
    fields = msgspec.structs.asdict(record)
    for name, value in fields.items():
        if name in {"at", "failing_since", "previous_until", "slowed_until"} or name.endswith("_at"):
            fields[name] = times.shown(value)
    return fields


ROUTES = (
    list_endpoints,
    create_endpoint,
    get_endpoint,
    change_endpoint,
    remove_endpoint,
    send_test,
    rotate_secret,
    recover,
    list_deliveries,
    get_delivery,
    redeliver,
)
