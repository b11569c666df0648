"""The Levqor door beyond its document: input that is not valid, budgets, what jobs and people of others look like."""

import dataclasses
import gzip
import json
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from headrace import app
from headrace.core import jobs, workflows
from headrace.core.identity import sessions
from headrace.core.metrics import Counters
from headrace.core.principal import Principal
from headrace.doors.levqor.front import prefers_html
from tests.doors.conftest import Origin, Tenant, an_address, bearer, caller, posted, tenant_of
from tests.doors.log_handler import Open
from tests.receiver import Received, Receiver, verify

INTAKE, UPSERT = "/api/v1/intake", "/api/v1/users/upsert"
JOB: dict[str, Any] = {"workflow": "echo", "payload": {}}
Until = Callable[..., None]
Asked = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    return {"outbound_allow": ("127.0.0.1/32",)}


@pytest.fixture(scope="module")
def tenant(origin: Origin) -> Tenant:
    with caller(origin) as client:
        return tenant_of(client)


@pytest.fixture
def ask(client: httpx.Client, tenant: Tenant) -> Asked:
    """Call with the tenant's key, from an address of its own each time."""

    def call(method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"X-Api-Key": tenant.organization_key, "X-Forwarded-For": an_address()} | more.pop("headers", {})
        return client.request(method, path, headers=headers, **more)

    return call


@pytest.fixture
def who(origin: Origin, tenant: Tenant) -> Principal:
    return sessions.resolve(origin.house, tenant.token)


def invalid(answer: httpx.Response, details: str) -> None:
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request", "details": details})


LONG = "must be 1-128 characters"
URL = "callback_url must be a valid HTTP(S) URL"
CLOSED = "callback_url is not allowed"


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"workflow": None}, "workflow field is required"),
        ({"workflow": ""}, f"workflow: {LONG}"),
        ({"workflow": "x" * 129}, f"workflow: {LONG}"),
        ({"workflow": 7}, "workflow: must be a string"),
        ({"workflow": ["echo"]}, "workflow: must be a string"),
        ({"workflow": "a\0b"}, "workflow: must not contain null characters or lone surrogates"),
        ({"payload": None}, "payload field is required"),
        ({"payload": []}, "payload: must be an object"),
        ({"payload": "{}"}, "payload: must be an object"),
        ({"priority": "urgent"}, "priority: must be one of low, normal, high"),
        ({"priority": ""}, "priority: must be one of low, normal, high"),
        ({"priority": 1}, "priority: must be a string"),
        ({"extra": None}, "unknown field: extra"),
        ({"Workflow": "echo"}, "unknown field: Workflow"),
        ({"callback_url": 5}, "callback_url: must be a string"),
        ({"callback_url": ""}, "callback_url: must be 1-1024 characters"),
        ({"callback_url": "https://example.com/" + "x" * 1005}, "callback_url: must be 1-1024 characters"),
        *(
            ({"callback_url": wrong}, URL)
            for wrong in (
                "x",
                "example.com",
                "ftp://example.com/",
                "http://",
                "http:///a",
                "javascript:alert(1)",
                "https://a b/",
            )
        ),
        ({"callback_url": "https://user:pass@example.com/"}, URL),
        *(
            ({"callback_url": wrong}, CLOSED)
            for wrong in (
                "http://10.0.0.1/",
                "http://192.168.1.1:8080/hook",
                "http://169.254.169.254/latest/meta-data",
                "http://[::1]/",
                "http://[::ffff:10.0.0.1]/",
                "http://[64:ff9b::a00:1]/",
                "http://0.0.0.0/",
                "http://100.64.0.1/",
                "http://224.0.0.1/",
            )
        ),
    ],
)
def test_intake_that_is_not_valid(ask: Asked, fields: dict[str, Any], details: str) -> None:
    invalid(ask("POST", INTAKE, json=JOB | fields), details)


@pytest.mark.parametrize(
    ("fields", "payload"),
    [
        ({"workflow": "x" * 128}, {}),
        ({"workflow": "any name / \u00fc \u5de5"}, {"a": [None, 1.5, "\u00e9", 10**30]}),
        ({"callback_url": None, "priority": None}, {}),
        ({"callback_url": "https://93.184.216.34:8443/" + "x" * 900}, {}),
        ({"priority": "low"}, {"input": {"deep": [1]}}),
    ],
)
def test_intake_takes(ask: Asked, origin: Origin, who: Principal, fields: dict[str, Any], payload: Any) -> None:
    with paused(origin, who):
        answer = ask("POST", INTAKE, json=JOB | fields | {"payload": payload})
        assert answer.status_code == 202, answer.text
        job = jobs.by_token(origin.house, who, token=answer.json()["job_id"], view="levqor")
        assert (job.payload, job.name) == (payload, fields.get("workflow", "echo"))
        assert job.callback_url == fields.get("callback_url")
        jobs.cancel(origin.house, who, job_id=job.id)


