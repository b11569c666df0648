"""Exports over the wire: whole, in order, bounded, inert in a spreadsheet; read back by the engine's own reader."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from headrace.core.events import export as exports
from headrace.eventstore import export as stored
from headrace.eventstore.engine import quoted
from headrace.kit import times
from tests.doors.conftest import Origin, Tenant, bearer

Until = Callable[..., None]
EXPORT = "/api/v1/logs/export"
LOGS: list[dict[str, Any]] = [
    {"level": "info", "message": "=1+1", "attributes": {"user": "u1", "deep": {"a": [1, None]}}},
    {"level": "error", "message": 'a "quoted", text\nof two lines', "error_type": "+E"},
    {"level": "warning", "message": "", "attributes": {}},
    {"level": "debug", "message": "Grüße", "environment": "-x", "release": "@r"},
    {
        "level": "info",
        "attributes": {"big": 10**30, "endpoint": {"method": "GET", "status_code": 200, "duration_ms": 1.5}},
    },
]


@pytest.fixture
def filled(origin: Origin, client: httpx.Client, tenant: Tenant, until: Until) -> Tenant:
    fill(origin, client, tenant, until, LOGS)
    return tenant


def fill(origin: Origin, client: httpx.Client, tenant: Tenant, until: Until, logs: list[dict[str, Any]]) -> None:
    now = origin.clock.now
    batch = [{"timestamp": times.show(now - number * times.SECOND), **one} for number, one in enumerate(logs)]
    answer = client.post("/api/v1/ingest/batch", json={"logs": batch}, headers=bearer(tenant.key))
    assert answer.status_code == 202, answer.text
    until(lambda: not origin.house.store.wal.waiting_rows)


def ask(client: httpx.Client, tenant: Tenant, **query: Any) -> httpx.Response:
    answer = client.get(EXPORT, params={"project_id": tenant.project_id, **query}, headers=bearer(tenant.key))
    assert answer.status_code == 200, answer.text
    return answer


def listed(client: httpx.Client, tenant: Tenant, **query: Any) -> list[dict[str, Any]]:
    params = {"project_id": tenant.project_id, "limit": 1000, **query}
    found: list[dict[str, Any]] = client.get("/api/v1/logs", params=params, headers=bearer(tenant.key)).json()["logs"]
    return found


def test_lines_of_json_are_what_a_search_gives(filled: Tenant, client: httpx.Client) -> None:
    answer = ask(client, filled)
    assert [json.loads(line) for line in answer.text.splitlines()] == listed(client, filled)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="logs-{filled.project_id}-2')
    assert answer.headers["content-disposition"].endswith('Z.ndjson"')
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "x-export-truncated" not in answer.headers


@pytest.mark.parametrize("query", [{"level": ["error", "debug"]}, {"q": "user:u1"}, {"search": "quoted"}])
def test_filters_are_those_of_a_search(filled: Tenant, client: httpx.Client, query: dict[str, Any]) -> None:
    found = [json.loads(line) for line in ask(client, filled, **query).text.splitlines()]
    assert found
    assert found == listed(client, filled, **query)


def test_no_cell_is_a_formula(filled: Tenant, client: httpx.Client) -> None:
    answer = ask(client, filled, format="csv")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    logs = listed(client, filled)
    assert len(rows) == len(logs)
    for row, log in zip(rows, logs, strict=True):
        for name, text in row.items():
            value = log[name]
            assert not text.startswith(("=", "+", "-", "@"))
            if name == "attributes":
                assert (json.loads(text) if text else None) == value
            else:
                assert text.removeprefix("'") == ("" if value is None else str(value))
    assert rows[0]["message"] == "'=1+1"


def test_parquet_holds_the_same(origin: Origin, filled: Tenant, client: httpx.Client, tmp_path: Path) -> None:
    answer = ask(client, filled, format="parquet")
    assert int(answer.headers["content-length"]) == len(answer.content)
    path = tmp_path / "logs.parquet"
    path.write_bytes(answer.content)
    columns = ", ".join(
        f"toUnixTimestamp64Micro({name})" if name in {"timestamp", "ingested_at"} else name for name in stored.PARQUET
    )
    sql = f"SELECT {columns} FROM file({quoted(str(path))}, 'Parquet')"
    found = origin.house.store.engine.query(sql, row=list[Any])
    logs = listed(client, filled)
    assert len(found) == len(logs)
    for values, log in zip(found, logs, strict=True):
        row = dict(zip(stored.PARQUET, values, strict=True))
        row |= {name: times.show(row[name]) for name in ("timestamp", "ingested_at")}
        row["attributes"] = row["attributes"] and json.loads(row["attributes"])
        assert row == {name: log[name] for name in stored.PARQUET}
    assert list((origin.house.settings.data / "exports").iterdir()) == []


def test_pages_join_without_a_seam(
    origin: Origin, tenant: Tenant, client: httpx.Client, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "PAGE", 7)
    fill(origin, client, tenant, until, [{"level": "info", "message": str(number)} for number in range(40)])
    assert [json.loads(line)["message"] for line in ask(client, tenant).text.splitlines()] == list(map(str, range(40)))


@pytest.mark.parametrize(
    ("form", "end"), [("ndjson", '{"truncated":"rows","rows":3}'), ("csv", "# truncated: rows after 3 rows")]
)
def test_the_limit_is_told(origin: Origin, filled: Tenant, client: httpx.Client, form: str, end: str) -> None:
    before = origin.house.settings
    object.__setattr__(origin.house, "settings", msgspec.structs.replace(before, export_rows=3))
    try:
        answer = ask(client, filled, format=form)
        whole = ask(client, filled, format=form, level="info")
        file = ask(client, filled, format="parquet")
    finally:
        object.__setattr__(origin.house, "settings", before)
    assert answer.headers["x-export-truncated"] == file.headers["x-export-truncated"] == "rows"
    assert answer.text.splitlines()[-1] == end
    assert "x-export-truncated" not in whole.headers
    assert "truncated" not in whole.text


def test_the_time_is_told(origin: Origin, filled: Tenant, client: httpx.Client) -> None:
    before = origin.house.settings
    object.__setattr__(origin.house, "settings", msgspec.structs.replace(before, export_seconds=0))
    try:
        answer = ask(client, filled)
    finally:
        object.__setattr__(origin.house, "settings", before)
    assert answer.text == '{"truncated":"time","rows":0}\n'


def test_an_organization_has_so_many_at_once(
    origin: Origin, filled: Tenant, client: httpx.Client, until: Until
) -> None:
    running = origin.house.part(exports.Running)
    with running.one(filled.organization_id), running.one(filled.organization_id):
        for form in ("ndjson", "parquet"):
            answer = client.get(
                EXPORT, params={"project_id": filled.project_id, "format": form}, headers=bearer(filled.key)
            )
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "10"
    assert ask(client, filled).text
    until(lambda: not running.counts)


def test_what_is_refused(tenant: Tenant, client: httpx.Client) -> None:
    for query, text in (({"format": "xml"}, "format: must be one of ndjson, csv, parquet"), ({"q": "a:("}, "")):
        answer = client.get(EXPORT, params={"project_id": tenant.project_id, **query}, headers=bearer(tenant.key))
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(text)
        assert "content-disposition" not in answer.headers
