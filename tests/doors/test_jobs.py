"""Headrace's own API of jobs, over HTTP."""

from collections.abc import Callable
from itertools import count
from typing import Any

import httpx
import pytest

from headrace.core import jobs
from headrace.core.principal import Principal
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


def test_schedules_over_http(origin: Origin, client: httpx.Client, tenant: Tenant, until: Callable[..., None]) -> None:
    def ask(path: str = "", verb: str = "GET", status: int = 200, **more: Any) -> Any:
        address = f"/api/v1/workflow-schedules{path}"
        answer = client.request(verb, address, headers=bearer(tenant.organization_key), **more)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    sent = {"name": "each/minute", "workflow": "echo", "cron": "* * * * *", "payload": {"input": "tick"}}
    made = ask("", "POST", 201, json=sent | {"time_zone": "Europe/Berlin"})
    assert {name: made[name] for name in sent} == sent
    assert (made["missed"], made["overlap"], made["paused"], made["last_job_id"]) == ("once", "skip", False, None)
    assert ask("", "POST", 409, json=sent)["detail"] == "A schedule named 'each/minute' exists already"
    for fields, field in (({"cron": "61 * * * *"}, "cron"), ({"time_zone": "Mars"}, "time_zone"), ({"x": 1}, "x")):
        assert ask("", "POST", 400, json=sent | {"name": "n"} | fields)["field"] == field
    assert ask()["workflow_schedules"] == [made]

    origin.clock.advance(61)
    until(lambda: ask("/each%2Fminute")["last_job_id"] is not None)
    job_id = ask("/each%2Fminute")["last_job_id"]

    def job() -> Any:
        return client.get(f"/api/v1/jobs/{job_id}", headers=bearer(tenant.organization_key)).json()

    until(lambda: job()["state"] == "succeeded")
    assert (job()["name"], job()["result"]) == ("echo", {"output": "tick", "handler": "echo"})
    assert ask("/each%2Fminute", "PATCH", json={"paused": True, "cron": "0 2 * * *"})["paused"] is True
    ask("/each%2Fminute", "DELETE", 204)
    assert ask("/each%2Fminute", status=404)["detail"] == "Schedule not found"
    assert ask() == {"workflow_schedules": [], "total": 0}


def test_pauses_over_http(
    origin: Origin, client: httpx.Client, tenant: Tenant, kind: str, until: Callable[..., None]
) -> None:
    def ask(path: str = "", verb: str = "GET", status: int = 200) -> Any:
        answer = client.request(verb, f"/api/v1/job-pauses{path}", headers=bearer(tenant.organization_key))
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def state() -> str:
        return str(client.get(f"/api/v1/jobs/{job.id}", headers=bearer(tenant.organization_key)).json()["state"])

    assert kind in ask()["kinds"]
    assert ask(f"/{kind}", "PUT")["job_pauses"] == ask(f"/{kind}", "PUT")["job_pauses"]
    assert [(one["kind"], one["everywhere"]) for one in ask("/all", "PUT")["job_pauses"]] == [
        ("all", False),
        (kind, False),
    ]
    job = jobs.submit(origin.house, kind=kind, organization_id=tenant.organization_id, payload="hi")
    other = jobs.submit(origin.house, kind=kind, organization_id=tenant.organization_id + 1_000_000, payload="hi")
    done = Principal(kind="operator", organization_id=other.organization_id)
    until(lambda: jobs.get(origin.house, done, job_id=other.id).state == "succeeded")
    shown = client.get(f"/api/v1/jobs/{job.id}", headers=bearer(tenant.organization_key)).json()
    assert (shown["state"], shown["waiting_for"]["who"]) == ("ready", f"somebody who resumes jobs of the kind {kind!r}")
    ask("/all", "DELETE", 204)
    ask(f"/{kind}", "DELETE", 204)
    until(lambda: state() == "succeeded")
    assert ask()["job_pauses"] == []
    assert ask("/none", "PUT", 400)["field"] == "kind"
    assert ask("/all?everywhere=true", "PUT", 403)["detail"] == "Only the operator pauses jobs of all organizations"
