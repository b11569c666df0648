"""The job that sends one delivery: what is to be sent is read, sent, and what came of it written."""

import asyncio
from functools import partial

import msgspec
import sqlalchemy as sa

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.jobs.states import SUCCEEDED
from headrace.core.refusals import conflict
from headrace.core.schema.webhooks import deliveries
from headrace.core.webhooks import parcels, results
from headrace.core.webhooks.emitting import DELIVER
from headrace.core.webhooks.pace import Pace
from headrace.core.webhooks.parcels import Found, Question
from headrace.core.webhooks.records import FAILED, PENDING
from headrace.core.webhooks.sending import Sent, attempt, schedule
from headrace.kit.times import SECOND
from headrace.kit.together import Together

# Longer than the client's own limit: what the job's limit ends would leave no line in the log.
TIMEOUT_SECONDS = 60.0


class Desk:
    """Deliveries under way at the same time read and write together: a statement of one costs as much as of many."""

    def __init__(self, house: House) -> None:
        self.reads: Together[Question, Found | None] = Together(partial(parcels.read, house))
        self.writes: Together[Sent, None] = Together(partial(results.write, house))


def kind(house: House) -> jobs.Kind:
    """Describe the job to the engine; SettingError for waits that are none."""
    settings = house.settings
    waits = schedule(settings.webhook_retry_seconds)
    return jobs.Kind(
        name=DELIVER,
        run=deliver,
        isolation="async",
        timeout_seconds=TIMEOUT_SECONDS,
        tries=len(waits) + 1,
        schedule=waits,
        in_flight=settings.webhook_in_flight,
        per_lane=house.part(Pace).per_lane,
        retention_days=1,
        ended=ended,
        replayed=replayed,
        outward=True,
    )


def replayed(house: House, job: jobs.Job) -> int:
    """Refuse (conflict) to run a job again: what is sent again is its delivery, which counts its attempts anew."""
    del house
    raise conflict(
        "A delivery is sent again, not its job: POST /api/v1/webhook-deliveries/"
        f"{job.payload['delivery']}/redeliver, or on its page under /ui/webhooks/deliveries"
    )


async def deliver(context: jobs.Context) -> str:
    """Make one attempt. What it came to stands in the log before the engine is told."""
    house, desk, payload = context.house, context.house.part(Desk), context.payload
    pace, lane = house.part(Pace), context.job.lane
    found = await desk.reads(Question(payload["delivery"], payload["round"]))
    if found is not None and found.parcel is None:
        await asyncio.to_thread(parcels.keep, house, found.row)
    if found is None or found.parcel is None:
        return "nothing to send: deleted, sent again meanwhile, or kept until its endpoint is switched on"
    parcel = found.parcel
    if parcel.endpoint_id is not None:
        pace.learn(lane, found.slowed_until)
    sent = await attempt(house, parcel, context.job.attempt, context.job.tries)
    slowed_until = pace.heard(lane, sent)
    if sent.error is None:
        await desk.writes(sent)
        return f"HTTP {sent.status}"
    # Alone: what a failure leads to, a switch and its notice, is no other delivery's to fail with.
    await asyncio.to_thread(results.write, house, [msgspec.structs.replace(sent, slowed_until=slowed_until)])
    if sent.wait_us is None:
        raise jobs.NonRetryable(f"Not delivered: {sent.error}")
    raise jobs.Retry(f"Not delivered yet: {sent.error}", after_seconds=sent.wait_us / SECOND)


def ended(connection: sa.Connection, house: House, job: jobs.Job) -> None:
    """Say of a delivery whose job was lost or cancelled that it failed; all else its attempts have written."""
    del house
    if job.state != SUCCEEDED:
        mine = deliveries.c.id == job.payload["delivery"], deliveries.c.round == job.payload["round"]
        values = {"status": FAILED, "next_attempt_at": None, "error": sa.func.coalesce(deliveries.c.error, job.state)}
        connection.execute(sa.update(deliveries).where(*mine, deliveries.c.status == PENDING).values(values))
