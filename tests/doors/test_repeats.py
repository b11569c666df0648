"""Ingest repeated under its key after the process died: before the logs were on disk, and before it had answered."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from headrace.core import idempotency, keys
from headrace.core.events.append import store
from headrace.core.events.fingerprint import fingerprint
from headrace.core.idempotency import Asked, Ticket
from headrace.core.limits import quota
from headrace.doors.ledger.entries import read_mixed_batch
from headrace.doors.ledger.ingest import decode
from headrace.kit import times
from tests.doors.conftest import Origin, Tenant, bearer

BATCH = "/api/v1/ingest/batch"


def body(origin: Origin) -> bytes:
    at = times.show(origin.clock.now)
    log = {"timestamp": at, "level": "info"}
    return msgspec.json.encode({"logs": [log | {"message": f"one of {number}"} for number in range(3)] + [{}]})


def cut_off(origin: Origin, tenant: Tenant, content: bytes, *, after_effect: bool) -> None:
    """Do of a request what the process did until it was killed, and have the next process begin."""
    house = origin.house
    who = keys.resolve(house, tenant.key)
    asked = Asked(who=who, method="POST", route=f"{BATCH}#{tenant.project_id}", key="k", body=content)
    ticket = idempotency.begin(house, asked, traced=True)
    assert isinstance(ticket, Ticket)
    if after_effect:
        read = read_mixed_batch(content, ticket.at, fingerprint, decode)
        project = keys.resolved_project(house, who, tenant.project_id)
        asyncio.run(store(house, project, read.events, ticket))
    origin.clock.advance(5)
    del house.parts[idempotency.Life]
    house.part(idempotency.Life)


@pytest.mark.parametrize("after_effect", [False, True])
def test_logs_of_a_request_that_was_cut_off_are_stored_once(
    origin: Origin, client: httpx.Client, tenant: Tenant, until: Callable[..., None], after_effect: bool
) -> None:
    content = body(origin)
    cut_off(origin, tenant, content, after_effect=after_effect)
    headers = {**bearer(tenant.key), "Idempotency-Key": "k"}
    first = client.post(BATCH, content=content, headers=headers)
    assert (first.status_code, first.json()["accepted"], first.json()["rejected"]) == (202, 3, 1), first.text
    again = client.post(BATCH, content=content, headers=headers)
    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")

    def found() -> list[Any]:
        answer = client.get("/api/v1/logs", params={"project_id": tenant.project_id}, headers=bearer(tenant.token))
        return [one["message"] for one in answer.json()["logs"]]

    until(lambda: origin.house.store.wal.depth(tenant.organization_id, tenant.project_id) == 0)
    until(lambda: len(found()) >= 3)
    assert sorted(found()) == ["one of 0", "one of 1", "one of 2"]


def test_a_repeat_after_midnight_counts_for_the_day_of_its_arrival(
    origin: Origin, client: httpx.Client, tenant: Tenant, until: Callable[..., None]
) -> None:
    content, yesterday = body(origin), times.day(origin.clock.now)
    cut_off(origin, tenant, content, after_effect=False)
    origin.clock.now = (yesterday + 1) * times.DAY + times.SECOND
    answer = client.post(BATCH, content=content, headers={**bearer(tenant.key), "Idempotency-Key": "k"})
    assert answer.json()["accepted"] == 3, answer.text
    until(lambda: quota.depth(origin.house, tenant.project_id) == 0)
    used = [quota.usage(origin.house, tenant.project_id, on) for on in (yesterday, yesterday + 1)]
    assert used == [3, 0]
