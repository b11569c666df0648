"""Statistics over HTTP: parameters, shapes of answers, refusals."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from headrace.kit import times
from tests.doors.conftest import Origin, Tenant, bearer

STATS = "/api/v1/logs/stats/"
Ask = Callable[..., Any]


@pytest.fixture
def ask(client: httpx.Client, tenant: Tenant, origin: Origin, until: Callable[..., None]) -> Ask:
    """Ask for a statistic of six logs, a minute apart: `ask("values", field="level")`."""

    def get(name: str, status: int = 200, **params: Any) -> Any:
        query = {"project_id": tenant.project_id, **params}
        answer = client.get(STATS + name, params=query, headers=bearer(tenant.key))
        assert answer.status_code == status, answer.text
        return answer.json() if status == 200 else answer.json()["detail"]

    logs = [
        {
            "timestamp": times.show(origin.clock.now - number * times.MINUTE),
            "level": "error" if number < 2 else "info",
            "message": f"job {number} of 7",
            "attributes": {"zone": "b" if number < 2 else "a", "endpoint": {"duration_ms": number}},
        }
        for number in range(6)
    ]
    sent = client.post("/api/v1/ingest/batch", json={"logs": logs}, headers=bearer(tenant.key))
    assert sent.status_code == 202, sent.text
    until(lambda: get("values", field="level")["total"] == 6)
    return get


def test_answers(ask: Ask, client: httpx.Client, tenant: Tenant) -> None:
    assert ask("values", field="attributes.zone") == {
        "project_id": tenant.project_id,
        "field": "attributes.zone",
        "total": 6,
        "present": 6,
        "distinct": 2,
        "values": [{"value": "a", "count": 4, "share": 4 / 6}, {"value": "b", "count": 2, "share": 2 / 6}],
    }
    assert ask("values", field="level", level="error", limit=1)["total"] == 2
    histogram = ask("histogram", by="level", fill=True, interval="60")
    assert (histogram["interval_seconds"], histogram["values"]) == (60, ["info", "error"])
    assert [bucket["counts"] for bucket in histogram["buckets"]] == [[1, 0]] * 4 + [[0, 1]] * 2
    assert sum(bucket["other"] for bucket in ask("histogram")["buckets"]) == 6
    quantiles = ask("quantiles", quantiles="0,0.5,1", interval="day")
    assert quantiles["overall"] == {"count": 6, "min": 0, "max": 5, "mean": 2.5, "quantiles": [0, 2.5, 5]}
    assert sum(bucket["count"] for bucket in quantiles["buckets"]) == 6
    none = ask("quantiles", field="attributes.zone")["overall"]
    assert none == {"count": 0, "min": None, "max": None, "mean": None, "quantiles": [None] * 3}
    patterns = ask("patterns", q="level:error")
    assert (patterns["total"], patterns["scanned"], patterns["sampled"], patterns["unmatched"]) == (2, 2, False, 0)
    (pattern,) = patterns["patterns"]
    assert (pattern["pattern"], pattern["share"]) == ("job <NUM> of <NUM>", 1)
    assert pattern["levels"] == [{"value": "error", "count": 2}]
    sample = f"/api/v1/logs/{pattern['sample_log_id']}?project_id={tenant.project_id}"
    assert client.get(sample, headers=bearer(tenant.key)).json()["message"] == "job 0 of 7"
    compared = ask("compare", q="level:error")
    assert (compared["selection_total"], compared["baseline_total"], compared["sampled"]) == (2, 6, False)
    assert [one["field"] for one in compared["values"]] == ["attributes.zone", "level"]
    assert compared["values"][0]["difference"] == pytest.approx(1 - 2 / 6)
    assert ask("compare", baselineTo="2001-01-01")["baseline_total"] == 0


@pytest.mark.parametrize(
    ("name", "params", "detail"),
    [
        ("values", {"field": "x"}, "field: must be attributes.<name> or one of "),
        ("values", {"field": "level", "limit": 201}, "limit"),
        ("values", {"field": "level", "q": "level:eror"}, "position 7"),
        ("histogram", {"by": "attributes."}, "by: an attribute's path has"),
        ("histogram", {"interval": "never"}, "interval: must be"),
        ("histogram", {"interval": "1", "fill": True, "periodFrom": "2001-01-01"}, "interval: gives more than"),
        ("quantiles", {"quantiles": "2"}, "quantiles: must be 1-10 numbers"),
        ("quantiles", {"quantiles": ",".join(["0.5"] * 11)}, "quantiles: must be 1-10 numbers"),
        ("quantiles", {"field": "level"}, "field: must be attributes.<name> or one of duration_ms, status_code"),
        ("compare", {"baselineFrom": "x"}, "baselineFrom"),
        ("compare", {"baselineFrom": "2026-01-02", "baselineTo": "2026-01-01"}, "baselineFrom must not be after"),
    ],
)
def test_refusals(client: httpx.Client, tenant: Tenant, name: str, params: dict[str, Any], detail: str) -> None:
    query = {"project_id": tenant.project_id, **params}
    answer = client.get(STATS + name, params=query, headers=bearer(tenant.key))
    assert answer.status_code == 400, answer.text
    assert detail in answer.json()["detail"]
