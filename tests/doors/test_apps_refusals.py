"""The Log Handler door says no: each route without credential, with a bad one, another tenant's, one that does not
reach; malformed, too large, over a limit. All in its envelope, in the order of checks, without rate headers.
"""

import gzip
import json
from typing import Any, NamedTuple

import httpx
import pytest

from headrace.core import keys, projects
from headrace.core.principal import Principal
from headrace.wire.door import routes_of
from tests.doors.conftest import Origin, Tenant, bearer, caller, posted, tenant_of
from tests.doors.log_handler import EVENT, App, Open, ingest, make_app, taken

NO_APP = {"error": "ERROR", "message": "application with this id does not exist"}
NO_INGEST = {"error": "ERROR", "message": "Invalid application or ingest key"}
NO_KEY = {"error": "UNAUTHORIZED", "message": "API key required"}
BAD_KEY = {"error": "UNAUTHORIZED", "message": "Invalid API key"}
LEVELS = "must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL"

# Route -> how to call it rightly, and whether it reads.
READS = {
    "/apps/{app_id}": "/apps/{}",
    "/apps/": "/apps/",
    "/apps": "/apps",
    "/apps/{app_id}/events": "/apps/{}/events",
    "/apps/{app_id}/stats/timeseries": "/apps/{}/stats/timeseries",
    "/apps/{app_id}/stats/by-level": "/apps/{}/stats/by-level",
    "/apps/{app_id}/stats/top-messages": "/apps/{}/stats/top-messages",
}
WRITES = {"/apps/{name}": "/apps/another", "/apps/{app_id}/events": "/apps/{}/events"}
MANAGED = [*(("GET", path) for path in READS.values()), ("POST", "/apps/another")]
OF_ONE_APP = [path for path in READS.values() if "{}" in path]
OF_TIMES = [path for path in OF_ONE_APP if path != "/apps/{}"]


class Scene(NamedTuple):
    """Two tenants with an application each; nothing in this module changes the first."""

    own: Tenant
    other: Tenant
    app: App
    theirs: App


@pytest.fixture(scope="module")
def scene(origin: Origin) -> Scene:
    with caller(origin) as client:
        own, other = tenant_of(client), tenant_of(client)
        return Scene(own, other, make_app(client, own), make_app(client, other))


def refused(answer: httpx.Response, status: int, body: dict[str, Any]) -> None:
    assert (answer.status_code, answer.json()) == (status, body)
    assert not [name for name in answer.headers if "ratelimit" in name]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.headers.get("www-authenticate") == "Bearer") is (status == 401)


def invalid(answer: httpx.Response, loc: list[str], rule: str, kind: str, message: str | None = None) -> None:
    said = message or f"{loc[-1]}: {rule}"
    detail = [{"loc": loc, "msg": rule, "type": kind}]
    refused(answer, 422, {"error": "VALIDATION_ERROR", "message": said, "detail": detail})


def test_every_route_is_refused_here(origin: Origin) -> None:
    (door,) = (door for door in origin.app.doors if door.name == "apps")
    served = sorted((one.method, one.template) for one in routes_of(door))
    assert served == sorted([*(("GET", one) for one in READS), *(("POST", one) for one in WRITES)])


@pytest.mark.parametrize(("method", "path"), MANAGED)
def test_no_credential_and_bad_ones(client: httpx.Client, scene: Scene, method: str, path: str) -> None:
    url = path.format(scene.app.id)
    refused(client.request(method, url), 401, NO_KEY)
    # An ingest key is no credential here, whatever carries it.
    refused(client.request(method, url, headers={"X-INGEST-KEY": scene.app.key}), 401, NO_KEY)
    refused(client.request(method, url, headers={"X-API-Key": scene.app.key}), 401, BAD_KEY)
    for bad in ("a.b.c", scene.own.token[:-2] + "xx", scene.own.key[:-1] + "!", "vetrai_" + "a" * 40, "x"):
        refused(client.request(method, url, headers=bearer(bad)), 401, BAD_KEY)
        refused(client.request(method, url, headers={"X-API-Key": bad}), 401, BAD_KEY)
    refused(client.request(method, url, headers={"Authorization": "Basic eDp5"}), 401, BAD_KEY)