class paused:  # noqa: N801  It reads as what it does.
    """No workflow runs meanwhile."""

    def __init__(self, origin: Origin, who: Principal) -> None:
        self.house, self.operator = origin.house, msgspec.structs.replace(who, kind="operator")

    def __enter__(self) -> None:
        jobs.pause(self.house, self.operator, kind="workflow")

    def __exit__(self, *_: object) -> None:
        jobs.resume(self.house, self.operator, kind="workflow")


def filled(size: int) -> dict[str, str]:
    """A payload of this many bytes as compact JSON."""
    return {"a": "x" * (size - len('{"a":""}'))}


def test_payloads_are_measured_as_compact_json(ask: Asked) -> None:
    assert ask("POST", INTAKE, json=JOB | {"payload": filled(204_800)}).status_code == 202
    invalid(ask("POST", INTAKE, json=JOB | {"payload": filled(204_801)}), "payload too large: max 200KB")
    spread = '{"workflow":"echo","payload":{"a":"%s"' % ("x" * 100_000) + " " * 300_000 + "}}"
    escaped = '{"workflow":"echo","payload":{"a":"%s"}}' % ("\\u00e9" * 80_000)
    for content in (spread, escaped):
        answer = ask("POST", INTAKE, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 202, answer.text


@pytest.mark.parametrize("path", [INTAKE, UPSERT, "/api/v1/users/" + "0" * 32])
def test_bodies_that_are_no_json(ask: Asked, path: str) -> None:
    method = "PATCH" if path.endswith("0") else "POST"
    typed = {"Content-Type": "application/json; charset=utf-8"}
    for content in (b"", b"{", b"\xff\xfe", b'{"a":', b'{"a":Infinity}x', b"nothing"):
        assert ask(method, path, content=content, headers=typed).json()["details"] == "Invalid JSON body"
    deep = b'{"meta":' * 1 + b"[" * 200 + b"]" * 200 + b"}"
    invalid(ask(method, path, content=deep, headers=typed), "body: must not be nested deeper than 100")
    for array in (b"[]", b'"text"', b"7", b"null"):
        answer = ask(method, path, content=array, headers=typed)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), array
    for media in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/ld+json", ""):
        answer = ask(method, path, content=b"{}", headers={"Content-Type": media})
        invalid(answer, "Content-Type must be application/json")
    packed = typed | {"Content-Encoding": "compress"}
    invalid(ask(method, path, content=b"{}", headers=packed), "Content-Encoding must be gzip, deflate, br or zstd")
    large = {"error": "payload_too_large", "details": "max 512KB"}
    for content, more in (
        (b" " * (524_288 + 1), {}),
        (gzip.compress(b" " * 10_000_000), {"Content-Encoding": "gzip"}),
    ):
        answer = ask(method, path, content=content, headers=typed | more)
        assert (answer.status_code, answer.json()) == (413, large)
    answer = ask(method, path, content=b"{}" + b" " * (524_288 - 2), headers=typed)
    assert answer.status_code == 400


def test_a_compressed_job_is_taken(ask: Asked) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    answer = ask("POST", INTAKE, content=gzip.compress(json.dumps(JOB).encode()), headers=headers)
    assert answer.status_code == 202


def test_status_of_what_is_not_there(ask: Asked, origin: Origin, who: Principal, client: httpx.Client) -> None:
    job_id = ask("POST", INTAKE, json=JOB).json()["job_id"]
    other = tenant_of(client)
    foreign = client.get(f"/api/v1/status/{job_id}", headers={"X-Api-Key": other.organization_key})
    assert (foreign.status_code, foreign.json()) == (404, {"error": "not_found", "job_id": job_id})
    # Jobs of other doors are other views of the same engine.
    elsewhere = workflows.start(origin.house, who, workflow="echo", payload={}, view="vetrai")
    plain = workflows.start(origin.house, who, workflow="echo", payload={})
    for unknown in (
        elsewhere.token,
        plain.token,
        str(plain.id),
        job_id.upper(),
        job_id[:-1],
        "x",
        "\u00e9",
        "a" * 5_000,
    ):
        answer = ask("GET", f"/api/v1/status/{unknown}")
        assert (answer.status_code, answer.json()) == (404, {"error": "not_found", "job_id": unknown})
    assert ask("GET", "/api/v1/status/%00").json() == {"error": "not_found", "job_id": "\0"}
    assert ask("GET", "/api/v1/status/a%2Fb").status_code == 404


