"""Webhook endpoints of an organization: made, changed, switched, given a new secret, deleted."""

import json
import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.house import House
from headrace.core.outward import Outward
from headrace.core.principal import Principal
from headrace.core.refusals import conflict, invalid
from headrace.core.schema.webhooks import attempts, deliveries, endpoints
from headrace.core.webhooks import events, signing
from headrace.core.webhooks.emitting import enqueue_event
from headrace.core.webhooks.health import CLEAN
from headrace.core.webhooks.records import (
    BY_HAND,
    Delivery,
    Endpoint,
    NewEndpoint,
    endpoint_of,
    found,
    fresh,
    opened_headers,
    place,
    require,
    sealed_previous,
)
from headrace.core.webhooks.resending import resume
from headrace.kit.keys import signing_secret
from headrace.kit.outbound import OutboundError
from headrace.kit.times import DAY

SHORTEST_SECRET, LONGEST_SECRET = 8, 255
MOST_HEADERS = 10
LONGEST_HEADER = 1_024
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
VISIBLE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
# What the connection, or the signature, is made of.
RESERVED = {
    *("connection", "content-length", "content-type", "content-encoding", "host", "keep-alive", "te", "trailer"),
    *("transfer-encoding", "upgrade", "expect", "user-agent", "accept-encoding", "cookie", "proxy-authorization"),
    *signing.SIGNED,
}


def list_all(house: House, who: Principal) -> list[Endpoint]:
    """The organization's endpoints, in the order they were made."""
    require(who, "read")
    query = sa.select(endpoints).where(endpoints.c.organization_id == who.organization_id).order_by(endpoints.c.id)
    with house.db.read() as connection:
        rows = connection.execute(query).all()
    return [endpoint_of(house, row) for row in rows]


def get(house: House, who: Principal, *, endpoint_id: str) -> Endpoint:
    require(who, "read")
    with house.db.read() as connection:
        return endpoint_of(house, found(connection, who, endpoint_id))


def create(
    house: House,
    who: Principal,
    *,
    url: Any,
    events: Any,
    secret: Any = None,
    description: Any = None,
    headers: Any = None,
) -> NewEndpoint:
    """Make an endpoint; without a `secret` one is made. Refused (invalid): a URL that nothing is sent to, the limit."""
    require(who, "write")
    fields = _fields(house, {"url": url, "events": events, "description": description})
    chosen, own, now = _secret(secret), _headers(headers), house.clock()
    endpoint_id = fresh("wh", now)
    values = fields | {
        "id": endpoint_id,
        "organization_id": who.organization_id,
        "secret": house.keyring.seal(chosen.encode(), place("secret", who.organization_id, endpoint_id)),
        "headers": _sealed(house, who, endpoint_id, own),
        "is_active": 1,
        "failures": 0,
        "warned_percent": 0,
        "account_id": who.account_id,
        "created_at": now,
        "updated_at": now,
    }
    count = sa.select(sa.func.count()).select_from(endpoints)
    with house.db.write() as connection:
        made = connection.execute(count.where(endpoints.c.organization_id == who.organization_id)).scalar_one()
        if made >= house.settings.webhook_limit:
            raise invalid("webhook", "full", text=f"Webhook limit reached: {house.settings.webhook_limit}")
        row = connection.execute(endpoints.insert().returning(endpoints), values).one()
        _audit(connection, house, who, "created", row)
    return NewEndpoint(endpoint=endpoint_of(house, row), secret=chosen)


def update(house: House, who: Principal, *, endpoint_id: str, **changes: Any) -> Endpoint:
    """Change some of url, events, description, headers, is_active. Switched on, what was kept for it goes out.

    `headers` replaces all of them; a value of None keeps the one that was given before under that name.
    """
    require(who, "write")
    switched = changes.pop("is_active", None)
    headers = changes.pop("headers", None)
    fields = _fields(house, changes)
    if switched is not None:
        fields |= _switched(house, on=rules.flag(switched, "is_active"))
    with house.db.write() as connection:
        row = found(connection, who, endpoint_id, lock=True)
        if headers is not None:
            fields["headers"] = _sealed(house, who, endpoint_id, _headers(headers, house, row))
        if not fields:
            raise invalid(
                "body", "empty", text="Nothing to change: give url, events, description, headers or is_active"
            )
        turned = switched is not None and bool(row.is_active) != switched
        if switched is not None and not turned:
            # To say again what is so changes neither the reason nor the record of failures.
            fields = {name: value for name, value in fields.items() if name not in _switched(house, on=switched)}
        fields["updated_at"] = house.clock()
        changed = sa.update(endpoints).where(endpoints.c.id == endpoint_id).values(fields).returning(endpoints)
        row = connection.execute(changed).one()
        if turned and switched:
            resume(house, connection, organization_id=who.organization_id, endpoint_id=endpoint_id)
        what = ("switched_on" if switched else "switched_off") if turned else "changed"
        _audit(connection, house, who, what, row, changed=sorted(changes))
    return endpoint_of(house, row)


