"""Pages over HTTP, as a browser without script has them: a served house, a person who is signed in, a project."""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import pytest

from headrace.kit import times
from tests.conftest import PASSWORD, PATIENCE
from tests.doors.conftest import (
    Origin,
    Tenant,
    bearer,
    caller,
    client,
    impatient,
    new_tenant,
    origin,
    tenant,
    tenant_of,
)

__all__ = ["client", "impatient", "new_tenant", "origin", "tenant"]

# The clock stands: a minute's budget lasts for all that a test asks, however often it looks while it waits. And a busy
# machine takes longer for a question.
UNHURRIED = {"key_per_minute": 1_000_000, "key_per_hour": 10_000_000, "query_seconds": 10 * PATIENCE}
# What a browser sends with a form of the page it is on.
OWN = {"Sec-Fetch-Site": "same-origin"}
# Text that has broken pages before: markup, handlers, templates, escapes, directions, what is not seen, long lines.
NAUGHTY = (
    "<script>window.broken = 1</script>",
    "</script><script>window.broken = 1</script>",
    '<img src=x onerror="window.broken = 1">',
    '" onmouseover="window.broken = 1" x="',
    "' autofocus onfocus='window.broken = 1",
    "<svg/onload=window.broken=1>",
    "javascript:window.broken=1",
    "]]><!--<b>",
    "{{ 7 * 7 }} {% include 'x' %} ${7*7}",
    "&lt;b&gt;already escaped&amp;",
    "\x1b[31mred\x1b[0m \x1b]8;;http://elsewhere.example\x07link\x1b]8;;\x07",
    "\u202ertl override\u202c \u2066isolate\u2069",
    "\u0007bell \u0008back \u009b31m c1",
    '=HYPERLINK("http://elsewhere.example")',
    "emoji 👩‍👩‍👧 and 日本語 and ﷽ and Z͑ͫ̓a̴l̕g͟o",
    "<iframe srcdoc='<script>parent.broken=1</script>'></iframe>",
    "x" * 3_000,
)


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    return dict(UNHURRIED)


class Visitor(NamedTuple):
    """Somebody who is signed in: their browser's requests, and what they own."""

    http: httpx.Client
    tenant: Tenant

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.http.get(path.format(**self.tenant._asdict()), **more)

    def post(self, path: str, fields: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        return self.http.post(path.format(**self.tenant._asdict()), data=fields or {}, headers=OWN, **more)

    def send(self, *logs: dict[str, Any], origin: Origin) -> None:
        """Send logs, and wait until they are found."""
        now = times.show(origin.clock())
        usual = {"timestamp": now, "level": "info", "log_type": "console", "importance": "standard"}
        body = {"logs": [usual | log for log in logs]}
        answer = self.http.post("/api/v1/ingest/batch", json=body, headers=bearer(self.tenant.key))
        assert answer.json()["accepted"] == len(logs), answer.text
        assert origin.house.store.wait_searchable(origin.house.store.wal.next_id, 20 * PATIENCE)


@pytest.fixture
def visitor(origin: Origin) -> Iterator[Visitor]:
    with caller(origin) as http:
        made = tenant_of(http)
        fields = {"email": made.email, "password": PASSWORD}
        assert http.post("/ui/sign-in", data=fields, headers=OWN).status_code == 303
        yield Visitor(http, made)


Links = Callable[[str], list[str]]


def links(page: str) -> list[str]:
    return [found.replace("&amp;", "&") for found in re.findall(r'(?:href|action|hx-get)="([^"]*)"', page)]
