"""What every answer of the origin has in common, its own pages, and its description of itself."""

import gzip
import json
from typing import Any, get_args

import httpx
import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator, validate

from headrace import doors
from headrace.core.identity import operators
from headrace.doors.ledger.filters import Period
from headrace.wire import openapi
from headrace.wire.door import routes_of
from tests.conftest import PASSWORD
from tests.doors.conftest import Origin, Tenant, bearer

PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.mark.parametrize(
    ("sent", "kept"), [("a-sane.ID_1", True), ("x" * 128, True), ("x" * 129, False), ("no spaces", False), ("", False)]
)
def test_request_ids(client: httpx.Client, sent: str, kept: bool) -> None:
    answer = client.get("/health", headers={"X-Request-ID": sent})
    assert (answer.headers["x-request-id"] == sent) is kept
    assert len(answer.headers.get_list("x-request-id")) == 1


def test_head_is_get_without_a_body(client: httpx.Client, tenant: Tenant) -> None:
    for path in ("/health", "/api/v1/projects", "/docs"):
        full = client.get(path, headers=bearer(tenant.token))
        head = client.head(path, headers=bearer(tenant.token))
        assert (head.status_code, head.content) == (full.status_code, b"")
        assert head.headers["content-length"] == full.headers["content-length"]


