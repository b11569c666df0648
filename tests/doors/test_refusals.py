"""The refusal suite: every route of every door, refused in every way that applies, in that door's envelope.

`cases.CASES` names each route once. A route that is missing here fails, and so does a case without a route.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import httpx
import pytest

from headrace import app
from headrace.core import keys
from headrace.core.identity import sessions
from headrace.core.settings import Settings
from headrace.wire.door import Route, routes_of
from tests.doors.cases import CASES, NOBODY, PANEL
from tests.doors.conftest import Origin, Tenant, an_address, bearer, caller, tenant_of

DOCUMENTED = sorted(case for case in CASES if case[0] != "web")


class Tone(NamedTuple):
    """How a door speaks: the members of its error body, which one is the sentence, its words for bad credentials."""

    members: set[str]
    sentence: str
    more: str | None
    invalid: int
    missing: str
    bad_token: str
    bad_key: str
    # Where an error is one word, the word of each status; statuses that stand for another.
    words: Mapping[int, str] = {}
    instead: Mapping[int, int] = {}


WORDS = {
    400: "invalid_request",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    429: "rate_limited",
    500: "internal_error",
}
TONES = {
    "ledger": Tone(
        {"detail"},
        "detail",
        None,
        400,
        "Missing Authorization header",
        "Invalid or expired token",
        "Invalid or expired API key",
    ),
    "vetrai": Tone(
        {"detail", "status_code"},
        "detail",
        "errors",
        422,
        "Not authenticated",
        "Invalid or expired token",
        "Invalid API key",
    ),
    "apps": Tone(
        {"error", "message"}, "message", "detail", 422, "API key required", "Invalid API key", "Invalid API key"
    ),
    "native": Tone(
        {"title", "status", "detail"},
        "detail",
        None,
        400,
        "A Bearer token or an X-API-Key is required",
        "Invalid or expired token",
        "Invalid or expired API key",
    ),
    "levqor": Tone({"error"}, "error", "details", 400, "", "", "", WORDS, {401: 403, 415: 400}),
}
# Members of an error body that name what is not found, or which field broke which rule.
NAMED = {"job_id", "user_id", "email", "field", "rule"}
# Doors with budgets; the others send no rate headers.
COUNTING = {"ledger", "levqor", "native", "vetrai"}
SECURITY = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


class Scene(NamedTuple):
    """Two tenants that only look on; nothing in this module changes them. Ingest keys by project."""

    routes: dict[tuple[str, str, str], Route]
    own: Tenant
    other: Tenant
    made: dict[str, str]
    ingest_keys: dict[int, str]


@pytest.fixture(scope="module")
def scene(origin: Origin) -> Scene:
    with caller(origin) as client:
        own, other = tenant_of(client), tenant_of(client)
        panel = client.post("/api/v1/dashboard/panels", json=PANEL, headers=bearer(own.token)).json()
        person = client.post(
            "/api/v1/users/upsert", json={"email": "jane@example.com"}, headers=bearer(own.token)
        ).json()
        job = client.post("/api/v1/intake", json={"workflow": "echo", "payload": {}}, headers=bearer(own.token)).json()
    made = {"panel_id": panel["id"], "job_id": job["job_id"]}
    made |= {"person_id": person["user"]["id"], "person_email": person["user"]["email"]}
    # Pages refuse as pages do: tests/web.
    doors = [door for door in origin.app.doors if door.name != "ui"]
    routes = {(door.name, one.method, one.template): one for door in doors for one in routes_of(door)}
    ingest_keys = {
        one.project_id: keys.create_ingest_key(
            origin.house, sessions.resolve(origin.house, one.token), project_id=one.project_id
        ).full_key
        for one in (own, other)
    }
    return Scene(routes, own, other, made, ingest_keys)


Send = Callable[..., httpx.Response]
Name = tuple[str, str, str]


@pytest.fixture
def send(client: httpx.Client, scene: Scene) -> Send:
    """Call a case's route: `send(name, token=...)`, with this or that part of the request replaced."""

    def call(name: Name, credential: str = "", tenant: Tenant | None = None, **more: Any) -> httpx.Response:
        facts = (tenant or scene.own)._asdict() | scene.made
        case = CASES[name]
        path = case.path.format(**facts) + ("?" + case.query.format(**facts) if case.query else "")
        header = {"X-INGEST-KEY": credential} if opened(scene, name) == "I" else bearer(credential)
        headers = (header if credential else {}) | more.pop("headers", {})
        sent = more if "content" in more else {"json": case.body} if case.body is not None else {}
        if "content" in more:
            headers = {"Content-Type": "application/json"} | headers
        return client.request(name[1], path, headers=headers, **sent)

    return call


