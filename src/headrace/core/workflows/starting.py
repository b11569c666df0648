"""Starting a workflow: one job, durably, of the kind that serves it. Several callers may share a transaction."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from headrace.core import jobs, rules
from headrace.core.house import House
from headrace.core.jobs import NORMAL, Job
from headrace.core.jobs.record import PRIORITIES
from headrace.core.outward import Outward
from headrace.core.principal import Principal
from headrace.core.refusals import invalid
from headrace.core.workflows import kinds
from headrace.core.workflows.backlog import Backlog
from headrace.core.workflows.definitions import LONGEST_NAME, RESOURCE
from headrace.kit.outbound import OutboundError

PAYLOAD_BYTES = 204_800
LONGEST_CALLBACK = 1_024


class Order(NamedTuple):
    """Who asks for what: `fields` are those of `start`."""

    who: Principal
    fields: Mapping[str, Any]


def start(
    house: House,
    who: Principal,
    *,
    workflow: Any,
    payload: Any,
    priority: Any = NORMAL,
    callback_url: Any = None,
    view: str | None = None,
    run_at: int | None = None,
    unique: str | None = None,
) -> Job:
    """Start a workflow; the job is on disk when this returns. A name that nobody registered runs `echo`.

    `payload` is an object of at most 204,800 bytes as JSON; `priority` 0-100 (LOW, NORMAL, HIGH); `callback_url` is
    kept in the job for whoever tells of its end. Refused (unavailable): as many as may be are not over yet.
    """
    fields = {
        "workflow": workflow,
        "payload": payload,
        "priority": priority,
        "callback_url": callback_url,
        "view": view,
        "run_at": run_at,
        "unique": unique,
    }
    return jobs.submit(house, **_values(house, partial(kinds.place, house), Order(who, fields)))


def start_together(house: House, orders: Sequence[Order]) -> list[Job | Exception]:
    """Start in one transaction what several callers asked for: for each its job, or what `start` would raise."""
    place = cache(partial(kinds.place, house))
    outcomes = [_tried(partial(_values, house, place, order)) for order in orders]
    good = [one for one in outcomes if isinstance(one, dict)]
    made = _tried(lambda: house.db.submit(lambda connection: [jobs.enqueue(house, connection, **one) for one in good]))
    # What broke the transaction was one of them, or concerns all: each is told its own.
    alone = iter(made if isinstance(made, list) else [_tried(partial(jobs.submit, house, **one)) for one in good])
    return [next(alone) if isinstance(one, dict) else one for one in outcomes]


def enqueue(house: House, connection: sa.Connection, order: Order) -> Job:
    """Start a workflow in the caller's transaction."""
    return jobs.enqueue(house, connection, **_values(house, partial(kinds.place, house), order))


def _tried(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:  # noqa: BLE001  Handed to the caller whose it is.
        return error


def _values(house: House, place: Callable[[int, str], kinds.Place], order: Order) -> dict[str, Any]:
    """Check an order; return what `jobs.enqueue` takes."""
    who, fields = order
    # Levqor's keys are narrowed to jobs, VetrAI's to workflows; here they are the same thing.
    if not who.allows("jobs", "write"):
        rules.require(who, RESOURCE, "write")
    name = workflow_name(fields["workflow"])
    encoded = payload_text(fields["payload"])
    callback_url = fields.get("callback_url")
    url = None if callback_url is None else _callback(house, callback_url)
    urgency = rules.integer(fields.get("priority", NORMAL), "priority", 0, PRIORITIES)
    found = place(who.organization_id, name)
    house.part(Backlog).take(who.organization_id)
    return {
        "kind": found.kind,
        "organization_id": who.organization_id,
        "payload": fields["payload"],
        "encoded": encoded,
        "name": name,
        "priority": urgency,
        "run_at": fields.get("run_at"),
        "lane": found.lane,
        "tries": found.tries,
        "account_id": who.account_id,
        "key_id": who.key_id,
        "view": fields.get("view"),
        "callback_url": url,
        "unique": fields.get("unique"),
    }


def workflow_name(value: Any) -> str:
    """1 to 128 characters, as sent: there is no list that it must be on."""
    if value is None or value == "":
        raise invalid("workflow", "field is required", type="missing", text="workflow field is required")
    return rules.text(value, "workflow", least=1, most=LONGEST_NAME)


def payload_text(value: Any) -> bytes:
    """Check a payload; return it as JSON."""
    if value is None:
        raise invalid("payload", "field is required", type="missing", text="payload field is required")
    if not isinstance(value, dict):
        raise invalid("payload", "must be an object", type="type")
    encoded = msgspec.json.encode(value)
    if len(encoded) > PAYLOAD_BYTES:
        raise invalid("payload", "too large: max 200KB", text="payload too large: max 200KB")
    return encoded


def _callback(house: House, value: Any) -> str:
    sent = rules.text(value, "callback_url", least=1, most=LONGEST_CALLBACK)
    try:
        house.part(Outward).client.check(sent)
    except OutboundError as error:
        if error.reason == "ssrf_blocked":
            raise invalid("callback_url", "not allowed", text="callback_url is not allowed") from error
        raise invalid("callback_url", "must be a URL", text="callback_url must be a valid HTTP(S) URL") from error
    return sent
