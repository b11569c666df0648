"""Starting a workflow: one job, durably, of the kind that serves it."""

from typing import Any

import msgspec

from headrace.core import jobs, rules
from headrace.core.house import House
from headrace.core.jobs import NORMAL, Job
from headrace.core.outward import Outward
from headrace.core.principal import Principal
from headrace.core.refusals import invalid
from headrace.core.workflows import kinds
from headrace.core.workflows.definitions import LONGEST_NAME, RESOURCE
from headrace.kit.outbound import OutboundError

PAYLOAD_BYTES = 204_800
LONGEST_CALLBACK = 1_024
PRIORITIES = 100


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
    kept in the job for whoever tells of its end.
    """
    # Levqor's keys are narrowed to jobs, VetrAI's to workflows; here they are the same thing.
    if not who.allows("jobs", "write"):
        rules.require(who, RESOURCE, "write")
    name = workflow_name(workflow)
    content = _payload(payload)
    url = None if callback_url is None else _callback(house, callback_url)
    urgency = rules.integer(priority, "priority", 0, PRIORITIES)
    found = kinds.place(house, who.organization_id, name)
    return jobs.submit(
        house,
        kind=found.kind,
        organization_id=who.organization_id,
        payload=content,
        name=name,
        priority=urgency,
        run_at=run_at,
        lane=found.lane,
        tries=found.tries,
        account_id=who.account_id,
        key_id=who.key_id,
        view=view,
        callback_url=url,
        unique=unique,
    )


def workflow_name(value: Any) -> str:
    """1 to 128 characters, as sent: there is no list that it must be on."""
    if value is None or value == "":
        raise invalid("workflow", "field is required", type="missing", text="workflow field is required")
    return rules.text(value, "workflow", least=1, most=LONGEST_NAME)


def _payload(value: Any) -> dict[str, Any]:
    if value is None:
        raise invalid("payload", "field is required", type="missing", text="payload field is required")
    if not isinstance(value, dict):
        raise invalid("payload", "must be an object", type="type")
    if len(msgspec.json.encode(value)) > PAYLOAD_BYTES:
        raise invalid("payload", "too large: max 200KB", text="payload too large: max 200KB")
    return value


def _callback(house: House, value: Any) -> str:
    sent = rules.text(value, "callback_url", least=1, most=LONGEST_CALLBACK)
    try:
        house.part(Outward).client.check(sent)
    except OutboundError as error:
        if error.reason == "ssrf_blocked":
            raise invalid("callback_url", "not allowed", text="callback_url is not allowed") from error
        raise invalid("callback_url", "must be a URL", text="callback_url must be a valid HTTP(S) URL") from error
    return sent
