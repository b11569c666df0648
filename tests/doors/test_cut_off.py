"""A search that reaches its limit of time is cut off, and each door that asks the event store says so in its words."""

from typing import Any

import httpx
import pytest

from tests.doors.conftest import Tenant, bearer

SAID = "The search took too long; narrow the time range or add a filter."
LEDGER = 400, {"detail": SAID}
APPS = 422, {"error": "VALIDATION_ERROR", "message": SAID}
NATIVE = 400, {"title": "Bad Request", "detail": SAID}
ALERT = {"kind": "threshold", "query": "message:*a*", "window_seconds": 3600, "comparison": ">", "threshold": 1}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/api/v1/logs?project_id={0}&period=last30days&q=message:*a*", None, LEDGER),
        ("/api/v1/logs/counts?project_id={0}&by=level&period=last30days&q=message:*a*", None, LEDGER),
        ("/api/v1/logs/stats/patterns?project_id={0}", None, LEDGER),
        ("/apps/{0}/events", None, APPS),
        ("/api/v1/alerts/preview", ALERT, NATIVE),
    ],
)
def test_the_answer_says_why(
    client: httpx.Client, tenant: Tenant, path: str, body: dict[str, Any] | None, said: tuple[int, dict[str, Any]]
) -> None:
    client.headers.update(bearer(tenant.organization_key))
    if body is None:
        answer = client.get(path.format(tenant.project_id))
    else:
        answer = client.post(path, json=body | {"project_id": tenant.project_id})
    assert answer.status_code == said[0], answer.text
    assert said[1].items() <= answer.json().items()
