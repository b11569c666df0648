"""Error groups over HTTP: what is ingested comes together, and what people do with it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import httpx
import pytest
import sqlalchemy as sa

from headrace.core.schema.groups import error_fingerprints
from headrace.kit import times
from tests.doors.conftest import Origin, Tenant, bearer

PATH = "/api/v1/error-groups"
STACK = 'Traceback (most recent call last):\n  File "/app/pay.py", line {}, in charge\n    bank.take()\nTimeout: no'


class Groups(NamedTuple):
    """One tenant's errors."""

    client: httpx.Client
    tenant: Tenant
    origin: Origin

    def send(self, **fields: Any) -> None:
        log = {"timestamp": times.show(self.origin.clock.now), "level": "error", "error_type": "Timeout", **fields}
        answer = self.client.post("/api/v1/ingest/single", json=log, headers=bearer(self.tenant.key))
        assert answer.status_code == 202, answer.text

    def ask(self, method: str, path: str = "", body: Any = None, status: int = 200, **params: Any) -> Any:
        answer = self.client.request(
            method,
            PATH + path,
            json=body,
            params={"project_id": self.tenant.project_id, **params},
            headers=bearer(self.tenant.token),
        )
        assert answer.status_code == status, answer.text
        return answer.json() if answer.headers["content-type"].startswith("application/json") else answer

    def listed(self, **params: Any) -> list[dict[str, Any]]:
        groups: list[dict[str, Any]] = self.ask("GET", **params)["groups"]
        return groups


@pytest.fixture
def errors(client: httpx.Client, tenant: Tenant, origin: Origin) -> Groups:
    return Groups(client, tenant, origin)


def test_the_life_of_an_error(errors: Groups, until: Callable[..., None]) -> None:
    for line, user in ((3, "eve"), (4, "bob"), (5, "eve")):
        errors.send(stack_trace=STACK.format(line), release="1.0", attributes={"user_id": user}, message=f"try {line}")
    errors.send(error_type="KeyError", environment="staging", attributes={"fingerprint": ["a", "{{ default }}"]})
    until(lambda: sum(group["occurrence_count"] for group in errors.listed()) == 4)
    assert errors.ask("GET", limit=1)["total"] == 2
    query = {"project_id": errors.tenant.project_id, "limit": 1}
    listed = errors.client.get("/api/v1/errors/list", params=query, headers=bearer(errors.tenant.token)).json()
    assert (len(listed["errors"]), listed["total"], listed["has_more"]) == (1, 4, True)
    timeout, key = errors.listed(sort="events")
    assert (timeout["occurrence_count"], timeout["user_count"], timeout["mute"]) == (3, 2, None)
    path = f"/{timeout['id']}"

    why = errors.ask("GET", f"{path}/why")["fingerprints"]
    assert why[0]["reason"] | {"platform": ""} == {
        "kind": "frames",
        "error_type": "Timeout",
        "platform": "",
        "parts": ["/app/pay.py:charge"],
    }
    with errors.origin.house.db.write() as connection:  # As a release left it that kept no reasons.
        connection.execute(sa.update(error_fingerprints).values(reason=None))
    assert errors.ask("GET", f"{path}/why")["fingerprints"] == why
    custom = errors.ask("GET", f"/{key['id']}/why")["fingerprints"][0]
    assert (custom["reason"]["kind"], custom["reason"]["parts"]) == ("custom", ["a", "KeyError", "unknown", ""])
    seen = errors.ask("GET", f"{path}/releases")
    assert [(one["name"], one["count"]) for one in seen["releases"]] == [("1.0", 3)]
    assert (seen["first_release"], seen["user_count"]) == ("1.0", 2)
    staging = errors.ask("GET", f"/{key['id']}/releases")
    assert [one["name"] for one in staging["environments"]] == ["staging"]
    hours = errors.ask("GET", f"{path}/hours", hours=2)["hours"]
    assert (len(hours), sum(hour["count"] for hour in hours)) == (2, 3)

    muted = errors.ask("POST", f"{path}/mute", {"events": 2, "minutes": 10})
    assert (muted["status"], muted["mute"]["events"]) == ("muted", 2)
    for _ in range(2):
        errors.send(stack_trace=STACK.format(9), release="1.0")
    until(lambda: errors.listed(sort="events")[0]["status"] == "unresolved")
    errors.origin.clock.advance(60)
    assert errors.ask("POST", f"{path}/resolve", {"release": "1.1"})["resolved_in_release"] == "1.1"
    errors.origin.clock.advance(60)
    errors.send(stack_trace=STACK.format(9), release="1.0")
    until(lambda: errors.listed(sort="events")[0]["occurrence_count"] == 6)
    assert errors.listed(sort="events")[0]["status"] == "resolved"
    errors.send(stack_trace=STACK.format(9), release="1.1")
    until(lambda: errors.listed(sort="events")[0]["status"] == "unresolved")
    assert errors.listed(sort="events")[0]["regressed_at"] is not None
    kinds = [line["kind"] for line in errors.ask("GET", f"{path}/activity")["activity"]]
    assert kinds == ["regressed", "status", "unmuted", "muted"]
    page = errors.ask("GET", f"{path}/activity", limit=1)
    assert page["has_more"]
    assert len(errors.ask("GET", f"{path}/activity", before=page["activity"][0]["id"])["activity"]) == 3


