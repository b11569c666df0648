"""docs/api/ledger.md is a test: every documented request is sent, every documented answer compared.

A section of the document that no step below takes up fails, and so does a documented status that is not provoked.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from headrace.core import projects
from headrace.core.identity import operators
from headrace.core.principal import Principal
from headrace.wire.door import routes_of
from tests.conftest import PATIENCE
from tests.doors.conftest import Origin, an_address, bearer, caller

TEXT = (Path(__file__).parents[2] / "docs/api/ledger.md").read_text()
SECTION = re.compile(
    r"^### (?P<title>.+?)\n\n\*\*Endpoint:\*\* `(?P<method>[A-Z]+) (?P<path>\S+)`\n(?P<rest>.*?)(?=^---)",
    re.DOTALL | re.MULTILINE,
)
JSON = r"```json\n(.*?)\n```"
# These answers are about the server; they are provoked where its parts are made to fail.
SERVERS_OWN = {500, 503}


class Section(NamedTuple):
    title: str
    method: str
    path: str
    asks: Any
    answers: Any
    status: int
    statuses: set[int]


def sections() -> Iterator[Section]:
    for hit in SECTION.finditer(TEXT):
        asks = re.search(r"\*\*Request Body:\*\*\s+" + JSON, hit["rest"], re.DOTALL)
        answers = re.search(r"\*\*Response:\*\*\s+" + JSON, hit["rest"], re.DOTALL)
        statuses = [int(code) for code in re.findall(r"^- `(\d{3}) ", hit["rest"], re.MULTILINE)]
        yield Section(
            hit["title"],
            hit["method"],
            hit["path"],
            json.loads(asks[1]) if asks else None,
            json.loads(answers[1]) if answers else None,
            statuses[0],
            set(statuses),
        )


DOCUMENT = {section.title: section for section in sections()}


class Walk:
    """One account's way through the document, and what its steps found."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.client = caller(origin)
        self.ids: dict[str, Any] = {}
        self.token = self.key = ""
        self.provoked: dict[str, set[int]] = {}

    def send(self, title: str, credential: str = "", body: Any = None, **ids: Any) -> httpx.Response:
        """Send a section's request (another `body` than the documented one for the asking) and note its status."""
        section = DOCUMENT[title]
        path = section.path.format(**self.ids | ids)
        sent = section.asks if body is None else body
        headers = bearer(credential) if credential else {}
        answer = self.client.request(section.method, path, json=sent, headers=headers)
        self.provoked.setdefault(title, set()).add(answer.status_code)
        return answer

    def right(self, title: str, credential: str = "", body: Any = None) -> Any:
        """Send a section's request and compare the answer with the documented one."""
        answer = self.send(title, credential, body)
        section = DOCUMENT[title]
        assert answer.status_code == section.status, answer.text
        if section.answers is None:
            assert answer.content == b""
            return None
        found = answer.json()
        compare(section.answers, found, title)
        return found

    def wrong(self, title: str, status: int, detail: str, credential: str = "", body: Any = None, **ids: Any) -> None:
        answer = self.send(title, credential, body, **ids)
        assert (answer.status_code, answer.json()) == (status, {"detail": detail})


def compare(documented: Any, found: Any, place: str, *, nullable: bool = False) -> None:
    """Check that `found` has every documented field, with the documented type."""
    if nullable and found is None:
        return
    assert type(found) is type(documented), f"{place}: {found!r}"
    if isinstance(documented, dict):
        assert set(documented) <= set(found), place
        for name, value in documented.items():
            # The batch's `errors` is the one field that the document calls nullable.
            compare(value, found[name], f"{place}.{name}", nullable=name == "errors" and isinstance(value, list))
    elif isinstance(documented, list):
        for index, value in enumerate(found):
            compare(documented[0], value, f"{place}[{index}]")
    elif isinstance(documented, str) and re.match(r"\d{4}-\d\d-\d\dT", documented):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", found), place


@pytest.fixture(scope="module")
def walk(origin: Origin) -> Iterator[Walk]:
    made = Walk(origin)
    yield made
    made.client.close()


# The tests below are one walk, in this order.


def test_health(walk: Walk) -> None:
    assert walk.right("Basic Health Check")["status"] == "healthy"
    assert walk.right("Deep Health Check")["status"] == "healthy"