def test_keys_that_do_not_reach(client: httpx.Client, scene: Scene) -> None:
    own = scene.own
    path = f"/api/v1/projects/{own.project_id}/api-keys"
    blind = posted(client, path, {"name": "Blind", "scopes": ["ingest"]}, own.token)["full_key"]
    for read in READS.values():
        refused(
            client.get(read.format(own.project_id), headers=bearer(blind)),
            403,
            {"error": "ERROR", "message": "Insufficient scope: logs:read required"},
        )
    wanted = {"error": "ERROR", "message": "Insufficient scope: write required"}
    reader = posted(client, "/api/v1/keys", {"name": "Reader", "scopes": ["read"]}, own.token)["key"]
    for key in (own.key, blind, reader):
        refused(client.post("/apps/new", headers=bearer(key)), 403, wanted)
    panels = posted(client, "/api/v1/keys", {"name": "Panels", "scopes": ["panels:read"]}, own.token)["key"]
    refused(
        client.get("/apps/", headers={"X-API-Key": panels}),
        403,
        {"error": "ERROR", "message": "Insufficient scope: read required"},
    )
    assert client.get("/apps/", headers={"X-API-Key": reader}).status_code == 200


@pytest.mark.parametrize("path", OF_ONE_APP)
def test_applications_of_others_do_not_exist(client: httpx.Client, scene: Scene, path: str) -> None:
    for app_id in (scene.theirs.id, scene.other.project_id, 2**62):
        for credential in (scene.own.token, scene.own.organization_key, scene.own.key):
            refused(client.get(path.format(app_id), headers=bearer(credential)), 404, NO_APP)
    # A project's key reads its own alone.
    refused(client.get(path.format(scene.app.id), headers=bearer(scene.own.key)), 404, NO_APP)
    assert client.get(path.format(scene.own.project_id), headers=bearer(scene.own.key)).status_code == 200
    for wrong in ("0", "-1", "x", "1.5", str(2**63)):
        rule = "must be a positive integer"
        answer = client.get(path.format(wrong), headers=bearer(scene.own.token))
        invalid(answer, ["path", "app_id"], rule, "value", f"app_id {rule}")


def test_lists_show_ones_own(client: httpx.Client, scene: Scene) -> None:
    def ids(credential: str) -> list[int]:
        return [one["id"] for one in client.get("/apps/", headers=bearer(credential)).json()]

    assert ids(scene.own.token) == ids(scene.own.organization_key) == [scene.own.project_id, scene.app.id]
    assert ids(scene.own.key) == [scene.own.project_id]
    assert ids(scene.other.token) == [scene.other.project_id, scene.theirs.id]


def test_ingest_wants_the_applications_own_key(client: httpx.Client, scene: Scene) -> None:
    path = f"{scene.app.path}/events"
    invalid(client.post(path, json=EVENT), ["header", "X-INGEST-KEY"], "field required", "missing")
    # No other credential stands in for it.
    for credential in (scene.own.token, scene.own.key, scene.own.organization_key):
        answer = client.post(path, json=EVENT, headers=bearer(credential))
        invalid(answer, ["header", "X-INGEST-KEY"], "field required", "missing")
        refused(client.post(path, json=EVENT, headers={"X-INGEST-KEY": credential}), 403, NO_INGEST)
    for wrong in ("", "x", "0" * 32, scene.app.key.upper() + "0", scene.theirs.key):
        refused(client.post(path, json=EVENT, headers={"X-INGEST-KEY": wrong}), 403, NO_INGEST)
    for app_id in (scene.theirs.id, scene.own.project_id, 2**62):
        answer = client.post(f"/apps/{app_id}/events", json=EVENT, headers={"X-INGEST-KEY": scene.app.key})
        refused(answer, 403, NO_INGEST)
    for wrong in ("0", "x", str(2**63)):
        answer = client.post(f"/apps/{wrong}/events", json=EVENT, headers={"X-INGEST-KEY": scene.app.key})
        rule = "must be a positive integer"
        invalid(answer, ["path", "app_id"], rule, "value", f"app_id {rule}")


def test_a_replaced_key_is_refused_at_once(client: httpx.Client, origin: Origin) -> None:
    tenant = tenant_of(client)
    app = make_app(client, tenant)
    operator = Principal(kind="operator", organization_id=tenant.organization_id, role="super_admin")
    taken(client, app)
    second = keys.create_ingest_key(origin.house, operator, project_id=app.id)
    refused(ingest(client, app), 403, NO_INGEST)
    app = app._replace(key=second.full_key)
    taken(client, app)
    keys.pause(origin.house, operator, key_id=second.key_id)
    refused(ingest(client, app), 403, NO_INGEST)
    keys.resume(origin.house, operator, key_id=second.key_id)
    taken(client, app)
    keys.revoke(origin.house, operator, key_id=second.key_id)
    refused(ingest(client, app), 403, NO_INGEST)