def delete(house: House, who: Principal, *, endpoint_id: str) -> None:
    """Delete an endpoint and its log; what is under way is sent to its end, what waits is not sent."""
    require(who, "write")
    mine = sa.select(deliveries.c.id).where(deliveries.c.endpoint_id == endpoint_id)
    with house.db.write() as connection:
        row = found(connection, who, endpoint_id, lock=True)
        connection.execute(sa.delete(attempts).where(attempts.c.delivery_id.in_(mine)))
        connection.execute(sa.delete(deliveries).where(deliveries.c.endpoint_id == endpoint_id))
        connection.execute(sa.delete(endpoints).where(endpoints.c.id == endpoint_id))
        _audit(connection, house, who, "deleted", row)


def rotate_secret(house: House, who: Principal, *, endpoint_id: str, secret: Any = None) -> NewEndpoint:
    """Give an endpoint a new secret; for 24 hours deliveries carry a signature of the old one too.

    So they do of those before it whose day is not over, four old ones in all.
    """
    require(who, "write")
    chosen, now = _secret(secret), house.clock()
    with house.db.write() as connection:
        row = found(connection, who, endpoint_id, lock=True)
        values = {
            "previous_secret": sealed_previous(house, row, now + DAY),
            "previous_until": now + DAY,
            "secret": house.keyring.seal(chosen.encode(), place("secret", who.organization_id, endpoint_id)),
            "updated_at": now,
        }
        changed = sa.update(endpoints).where(endpoints.c.id == endpoint_id).values(values).returning(endpoints)
        row = connection.execute(changed).one()
        _audit(connection, house, who, "secret_rotated", row)
    return NewEndpoint(endpoint=endpoint_of(house, row), secret=chosen)


def send_test(house: House, who: Principal, *, endpoint_id: str) -> Delivery:
    """Send the event `webhook.test` to this endpoint alone, once. Refused (conflict): it is switched off."""
    require(who, "write")
    with house.db.write() as connection:
        row = found(connection, who, endpoint_id)
        if not row.is_active:
            raise conflict("The endpoint is switched off")
        data = {"endpoint_id": endpoint_id}
        (made,) = enqueue_event(house, connection, [row], event=events.TEST, data=data)
    return made


def _fields(house: House, given: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of what was given, each judged by its rule."""
    fields: dict[str, Any] = {}
    if "url" in given:
        # What was said of its pace was said where it stood before.
        fields |= {"url": _url(house, given["url"]), "slowed_until": None}
    if "events" in given:
        fields["events"] = json.dumps(events.patterns(given["events"]))
    if "description" in given:
        value = given["description"]
        fields["description"] = None if value is None else rules.text(value, "description", most=255)
    return fields


def _url(house: House, value: Any) -> str:
    sent = rules.text(value, "url", least=1, most=2_048)
    try:
        house.part(Outward).client.check(sent)
    except OutboundError as error:
        raise invalid("url", str(error), type=error.reason) from error
    return sent


def _secret(value: Any) -> str:
    if value is None:
        return signing_secret()
    sent = rules.text(value, "secret", least=SHORTEST_SECRET, most=LONGEST_SECRET)
    try:
        key = signing.key(sent)
    except ValueError as error:
        raise invalid("secret", "what follows whsec_ must be base64") from error
    if len(key) < SHORTEST_SECRET:
        raise invalid("secret", f"must hold {SHORTEST_SECRET} bytes or more")
    return sent


def _headers(value: Any, house: House | None = None, row: sa.Row[Any] | None = None) -> dict[str, str]:
    """Headers of the caller's own: a few, none of those that the sender sets. None as a value: as it was."""
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > MOST_HEADERS:
        raise invalid("headers", f"must be an object of at most {MOST_HEADERS} texts", type="type")
    before = {} if house is None or row is None else opened_headers(house, row)
    chosen = {}
    for name, sent in value.items():
        if not TOKEN.fullmatch(name) or name.lower() in RESERVED:
            raise invalid("headers", f"{name[:64]!r} is not a header that an endpoint may set")
        text = before.get(name) if sent is None else sent
        if not isinstance(text, str) or len(text) > LONGEST_HEADER or not VISIBLE.fullmatch(text):
            raise invalid("headers", f"the value of {name} must be 1-{LONGEST_HEADER} visible ASCII characters")
        chosen[name] = text
    return chosen


def _sealed(house: House, who: Principal, endpoint_id: str, headers: dict[str, str]) -> bytes | None:
    if not headers:
        return None
    return house.keyring.seal(json.dumps(headers).encode(), place("headers", who.organization_id, endpoint_id))


def _switched(house: House, *, on: bool) -> dict[str, Any]:
    """The columns that say that an endpoint is on, with a clean record, or off by somebody's hand."""
    if on:
        return {"is_active": 1, "disabled_reason": None, "disabled_at": None, "slowed_until": None, **CLEAN}
    return {"is_active": 0, "disabled_reason": BY_HAND, "disabled_at": house.clock()}


def _audit(connection: sa.Connection, house: House, who: Principal, what: str, row: sa.Row[Any], **data: Any) -> None:
    facts = {"url": row.url, **data}
    audit.record(connection, house, who, f"webhook:endpoint:{what}", target=f"webhook:{row.id}", data=facts)
