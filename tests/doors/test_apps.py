"""The Log Handler door at work: events and logs as one set, lists, statistics, names, keys, repeated requests."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.core import keys
from headrace.core.principal import Principal
from headrace.doors.apps.parameters import bound
from headrace.kit import times
from headrace.kit.times import DAY, HOUR, SECOND
from tests.doors.conftest import Origin, Tenant, bearer
from tests.doors.log_handler import EVENT, App, ingest, make_app, settle, taken

Get = Callable[..., Any]


@pytest.fixture
def made(client: httpx.Client, tenant: Tenant) -> App:
    return make_app(client, tenant)


@pytest.fixture
def get(client: httpx.Client, tenant: Tenant, made: App) -> Get:
    """Ask one of the application's paths: `get("/events", limit=2)`."""

    def ask(path: str, app: App | None = None, **query: Any) -> Any:
        # A key, for a token ends within the hours that some tests pass.
        answer = client.get((app or made).path + path, params=query, headers=bearer(tenant.organization_key))
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


def logs(client: httpx.Client, tenant: Tenant, project_id: int, **query: Any) -> list[dict[str, Any]]:
    answer = client.get("/api/v1/logs", params={"project_id": project_id, **query}, headers=bearer(tenant.token))
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["logs"]
    return found


def send_log(client: httpx.Client, tenant: Tenant, **fields: Any) -> None:
    log = {"timestamp": "2026-02-10T10:00:00Z", "level": "error"} | fields
    assert client.post("/api/v1/ingest/single", json=log, headers=bearer(tenant.key)).status_code == 202


# -- one set of events, two shapes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stack",
    [
        None,
        {},
        {"frames": []},
        {"trace": 'File "a.py", line 1, in f', "n": 12345678901234567890123, "x": [1.5, None, "\0", "\n", "ä😀"]},
    ],
)
def test_an_event_is_a_log(
    *, client: httpx.Client, tenant: Tenant, made: App, get: Get, origin: Origin, stack: dict[str, Any] | None
) -> None:
    tags = {"env": "prod", "version": "1.2.3", "deep": {"a": [1, {"b": None}]}}
    sent = {"occurred_at": "2026-02-10T12:00:00.25+02:00", "level": "WARNING", "message": "it broke", "tags": tags}
    got = taken(client, made, **sent, stack=stack)
    settle(origin)
    shown = sent | {"occurred_at": "2026-02-10T10:00:00.25Z"} | got | ({} if stack is None else {"stack": stack})
    assert get("/events") == {"items": [shown], "next_offset": None}
    (log,) = logs(client, tenant, made.id)
    assert {
        "id": got["id"],
        "project_id": made.id,
        "timestamp": "2026-02-10T10:00:00.25Z",
        "ingested_at": got["received_at"],
        "level": "warning",
        "log_type": "logger",
        "importance": "standard",
        "message": "it broke",
        "attributes": tags,
        "error_type": None,
    }.items() <= log.items()
    if stack is None:
        assert log["stack_trace"] is None
    else:
        assert json.loads(log["stack_trace"]) == stack
        assert not log["stack_trace"].endswith("\0")


@pytest.mark.parametrize(
    ("fields", "message", "stack"),
    [
        ({"message": "said"}, "said", None),
        ({"message": "", "error_message": "no"}, "", None),
        ({"error_message": "why", "error_type": "ValueError"}, "why", None),
        ({"error_type": "ValueError"}, "ValueError", None),
        ({}, "", None),
        ({"stack_trace": "at f (a.js:1:2)"}, "", {"trace": "at f (a.js:1:2)"}),
        ({"stack_trace": '{"frames":[]}'}, "", {"trace": '{"frames":[]}'}),
        ({"stack_trace": '{"frames":[]}\0'}, "", {"trace": '{"frames":[]}'}),
        ({"stack_trace": ""}, "", {"trace": ""}),
    ],
)
def test_a_log_is_an_event(
    *, client: httpx.Client, tenant: Tenant, get: Get, origin: Origin, fields: dict[str, Any], message: str, stack: Any
) -> None:
    send_log(client, tenant, **fields, attributes={"a": 1})
    settle(origin)
    ledgers = App(tenant.project_id, tenant.slug, "")
    (event,) = get("/events", ledgers)["items"]
    wanted = {"application_id": tenant.project_id, "level": "ERROR", "message": message, "tags": {"a": 1}}
    assert wanted.items() <= event.items()
    assert event["occurred_at"] == "2026-02-10T10:00:00Z"
    assert event.get("stack") == stack
    assert ("stack" in event) is (stack is not None)
    assert [one["message"] for one in get("/stats/top-messages", ledgers)["items"]] == [message]