def test_a_token_is_refused_after_the_log_out(client: httpx.Client) -> None:
    tenant = tenant_of(client)
    assert client.get("/apps", headers=bearer(tenant.token)).status_code == 200
    assert client.post("/api/v1/accounts/logout", headers=bearer(tenant.token)).status_code == 204
    refused(client.get("/apps", headers=bearer(tenant.token)), 401, BAD_KEY)


@pytest.mark.parametrize(
    ("change", "field", "rule", "kind"),
    [
        ({"occurred_at": None}, "occurred_at", "field required", "missing"),
        ({"level": None}, "level", "field required", "missing"),
        ({"message": None}, "message", "field required", "missing"),
        ({"occurred_at": "yesterday"}, "occurred_at", "must be an ISO 8601 timestamp", "value"),
        ({"occurred_at": 5}, "occurred_at", "must be a string", "type"),
        ({"level": "error"}, "level", LEVELS, "enum"),
        ({"level": "FATAL"}, "level", LEVELS, "enum"),
        ({"message": ""}, "message", "must be 1-10000 characters", "value"),
        ({"message": "\0"}, "message", "must be 1-10000 characters", "value"),
        ({"message": "m" * 10_001}, "message", "must be 1-10000 characters", "value"),
        ({"message": {"a": 1}}, "message", "must be a string", "type"),
        ({"stack": []}, "stack", "must be an object", "type"),
        ({"stack": "at x"}, "stack", "must be an object", "type"),
        ({"tags": "a"}, "tags", "must be an object", "type"),
        ({"tags": [1]}, "tags", "must be an object", "type"),
    ],
)
def test_events_that_are_not_valid(
    *, client: httpx.Client, scene: Scene, change: dict[str, Any], field: str, rule: str, kind: str
) -> None:
    for explicit_null in (False, True):
        sent = {name: value for name, value in (EVENT | change).items() if explicit_null or value is not None}
        answer = client.post(f"{scene.app.path}/events", json=sent, headers={"X-INGEST-KEY": scene.app.key})
        invalid(answer, ["body", field], rule, kind)


def test_bodies_that_are_no_events(client: httpx.Client, scene: Scene, origin: Origin) -> None:
    path, headers = f"{scene.app.path}/events", {"X-INGEST-KEY": scene.app.key}
    for content in (b"", b"{", b'{"a":NaN}', b"\xff"):
        answer = client.post(path, content=content, headers=headers)
        invalid(answer, ["body"], "must be JSON", "value", "Invalid JSON body")
    deep = b'{"tags":' + b'{"a":' * 200 + b"1" + b"}" * 201
    invalid(client.post(path, content=deep, headers=headers), ["body"], "must not be nested deeper than 100", "value")
    invalid(client.post(path, json=[EVENT], headers=headers), ["body"], "must be an object", "type")
    large = {"error": "PAYLOAD_TOO_LARGE", "message": "Request body too large"}
    limit = origin.house.settings.body_limit_single
    refused(client.post(path, content=b" " * (limit + 1), headers=headers), 413, large)
    packed = headers | {"Content-Encoding": "gzip"}
    refused(client.post(path, content=gzip.compress(b" " * (limit + 1)), headers=packed), 413, large)
    media = {"error": "UNSUPPORTED_MEDIA_TYPE", "message": "Unsupported media type"}
    refused(client.post(path, content=b"{}", headers=headers | {"Content-Type": "text/html"}), 415, media)
    refused(client.post(path, content=b"{}", headers=headers | {"Content-Encoding": "compress"}), 415, media)
    answer = client.post(path, content=b"no gzip", headers=packed)
    assert (answer.status_code, answer.json()["message"]) == (422, "Invalid gzip body")
    # Each check comes before the next: credential, size, content.
    wrong = {"X-INGEST-KEY": "0" * 32}
    refused(client.post(path, content=b" " * (limit + 1), headers=wrong), 403, NO_INGEST)
    unknown = client.post("/apps/0/events", content=b" " * (limit + 1), headers=headers)
    refused(unknown, 413, large)