def test_the_engines_states_in_the_documents_words(ask: Asked, origin: Origin, who: Principal, until: Until) -> None:
    def status(job: jobs.Job) -> dict[str, Any]:
        return dict(ask("GET", f"/api/v1/status/{job.token}").json())

    start: dict[str, Any] = {"workflow": "echo", "payload": {}, "view": "levqor"}
    later = workflows.start(origin.house, who, **start, run_at=origin.clock.now + 10**12)
    assert status(later)["status"] == "queued"
    jobs.cancel(origin.house, who, job_id=later.id)
    found = status(later)
    assert (found["status"], found["error"], found["result"]) == ("failed", "cancelled", None)
    wrong = workflows.start(origin.house, who, **start | {"workflow": "http_request", "payload": {"url": 7}})
    until(lambda: status(wrong)["status"] == "failed")
    found = status(wrong)
    assert found["result"] is None
    assert "url" in found["error"]
    assert "Traceback" not in found["error"]


def test_higher_priority_first(ask: Asked, origin: Origin, who: Principal) -> None:
    with paused(origin, who):
        found = {}
        for word in ("low", "normal", "high", None):
            job_id = ask("POST", INTAKE, json=JOB | {"priority": word}).json()["job_id"]
            job = jobs.by_token(origin.house, who, token=job_id)
            found[word] = job.priority
            jobs.cancel(origin.house, who, job_id=job.id)
    assert found["low"] < found["normal"] < found["high"]
    assert found[None] == found["normal"]


def test_a_job_is_made_once_for_one_idempotency_key(ask: Asked, origin: Origin, who: Principal) -> None:
    before = jobs.created_since(origin.house, 0, view="levqor")
    once = {"Idempotency-Key": "job-1"}
    first, again = (ask("POST", INTAKE, json=JOB, headers=once) for _ in range(2))
    assert (first.status_code, again.status_code, again.json()) == (202, 202, first.json())
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    assert jobs.created_since(origin.house, 0, view="levqor") == before + 1
    other = ask("POST", INTAKE, json=JOB | {"priority": "low"}, headers=once)
    invalid(other, "Idempotency-Key was already used with another body")
    invalid(
        ask("POST", INTAKE, json=JOB, headers={"Idempotency-Key": "x" * 256}),
        "Idempotency-Key: must be 1-255 printable characters",
    )
    # Nothing came of it: the key is free again.
    invalid(ask("POST", INTAKE, json={}, headers={"Idempotency-Key": "job-2"}), "workflow field is required")
    assert ask("POST", INTAKE, json=JOB, headers={"Idempotency-Key": "job-2"}).status_code == 202
    user = {"email": "once@example.com"}
    made, replayed = (ask("POST", UPSERT, json=user, headers=once) for _ in range(2))
    assert (made.status_code, replayed.status_code, replayed.json()) == (201, 201, made.json())


@pytest.mark.parametrize(
    ("fields", "details"),
    [
        ({"email": None}, "email field is required"),
        ({"email": ["a@b"]}, "email: must be a string"),
        ({"email": "nobody"}, "email: must have text on both sides of one @"),
        ({"plan": "pro"}, "unknown field: plan"),
        ({"id": "x"}, "unknown field: id"),
        ({"meta": []}, "meta: must be an object"),
        ({"meta": {"a": "x" * 66_000}}, "meta too large: max 64KB"),
        ({"locale": "en_US"}, "locale: must be a language tag like en-US"),
        ({"currency": "EURO"}, "currency: must be a currency code of ISO 4217"),
    ],
)
def test_users_that_are_not_valid(ask: Asked, fields: dict[str, Any], details: str) -> None:
    user = {"email": "table@example.com"}
    invalid(ask("POST", UPSERT, json=user | fields), details)
    if "email" not in fields:
        user_id = ask("POST", UPSERT, json=user).json()["user"]["id"]
        invalid(ask("PATCH", f"/api/v1/users/{user_id}", json=fields), details)