def test_absent_and_empty_tags_stay_apart(client: httpx.Client, made: App, get: Get, origin: Origin) -> None:
    sent: list[dict[str, Any]] = [{}, {"x": {}}, {f"k{number}": number for number in range(300)}]
    for tags in sent:
        taken(client, made, tags=tags)
    client.post(f"{made.path}/events", json=EVENT | {"tags": None}, headers={"X-INGEST-KEY": made.key})
    settle(origin)
    items = sorted(get("/events")["items"], key=lambda one: len(one.get("tags", ())))
    assert ["tags" in one for one in items] == [False, True, True, True]
    assert [len(one["tags"]) for one in items[1:]] == [0, 1, 300]


@pytest.mark.parametrize("when", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "2026-02-10T10:00:00Z"])
def test_any_time_of_the_past(client: httpx.Client, made: App, get: Get, origin: Origin, when: str) -> None:
    got = taken(client, made, occurred_at=when)
    settle(origin)
    for field in ("received_at", "occurred_at"):
        (event,) = get("/events", time_field=field)["items"]
        assert (event["id"], event["occurred_at"]) == (got["id"], when)


@pytest.mark.parametrize("when", ["2150-01-01", "9999-12-31T23:59:59Z"])
def test_what_is_still_to_come_is_of_its_arrival(
    client: httpx.Client, made: App, get: Get, origin: Origin, when: str
) -> None:
    taken(client, made, occurred_at=when, tags={"a": 1})
    settle(origin)
    (event,) = get("/events", time_field="occurred_at")["items"]
    assert event["tags"] == {"a": 1, "ts_original": when}
    assert event["occurred_at"] <= event["received_at"]


def test_events_are_grouped_as_logs_are(client: httpx.Client, tenant: Tenant, origin: Origin, made: App) -> None:
    python = 'Traceback:\n  File "app.py", line %d, in main\n  File "db.py", line %d, in query\nValueError: x'
    for line in (3, 4):
        taken(client, made, message=f"failed {line}", stack={"frames": [{"text": python % (line, line)}]})
        taken(client, made, message=f"failed {line}", stack={"frames": []})
    taken(client, made, level="INFO", stack={"frames": []})
    taken(client, made)  # Neither a type nor a stack: no group.
    settle(origin)
    answer = client.get("/api/v1/error-groups", params={"project_id": made.id}, headers=bearer(tenant.token))
    groups = answer.json()["groups"]
    assert [group["occurrence_count"] for group in groups] == [2, 2]
    marks = {log["message"]: log["error_fingerprint"] for log in logs(client, tenant, made.id)}
    assert marks["it broke"] is None


# -- applications ------------------------------------------------------------------------------------------------------


def test_names_and_slugs(client: httpx.Client, tenant: Tenant, origin: Origin) -> None:
    def create(name: str) -> tuple[str, str]:
        answer = client.post(f"/apps/{name}", content=b"ignored", headers=bearer(tenant.token))
        assert answer.status_code == 201, answer.text
        slugs = {one["project_id"]: one for one in listed()}
        return answer.json()["name"], slugs[answer.json()["id"]]["slug"]

    def listed() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = client.get("/api/v1/projects", headers=bearer(tenant.token)).json()["projects"]
        return found

    assert create("My%20App") == ("My App", "my-app")
    assert create("my-app") == ("my-app", "my-app-2")
    assert create("MY_APP") == ("MY_APP", "my-app-3")
    assert create("42") == ("42", "42")
    assert create("%C3%A4%25%3F") == ("ä%?", "---")
    assert create("a%2Fb%2fc") == ("a/b/c", "a-b-c")
    assert create("a%252Fb") == ("a%2Fb", "a-2fb")
    assert create("1%2Fevents") == ("1/events", "1-events")
    assert create("a" * 255) == ("a" * 255, "a" * 255)
    assert create("A" * 255) == ("A" * 255, "a" * 253 + "-2")
    (project,) = (one for one in listed() if one["name"] == "My App")
    assert (project["environment"], project["retention_days"], project["daily_quota"]) == ("production", 30, 1_000_000)