def test_merging_and_comments(errors: Groups, until: Callable[..., None]) -> None:
    errors.send(message="a")
    errors.send(message="b")
    until(lambda: len(errors.listed()) == 2)
    first, second = (group["id"] for group in errors.listed())
    assert errors.ask("POST", f"/{first}/merge", {"group_ids": [second]})["occurrence_count"] == 2
    assert [group["id"] for group in errors.ask("GET", f"/{first}/merged")["groups"]] == [second]
    assert errors.ask("GET", f"/{second}")["group"]["id"] == first
    assert errors.ask("POST", f"/{first}/unmerge", {"group_id": second})["id"] == second
    assert "not merged" in errors.ask("POST", f"/{first}/unmerge", {"group_id": second}, 409)["detail"]

    made = errors.ask("POST", f"/{first}/comments", {"text": "<b>Why?</b>"}, 201)
    assert (made["text"], made["account_id"]) == ("<b>Why?</b>", errors.tenant.account_id)
    once = {**bearer(errors.tenant.token), "Idempotency-Key": "said"}
    where = {"project_id": errors.tenant.project_id}
    said = [
        errors.client.post(f"{PATH}/{second}/comments", json={"text": "Once"}, params=where, headers=once)
        for _ in range(2)
    ]
    assert [(one.status_code, one.headers.get("idempotency-replayed")) for one in said] == [(201, None), (201, "true")]
    assert said[0].content == said[1].content
    assert errors.ask("GET", f"/{second}/comments")["total"] == 1
    edited = errors.ask("PATCH", f"/{first}/comments/{made['id']}", {"text": "Because."})
    assert edited["edited_at"] is not None
    assert errors.ask("GET", f"/{first}/comments") == {"comments": [edited], "total": 1}
    errors.ask("PATCH", f"/{second}/comments/{made['id']}", {"text": "Not here."}, 404)
    errors.ask("DELETE", f"/{first}/comments/{made['id']}")
    assert errors.ask("GET", f"/{first}/comments")["total"] == 0
    assert errors.ask("POST", f"/{first}/comments", {}, 400)["detail"] == "text: field required"


def test_a_group_outlives_its_events(errors: Groups, until: Callable[..., None]) -> None:
    errors.send(stack_trace=STACK.format(3), message="the only one")
    until(lambda: len(errors.listed()) == 1)
    path, key = f"{PATH}/{errors.listed()[0]['id']}", bearer(errors.tenant.key)
    ask = {"project_id": errors.tenant.project_id}
    there = errors.client.get(path, params=ask, headers=key).json()
    assert (there["sample_log"]["message"], there["sample_stack_trace"]) == ("the only one", STACK.format(3))
    errors.origin.clock.advance(31 * 86_400)
    try:
        gone = errors.client.get(path, params=ask, headers=key).json()
        text = errors.client.get(f"{path}/markdown", params=ask, headers=key).text
    finally:
        errors.origin.clock.advance(-31 * 86_400)
    assert (gone["sample_log"], gone["sample_stack_trace"]) == (None, None)
    assert gone["group"] == there["group"]
    assert text.endswith("Its newest event is no longer stored.\n")


def test_markdown_of_a_hostile_error(errors: Groups, until: Callable[..., None]) -> None:
    hostile = "</script><img src=x onerror=alert(1)> ```\n# @team [a](javascript:x)"
    crumbs = {"values": [{"category": "ui", "message": "click <b>"}]}
    errors.send(
        error_type="<b>Odd</b> `x`",
        error_message=hostile,
        stack_trace=STACK.format(3) + "\n````",
        attributes={"breadcrumbs": crumbs, "a": "</b>"},
    )
    until(lambda: len(errors.listed()) == 1)
    answer = errors.ask("GET", f"/{errors.listed()[0]['id']}/markdown")
    assert answer.headers["content-type"].startswith("text/markdown")
    text = answer.text
    assert text.startswith("# &lt;b&gt;Odd&lt;/b&gt; \\`x\\`\n\n````text\n" + hostile + "\n````\n")
    for wanted in ("- Events: 1\n", "### Breadcrumbs", "ui click <b>", "bank.take()", "`````text\nTraceback"):
        assert wanted in text
    outside, fence = [], ""
    for line in text.splitlines():
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if not fence and len(ticks) >= 3:
            fence = ticks
        elif fence and line == fence:
            fence = ""
        elif not fence:
            outside.append(line)
    assert not fence
    assert not [line for line in outside if "<" in line or "@" in line]