@pytest.mark.parametrize("path", OF_TIMES)
@pytest.mark.parametrize(
    ("query", "field", "rule", "kind"),
    [
        ("since=yesterday", "since", "must be an ISO 8601 timestamp", "value"),
        ("until=", "until", "must be an ISO 8601 timestamp", "value"),
        ("time_field=created_at", "time_field", "must be one of received_at, occurred_at", "enum"),
    ],
)
def test_wrong_spans(
    *, client: httpx.Client, scene: Scene, path: str, query: str, field: str, rule: str, kind: str
) -> None:
    answer = client.get(f"{path.format(scene.app.id)}?{query}", headers=bearer(scene.own.token))
    invalid(answer, ["query", field], rule, kind)


@pytest.mark.parametrize(
    ("path", "field", "rule", "kind"),
    [
        ("/events?level=error", "level", LEVELS, "enum"),
        ("/events?level=", "level", LEVELS, "enum"),
        ("/stats/timeseries?level=TRACE", "level", LEVELS, "enum"),
        ("/stats/top-messages?level=info", "level", LEVELS, "enum"),
        ("/events?limit=0", "limit", "must be 1-50", "value"),
        ("/events?limit=51", "limit", "must be 1-50", "value"),
        ("/events?limit=x", "limit", "must be an integer in decimal digits", "value"),
        ("/events?offset=-1", "offset", f"must be 0-{2**63 - 51}", "value"),
        ("/stats/top-messages?limit=0", "limit", "must be 1-100", "value"),
        ("/stats/top-messages?limit=101", "limit", "must be 1-100", "value"),
        ("/stats/timeseries?interval=WEEK", "interval", "must be one of HOUR, DAY, hour, day", "enum"),
        ("/stats/timeseries?interval=Hour", "interval", "must be one of HOUR, DAY, hour, day", "enum"),
    ],
)
def test_wrong_parameters(*, client: httpx.Client, scene: Scene, path: str, field: str, rule: str, kind: str) -> None:
    invalid(client.get(scene.app.path + path, headers=bearer(scene.own.token)), ["query", field], rule, kind)


@pytest.mark.parametrize("path", OF_TIMES)
def test_spans_run_forwards(client: httpx.Client, scene: Scene, path: str) -> None:
    backwards = {"error": "CONFLICT", "message": "since must be earlier than until"}
    queries = ["since=2026-02-11&until=2026-02-10", "since=2026-02-10&until=2026-02-10T00:00:00Z"]
    if "stats" in path:
        queries += ["since=2999-01-01", "until=0001-01-01"]
    for query in queries:
        refused(client.get(f"{path.format(scene.app.id)}?{query}", headers=bearer(scene.own.token)), 400, backwards)
        # An application that is not there is told first.
        refused(client.get(f"{path.format(scene.theirs.id)}?{query}", headers=bearer(scene.own.token)), 404, NO_APP)


def test_names(client: httpx.Client, scene: Scene) -> None:
    def create(name: str) -> httpx.Response:
        return client.post(f"/apps/{name}", headers=bearer(scene.own.token))

    taken_already = {"error": "CONFLICT", "message": "application with this name already exists"}
    refused(create("my-app"), 409, taken_already)
    refused(create(scene.own.slug), 409, taken_already)
    invalid(create("a" * 256), ["path", "name"], "must be 1-255 characters", "value")
    invalid(create("a%0Ab"), ["path", "name"], "must not contain control characters", "value")
    invalid(create("a%C2%85b"), ["path", "name"], "must not contain control characters", "value")


def test_wrong_methods_and_paths(client: httpx.Client, scene: Scene) -> None:
    method = {"error": "METHOD_NOT_ALLOWED", "message": "Method not allowed"}
    for path, allowed in [
        ("/apps", "GET, HEAD"),
        ("/apps/", "GET, HEAD"),
        (scene.app.path, "GET, HEAD, POST"),
        (f"{scene.app.path}/events", "GET, HEAD, POST"),
        (f"{scene.app.path}/stats/by-level", "GET, HEAD"),
    ]:
        answer = client.request("DELETE", path)
        refused(answer, 405, method)
        assert answer.headers["allow"] == allowed
    refused(client.post("/apps/"), 405, method)
    refused(client.post("/apps"), 405, method)
    for path in (f"{scene.app.path}/", f"{scene.app.path}/stats", f"{scene.app.path}/events/1", "/apps//events"):
        refused(client.get(path), 404, {"error": "ERROR", "message": "Not found"})
    assert client.get("/appsy").json() == {"detail": "Not Found"}


def test_heads_are_gets_without_a_body(client: httpx.Client, scene: Scene) -> None:
    for path in READS.values():
        url = path.format(scene.app.id)
        answer = client.head(url, headers=bearer(scene.own.token))
        assert (answer.status_code, answer.content) == (200, b"")
        assert client.head(url).status_code == 401