def test_a_project_of_ledger_is_an_application(client: httpx.Client, tenant: Tenant, origin: Origin, get: Get) -> None:
    path = f"/apps/{tenant.project_id}"
    found = client.get(path, headers=bearer(tenant.token)).json()
    assert (found["id"], found["name"]) == (tenant.project_id, tenant.slug)
    renamed = client.patch(
        f"/api/v1/projects/{tenant.project_id}", json={"name": "Another"}, headers=bearer(tenant.token)
    )
    assert renamed.json()["name"] == "Another"
    assert client.get(path, headers=bearer(tenant.token)).json() == found
    operator = Principal(kind="operator", organization_id=tenant.organization_id, role="super_admin")
    key = keys.create_ingest_key(origin.house, operator, project_id=tenant.project_id).full_key
    taken(client, App(tenant.project_id, tenant.slug, key))


def test_the_ingest_key_is_shown_once(client: httpx.Client, tenant: Tenant, made: App) -> None:
    for path in ("/apps", made.path, f"/api/v1/projects/{made.id}/api-keys"):
        assert made.key not in client.get(path, headers=bearer(tenant.token)).text


def test_key_use_is_counted(
    *, client: httpx.Client, tenant: Tenant, made: App, origin: Origin, until: Callable[..., None]
) -> None:
    who = Principal(kind="operator", organization_id=tenant.organization_id, role="super_admin")

    def key() -> keys.Key:
        keys.usage.flush(origin.house)
        (found,) = keys.list_project_keys(origin.house, who, project_id=made.id)
        return found

    taken(client, made)
    until(lambda: key().usage_count == 1)  # It is counted once the answer has left.
    assert (key().kind, key().last_used_at) == ("ingest", origin.clock.now)


def test_usage_counts_for_the_quota(client: httpx.Client, tenant: Tenant, made: App) -> None:
    taken(client, made)
    quota = client.get(f"/api/v1/projects/{made.id}/quota", headers=bearer(tenant.token)).json()
    assert quota["logs"]["usage"] == 1


def test_a_repeated_request(client: httpx.Client, made: App, get: Get, origin: Origin) -> None:
    def send(key: str, **fields: Any) -> httpx.Response:
        headers = {"X-INGEST-KEY": made.key, "Idempotency-Key": key}
        return client.post(f"{made.path}/events", json=EVENT | fields, headers=headers)

    first, second = send("one"), send("one")
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    other = send("one", message="other")
    assert (other.status_code, other.json()["error"]) == (422, "VALIDATION_ERROR")
    assert send("bad", level="x").status_code == 422
    assert send("bad").status_code == 201
    settle(origin)
    assert len(get("/events")["items"]) == 2
    ingest(client, made)
    ingest(client, made)
    settle(origin)
    assert len(get("/events")["items"]) == 4


# -- lists and statistics ----------------------------------------------------------------------------------------------


def test_pages(client: httpx.Client, made: App, get: Get, origin: Origin) -> None:
    ids = [taken(client, made)["id"] for _ in range(5)]
    settle(origin)
    for field in ("received_at", "occurred_at"):
        found: list[str] = []
        offset: int | None = 0
        while offset is not None:
            page = get("/events", limit=2, offset=offset, time_field=field)
            found += [one["id"] for one in page["items"]]
            offset = page["next_offset"]
        assert found == ids[::-1]
    assert get("/events", offset=5) == {"items": [], "next_offset": None}
    assert get("/events", limit=5)["next_offset"] is None


