"""Headrace's own API of jobs, over HTTP."""

from collections.abc import Callable
from itertools import count
from typing import Any

import httpx
import pytest

from headrace.core import jobs
from tests.doors.conftest import Origin, Tenant, bearer

numbers = count()


def stop_or_fail(context: jobs.Context) -> Any:
    if context.payload == "fail":
        raise jobs.NonRetryable("no such place")
    if context.payload == "hang":
        while True:
            context.check()
    return {"echo": context.payload}


@pytest.fixture
def kind(origin: Origin) -> str:
    name = f"test.{next(numbers)}"
    jobs.define(origin.house, jobs.Kind(name=name, run=stop_or_fail))
    return name


def test_jobs_over_http(
    origin: Origin, client: httpx.Client, tenant: Tenant, kind: str, until: Callable[..., None]
) -> None:
    def ask(path: str = "", verb: str = "GET", status: int = 200) -> Any:
        answer = client.request(verb, f"/api/v1/jobs{path}", headers=bearer(tenant.organization_key))
        assert answer.status_code == status, answer.text
        return answer.json()

    def state(job: jobs.Job) -> str:
        return str(ask(f"/{job.id}")["state"])

    made = {"kind": kind, "organization_id": tenant.organization_id}
    good, bad, long = (jobs.submit(origin.house, **made, payload=word, name=word) for word in ("hi", "fail", "hang"))
    until(lambda: (state(good), state(bad), state(long)) == ("succeeded", "failed", "running"))
    shown = ask(f"/{good.id}")
    assert (shown["result"], shown["token"], shown["fence"]) == ({"echo": "hi"}, good.token, f"{good.id}:1")
    assert shown["created_at"].endswith("Z")
    assert [one["id"] for one in ask("?limit=2")["jobs"]] == [long.id, bad.id]
    assert ask("?limit=2")["before"] == bad.id
    assert [one["error"] for one in ask("?state=failed")["jobs"]] == ["no such place"]
    assert [one["id"] for one in ask(f"?kind={kind}&name=hi")["jobs"]] == [good.id]
    assert ask("?state=odd", status=400)["field"] == "state"

    assert ask(f"/{long.id}/cancel", "POST")["state"] == "cancelling"
    until(lambda: state(long) == "cancelled")
    assert ask(f"/{good.id}/cancel", "POST", 409)["detail"] == "The job is succeeded already"
    assert ask(f"/{bad.id}/retry", "POST")["state"] == "ready"
    until(lambda: ask(f"/{bad.id}")["attempt"] == 2 and state(bad) == "failed")
    counts = ask("/counts")["counts"]
    assert {key: number for key, number in counts.items() if number} == {"succeeded": 1, "failed": 1, "cancelled": 1}
