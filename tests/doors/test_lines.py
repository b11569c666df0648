"""Lines of logs as shippers and loggers send them: every form, names of their own, what is filled in or refused."""

import json
from typing import Any

import httpx
import pytest

from headrace.doors.ledger.lines import MEDIA, MOST_LINES
from headrace.kit import times
from tests.conftest import PATIENCE
from tests.doors.conftest import Origin, Tenant, bearer

LINES = "/api/v1/ingest/lines"
FLUENT_BIT = [{"date": "2026-01-01T09:00:00.5Z", "log": "one", "stream": "stderr"}, {"date": 1767258000, "log": "two"}]
PINO = b'{"level":50,"time":1767258000123,"pid":7,"hostname":"h","msg":"failed"}\n{"level":30,"msg":"fine"}\n'


def send(client: httpx.Client, tenant: Tenant, content: bytes, query: str = "", media: str = "") -> httpx.Response:
    headers = bearer(tenant.key) | ({"Content-Type": media} if media else {})
    return client.post(LINES + query, content=content, headers=headers)


def stored(origin: Origin, client: httpx.Client, tenant: Tenant) -> list[dict[str, Any]]:
    """The project's logs, oldest first."""
    assert origin.house.store.wait_searchable(origin.house.store.wal.next_id, 20 * PATIENCE)
    query = {"project_id": tenant.project_id, "limit": 100}
    logs = client.get("/api/v1/logs", params=query, headers=bearer(tenant.token)).json()["logs"]
    return sorted(logs, key=lambda log: (log["timestamp"], log["message"]))


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(FLUENT_BIT).encode(),
        b"\xef\xbb\xbf" + json.dumps(FLUENT_BIT, indent=2).encode(),
        "\n".join(map(json.dumps, FLUENT_BIT)).encode(),
        "\r\n\r\n".join(map(json.dumps, FLUENT_BIT)).encode() + b"\r\n\r\n",
        json.dumps({"logs": FLUENT_BIT}).encode(),
    ],
)
def test_every_form_is_taken(origin: Origin, client: httpx.Client, tenant: Tenant, content: bytes) -> None:
    answer = send(client, tenant, content)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 2, "rejected": 0, "errors": None})
    two, one = sorted(stored(origin, client, tenant), key=lambda log: log["message"], reverse=True)
    assert (one["message"], one["level"], one["attributes"]) == ("one", "info", {"stream": "stderr"})
    assert times.parse(one["timestamp"]) == times.parse("2026-01-01T09:00:00.5Z")
    assert times.parse(two["timestamp"]) == 1767258000 * times.SECOND


def test_one_object_on_many_lines_is_one_log(origin: Origin, client: httpx.Client, tenant: Tenant) -> None:
    answer = send(client, tenant, json.dumps({"msg": "pretty", "user": {"id": 7}}, indent=2).encode())
    assert answer.json()["accepted"] == 1
    (log,) = stored(origin, client, tenant)
    assert (log["message"], log["attributes"]) == ("pretty", {"user": {"id": 7}})
    assert times.parse(log["timestamp"]) == origin.clock.now


def test_levels_and_times_of_loggers(origin: Origin, client: httpx.Client, tenant: Tenant) -> None:
    assert send(client, tenant, PINO).json()["accepted"] == 2
    failed, fine = sorted(stored(origin, client, tenant), key=lambda log: log["message"])
    assert (failed["level"], failed["attributes"]) == ("error", {"pid": 7, "hostname": "h"})
    assert times.parse(failed["timestamp"]) == 1767258000123 * 1_000
    assert (fine["level"], times.parse(fine["timestamp"])) == ("info", origin.clock.now)


def test_names_and_the_level_are_the_senders_choice(origin: Origin, client: httpx.Client, tenant: Tenant) -> None:
    query = "?map=timestamp=when,message=event.text&level=debug"
    line = {"when": "2026-01-01T08:00:00Z", "event": {"text": "hello"}}
    assert send(client, tenant, json.dumps(line).encode(), query).status_code == 202
    (log,) = stored(origin, client, tenant)
    assert (log["message"], log["level"]) == ("hello", "debug")
    for wrong, field in (("map=when", "map"), ("map=colour=red", "map"), ("level=loud", "level")):
        refused = send(client, tenant, b"{}", f"?{wrong}")
        assert (refused.status_code, field in refused.text) == (400, True)