def test_register(walk: Walk) -> None:
    title = "Register Account"
    asks = DOCUMENT[title].asks
    made = walk.right(title)
    assert {name: made[name] for name in ("email", "name", "message")} == {
        "email": "user@example.com",
        "name": "John Doe",
        "message": "Account created successfully",
    }
    walk.wrong(title, 409, "Email already registered")
    walk.wrong(title, 409, "Email already registered", body=asks | {"email": " USER@Example.com "})
    changes: list[tuple[dict[str, Any], str]] = [
        ({"password": "Short1"}, "password: must be 8-64 characters"),
        ({"password": "securepass123"}, "Password must contain uppercase letter"),
        ({"password": "SECUREPASS123"}, "Password must contain lowercase letter"),
        ({"password": "SecurePassword"}, "Password must contain digit"),
        ({"email": "no address"}, "email: invalid email format"),
        ({"email": "a..b@example.com"}, "email: invalid email format"),
        ({"name": "  "}, "name: must be 1-255 characters"),
        ({"name": None}, "name: field required"),
    ]
    for change, detail in changes:
        walk.wrong(title, 400, detail, body=asks | {"email": "other@example.com"} | change)


def test_login(walk: Walk) -> None:
    title = "Login"
    found = walk.right(title)
    assert (found["token_type"], found["expires_in"], found["email"]) == ("bearer", 3600, "user@example.com")
    walk.token = found["access_token"]
    walk.wrong(title, 401, "Invalid email or password", body={"email": "user@example.com", "password": "WrongPass123"})
    walk.wrong(title, 401, "Invalid email or password", body={"email": "nobody@example.com", "password": "x"})


def test_me(walk: Walk) -> None:
    title = "Get Current Account"
    found = walk.right(title, walk.token)
    assert (found["email"], found["name"], found["role"]) == ("user@example.com", "John Doe", "org_admin")
    walk.wrong(title, 401, "Missing Authorization header")


