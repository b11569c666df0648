"""docs/api/levqor.md is a test: each documented request is sent as printed, each documented answer compared, and its
effect looked for. What a job sends back goes to a receiver of this machine instead of the printed one.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from openapi_schema_validator import OAS30Validator

from headrace import __build__, __version__
from headrace.core import people
from headrace.core.identity import sessions
from headrace.kit.times import SECOND
from headrace.wire.door import routes_of
from tests.doors.conftest import Origin, Tenant, an_address, bearer, caller, posted, tenant_of
from tests.doors.log_handler import Open
from tests.receiver import Receiver, verify

TEXT = (Path(__file__).parents[2] / "docs/api/levqor.md").read_text()
SECTION = re.compile(
    r"^#### `(?P<method>[A-Z]+) (?P<path>\S+)`\n(?P<rest>.*?)(?=^#### |^## |^---|\Z)", re.DOTALL | re.MULTILINE
)
ERROR = re.compile(r"^### (?P<status>\d{3}) [^\n]+\n```json\n(?P<body>.*?)\n```", re.DOTALL | re.MULTILINE)
JSON = r"[^\n]*\n```json\n(.*?)\n```"
Until = Callable[..., None]


class Section(NamedTuple):
    method: str
    path: str
    asks: Any
    shown: Any
    status: int


def sections() -> Iterator[tuple[str, Section]]:
    for hit in SECTION.finditer(TEXT):
        asks, shown = (re.search(rf"\*\*{word}" + JSON, hit["rest"], re.DOTALL) for word in ("Request", "Response"))
        status = re.search(r"\*\*Response \((\d+)", hit["rest"])
        # What the document cuts short, it shows whole elsewhere.
        answer = json.loads(shown[1].replace(",\n  ...", "")) if shown else None
        path = hit["path"].partition("?")[0]
        yield (
            f"{hit['method']} {path}",
            Section(
                hit["method"],
                hit["path"],
                json.loads(asks[1]) if asks else None,
                answer,
                int(status[1]) if status else 200,
            ),
        )


DOCUMENT = dict(sections())
ERRORS = {int(hit["status"]): json.loads(hit["body"]) for hit in ERROR.finditer(TEXT)}
RATE_HEADERS = {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"}


def compare(documented: Any, found: Any, place: str, nullable: tuple[str, ...] = ()) -> None:
    """Check that `found` has every documented field, with the documented type."""
    number = isinstance(documented, int | float) and not isinstance(documented, bool)
    if documented is None or (found is None and place.rpartition(".")[2] in nullable):
        return
    assert isinstance(found, int | float) if number else type(found) is type(documented), f"{place}: {found!r}"
    if isinstance(documented, dict):
        assert set(documented) <= set(found), place
        for name, value in documented.items():
            compare(value, found[name], f"{place}.{name}", nullable)
    if isinstance(documented, int) and not isinstance(documented, bool):
        assert isinstance(found, int), place


class Walk:
    """One organization's way through the document, by the header that the document names."""

    def __init__(self, origin: Origin, receiver: Receiver) -> None:
        self.origin, self.receiver = origin, receiver
        self.client = caller(origin)
        self.tenant: Tenant = tenant_of(self.client)
        self.secret = ""
        asked = {"name": "Levqor", "scopes": ["read", "write"]}
        made = posted(self.client, "/api/v1/keys", asked, self.tenant.token)
        self.key = {"X-Api-Key": made["key"]}
        self.secret = made["signing_secret"]
        self.described: Any = self.client.get("/public/openapi.json").json()
        self.ids: dict[str, str] = {}
        self.walked: set[str] = set()

    def send(self, title: str, *, body: Any = None, key: bool = True, **ids: str) -> httpx.Response:
        section = DOCUMENT[title]
        self.walked.add(title)
        path = section.path.format(**self.ids | ids)
        sent = section.asks if body is None else body
        answer = self.client.request(section.method, path, json=sent, headers=self.key if key else {})
        assert set(answer.headers) >= RATE_HEADERS, title
        self.as_described(section, answer)
        return answer

    def as_described(self, section: Section, answer: httpx.Response) -> None:
        """Check an answer against the server's own description of it."""
        path = self.described["paths"][section.path.partition("?")[0]]
        content = path[section.method.lower()]["responses"][str(answer.status_code)]["content"]
        schema = content["application/json"]["schema"] | {"components": self.described["components"]}
        OAS30Validator(schema).validate(answer.json())

    def right(self, title: str, *, status: int = 0, nullable: tuple[str, ...] = (), **more: Any) -> Any:
        """Send a section's request and compare the answer with the documented one."""
        answer, section = self.send(title, **more), DOCUMENT[title]
        assert answer.status_code == (status or section.status), answer.text
        found = answer.json()
        if section.shown is not None:
            compare(section.shown, found, title, nullable)
        return found

    def wrong(self, title: str, status: int, error: dict[str, Any], **more: Any) -> None:
        answer = self.send(title, **more)
        assert (answer.status_code, answer.json()) == (status, error)


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    return {"outbound_allow": ("127.0.0.0/8",)}


