"""Alerts and saved searches over HTTP: the document's examples, a firing that reaches a webhook, keys and scopes."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from headrace.core import alerts
from tests.conftest import PATIENCE
from tests.doors.conftest import Origin, Tenant, bearer

DOCUMENT = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
EXAMPLE = json.loads(re.search(r"-d '(\{.*?\})'", DOCUMENT, re.DOTALL)[1])  # type: ignore[index]


def send(client: httpx.Client, origin: Origin, tenant: Tenant, *messages: str, **fields: Any) -> None:
    entry = {"timestamp": "2026-01-01T00:00:00Z", "level": "error"} | fields
    logs = [entry | {"message": text} for text in messages]
    sent = client.post("/api/v1/ingest/batch", json={"logs": logs}, headers=bearer(tenant.key))
    assert sent.json()["accepted"] == len(logs)
    assert origin.house.store.wait_searchable(origin.house.store.wal.next_id, 30 * PATIENCE)


def test_the_documents_example_fires_and_is_told(
    client: httpx.Client, origin: Origin, tenant: Tenant, until: Callable[..., None]
) -> None:
    client.headers.update(bearer(tenant.token))
    hook = {"url": "https://hooks.example.com/", "events": ["alert.firing"]}
    endpoint = client.post("/api/v1/webhook-endpoints", json=hook)
    assert endpoint.status_code == 201, endpoint.text
    # The server evaluates by itself, once a second of the wall clock; here it is to begin when we say so.
    paused = "/api/v1/job-pauses/alert.evaluate"
    assert client.put(paused).status_code == 200
    body = EXAMPLE | {"project_id": tenant.project_id, "for_seconds": 0}
    made = client.post("/api/v1/alerts", json=body)
    assert made.status_code == 201, made.text
    alert = made.json()
    assert (alert["state"], alert["threshold"], alert["evaluated_at"]) == ("ok", 10.0, None)
    path = f"/api/v1/alerts/{alert['id']}"
    send(client, origin, tenant, *["no"] * 12, attributes={"service": "payments"})
    origin.clock.advance(70)
    asked = {name: body[name] for name in ("project_id", "kind", "query", "window_seconds", "comparison", "threshold")}
    preview = client.post("/api/v1/alerts/preview", json=asked).json()
    assert (preview["value"], preview["holds"], preview["firings"]) == (12.0, True, 1)
    tested = client.post(f"{path}/test").json()
    assert (tested["value"], tested["state"], tested["next_state"]) == (12.0, "ok", "firing")
    assert client.delete(paused).status_code == 204
    alerts.enqueue_due(origin.house)
    until(lambda: client.get(path).json()["state"] == "firing")
    (line,) = client.get(f"{path}/history").json()["transitions"]
    document = json.loads(re.search(r'```json\n(\{"transitions".*?)\n```', DOCUMENT, re.DOTALL)[1])  # type: ignore[index]
    assert set(line) == set(document["transitions"][0])
    assert (line["from_state"], line["to_state"], line["value"], line["is_told"]) == ("ok", "firing", 12.0, True)
    assert client.get(f"/api/v1/logs/{line['sample_log_id']}?project_id={tenant.project_id}").json()["message"] == "no"
    deliveries = client.get("/api/v1/webhook-deliveries").json()["webhook_deliveries"]
    assert [one["event"] for one in deliveries] == ["alert.firing"]
    listed = client.get("/api/v1/alerts?state=firing").json()
    assert [one["id"] for one in listed["alerts"]] == [alert["id"]]
    muted = client.post(f"{path}/mute", json={"until": "2099-01-01"}).json()
    assert muted["muted_until"] == "2099-01-01T00:00:00Z"
    assert client.post(f"{path}/unmute").json()["muted_until"] is None
    changed = client.put(path, json={"name": "Silence", "kind": "absence", "window_seconds": 60})
    assert (changed.json()["state"], changed.json()["comparison"]) == ("ok", "<")
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_bad_input_names_the_field(client: httpx.Client, tenant: Tenant) -> None:
    client.headers.update(bearer(tenant.token))
    for fields, field in (
        ({"kind": "often"}, "kind"),
        ({"query": "level:eror"}, "query"),
        ({"threshold": "many"}, "threshold"),
        ({"window_seconds": 1}, "window_seconds"),
        ({"unknown": 1}, "unknown"),
        ({"look_back_seconds": 3600}, "look_back_seconds"),
    ):
        answer = client.post("/api/v1/alerts", json=EXAMPLE | {"project_id": tenant.project_id} | fields)
        assert (answer.status_code, answer.json()["field"]) == (400, field), answer.text
    assert client.get("/api/v1/alerts?state=on").status_code == 400
    assert client.get("/api/v1/alerts").json() == {"alerts": [], "has_more": False}


def test_saved_searches(client: httpx.Client, tenant: Tenant) -> None:
    client.headers.update(bearer(tenant.organization_key))
    body = {"project_id": tenant.project_id, "name": "Errors", "query": "level:error", "columns": ["host"]}
    made = client.post("/api/v1/saved-searches", json=body).json()
    assert (made["period"], made["columns"], made["account_id"]) == ("1h", ["host"], tenant.account_id)
    path = f"/api/v1/saved-searches/{made['id']}"
    changed = client.put(path, json={"name": "All", "time_from": "2026-01-01", "time_to": "2026-01-02"}).json()
    assert (changed["name"], changed["period"], changed["time_to"]) == ("All", None, "2026-01-02T00:00:00Z")
    assert client.get(path).json() == changed
    listed = client.get(f"/api/v1/saved-searches?project_id={tenant.project_id}").json()
    assert listed == {"saved_searches": [changed], "total": 1}
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404


def test_a_key_needs_the_scope(client: httpx.Client, tenant: Tenant) -> None:
    reader = client.post(
        "/api/v1/keys", json={"name": "R", "scopes": ["logs:read"]}, headers=bearer(tenant.token)
    ).json()["key"]
    client.headers.update(bearer(reader))
    assert client.get("/api/v1/alerts").status_code == 200
    body = EXAMPLE | {"project_id": tenant.project_id}
    refused = client.post("/api/v1/alerts", json=body)
    assert (refused.status_code, refused.json()["detail"]) == (403, "Insufficient scope: logs:write required")
    refused = client.post("/api/v1/saved-searches", json={"project_id": tenant.project_id, "name": "x"})
    assert refused.status_code == 403
    # A project's key opens nothing here, and it is not the scope that it lacks.
    refused = client.get("/api/v1/alerts", headers=bearer(tenant.key))
    said = "Insufficient scope: logs:read of an organization's key required, and this is a project's"
    assert (refused.status_code, refused.json()["detail"]) == (403, said)