def test_quota_queue_and_the_applications_own_limit(client: httpx.Client, origin: Origin) -> None:
    tenant = tenant_of(client)
    app = make_app(client, tenant)
    operator = Principal(kind="operator", organization_id=tenant.organization_id, role="super_admin")
    projects.set_limits(origin.house, operator, project_id=app.id, daily_quota=1)
    taken(client, app)
    answer = ingest(client, app)
    refused(answer, 429, {"error": "RATE_LIMITED", "message": "Daily quota exceeded: 1 logs per day"})
    assert 1 <= int(answer.headers["retry-after"]) <= 86_400
    assert client.get(f"{app.path}/events", headers=bearer(tenant.token)).status_code == 200
    projects.set_limits(origin.house, operator, project_id=app.id, daily_quota=1000, queue_limit=0)
    answer = ingest(client, app)
    full = {"error": "SERVICE_UNAVAILABLE", "message": "Service temporarily unavailable - queue full"}
    refused(answer, 503, full)
    assert answer.headers["retry-after"] == "60"
    projects.set_limits(origin.house, operator, project_id=app.id, queue_limit=1000)
    key = keys.create_ingest_key(origin.house, operator, project_id=app.id)
    keys.set_limits(origin.house, operator, key_id=key.key_id, per_minute=2)
    app = app._replace(key=key.full_key)
    taken(client, app)
    taken(client, app)
    answer = ingest(client, app)
    refused(answer, 429, {"error": "RATE_LIMITED", "message": "Rate limit exceeded: 2 requests per minute"})
    assert 1 <= int(answer.headers["retry-after"]) <= 120


def test_a_crash_says_nothing(client: httpx.Client, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.core.projects.list_all", lambda *_: 1 / 0)
    answer = client.get("/apps/", headers=bearer(scene.own.token))
    refused(answer, 500, {"error": "INTERNAL_ERROR", "message": "Internal server error"})


# -- the open instance -------------------------------------------------------------------------------------------------


def test_an_open_instance(client: httpx.Client, origin: Origin, scene: Scene) -> None:
    opened = Open(origin)
    made = opened.ask("POST", "/apps/of-everybody").json()
    path = f"/apps/{made['id']}"
    for method, template in MANAGED[:-1]:
        assert opened.ask(method, template.format(made["id"])).status_code == 200
    assert made["id"] in [one["id"] for one in opened.ask("GET", "/apps").json()]
    # Ingest wants its key all the same.
    invalid(opened.ask("POST", f"{path}/events", body=EVENT), ["header", "X-INGEST-KEY"], "field required", "missing")
    answer = opened.ask("POST", f"{path}/events", body=EVENT, headers={"X-INGEST-KEY": made["ingest_key"]})
    assert answer.status_code == 201
    # Nobody's callers see nothing of anybody's, and nobody sees theirs.
    refused(opened.ask("GET", scene.app.path), 404, NO_APP)
    refused(client.get(path, headers=bearer(scene.own.token)), 404, NO_APP)
    # A credential that is sent is checked as usual.
    refused(opened.ask("GET", "/apps", headers={"X-API-Key": "nonsense"}), 401, BAD_KEY)
    refused(opened.ask("GET", "/apps", headers={"Authorization": "Basic eDp5"}), 401, BAD_KEY)
    refused(opened.ask("GET", path, headers=bearer(scene.own.token)), 404, NO_APP)
    assert opened.ask("GET", scene.app.path, headers=bearer(scene.own.token)).status_code == 200
    # Nothing else is open.
    assert opened.ask("GET", "/api/v1/projects").status_code == 401


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("203.0.113.9", {}, 200),
        ("203.0.113.9", {"X-Forwarded-For": "192.0.2.1"}, 401),
        ("203.0.113.9", {"Forwarded": "for=192.0.2.1"}, 401),
        ("203.0.113.9", {"X-Forwarded-For": ""}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.1"}, 200),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.1"}, 200),
    ],
)
def test_who_is_nobody(origin: Origin, peer: str, headers: dict[str, str], status: int) -> None:
    opened = Open(origin)
    for method, path in (("GET", "/apps/"), ("GET", "/apps"), ("POST", f"/apps/of-{peer}-{json.dumps(headers)}")):
        answer = opened.ask(method, path, peer=peer, headers=headers)
        assert answer.status_code == (201 if method == "POST" and status == 200 else status)
        if status == 401:
            refused(answer, 401, NO_KEY)