@pytest.fixture(scope="module")
def walk(origin: Origin, receiver: Receiver) -> Iterator[Walk]:
    made = Walk(origin, receiver)
    yield made
    made.client.close()


# The tests below are one walk, in this order.


def test_the_document_is_read_whole() -> None:
    assert len(DOCUMENT) == 12
    assert set(ERRORS) == {400, 403, 404, 429, 500}


def test_every_route_is_documented(walk: Walk) -> None:
    (door,) = (door for door in walk.origin.app.doors if door.name == "levqor")
    hidden = {one.path for one in door.hot if not one.listed}
    served = {f"{one.method} {one.template}" for one in routes_of(door) if one.template not in hidden}
    assert served - set(DOCUMENT) == {"GET /public/openapi.json"}
    assert "GET /public/openapi.json" in TEXT


def test_the_front(walk: Walk) -> None:
    found = walk.right("GET /", key=False)
    assert found == {"ok": True, "service": "levqor-backend", "version": __version__, "build": __build__}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d\.\d+", __build__)
    assert walk.right("GET /health", key=False)["ts"] == walk.origin.clock.now // SECOND


def test_a_job(walk: Walk, until: Until) -> None:
    title = "POST /api/v1/intake"
    asked = DOCUMENT[title].asks | {"callback_url": f"{walk.receiver.url}/webhook"}
    taken = walk.right(title, status=202, body=asked)
    assert taken["status"] == "queued"
    assert re.fullmatch(r"[0-9a-f]{32}", taken["job_id"])
    walk.ids["job_id"] = taken["job_id"]
    asking = "GET /api/v1/status/{job_id}"

    def over() -> bool:
        found = walk.right(asking, nullable=("result",))
        assert found["status"] in {"queued", "running", "succeeded"}
        assert (found["result"] is None) is (found["status"] != "succeeded")
        return bool(found["status"] == "succeeded")

    until(over)
    found = walk.right(asking)
    assert found == {
        "job_id": taken["job_id"],
        "status": "succeeded",
        "created_at": walk.origin.clock.now // SECOND,
        "result": {"output": "data", "handler": "echo"},
        "error": None,
    }
    until(lambda: walk.receiver.requests)
    (got,) = walk.receiver.requests
    assert (got.method, got.path, json.loads(got.body)) == ("POST", "/webhook", found)
    verify(walk.secret, got)
    walk.wrong(asking, 404, ERRORS[404], job_id="xyz123")


def test_a_job_that_is_not_valid(walk: Walk) -> None:
    title = "POST /api/v1/intake"
    walk.wrong(title, 400, ERRORS[400], body={"payload": {}})
    walk.wrong(title, 403, ERRORS[403], key=False)


def test_users(walk: Walk) -> None:
    title = "POST /api/v1/users/upsert"
    made = walk.right(title, status=201)
    assert made["created"] is True
    assert "updated" not in made
    user = made["user"]
    assert user | DOCUMENT[title].asks == user
    assert re.fullmatch(r"[0-9a-f]{32}", user["id"])
    assert user["created_at"] == user["updated_at"] == walk.origin.clock.now // SECOND
    walk.origin.clock.advance(3)
    again = walk.send(title)
    later = user | {"updated_at": user["updated_at"] + 3}
    assert (again.status_code, again.json()) == (200, {"created": False, "updated": True, "user": later})
    walk.ids["user_id"], walk.ids["email"] = user["id"], user["email"]
    assert walk.right("GET /api/v1/users") == later
    assert walk.right("GET /api/v1/users/{user_id}") == later
    who = sessions.resolve(walk.origin.house, walk.tenant.token)
    assert people.get(walk.origin.house, who, person_id=user["id"]).meta == {"plan": "pro", "credits": 1000}
    changed = walk.right("PATCH /api/v1/users/{user_id}", body={"name": "Jane Roe", "meta": {"plan": None}})
    assert changed == {"updated": True, "user": later | {"name": "Jane Roe", "meta": {"credits": 1000}}}
    walk.wrong(
        "GET /api/v1/users", 404, {"error": "not_found", "email": "nobody@example.com"}, email="nobody@example.com"
    )
    for title in ("GET /api/v1/users/{user_id}", "PATCH /api/v1/users/{user_id}"):
        body = {"name": "x"} if title.startswith("PATCH") else None
        walk.wrong(title, 404, {"error": "not_found", "user_id": "user123"}, user_id="user123", body=body)