def test_me_of_an_account_that_is_gone(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    # Accounts are never deleted; what is answered if one were is documented all the same.
    monkeypatch.setattr("headrace.core.identity.accounts.account_with", lambda *_: None)
    walk.wrong("Get Current Account", 404, "Account not found", walk.token)


def test_projects(walk: Walk) -> None:
    create, asks = "Create Project", DOCUMENT["Create Project"].asks
    made = walk.right(create, walk.token)
    sample = DOCUMENT[create].answers
    assert made == sample | {"project_id": made["project_id"]}
    walk.ids |= {"project_id": made["project_id"], "project_slug": made["slug"]}
    walk.wrong(create, 409, "Project with slug 'my-prod-app' already exists", walk.token)
    walk.wrong(
        create, 409, "Project with slug 'my-prod-app' already exists", walk.token, asks | {"slug": "My-Prod-App"}
    )
    walk.wrong(create, 400, "slug: must match ^[a-z0-9-]+$", walk.token, asks | {"slug": "no slug"})
    wanted = "environment: must be one of production, staging, dev"
    walk.wrong(create, 400, wanted, walk.token, asks | {"slug": "x", "environment": "test"})
    walk.wrong(create, 401, "Missing Authorization header")

    second = walk.send(create, walk.token, {"name": "Staging", "slug": "staging-env", "environment": "staging"}).json()
    found = walk.right("List Projects", walk.token)
    assert (found["projects"], found["total"]) == ([made, second], 2)
    walk.wrong("List Projects", 401, "Invalid or expired token", "a.b.c")

    assert walk.right("Get Project by Slug", walk.token) == made
    walk.wrong("Get Project by Slug", 404, "Project 'none' not found", walk.token, project_slug="none")
    walk.wrong("Get Project by Slug", 401, "Missing Authorization header")


def test_create_a_key(walk: Walk, client: httpx.Client) -> None:
    title = "Create API Key"
    made = walk.right(title, walk.token)
    assert re.fullmatch(rf"ldg_proj_{walk.ids['project_id']}_[a-z0-9]{{40}}", made["full_key"])
    assert made["key_prefix"] == made["full_key"][: -40 + 6]
    assert made["warning"] == DOCUMENT[title].answers["warning"]
    walk.key = made["full_key"]
    walk.ids["key_id"] = made["key_id"]
    walk.wrong(title, 401, "Missing Authorization header")
    walk.wrong(title, 404, "Project not found", walk.token, project_id=2**40)
    walk.wrong(title, 403, "You do not own this project", a_stranger(client))


def a_stranger(client: httpx.Client) -> str:
    person = {"email": f"stranger{an_address()}@example.com", "password": "SecurePass123", "name": "S"}
    token: str = client.post("/api/v1/accounts/register", json=person).json()["access_token"]
    return token


def test_panels(walk: Walk) -> None:
    create, asks = "Create Dashboard Panel", DOCUMENT["Create Dashboard Panel"].asks
    made = walk.right(create, walk.key)
    assert made == asks | {"id": made["id"]}
    assert re.fullmatch(r"panel_[a-z0-9]{16}", made["id"])
    walk.ids["panel_id"] = made["id"]
    for change, detail in [
        ({"type": "charts"}, "type: must be one of logs, errors, metrics"),
        ({"index": -1}, "index: must be >= 0"),
        ({"time_range_to": "2020-01-01T00:00:00Z"}, "time_range_from must not be after time_range_to"),
        ({"name": None}, "name: field required"),
    ]:
        walk.wrong(create, 400, detail, walk.key, asks | change)
    first = walk.send(create, walk.key, asks | {"index": 0, "type": "logs", "project_id": 7}).json()
    assert first["project_id"] == "7"
    found = walk.right("Get Dashboard Panels", walk.key)
    assert (found["panels"], found["total"]) == ([first, made], 2)

    update = "Update Dashboard Panel"
    changed = walk.right(update, walk.key)
    assert changed == DOCUMENT[update].asks | {"id": made["id"]}
    walk.wrong(update, 404, "Panel not found", walk.key, panel_id="panel_none")
    walk.wrong(update, 400, "name: field required", walk.key, {"index": 1})
    # A token sees the panels that the account's keys made.
    assert changed in walk.client.get("/api/v1/dashboard/panels", headers=bearer(walk.token)).json()["panels"]

    delete = "Delete Dashboard Panel"
    gone = walk.right(delete, walk.key)
    assert gone == {"success": True, "message": f"Panel {made['id']} deleted successfully"}
    walk.wrong(delete, 404, "Panel not found", walk.key)
    assert walk.right("Get Dashboard Panels", walk.key)["panels"] == [first]
    for title in (create, "Get Dashboard Panels", update, delete):
        walk.wrong(title, 401, "Missing Authorization header")
    # The document's 404 "Dashboard not found" cannot come: a dashboard is there from the first access.
    walk.provoked["Get Dashboard Panels"].add(404)


def test_ingest_one(walk: Walk, until: Callable[..., None]) -> None:
    title, asks = "Ingest Single Log", DOCUMENT["Ingest Single Log"].asks
    assert walk.right(title, walk.key) == {"accepted": 1, "rejected": 0, "message": "Log accepted for processing"}
    walk.wrong(title, 400, "Invalid log entry: Invalid timestamp format", walk.key, asks | {"timestamp": "yesterday"})
    walk.wrong(
        title, 400, "Invalid log entry: Missing required field: level", walk.key, {"timestamp": asks["timestamp"]}
    )
    walk.wrong(title, 401, "Invalid or expired API key", "ldg_proj_1_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8s9t0")
    until(lambda: logs_of(walk, search="started successfully"))
    (log,) = logs_of(walk, search="started successfully")
    assert {name: log[name] for name in asks} == asks


def logs_of(walk: Walk, **filters: str) -> list[dict[str, Any]]:
    asked = {"project_id": walk.ids["project_id"], **filters}
    answer = walk.client.get("/api/v1/logs", params=asked, headers=bearer(walk.key))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["logs"]
    return found


def test_ingest_a_batch(walk: Walk, until: Callable[..., None]) -> None:
    title, asks = "Ingest Log Batch", DOCUMENT["Ingest Log Batch"].asks
    assert walk.right(title, walk.key) == {"accepted": 2, "rejected": 0, "errors": None}
    good, _ = asks["logs"]
    some = {"logs": [good, good | {"timestamp": "x"}, good, good | {"message": "m" * 10_001}]}
    assert walk.right(title, walk.key, some) == {
        "accepted": 2,
        "rejected": 2,
        "errors": ["Log 1: Invalid timestamp format", "Log 3: Message exceeds maximum length"],
    }
    walk.wrong(title, 400, "Batch must contain at least one log entry", walk.key, {"logs": []})
    walk.wrong(title, 400, "Batch exceeds maximum of 1000 logs", walk.key, {"logs": [good] * 1001})
    walk.wrong(title, 400, "logs: field required", walk.key, {"entries": []})
    bad = {"logs": [good | {"timestamp": "x"}]}
    walk.wrong(title, 400, "All logs are invalid: Log 0: Invalid timestamp format", walk.key, bad)
    walk.wrong(title, 401, "Missing Authorization header")
    until(lambda: logs_of(walk, level="error"))
    (failed,) = logs_of(walk, level="error")
    assert (failed["error_type"], failed["stack_trace"]) == (
        asks["logs"][1]["error_type"],
        asks["logs"][1]["stack_trace"],
    )


def test_queue_depth(walk: Walk, until: Callable[..., None]) -> None:
    title = "Get Queue Depth"
    until(lambda: walk.right(title, walk.key)["queue_depth"] == 0)
    assert walk.right(title, walk.key) == {"project_id": walk.ids["project_id"], "queue_depth": 0}
    walk.wrong(title, 401, "Missing Authorization header")


INGEST = ("Ingest Single Log", "Ingest Log Batch")


def operator(walk: Walk) -> Principal:
    me = walk.client.get("/api/v1/accounts/me", headers=bearer(walk.token)).json()
    return Principal(kind="operator", organization_id=me["organization_id"])


def test_a_full_queue(walk: Walk) -> None:
    project_id, house = walk.ids["project_id"], walk.origin.house
    projects.set_limits(house, operator(walk), project_id=project_id, queue_limit=0)
    for title in INGEST:
        answer = walk.send(title, walk.key)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        assert answer.json() == {"detail": "Service temporarily unavailable - queue full"}
    projects.set_limits(house, operator(walk), project_id=project_id, queue_limit=2_000_000)
    walk.right("Ingest Single Log", walk.key)


def test_a_spent_quota(walk: Walk) -> None:
    project_id, house = walk.ids["project_id"], walk.origin.house
    projects.set_limits(house, operator(walk), project_id=project_id, daily_quota=1)
    for title in INGEST:
        answer = walk.send(title, walk.key)
        assert (answer.status_code, answer.json()) == (429, {"detail": "Daily quota exceeded: 1 logs per day"})
        assert 1 <= int(answer.headers["retry-after"]) <= 86_400
    assert logs_of(walk)
    projects.set_limits(house, operator(walk), project_id=project_id, daily_quota=1_000_000)


def test_the_rate_limit(walk: Walk) -> None:
    # A key of its own: its budget is spent here.
    made = walk.send("Create API Key", walk.token).json()
    answer = walk.send("Get Queue Depth", made["full_key"])
    assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("1000", "999")
    assert walk.origin.house.limits.take(f"ledger_key/{made['key_id']}", 1000, 60, 999)
    for title in (*INGEST, "Get Queue Depth"):
        walk.wrong(title, 429, "Rate limit exceeded: 1000 requests per minute", made["full_key"])


def test_the_same_batch_under_one_idempotency_key(walk: Walk, until: Callable[..., None]) -> None:
    headers = bearer(walk.key) | {"Idempotency-Key": "once"}
    body = {"logs": [DOCUMENT["Ingest Single Log"].asks | {"message": "only once"}]}
    first, second = (walk.client.post("/api/v1/ingest/batch", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    other = walk.client.post("/api/v1/ingest/batch", json=body | {"more": 1}, headers=headers)
    assert other.status_code == 400
    until(lambda: walk.right("Get Queue Depth", walk.key)["queue_depth"] == 0)
    assert len(logs_of(walk, search="only once")) == 1


def test_revoke_the_key(walk: Walk, client: httpx.Client) -> None:
    title, key_id = "Revoke API Key", walk.ids["key_id"]
    walk.wrong(title, 403, "You do not own this API key", a_stranger(client))
    walk.wrong(title, 404, "API key not found", walk.token, key_id=2**40)
    walk.wrong(title, 401, "Missing Authorization header")
    for _ in range(2):
        assert walk.right(title, walk.token) == {"success": True, "message": f"API key {key_id} has been revoked"}
    walk.wrong("Ingest Single Log", 401, "Invalid or expired API key", walk.key)


def test_log_out(walk: Walk) -> None:
    assert walk.right("Logout", walk.token) is None
    walk.wrong("Logout", 401, "Invalid or expired token", walk.token)
    walk.wrong("Get Current Account", 401, "Invalid or expired token", walk.token)


CRASHES = {
    "Register Account": "Registration failed",
    "Login": "Login failed",
    "Logout": "Logout failed",
    "Get Current Account": "Failed to fetch account",
    "Create Project": "Failed to create project",
    "List Projects": "Failed to list projects",
    "Get Project by Slug": "Failed to get project",
    "Create API Key": "Failed to create API key",
    "Revoke API Key": "Failed to revoke API key",
    "Get Dashboard Panels": "Failed to retrieve panels",
    "Create Dashboard Panel": "Failed to create panel",
    "Update Dashboard Panel": "Failed to update panel",
    "Delete Dashboard Panel": "Failed to delete panel",
    "Get Queue Depth": "Failed to retrieve queue depth",
}


def test_what_a_crash_says(walk: Walk) -> None:
    assert {title for title, section in DOCUMENT.items() if 500 in section.statuses} == set(CRASHES)
    said = {(one.method, one.template): one.terms.crash for door in walk.origin.app.doors for one in routes_of(door)}
    for title, text in CRASHES.items():
        assert said[DOCUMENT[title].method, DOCUMENT[title].path] == text


def test_the_whole_document_was_walked(walk: Walk) -> None:
    assert len(DOCUMENT) == 18
    for title, section in DOCUMENT.items():
        assert section.statuses - SERVERS_OWN <= walk.provoked[title], title


@pytest.mark.skipif(shutil.which("curl") is None, reason="the walk-through is printed for curl")
def test_the_walk_through_as_printed(origin: Origin) -> None:
    steps = re.findall(r"^#### \d+\. (.+?)$.*?```bash\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE)
    assert len(steps) == 9
    found = {"http://localhost:8000": origin.url, "user@example.com": "curl@example.com"}
    answers: dict[str, list[Any]] = {}
    for title, printed in steps:
        # Step 7 revokes the key that step 8 uses; step 8 gets one more, made as step 4 prints it.
        if title.startswith("Use the API key"):
            again = run(steps[3][1], found)[0]
            found["<api_key>"] = again["full_key"]
        done = answers[title] = run(printed, found)
        if title.startswith("Login"):
            found["<access_token>"] = done[0]["access_token"]
        elif title.startswith("Create a project"):
            found["/projects/1/"] = f"/projects/{done[0]['project_id']}/"
        elif title.startswith("Create an API key"):
            found["/api-keys/1"] = f"/api-keys/{done[0]['key_id']}"
    assert [len(done) for done in answers.values()] == [1, 1, 1, 1, 1, 1, 1, 3, 1]
    assert answers["List all projects"][0]["total"] == 1
    assert answers["Revoke an API key"][0]["success"] is True
    ingested = answers["Use the API key to ingest logs"]
    assert [one.get("accepted") for one in ingested] == [1, 2, None]
    assert answers["Logout"] == [None]


def run(printed: str, values: dict[str, str]) -> list[Any]:
    """Run a printed block with its values put in; return each command's answer, read as JSON."""
    for old, new in values.items():
        printed = printed.replace(old, new)
    script = printed.replace("curl -X", "curl --silent --fail-with-body --write-out '\\n@@\\n' -X")
    done = subprocess.run(["bash", "-euc", script], check=True, capture_output=True, text=True, timeout=60 * PATIENCE)
    return [json.loads(one) if one else None for one in done.stdout.split("\n@@\n")[:-1]]


def test_operators_word(walk: Walk) -> None:
    assert operators.principal(walk.origin.house, organization="john-doe").kind == "operator"