def test_a_change_of_nothing(ask: Asked) -> None:
    user_id = ask("POST", UPSERT, json={"email": "a@b"}).json()["user"]["id"]
    for body in ({}, {"name": None, "meta": None}):
        details = "at least one field is required: name, locale, currency, meta"
        invalid(ask("PATCH", f"/api/v1/users/{user_id}", json=body), details)
    invalid(ask("PATCH", f"/api/v1/users/{user_id}", json={"email": "b@c"}), "unknown field: email")


def test_users_are_found_by_address(ask: Asked) -> None:
    made = ask("POST", UPSERT, json={"email": "Plus+Tag@Example.com"}).json()["user"]
    for query in ("plus%2Btag@example.com", "plus+tag@example.com", "%20PLUS%2BTAG%40example.com%20"):
        assert ask("GET", f"/api/v1/users?email={query}").json() == made
    for query in ("email=", "email", "email=%20"):
        invalid(ask("GET", f"/api/v1/users?{query}"), "email query param required")
    for unknown in ("x", "nobody@example.com", "@", "a\0@b"):
        answer = ask("GET", "/api/v1/users", params={"email": unknown})
        assert (answer.status_code, answer.json()) == (404, {"error": "not_found", "email": unknown})
    for word, body in (("GET", None), ("PATCH", {"name": "x"})):
        answer = ask(word, UPSERT, json=body)
        assert (answer.status_code, answer.json()) == (404, {"error": "not_found", "user_id": "upsert"})


def test_scopes(client: httpx.Client, tenant: Tenant) -> None:
    def key(*scopes: str) -> dict[str, str]:
        made = posted(client, "/api/v1/keys", {"name": "Narrow", "scopes": list(scopes)}, tenant.token)
        return {"X-Api-Key": made["key"]}

    allowed = {
        ("read",): (403, 403, 404, 404),
        ("write",): (202, 200, 404, 404),
        ("jobs:write",): (202, 403, 404, 403),
        ("people:write",): (403, 200, 403, 404),
        ("people:*", "jobs:read"): (403, 200, 404, 404),
        ("logs:*",): (403, 403, 403, 403),
    }
    client.post(UPSERT, json={"email": "s@s"}, headers={"X-Api-Key": tenant.organization_key})
    for scopes, statuses in allowed.items():
        header = key(*scopes)
        found = (
            client.post(INTAKE, json=JOB, headers=header).status_code,
            client.post(UPSERT, json={"email": "s@s"}, headers=header).status_code,
            client.get("/api/v1/status/x", headers=header).status_code,
            client.get("/api/v1/users/x", headers=header).status_code,
        )
        assert found == statuses, scopes
    # Access tokens act by their person's role; project keys never.
    assert client.get("/api/v1/users/x", headers=bearer(tenant.token)).status_code == 404
    assert client.get("/api/v1/users/x", headers={"X-Api-Key": tenant.key}).status_code == 403


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/html", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html, */*", True),
        ("text/html;q=0.5, application/json", False),
        ("text/html, application/json", False),
        ("text/html, application/json;q=0.9", True),
        ("text/html;q=0, */*", False),
        ("text/html;q=0", False),
        ("text/*", True),
        ("TEXT/HTML;Q=1", True),
        ("text/plain", False),
        ("text/html;q=high", True),
        (",;,", False),
    ],
)
def test_who_is_shown_pages(accept: str, html: bool) -> None:
    assert prefers_html(accept) is html


def test_the_front_varies(client: httpx.Client) -> None:
    page = client.get("/", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["location"], page.headers["vary"]) == (303, "/ui", "Accept")
    plain = client.get("/")
    assert (plain.status_code, plain.headers["vary"]) == (200, "Accept")
    assert client.head("/").headers["x-ratelimit-limit"] == "600"


class Limited(Open):
    """The same house with small budgets and no reading without a key; asked from many addresses."""

    def __init__(self, origin: Origin, **budgets: int) -> None:
        settings = msgspec.structs.replace(origin.house.settings, **budgets)
        self.app = app.build(dataclasses.replace(origin.house, settings=settings, counters=Counters()))


