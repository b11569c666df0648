"""docs/api/log_handler.md is a test: each documented request is sent as printed, without a credential, as the document
has it, so to an open instance; each documented answer is compared, and its effect is looked for.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headrace.kit import times
from headrace.wire.door import routes_of
from tests.doors.conftest import Origin
from tests.doors.log_handler import Open, settle

TEXT = (Path(__file__).parents[2] / "docs/api/log_handler.md").read_text()
SECTION = re.compile(
    r"^### (?P<title>[^\n]+)\n+    (?P<method>GET|POST) (?P<path>\S+)\n(?P<rest>.*?)(?=^-{20}|^##|\Z)",
    re.DOTALL | re.MULTILINE,
)
SHOWN = re.compile(r"``` json\n(.*?)\n```", re.DOTALL)


class Section(NamedTuple):
    method: str
    path: str
    shown: str | None


def sections() -> Iterator[tuple[str, Section]]:
    for hit in SECTION.finditer(TEXT):
        shown = SHOWN.search(hit["rest"])
        yield hit["title"].partition(" (")[0], Section(hit["method"], hit["path"], shown[1] if shown else None)


DOCUMENT = dict(sections())


class Walk:
    """One way through the document."""

    def __init__(self, origin: Origin) -> None:
        self.origin, self.open = origin, Open(origin)
        now = origin.clock.now
        self.since, self.until = times.show(now - times.DAY), times.show(now + times.DAY)
        self.app_id = 0
        self.key = ""

    def right(self, title: str, status: int = 200, *, body: Any = None, key: str = "") -> Any:
        """Send a section's request as printed and compare the answer with the printed one."""
        section = DOCUMENT[title]
        path = section.path.format(name="my-app", app_id=self.app_id)
        path = path.replace("since=...", f"since={self.since}").replace("until=...", f"until={self.until}")
        answer = self.open.ask(section.method, path, body=body, headers={"X-INGEST-KEY": key} if key else {})
        assert answer.status_code == status, answer.text
        assert not [name for name in answer.headers if "ratelimit" in name]
        found = answer.json()
        if section.shown and body is None and "[ ... ]" not in section.shown:
            compare(json.loads(section.shown.replace("abcdef...", "abcdef")), found, title)
        return found


def compare(documented: Any, found: Any, place: str) -> None:
    """Check that `found` has the documented fields, no more, with the documented types."""
    assert type(found) is type(documented), f"{place}: {found!r}"
    if isinstance(documented, dict):
        assert list(found) == list(documented), place
        for name, value in documented.items():
            compare(value, found[name], f"{place}.{name}")
    elif isinstance(documented, list):
        assert found, place
        for value in found:
            compare(documented[0], value, place)
    elif isinstance(documented, str) and documented.endswith("Z"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", found), place


@pytest.fixture(scope="module")
def walk(origin: Origin) -> Walk:
    return Walk(origin)


# The tests below are one walk, in this order.


def test_the_document_is_read_whole() -> None:
    assert list(DOCUMENT) == [
        "Create application",
        "Get application",
        "List applications",
        "Ingest event",
        "List events",
        "Timeseries",
        "By level",
        "Top messages",
    ]


def test_every_route_is_documented(walk: Walk) -> None:
    (door,) = (door for door in walk.origin.app.doors if door.name == "apps")
    served = {(one.method, one.template) for one in routes_of(door)}
    documented = {(one.method, one.path.partition("?")[0]) for one in DOCUMENT.values()}
    assert served - documented == {("GET", "/apps")}
    assert documented <= served


def test_create_an_application(walk: Walk) -> None:
    made = walk.right("Create application", 201)
    assert made["name"] == "my-app"
    assert re.fullmatch(r"[0-9a-f]{32}", made["ingest_key"])
    assert made["created_at"] == times.show(walk.origin.clock.now)
    walk.app_id, walk.key = made["id"], made["ingest_key"]


def test_get_and_list_applications(walk: Walk) -> None:
    found = walk.right("Get application")
    assert (found["id"], found["name"], set(found)) == (walk.app_id, "my-app", {"id", "name", "created_at"})
    listed = walk.right("List applications")
    assert found in listed
    assert listed == walk.open.ask("GET", "/apps").json()
    assert [one["id"] for one in listed] == sorted(one["id"] for one in listed)


def test_ingest_and_list_events(walk: Walk) -> None:
    sample = json.loads(DOCUMENT["Ingest event"].shown or "")
    made = walk.right("Ingest event", 201, body=sample, key=walk.key)
    assert made == {
        "id": made["id"],
        "application_id": walk.app_id,
        "received_at": times.show(walk.origin.clock.now),
    }
    settle(walk.origin)
    found = walk.right("List events")
    assert found == {"items": [sample | made], "next_offset": None}
    for _ in range(20):
        walk.right("Ingest event", 201, body=sample | {"level": "INFO", "message": "later"}, key=walk.key)
        walk.right("Ingest event", 201, body=sample, key=walk.key)
    settle(walk.origin)
    again = walk.right("List events")
    assert (len(again["items"]), again["next_offset"]) == (20, 20)
    assert {one["level"] for one in again["items"]} == {"ERROR"}


def test_statistics(walk: Walk) -> None:
    hour = walk.origin.clock.now // times.HOUR * times.HOUR
    series = walk.right("Timeseries")
    assert series == {
        "interval": "HOUR",
        "since": walk.since,
        "until": walk.until,
        "series": [{"bucket_start": times.show(hour), "count": 21}],
    }
    levels = walk.right("By level")
    assert levels["items"] == [{"level": "ERROR", "count": 21}, {"level": "INFO", "count": 20}]
    top = walk.right("Top messages")
    assert top == {
        "limit": 10,
        "items": [
            {
                "message": "TimeoutError: request timed out",
                "count": 21,
                "last_seen": times.show(walk.origin.clock.now),
            }
        ],
    }


def test_only_ingest_has_a_key(walk: Walk) -> None:
    """`Only event ingestion endpoint uses authentication (X-INGEST-KEY)`."""
    sample = json.loads(DOCUMENT["Ingest event"].shown or "")
    path = f"/apps/{walk.app_id}/events"
    answer = walk.open.ask("POST", path, body=sample)
    assert answer.status_code == 422
    answer = walk.open.ask("POST", path, body=sample, headers={"X-INGEST-KEY": "0" * 32})
    assert (answer.status_code, answer.json()) == (
        403,
        {"error": "ERROR", "message": "Invalid application or ingest key"},
    )


def test_the_swagger_page(walk: Walk) -> None:
    assert "Swagger: http://localhost:8000/docs" in TEXT
    assert walk.open.ask("GET", "/docs").headers["content-type"].startswith("text/html")
    described = walk.open.ask("GET", "/openapi.json").json()
    for section in DOCUMENT.values():
        path = section.path.partition("?")[0]
        (operation,) = (
            operations[section.method.lower()]
            for template, operations in described["paths"].items()
            if re.sub(r"\{\w+\}", "{}", template) == re.sub(r"\{\w+\}", "{}", path)
            and section.method.lower() in operations
        )
        assert operation["operationId"].startswith("apps.")
        wanted = {"ingest"} if "Ingest" in operation["summary"] else {"bearer", "key"}
        assert {name for one in operation["security"] for name in one} == wanted
        named = {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert len(named) == path.count("{")