def refused(answer: httpx.Response, door: str, status: int, sentence: str | None = None) -> str:
    """Check that an answer says no with this status in this door's envelope; return its sentence."""
    tone = TONES[door]
    status = tone.instead.get(status, status)
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    detailed = status in ({400, 413} if tone.words else {422})
    assert set(body) - NAMED == tone.members | ({tone.more} if tone.more and detailed else set())
    assert body.get("status_code", status) == status
    said: str = body[tone.sentence]
    assert said
    sentence = tone.words.get(status, sentence)
    assert sentence is None or said == sentence
    for header, value in SECURITY.items():
        assert answer.headers[header] == value
    assert answer.headers["x-request-id"]
    assert "server" not in answer.headers
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers.get("www-authenticate") == "Bearer") is (status == 401)
    return said


def limited(answer: httpx.Response, door: str) -> None:
    """Check the rate headers of a door that counts, and that another has none."""
    if door not in COUNTING:
        assert "x-ratelimit-limit" not in answer.headers
        return
    limit, left = int(answer.headers["x-ratelimit-limit"]), int(answer.headers["x-ratelimit-remaining"])
    assert 0 <= left <= limit
    assert int(answer.headers["x-ratelimit-reset"]) > 1_700_000_000


def opened(scene: Scene, name: Name) -> str:
    return scene.routes[name].terms.credential


def good(scene: Scene, name: Name, tenant: Tenant | None = None) -> str:
    """Return a credential that opens a route; empty for a public one."""
    kinds, owner = opened(scene, name), tenant or scene.own
    if kinds == "I":
        return scene.ingest_keys[owner.project_id]
    if not kinds:
        return ""
    return owner.token if set(kinds) & set("JAM") else owner.key


def test_every_route_is_a_case(scene: Scene) -> None:
    assert sorted(scene.routes) == sorted(CASES)


@pytest.mark.parametrize("name", DOCUMENTED, ids=" ".join)
def test_no_credential(scene: Scene, send: Send, name: Name) -> None:
    kinds, door = opened(scene, name), name[0]
    if not kinds:
        assert send(name).status_code not in {403, 500}
        return
    if kinds == "I":
        refused(send(name), door, 422)
        return
    answer = send(name)
    refused(answer, door, 401, TONES[door].missing)
    limited(answer, door)
    if door == "ledger":
        basic = send(name, headers={"Authorization": "Basic eDp5"})
        refused(basic, door, 401, "Invalid Authorization header format")


@pytest.mark.parametrize("name", DOCUMENTED, ids=" ".join)
def test_a_bad_credential(scene: Scene, send: Send, name: Name) -> None:
    kinds, door = opened(scene, name), name[0]
    if kinds == "I":
        for key in ("0" * 32, "x", scene.own.key):
            refused(send(name, key), door, 403, "Invalid application or ingest key")
        return
    if not kinds:
        return
    tone, takes_tokens, takes_keys = TONES[door], bool(set("JATM") & set(kinds)), kinds not in {"J", "T"}
    for token in ("a.b.c", scene.own.token[:-2] + "xx"):
        refused(send(name, token), door, 401, tone.bad_token if takes_tokens else tone.bad_key)
    wrong_checksum = scene.own.key[:-7] + "0000000"
    for key in (scene.own.key[:-1] + "!", wrong_checksum, "vetrai_" + "a" * 40, "an-unknown-imported-key"):
        refused(send(name, key), door, 401, tone.bad_key if takes_keys else tone.bad_token)


@pytest.mark.parametrize("name", DOCUMENTED, ids=" ".join)
def test_a_credential_of_the_wrong_kind(scene: Scene, send: Send, name: Name) -> None:
    kinds, door = opened(scene, name), name[0]
    if door == "levqor" and kinds:
        refused(send(name, scene.own.key), door, 403)
    if (door == "vetrai" and kinds) or name == ("apps", "POST", "/apps/{name}"):
        assert "Insufficient scope" in refused(send(name, scene.own.key), door, 403)
    if door != "ledger":
        return
    if kinds == "J":
        for key in (scene.own.key, scene.own.organization_key):
            refused(send(name, key), door, 401, TONES[door].bad_token)
    elif kinds and "J" not in kinds:
        refused(send(name, scene.own.token), door, 401, TONES[door].bad_key)
    if kinds and kinds != "J" and "O" not in kinds:
        assert "Insufficient scope" in refused(send(name, scene.own.organization_key), door, 403)


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if CASES[name].foreign], ids=" ".join)
def test_another_tenants_credential(scene: Scene, send: Send, name: Name) -> None:
    status, detail = CASES[name].foreign or (0, "")
    answer = send(name, good(scene, name, scene.other))
    refused(answer, name[0], status, detail.format(**scene.own._asdict()))
    limited(answer, name[0])