def test_the_budget_of_all_addresses(origin: Origin, tenant: Tenant) -> None:
    origin.clock.advance(180)
    limited, key = Limited(origin, levqor_writes=3), {"X-Api-Key": tenant.organization_key}

    def write(peer: str, headers: dict[str, str] = key) -> httpx.Response:
        return limited.ask("POST", INTAKE, peer=peer, body={}, headers=headers)

    # What fails the credential check, or the budget of its address, takes nothing from the others.
    assert [write("203.0.113.1", {}).status_code for _ in range(21)] == [403] * 20 + [429]
    for left, peer in ((2, "203.0.113.2"), (1, "203.0.113.2"), (0, "203.0.113.3")):
        answer = write(peer)
        assert answer.status_code == 400
        assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("3", str(left))
    spent = write("203.0.113.4")
    assert (spent.status_code, spent.json()) == (429, {"error": "rate_limited"})
    assert (spent.headers["retry-after"], spent.headers["x-ratelimit-limit"]) == ("60", "3")
    assert spent.headers["x-ratelimit-reset"] == str(origin.clock.now // 10**6 + 60)
    # It did not count against its address either.
    bare = limited.ask("DELETE", INTAKE, peer="203.0.113.4")
    assert (bare.status_code, bare.headers["x-ratelimit-remaining"]) == (405, "20")
    # Reading is another budget.
    assert limited.ask("GET", "/api/v1/users/x", peer="203.0.113.4", headers=key).status_code == 404
    origin.clock.advance(120)
    assert write("203.0.113.4").status_code == 400


def test_the_budget_of_readers(origin: Origin, tenant: Tenant) -> None:
    limited, key = Limited(origin, levqor_reads_per_address=2), {"X-Api-Key": tenant.organization_key}
    peer = "203.0.113.20"
    for path in ("/", "/health", "/public/nothing", "/api/v1/intake"):
        assert limited.ask("GET", path, peer=peer).headers["x-ratelimit-remaining"] == "2"
    assert limited.ask("GET", "/public/metrics", peer=peer).headers["x-ratelimit-remaining"] == "1"
    assert limited.ask("GET", "/api/v1/users/x", peer=peer, headers=key).headers["x-ratelimit-remaining"] == "0"
    for path in ("/public/openapi.json", "/public/metrics", "/api/v1/status/x"):
        answer = limited.ask("GET", path, peer=peer, headers=key)
        assert (answer.status_code, answer.json(), answer.headers["retry-after"]) == (
            429,
            {"error": "rate_limited"},
            "60",
        )
    assert limited.ask("GET", "/health", peer=peer).status_code == 200
    assert limited.ask("POST", INTAKE, peer=peer, headers=key, body=JOB).status_code == 202


def called_back(receiver: Receiver, path: str) -> list[Received]:
    return [one for one in list(receiver.requests) if one.path == path]


BUILT_IN: list[tuple[str, Any, Any]] = [
    ("echo", {"input": "data"}, {"output": "data", "handler": "echo"}),
    ("http_request", {"url": "{url}/asked", "method": "POST", "body": {"a": 1}}, {"status": 200}),
    (
        "data_processing",
        {"records": [{"n": 1}, {"n": 2}], "steps": [{"filter": {"field": "n", "op": ">", "value": 1}}]},
        {"records_processed": 2, "records": [{"n": 2}]},
    ),
    ("http_request", {"url": "{url}/asked", "expect": 404}, None),
]


@pytest.mark.parametrize("number", range(len(BUILT_IN)), ids=[f"{one[0]}-{one[2] is not None}" for one in BUILT_IN])
def test_what_is_built_in_runs_and_calls_back(ask: Asked, receiver: Receiver, until: Until, number: int) -> None:
    workflow, payload, part = BUILT_IN[number]
    made = ask("POST", "/api/v1/keys", json={"name": "Signed", "scopes": ["write"]}).json()
    hook = f"/hook/{number}"
    sent = json.loads(json.dumps(payload).replace("{url}", receiver.url))
    body = {"workflow": workflow, "payload": sent, "callback_url": receiver.url + hook, "priority": "high"}
    job_id = ask("POST", INTAKE, json=body, headers={"X-Api-Key": made["key"]}).json()["job_id"]
    until(lambda: called_back(receiver, hook))
    (got,) = called_back(receiver, hook)
    found = ask("GET", f"/api/v1/status/{job_id}").json()
    assert json.loads(got.body) == found
    verify(made["signing_secret"], got)
    if part is None:
        assert (found["status"], found["result"]) == ("failed", None)
        assert found["error"] == "The answer's status was 200"
        assert got.headers["x-webhook-event"] == "job.failed"
    else:
        assert (found["status"], found["error"]) == ("succeeded", None), found
        assert found["result"].items() >= part.items()
        assert got.headers["x-webhook-event"] == "job.succeeded"