def test_the_public_figures(walk: Walk) -> None:
    walk.origin.clock.advance(60)
    found = walk.right("GET /public/metrics", key=False)
    # One job, two upserts and a change; each left a record, and there was a server in each minute that was looked at.
    assert (found["jobs_today"], found["audit_coverage"]) == (1, 100)
    assert 0 < found["uptime_rolling_7d"] <= 100
    assert found["last_updated"] == walk.origin.clock.now // SECOND


def test_over_the_limit(walk: Walk) -> None:
    address = {"X-Forwarded-For": an_address()}
    for left in range(19, -1, -1):
        answer = walk.client.post("/api/v1/intake", json={}, headers=walk.key | address)
        assert (answer.status_code, answer.headers["x-ratelimit-limit"]) == (400, "20")
        assert answer.headers["x-ratelimit-remaining"] == str(left)
    answer = walk.client.post("/api/v1/intake", json={}, headers=walk.key | address)
    assert (answer.status_code, answer.json()) == (429, ERRORS[429])
    assert answer.headers["retry-after"] == "60"
    assert answer.headers["x-ratelimit-reset"] == str(walk.origin.clock.now // SECOND + 60)
    # Reading goes on: a job has to be polled.
    status = walk.client.get(f"/api/v1/status/{walk.ids['job_id']}", headers=walk.key | address)
    assert (status.status_code, status.headers["x-ratelimit-limit"]) == (200, "600")


def test_a_crash(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.core.people.get", lambda *_, **__: 1 / 0)
    walk.wrong("GET /api/v1/users/{user_id}", 500, ERRORS[500])


def test_checkout(walk: Walk) -> None:
    """At the provider that needs no Stripe; what Stripe is asked, and its events, are in test_levqor_providers."""
    title = "POST /billing/create-checkout-session"
    found = walk.right(title, body=DOCUMENT[title].asks | {"user_id": walk.ids["user_id"]})
    assert found["sessionId"].startswith("cs_local_")
    walk.wrong(title, 403, ERRORS[403], key=False)
    walk.wrong("POST /billing/webhook", 404, {"error": "not_found"}, body={})


def test_an_open_instance_answers_as_documented(walk: Walk, until: Until) -> None:
    """There nobody needs a key, and sees what nobody made: the organization `open`."""
    origin = Open(walk.origin)
    asked = {"workflow": "echo", "payload": {"input": [1]}}
    taken = origin.ask("POST", "/api/v1/intake", body=asked)
    assert taken.status_code == 202, taken.text
    job_id = taken.json()["job_id"]
    until(lambda: origin.ask("GET", f"/api/v1/status/{job_id}").json()["status"] == "succeeded")
    made = origin.ask("POST", "/api/v1/users/upsert", body={"email": "open@example.com"})
    assert made.status_code == 201
    user_id = made.json()["user"]["id"]
    assert origin.ask("PATCH", f"/api/v1/users/{user_id}", body={"name": "O"}).status_code == 200
    assert origin.ask("GET", "/api/v1/users?email=open@example.com").json()["name"] == "O"
    assert origin.ask("GET", f"/api/v1/status/{walk.ids['job_id']}").status_code == 404
    assert origin.ask("GET", f"/api/v1/users/{walk.ids['user_id']}").status_code == 404
    # Closed, none of that; and a credential that is sent is checked.
    assert walk.send("GET /api/v1/status/{job_id}", key=False, job_id=job_id).status_code == 403
    assert walk.send("GET /api/v1/status/{job_id}", job_id=job_id).status_code == 404
    for headers in (
        {"X-Api-Key": "x" * 20},
        bearer("a.b.c"),
        {"Authorization": "Basic eDp5"},
        {"X-Forwarded-For": "1.2.3.4"},
    ):
        answer = origin.ask("GET", f"/api/v1/status/{job_id}", headers=headers)
        assert (answer.status_code, answer.json()) == (403, ERRORS[403])


def test_the_whole_document_was_walked(walk: Walk) -> None:
    # That one needs a provider: test_levqor_providers.
    assert walk.walked == set(DOCUMENT) - {"POST /api/v1/connect/{name}"}