def test_health_is_merged_and_never_limited(client: httpx.Client, origin: Origin) -> None:
    answer = client.get("/health")
    assert answer.json() == {"status": "healthy", "ok": True, "ts": origin.clock.now // 1_000_000}
    assert answer.headers["x-ratelimit-remaining"] == client.get("/health").headers["x-ratelimit-remaining"] == "600"


def test_pages_of_listed_origins_may_read(client: httpx.Client) -> None:
    listed = client.get("/health", headers={"Origin": "https://pages.example"})
    assert listed.headers["access-control-allow-origin"] == "https://pages.example"
    assert "X-Request-ID" in listed.headers["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in listed.headers
    other = client.get("/health", headers={"Origin": "https://other.example"})
    assert "access-control-allow-origin" not in other.headers
    asks = {"Origin": "https://pages.example", "Access-Control-Request-Method": "POST"}
    before = client.options("/api/v1/projects", headers=asks)
    assert (before.status_code, before.headers["access-control-allow-methods"]) == (204, "GET, HEAD, POST")
    assert client.options("/api/v1/projects", headers=asks | {"Origin": "https://other.example"}).status_code == 405


def test_a_compressed_request_is_read(client: httpx.Client, tenant: Tenant) -> None:
    body = gzip.compress(json.dumps({"name": "Packed", "slug": "packed"}).encode())
    answer = client.post("/api/v1/projects", content=body, headers={**bearer(tenant.token), "Content-Encoding": "gzip"})
    assert answer.status_code == 201


def test_a_key_is_taken_from_either_header(client: httpx.Client, tenant: Tenant) -> None:
    alias = tenant.key.replace("ldg_", "ledger_", 1)
    for headers in (
        {"X-API-Key": tenant.key},
        {"X-Api-Key": alias},
        {"Authorization": f"bearer {alias}"},
        {"Authorization": f"Bearer {tenant.key}", "X-API-Key": "worthless"},
    ):
        assert client.get("/api/v1/queue/depth", headers=headers).status_code == 200
    worthless = {"Authorization": "Bearer worthless-worthless", "X-API-Key": tenant.key}
    assert client.get("/api/v1/queue/depth", headers=worthless).status_code == 401


def test_readiness(client: httpx.Client, origin: Origin, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.get("/-/ready").json() == {"status": "ready", "ingest": "accepted"}
    monkeypatch.setattr(origin.house.store.wal, "broken", "no space left")
    # Reads and deletes go on, so the server stays where traffic is sent.
    answer = client.get("/-/ready")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", "ingest": "refused: no space left"})
    deep = client.get("/health/deep")
    assert (deep.status_code, deep.json()["status"], deep.json()["services"]["event_store"]) == (
        200,
        "degraded",
        "degraded",
    )


def test_metrics_are_for_this_machine_and_super_admins(client: httpx.Client, origin: Origin, tenant: Tenant) -> None:
    local = httpx.get(origin.url + "/-/metrics")
    assert local.status_code == 200
    assert 'headrace_requests_total{door="ledger",route="/api/v1/projects",status="2xx"}' in local.text
    assert "# TYPE headrace_request_seconds histogram" in local.text
    # `client` comes through a proxy.
    assert client.get("/-/metrics").status_code == 401
    assert client.get("/-/metrics", headers=bearer(tenant.token)).status_code == 403
    operators.set_super_admin(origin.house, email=tenant.email, is_super_admin=True)
    person = {"email": tenant.email, "password": PASSWORD}
    token = client.post("/api/v1/accounts/login", json=person).json()["access_token"]
    assert client.get("/-/metrics", headers=bearer(token)).status_code == 200
    operators.set_super_admin(origin.house, email=tenant.email, is_super_admin=False)


def test_the_page_of_the_description(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"] == PAGE
    assert "<script>" not in page.text
    assets = [part.partition('"')[0] for part in page.text.split('="/-/')[1:]]
    assert len(assets) == 4
    for name in assets:
        asset = client.get("/-/" + name)
        assert asset.status_code == 200
        assert asset.headers["content-type"].startswith(("text/", "image/"))


def description(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_the_description_has_every_route(client: httpx.Client, origin: Origin) -> None:
    paths = description(client)["paths"]
    hidden = {(one.method, one.path) for door in origin.app.doors for one in door.hot if not one.listed}
    served = [one for door in origin.app.doors for one in routes_of(door)]
    routes = [one for one in served if (one.method, one.template) not in hidden]
    assert sum(map(len, paths.values())) == len(routes)
    for one in routes:
        twins = [path for path in paths if shape(path) == shape(one.template)]
        assert len(twins) == 1, one.template
        operation = paths[twins[0]][one.method.lower()]
        assert operation["summary"], one.template
        assert ("security" in operation) is bool(one.terms.credential)
        assert ("requestBody" in operation) is (one.terms.body is not None)
        assert ("413" in operation["responses"]) is (one.terms.body is not None)
        assert {str(status) for status in one.terms.errors} <= set(operation["responses"])


def shape(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.split("/"))


def test_every_reference_of_the_description_leads_somewhere(client: httpx.Client) -> None:
    document = description(client)
    schemas = document["components"]["schemas"]
    found = set(references(document))
    assert found
    assert all(reference.removeprefix("#/components/schemas/") in schemas for reference in found)
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))


def test_the_description_as_openapi_3_0(client: httpx.Client) -> None:
    answer = client.get("/public/openapi.json")
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-ratelimit-limit"] == "600"
    found, newer = answer.json(), description(client)
    assert found["openapi"] == "3.0.3"
    validate(newer, cls=OpenAPIV31SpecValidator)
    validate(found, cls=OpenAPIV30SpecValidator)
    assert statuses(found) == statuses(newer)
    assert not unknown_to_3_0(found)
    assert found["components"]["schemas"].keys() == newer["components"]["schemas"].keys()
    tag = answer.headers["etag"]
    for sent, status in ((tag, 304), (f'"x", W/{tag}', 304), ("*", 304), ('"x"', 200)):
        again = client.get("/public/openapi.json", headers={"If-None-Match": sent})
        assert (again.status_code, again.headers["etag"], bool(again.content)) == (status, tag, status == 200)


def statuses(document: dict[str, Any]) -> dict[str, dict[str, set[str]]]:
    return {
        path: {method: set(operation["responses"]) for method, operation in operations.items()}
        for path, operations in document["paths"].items()
    }


def unknown_to_3_0(node: Any) -> list[Any]:
    """Find what only OpenAPI 3.1 has, wherever it stands."""
    if isinstance(node, list):
        return [one for item in node for one in unknown_to_3_0(item)]
    if not isinstance(node, dict):
        return []
    words = {"$defs", "$schema", "const", "contentEncoding", "contentMediaType", "patternProperties", "prefixItems"}
    found: list[Any] = sorted(words & node.keys())
    exclusive = [node[name] for name in ("exclusiveMinimum", "exclusiveMaximum") if name in node]
    found += [one for one in exclusive if not isinstance(one, bool)]
    if isinstance(node.get("type"), list) or node.get("type") == "null" or ("$ref" in node and len(node) > 1):
        found.append(node)
    return found + [one for value in node.values() for one in unknown_to_3_0(value)]


# Path and shape decide, whoever asks: the first door whose they are answers, also for methods and paths it has not got.
LEVQOR, LEDGER, NOBODY = {"error"}, {"detail"}, {"detail"}
OWNERS = [
    ("POST", "/", 405, LEVQOR),
    ("DELETE", "/health", 405, LEVQOR),
    ("GET", "/health/", 404, NOBODY),
    ("POST", "/health/deep", 405, LEDGER),
    ("GET", "/public/", 404, LEVQOR),
    ("GET", "/public/x/y", 404, LEVQOR),
    ("GET", "/public", 404, NOBODY),
    ("GET", "/billing/x", 404, LEVQOR),
    ("GET", "/billing", 404, NOBODY),
    ("GET", "/api/v1/intake", 405, LEVQOR),
    ("GET", "/api/v1/intake/x", 404, LEVQOR),
    ("GET", "/api/v1/status/", 404, LEVQOR),
    ("GET", "/api/v1/status/a/b", 404, LEVQOR),
    ("POST", "/api/v1/status/a", 405, LEVQOR),
    ("GET", "/api/v1/connect/", 404, LEVQOR),
    ("GET", "/api/v1/connect/slack", 405, LEVQOR),
    ("GET", "/api/v1/connect", 404, NOBODY),
    ("GET", "/api/v1/users/upsert", 403, LEVQOR),
    ("PATCH", "/api/v1/users/upsert", 403, LEVQOR),
    ("DELETE", "/api/v1/users/upsert", 405, LEVQOR),
    ("GET", "/api/v1/users?email=a@b", 403, LEVQOR),
    ("GET", "/api/v1/users?email=", 403, LEVQOR),
    ("GET", "/api/v1/users?email", 403, LEVQOR),
    ("GET", "/api/v1/users/" + "1" * 20, 403, LEVQOR),
    ("GET", "/api/v1/users/x1", 403, LEVQOR),
    ("GET", "/api/v1/users/-1", 403, LEVQOR),
    ("GET", "/api/v1/users/\u0661", 403, LEVQOR),
    ("HEAD", "/api/v1/users/x1", 403, LEVQOR),
    ("PATCH", "/api/v1/users/12", 403, LEVQOR),
    ("PATCH", "/api/v1/users", 405, LEVQOR),
    ("GET", "/api/v1/users/", 404, LEVQOR),
    ("GET", "/api/v1/users/x/y", 404, LEVQOR),
]


@pytest.mark.parametrize(("method", "path", "status", "members"), OWNERS, ids=lambda one: str(one)[:40])
def test_whose_path_it_is(client: httpx.Client, method: str, path: str, status: int, members: set[str]) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status, answer.text
    assert method == "HEAD" or set(answer.json()) == members
    assert ("x-ratelimit-limit" in answer.headers) is (members == LEVQOR)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/users"),
        ("GET", "/api/v1/users?emails=x"),
        ("GET", "/api/v1/users/1"),
        ("GET", "/api/v1/users/" + "9" * 19),
        ("POST", "/api/v1/users"),
        ("PUT", "/api/v1/users/x"),
        ("DELETE", "/api/v1/users/x"),
    ],
)
def test_users_that_are_accounts_are_another_doors(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code in {401, 404, 405}
    assert "error" not in answer.json()


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [one for value in node.values() for one in references(value)]
    return [one for item in node for one in references(item)] if isinstance(node, list) else []


def test_the_description_names_two_templates_of_one_place_once(origin: Origin) -> None:
    assert doors.__doc__
    paths = openapi.document(origin.app.doors, origin.app.apps)["paths"]
    assert set(paths["/api/v1/projects/{project}"]) == {"get", "patch"}


def test_keys_of_an_organization(client: httpx.Client, tenant: Tenant) -> None:
    asked = {"name": "My API Key", "scopes": ["read", "write"], "expires_days": 365}
    made = client.post("/api/v1/keys", json=asked, headers=bearer(tenant.token))
    assert made.status_code == 201
    body = made.json()
    assert (body["name"], body["scopes"], body["is_active"], body["usage_count"]) == (
        asked["name"],
        asked["scopes"],
        True,
        0,
    )
    assert (body["organization_id"], body["user_id"]) == (tenant.organization_id, tenant.account_id)
    assert body["key"].startswith("vetrai_")
    assert body["key_prefix"] == f"{body['key'][:8]}...{body['key'][-3:]}"
    assert body["signing_secret"].startswith("whsec_")
    narrow = client.post("/api/v1/keys", json=asked, headers=bearer(body["key"]))
    assert (narrow.status_code, narrow.json()["detail"]) == (403, "Insufficient scope: admin required")
    project = {"project_id": str(tenant.project_id)}
    assert client.get("/api/v1/logs", params=project, headers=bearer(body["key"])).status_code == 200


def test_how_a_key_is_used(client: httpx.Client, tenant: Tenant, until: Any) -> None:
    made = client.post("/api/v1/keys", json={"name": "Counted"}, headers=bearer(tenant.token)).json()
    use, mine = f"/api/v1/keys/{made['id']}/usage", bearer(made["key"])
    nothing = client.get(use, headers=bearer(tenant.token)).json()
    assert nothing == {
        "total_requests": 0,
        "success_requests": 0,
        "failed_requests": 0,
        "avg_response_time_ms": 0.0,
        "requests_by_endpoint": {},
    }
    for _ in range(2):
        assert client.get("/api/v1/invoices", headers=mine).status_code == 200
    assert client.get("/api/v1/keys/999999/usage", headers=mine).json()["detail"] == "API key not found"
    assert client.get(use, headers=mine).status_code == 200

    def counted() -> Any:
        return client.get(use, headers=bearer(tenant.token)).json()

    until(lambda: counted()["total_requests"] == 4)  # Each is counted once its answer has left.
    found = counted()
    assert (found["success_requests"], found["failed_requests"]) == (3, 1)
    assert found["avg_response_time_ms"] > 0
    assert found["requests_by_endpoint"] == {"/api/v1/invoices": 2, "/api/v1/keys/{key_id}/usage": 2}


def test_queries(client: httpx.Client, tenant: Tenant, origin: Origin, until: Any) -> None:
    logs = [
        {"timestamp": f"2025-11-20T0{hour}:00:00Z", "level": level, "message": f"at {hour}"}
        for hour, level in enumerate(("info", "info", "error", "debug"))
    ]
    assert client.post("/api/v1/ingest/batch", json={"logs": logs}, headers=bearer(tenant.key)).status_code == 202
    ask = {"project_id": str(tenant.project_id)}

    def get(path: str, **more: str) -> Any:
        return client.get(f"/api/v1{path}", params=ask | more, headers=bearer(tenant.token)).json()

    until(lambda: get("/logs")["logs"])
    first = get("/logs", limit="3")
    assert [log["message"] for log in first["logs"]] == ["at 3", "at 2", "at 1"]
    assert (first["has_more"], first["total"]) == (True, None)
    last = get("/logs", limit="3", cursor=first["next_cursor"])
    assert ([log["message"] for log in last["logs"]], last["has_more"], last["next_cursor"]) == (["at 0"], False, None)
    assert [log["message"] for log in get("/logs", offset="2")["logs"]] == ["at 1", "at 0"]
    one = first["logs"][0]
    assert get(f"/logs/{one['id']}") == one
    assert get("/logs/none") == {"detail": "Log not found"}
    assert [log["message"] for log in get("/logs", level="error")["logs"]] == ["at 2"]
    assert (
        len(
            client.get(
                f"/api/v1/logs?project_id={tenant.project_id}&level=error&level=debug", headers=bearer(tenant.key)
            ).json()["logs"]
        )
        == 2
    )
    assert [log["message"] for log in get("/logs", search="AT 1")["logs"]] == ["at 1"]
    span = {"periodFrom": "2025-11-20T01:00:00Z", "periodTo": "2025-11-20T02:00:00Z"}
    assert [log["message"] for log in get("/logs", **span)["logs"]] == ["at 2", "at 1"]
    assert get("/logs/counts", by="level")["items"][0] == {"value": "info", "count": 2}
    assert get("/logs/facets")["level"][0] == {"value": "info", "count": 2}
    buckets = get("/logs/histogram", interval="3600")["buckets"]
    assert buckets[0] == {"start": "2025-11-20T00:00:00Z", "count": 1}
    assert sum(one["count"] for one in buckets) == 4
    for wrong, detail in [
        ({"limit": "0"}, "limit: must be 1-1000"),
        ({"limit": "1001"}, "limit: must be 1-1000"),
        ({"cursor": "!"}, "Invalid cursor"),
        ({"period": "never"}, "period: must be one of " + ", ".join(get_args(Period))),
        ({"level": "loud"}, "level: must be one of debug, info, warning, error, critical"),
        ({"periodFrom": "soon"}, "periodFrom: must be an ISO 8601 timestamp"),
        ({"search": "x" * 201}, "search: must be at most 200 characters"),
    ]:
        answer = client.get("/api/v1/logs", params=ask | wrong, headers=bearer(tenant.token))
        assert answer.status_code == 400, answer.text
        assert answer.json() == {"detail": detail}