INGEST = [name for name in DOCUMENTED if "/ingest/" in name[2]]


@pytest.mark.parametrize("name", INGEST, ids=" ".join)
def test_ingest_into_another_tenants_project(scene: Scene, send: Send, name: Name) -> None:
    theirs, unknown = {"X-Project-ID": str(scene.own.project_id)}, {"X-Project-ID": str(2**60)}
    refused(send(name, scene.other.key, headers=theirs), "ledger", 403, NOBODY)
    refused(send(name, scene.other.organization_key, headers=theirs), "ledger", 403, NOBODY)
    refused(send(name, scene.other.organization_key, headers=unknown), "ledger", 404, "Project not found")
    refused(send(name, scene.other.organization_key), "ledger", 400, "X-Project-ID is required")


QUERIES = [name for name in DOCUMENTED if CASES[name].query and name[0] == "ledger"]


@pytest.mark.parametrize("name", QUERIES, ids=" ".join)
def test_queries_with_another_tenants_keys(scene: Scene, send: Send, name: Name) -> None:
    refused(send(name, scene.other.organization_key), "ledger", 403, NOBODY)
    changes = name[1] != "GET"
    refused(send(name, scene.other.key), "ledger", 403, "Insufficient scope: write required" if changes else NOBODY)


@pytest.mark.parametrize("name", QUERIES, ids=" ".join)
def test_queries_want_a_project(scene: Scene, client: httpx.Client, name: Name) -> None:
    if name[2] == "/api/v1/logs":
        return  # Without the parameter that path is another door's.
    path, body = CASES[name].path, CASES[name].body
    for query, detail in (("", "project_id is required"), ("?project_id=x", "project_id must be a positive integer")):
        answer = client.request(name[1], path + query, json=body, headers=bearer(scene.own.token))
        refused(answer, "ledger", 400, detail)
    answer = client.request(name[1], f"{path}?project_id={2**60}", json=body, headers=bearer(scene.own.token))
    refused(answer, "ledger", 404, "Project not found")


@pytest.mark.parametrize("name", DOCUMENTED, ids=" ".join)
def test_over_the_limit(origin: Origin, scene: Scene, send: Send, name: Name) -> None:
    if name[0] == "levqor":
        return  # Its budgets are of another sort: test_levqor_limits.
    if not scene.routes[name].terms.limited or name[0] not in COUNTING:
        assert not [header for header in send(name).headers if header.startswith(("x-ratelimit", "ratelimit"))]
        return
    address = an_address()
    with caller(origin, address) as client:
        tenant = tenant_of(client)
    credential = good(scene, name, tenant)
    buckets = {
        "": f"ledger_address/{address}",
        tenant.token: f"ledger_account/{tenant.account_id}",
        tenant.key: f"ledger_key/{tenant.key_id}",
    }
    others = {
        "vetrai": f"vetrai_organization/{tenant.organization_id}" if credential else f"vetrai_address/{address}",
        "native": f"native_account/{tenant.account_id}",
    }
    bucket = others.get(name[0]) or buckets[credential]
    left = next(n for n in itertools.count(1000, -1) if origin.house.limits.take(bucket, 1000, 60, n))
    assert left > 900
    answer = send(name, credential, tenant, headers={"X-Forwarded-For": address})
    refused(answer, name[0], 429, "Rate limit exceeded: 1000 requests per minute")
    assert 1 <= int(answer.headers["retry-after"]) <= 120
    assert answer.headers["x-ratelimit-remaining"] == "0"
    limited(answer, name[0])


def test_guesses_count_by_address(origin: Origin, scene: Scene, send: Send, client: httpx.Client) -> None:
    name = ("ledger", "GET", "/api/v1/projects")
    assert origin.house.limits.take(f"ledger_unknown/{client.headers['x-forwarded-for']}", 1000, 60, 999)
    refused(send(name, "a.b.c"), "ledger", 401)
    refused(send(name, "d.e.f"), "ledger", 429)


WITH_BODY = [name for name in DOCUMENTED if CASES[name].body is not None]


