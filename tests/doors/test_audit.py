"""The audit log over HTTP: whose lines it shows, to whom."""

import httpx

from tests.doors.conftest import Tenant, bearer

PATH = "/api/v1/audit"


def test_an_admin_reads_the_lines_of_the_organization(client: httpx.Client, tenant: Tenant) -> None:
    mine = bearer(tenant.token)
    made = client.post("/api/v1/keys", json={"name": "R", "scopes": ["read"]}, headers=mine).json()
    client.delete(f"/api/v1/api-keys/{tenant.key_id}", headers=mine)
    page = client.get(PATH, params={"action": "apikey", "limit": 1}, headers=mine).json()
    (revoked,) = page["events"]
    assert (revoked["action"], revoked["target"]) == ("apikey:key:revoked", f"key:{tenant.key_id}")
    assert (revoked["actor_kind"], revoked["actor_id"], revoked["data"]) == ("user", tenant.account_id, {})
    assert revoked["at"].endswith("Z")
    assert "organization_id" not in revoked
    query = {"account_id": tenant.account_id, "before": page["before"]}
    older = client.get(PATH, params=query, headers=mine).json()
    assert older["events"][0]["action"] == "apikey:key:created"
    assert older["before"] is None
    # A key has to have the right, as its owner does.
    refused = client.get(PATH, headers=bearer(made["key"]))
    assert (refused.status_code, refused.json()["detail"]) == (403, "Insufficient scope: users:admin required")


def test_another_organization_sees_its_own(client: httpx.Client, tenant: Tenant, new_tenant: object) -> None:
    assert callable(new_tenant)
    other = new_tenant()
    answers = [client.get(PATH, headers=bearer(one.token)).json()["events"] for one in (tenant, other)]
    ids = [{event["id"] for event in events} for events in answers]
    assert ids[0]
    assert ids[1]
    assert ids[0].isdisjoint(ids[1])