class Plain:
    """The oracle: what was sent, in plain lists."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def add(self, sent: dict[str, Any], got: dict[str, Any]) -> None:
        self.events.append(sent | got)

    def matching(self, since: int, until: int, field: str, level: str | None = None) -> list[dict[str, Any]]:
        return [
            one
            for one in self.events
            if since <= times.parse(one[field]) <= until and (level is None or one["level"] == level)
        ]


@pytest.fixture
def plain(client: httpx.Client, made: App, origin: Origin) -> Plain:
    """Events of a day and a half, whose own times run the other way."""
    found, clock = Plain(), origin.clock
    clock.advance((DAY - clock.now % DAY) / SECOND)
    start = clock.now
    for number in range(18):
        sent = {
            "occurred_at": times.show(start - number * 2 * HOUR),
            "level": ["ERROR", "INFO", "ERROR", "DEBUG"][number % 4],
            "message": ["a", "b", "a", "c", "d"][number % 5],
        }
        found.add(sent, taken(client, made, **sent))
        if number % 2:
            clock.advance(3 * HOUR / SECOND)
    settle(origin)
    return found


def test_statistics_against_plain_lists(made: App, get: Get, plain: Plain, origin: Origin) -> None:
    now = origin.clock.now
    for field in ("received_at", "occurred_at"):
        for since, until in ((now - DAY, now), (now - 3 * DAY, now), (now - 20 * HOUR, now - 3 * HOUR)):
            span = {"since": times.show(since), "until": times.show(until), "time_field": field}
            for level in (None, "ERROR"):
                check_span(get, plain.matching(since, until, field, level), span, field, level)
            counted = {"since": span["since"], "until": span["until"], "items": by_level(plain, since, until, field)}
            found = get("/stats/by-level", **span, level="ERROR")  # It takes no level.
            assert [one["count"] for one in found["items"]] == sorted(
                (one["count"] for one in found["items"]), reverse=True
            )
            assert sorted(found.pop("items"), key=str) == sorted(counted.pop("items"), key=str)
            assert found == counted


def by_level(plain: Plain, since: int, until: int, field: str) -> list[dict[str, Any]]:
    levels = [one["level"] for one in plain.matching(since, until, field)]
    return [{"level": level, "count": levels.count(level)} for level in set(levels)]


def check_span(get: Get, wanted: list[dict[str, Any]], span: dict[str, Any], field: str, level: str | None) -> None:
    asked = span | ({"level": level} if level else {})
    ordered = sorted(wanted, key=lambda one: (times.parse(one[field]), one["id"][16:]), reverse=True)
    assert get("/events", **asked, limit=50)["items"] == ordered
    for interval, width in (("HOUR", HOUR), ("day", DAY)):
        buckets: dict[int, int] = {}
        for one in wanted:
            start = times.parse(one[field]) // width * width
            buckets[start] = buckets.get(start, 0) + 1
        series = [{"bucket_start": times.show(start), "count": count} for start, count in sorted(buckets.items())]
        found = get("/stats/timeseries", **asked, interval=interval)
        assert found == {
            "interval": interval,
            "since": span["since"],
            "until": span["until"],
            "series": series,
        }
    messages = {one["message"] for one in wanted}
    top = [
        {
            "message": message,
            "count": len(own := [one for one in wanted if one["message"] == message]),
            "last_seen": times.show(max(times.parse(one[field]) for one in own)),
        }
        for message in messages
    ]
    top.sort(key=lambda one: (one["count"], times.parse(one["last_seen"])), reverse=True)
    assert get("/stats/top-messages", **asked, limit=2) == {"limit": 2, "items": top[:2]}


def test_statistics_are_of_the_last_day_unless_said(made: App, get: Get, plain: Plain, origin: Origin) -> None:
    now = origin.clock.now
    whole = get("/stats/by-level")
    assert (whole["since"], whole["until"]) == (times.show(now - DAY), times.show(now))
    assert sum(one["count"] for one in whole["items"]) == len(plain.matching(now - DAY, now, "received_at"))
    until = times.show(now - HOUR)
    assert get("/stats/by-level", until=until)["since"] == times.show(now - HOUR - DAY)
    assert get("/stats/timeseries")["interval"] == "HOUR"
    # The list has no bound of its own.
    assert len(get("/events", limit=50)["items"]) == len(plain.events)


def test_a_plus_that_nobody_encoded(client: httpx.Client, tenant: Tenant, made: App, origin: Origin) -> None:
    taken(client, made)
    settle(origin)
    now = origin.clock.now
    spelled = times.show(now + 2 * HOUR - SECOND).removesuffix("Z") + "+02:00"
    answer = client.get(f"{made.path}/stats/by-level?since={spelled}", headers=bearer(tenant.token))
    assert answer.json()["since"] == times.show(now - SECOND)
    assert answer.json()["items"] == [{"level": "ERROR", "count": 1}]


moments = st.integers(times.FIRST + 2 * DAY, times.LAST - 2 * DAY)
offsets = st.tuples(st.sampled_from("+-"), st.integers(0, 23), st.integers(0, 59))


@settings(max_examples=200)
@given(moments, offsets, st.sampled_from("T "))
def test_offsets_with_a_plus_or_a_space(moment: int, offset: tuple[str, int, int], between: str) -> None:
    sign, hours, minutes = offset
    text = times.show(moment).removesuffix("Z").replace("T", between) + f"{sign}{hours:02}:{minutes:02}"
    assert bound(text, "since") == bound(text.replace("+", " "), "since") == times.parse(text)