@pytest.mark.parametrize("name", WITH_BODY, ids=" ".join)
def test_too_large(origin: Origin, scene: Scene, send: Send, name: Name) -> None:
    limit = getattr(origin.house.settings, scene.routes[name].terms.body or "")
    answer = send(name, good(scene, name), content=b" " * (limit + 1))
    refused(answer, name[0], 413, "Request body too large")
    limited(answer, name[0])
    refused(send(name, good(scene, name), content=chunks(limit)), name[0], 413, "Request body too large")


def chunks(limit: int) -> Iterator[bytes]:
    for _ in range(3):
        yield b" " * (limit // 2)


# Their body may be left out.
WITHOUT_BODY_TOO = {("native", "POST", "/api/v1/webhook-endpoints/{id}/secret/rotate")}


@pytest.mark.parametrize("name", WITH_BODY, ids=" ".join)
def test_malformed(scene: Scene, send: Send, name: Name) -> None:
    credential, door = good(scene, name), name[0]
    empty = () if name in WITHOUT_BODY_TOO else (b"",)
    for content in (b"{", b"\xff", b'{"a":NaN}', *empty):
        said = refused(send(name, credential, content=content), door, TONES[door].invalid)
        if not scene.routes[name].hot:
            assert said in {"Invalid JSON body", "invalid_request"}
    refused(send(name, credential, content=b"[" * 200 + b"]" * 200), door, TONES[door].invalid)


@pytest.mark.parametrize("name", WITH_BODY, ids=" ".join)
def test_content_types_and_encodings(scene: Scene, send: Send, name: Name) -> None:
    credential, door = good(scene, name), name[0]
    for headers in ({"Content-Type": "text/html"}, {"Content-Encoding": "compress"}):
        refused(send(name, credential, content=b"{}", headers=headers), door, 415, "Unsupported media type")
    refused(send(name, credential, content=b"no gzip", headers={"Content-Encoding": "gzip"}), door, TONES[door].invalid)


EXACT = {
    *("/", "/health", "/health/deep", "/api/v1/health/deep", "/api/v1/settings", "/apps", "/apps/"),
    "/api/v1/webhooks/stripe",
}


@pytest.mark.parametrize("name", DOCUMENTED, ids=" ".join)
def test_wrong_methods_and_paths(scene: Scene, client: httpx.Client, name: Name) -> None:
    facts = scene.own._asdict() | scene.made
    case, door = CASES[name], name[0]
    path = case.path.format(**facts) + ("?" + case.query.format(**facts) if case.query else "")
    answer = client.request("TRACE", path)
    refused(answer, door, 405, "Method not allowed")
    allowed = answer.headers["allow"].split(", ")
    assert name[1] in allowed
    assert ("HEAD" in allowed) is ("GET" in allowed)
    if scene.routes[name].terms.limited:
        limited(answer, name[0])
    bare, _, query = path.partition("?")
    # These are owned to the letter, and that one has two forms.
    if bare not in EXACT:
        refused(client.get(f"{bare}/?{query}"), door, 404, "Not found")


@pytest.mark.parametrize("name", [name for name in DOCUMENTED if "_id}" in name[2] or "{id}" in name[2]], ids=" ".join)
def test_ids_in_paths(scene: Scene, client: httpx.Client, name: Name) -> None:
    if "{panel_id}" in name[2] or "{log_id}" in name[2] or "/webhook-" in name[2] or name[0] == "levqor":
        return  # These are texts; an unknown one is not found.
    field = name[2].partition("{")[2].partition("}")[0]
    for wrong in ("0", "-1", "x", "1.5", str(2**63)):
        path = name[2].replace("{" + field + "}", wrong) + f"?project_id={scene.own.project_id}"
        if name[1] == "GET" and name[2] == "/api/v1/projects/{project_id}":
            continue
        answer = client.request(name[1], path, json=CASES[name].body, headers=bearer(scene.own.token))
        refused(answer, name[0], TONES[name[0]].invalid)


def test_paths_that_nobody_owns(client: httpx.Client) -> None:
    for path in ("/nothing", "/api/v1", "/api/v2/projects", "/api/v1/logs", "/api/v1/settings/", "/docs/"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"}), path
        assert answer.headers["x-request-id"]


def test_a_crash_says_nothing(origin: Origin, scene: Scene, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.core.projects.list_all", lambda *_: 1 / 0)
    refused(send(("ledger", "GET", "/api/v1/projects"), scene.own.token), "ledger", 500, "Failed to list projects")


def test_doors_are_made_for_any_settings() -> None:
    assert {door.name for door in app.DOORS} == set(TONES)
    assert all(hasattr(Settings, one.terms.body) for door in app.DOORS for one in routes_of(door) if one.terms.body)