def test_the_description_says_how_lines_are_sent(client: httpx.Client) -> None:
    route = client.get("/openapi.json").json()["paths"][LINES]["post"]
    assert {"map", "level", "Idempotency-Key"} == {one["name"] for one in route["parameters"]}
    assert {"application/json", *MEDIA} == set(route["requestBody"]["content"])


@pytest.mark.parametrize(
    "media", ["", "text/plain", "application/json", *sorted(MEDIA), "application/x-ndjson; charset=utf-8"]
)
def test_media_types_of_lines_are_read_here_alone(client: httpx.Client, tenant: Tenant, media: str) -> None:
    assert send(client, tenant, b'{"msg":"m"}', media=media).status_code == 202
    elsewhere = client.post(
        "/api/v1/ingest/single", content=b"{}", headers=bearer(tenant.key) | {"Content-Type": "application/x-ndjson"}
    )
    assert elsewhere.status_code == 415
    assert send(client, tenant, b"{}", media="text/xml").status_code == 415


def test_a_bad_line_is_named_and_spoils_no_other(origin: Origin, client: httpx.Client, tenant: Tenant) -> None:
    deep = b'{"a":' * 3_000 + b"1" + b"}" * 3_000
    good = b'{"message":"good","attributes":{"a":"\\ud800"}}'
    bad = [b"{", b"7", b'{"level":"loud"}', deep, b'{"timestamp":"2199-01-01"}', b'{"msg":"\xff"}']
    answer = send(client, tenant, b"\n".join([good, b"", *bad, good])).json()
    assert (answer["accepted"], answer["rejected"]) == (3, 5)
    assert [error.partition(":")[0] for error in answer["errors"]] == [f"Line {at}" for at in (3, 4, 5, 6, 7)]
    assert answer["errors"][1] == "Line 4: Log entry must be an object"
    assert "Invalid level" in answer["errors"][2]
    assert [log["message"] for log in stored(origin, client, tenant)] == ["good", "good", "\ufffd"]
    listed = send(client, tenant, b"[" + b",".join([good, b"7", deep]) + b"]").json()
    assert [error[:5] for error in listed["errors"]] == ["Log 1", "Log 2"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "at least one log"),
        (b" \n\n ", "at least one log"),
        (b"[]", "at least one log"),
        (b"[{]", "JSON"),
        (b"not json", "All logs are invalid: Line 1: not JSON"),
        (b'{"level":"loud"}', "All logs are invalid: Log 0: Invalid level"),
        (b"{}\n" * (MOST_LINES + 1), f"maximum of {MOST_LINES} logs"),
        (b"[" + b"0," * 2_000_000 + b"0]", f"maximum of {MOST_LINES} logs"),
        (b'{"logs":[' + b"{}," * MOST_LINES + b"{}]}", f"maximum of {MOST_LINES} logs"),
    ],
)
def test_what_holds_no_log_or_too_many_is_refused(
    client: httpx.Client, tenant: Tenant, content: bytes, said: str
) -> None:
    answer = send(client, tenant, content)
    assert answer.status_code == 400, answer.text
    assert said in answer.text


def test_as_many_as_may_come_are_taken(client: httpx.Client, tenant: Tenant) -> None:
    answer = send(client, tenant, b'{"msg":"m"}\n' * MOST_LINES)
    assert (answer.status_code, answer.json()["accepted"]) == (202, MOST_LINES)


def test_the_same_lines_under_a_key_are_stored_once(origin: Origin, client: httpx.Client, tenant: Tenant) -> None:
    headers = bearer(tenant.key) | {"Idempotency-Key": "lines"}
    answers = [client.post(LINES, content=PINO, headers=headers) for _ in range(2)]
    assert [answer.json() for answer in answers] == [{"accepted": 2, "rejected": 0, "errors": None}] * 2
    assert len(stored(origin, client, tenant)) == 2
