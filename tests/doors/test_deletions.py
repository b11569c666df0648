"""Deleting logs over the wire: counted, asked for, watched, cancelled. What is taken is core's suite."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from headrace.kit import times
from tests.doors.conftest import Origin, Tenant, bearer

Until = Callable[..., None]
DELETIONS = "/api/v1/logs/deletions"


def ask(client: httpx.Client, tenant: Tenant, **body: Any) -> httpx.Response:
    return client.post(DELETIONS, json={"project_id": tenant.project_id, **body}, headers=bearer(tenant.token))


def look(client: httpx.Client, tenant: Tenant, path: str = DELETIONS, **query: Any) -> Any:
    answer = client.get(path, params=query, headers=bearer(tenant.token))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_from_the_count_to_the_end(origin: Origin, client: httpx.Client, tenant: Tenant, until: Until) -> None:
    now = times.show(origin.clock.now)
    logs = [{"timestamp": now, "level": level, "message": "x"} for level in ("info", "error", "debug")]
    client.post("/api/v1/ingest/batch", json={"logs": logs}, headers=bearer(tenant.key))
    until(lambda: not origin.house.store.wal.waiting_rows)
    dry = ask(client, tenant, level=["info", "debug"], dry_run=True)
    assert (dry.status_code, dry.json()) == (200, {"project_id": tenant.project_id, "dry_run": True, "matched": 2})
    answer = ask(client, tenant, level=["info", "debug"], periodTo=now)
    made = answer.json()
    assert (answer.status_code, made["state"], made["deleted"]) == (200, "pending", 0)
    assert made["filters"] == {"periodTo": now, "level": ["info", "debug"]}
    assert made["account_id"] == tenant.account_id
    until(lambda: look(client, tenant, f"{DELETIONS}/{made['id']}")["state"] == "completed", seconds=20)
    listed = look(client, tenant, project_id=tenant.project_id)
    assert listed["total"] == 1
    (done,) = listed["deletions"]
    assert (done["matched"], done["deleted"], done["reason"]) == (2, 2, None)
    left = look(client, tenant, "/api/v1/logs", project_id=tenant.project_id)["logs"]
    assert [log["level"] for log in left] == ["error"]
    over = client.delete(f"{DELETIONS}/{made['id']}", headers=bearer(tenant.token))
    assert (over.status_code, over.json()["detail"]) == (409, "The deletion is completed already")


def test_one_that_waits_can_be_cancelled(origin: Origin, client: httpx.Client, tenant: Tenant) -> None:
    logs = [{"timestamp": times.show(origin.clock.now), "level": "info", "message": "x"}]
    with origin.house.store.engine.draining:
        client.post("/api/v1/ingest/batch", json={"logs": logs}, headers=bearer(tenant.key))
        made = ask(client, tenant, q="x").json()
        answer = client.delete(f"{DELETIONS}/{made['id']}", headers=bearer(tenant.token))
    assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert answer.json()["filters"] == {"q": "x"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "Give at least one filter"),
        ({"q": " \t\u3000", "search": "", "level": []}, "Give at least one filter"),
        ({"levels": ["debug"]}, "levels: unknown field"),
        ({"level": "loud"}, "level: "),
        ({"q": "a:("}, ""),
        ({"period": "today", "periodTo": "2026-01-01"}, "period: cannot be combined"),
        ({"project_id": 0, "q": "a"}, "project_id: must be a positive integer"),
    ],
)
def test_what_is_refused(client: httpx.Client, tenant: Tenant, body: dict[str, Any], said: str) -> None:
    answer = ask(client, tenant, **body)
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith(said), answer.text


def test_no_key_and_no_other_tenant(client: httpx.Client, tenant: Tenant, new_tenant: Callable[[], Tenant]) -> None:
    other, body = new_tenant(), {"project_id": tenant.project_id, "q": "a"}
    for credential, status in ((tenant.key, 401), (tenant.organization_key, 401), (other.token, 403)):
        assert client.post(DELETIONS, json=body, headers=bearer(credential)).status_code == status
