"""What the suites of the Log Handler door share: applications with their keys, events sent and made searchable."""

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx
import msgspec

from headrace import app
from headrace.core.metrics import Counters
from tests.conftest import PATIENCE
from tests.doors.conftest import Origin, Tenant, bearer

PEER = "203.0.113.9"
EVENT: dict[str, Any] = {"occurred_at": "2026-02-10T10:00:00Z", "level": "ERROR", "message": "it broke"}


class App(NamedTuple):
    id: int
    name: str
    key: str

    @property
    def path(self) -> str:
        return f"/apps/{self.id}"


def make_app(client: httpx.Client, tenant: Tenant, name: str = "my-app") -> App:
    answer = client.post(f"/apps/{name}", headers=bearer(tenant.token))
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return App(made["id"], made["name"], made["ingest_key"])


def ingest(client: httpx.Client, to: App, **fields: Any) -> httpx.Response:
    """Send an event: EVENT with these fields; None leaves one out."""
    sent = {name: value for name, value in (EVENT | fields).items() if value is not None}
    return client.post(f"{to.path}/events", json=sent, headers={"X-INGEST-KEY": to.key})


def taken(client: httpx.Client, to: App, **fields: Any) -> dict[str, Any]:
    answer = ingest(client, to, **fields)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def settle(origin: Origin) -> None:
    """Wait until all that was acknowledged is searchable."""
    store = origin.house.store
    assert store.wait_searchable(store.wal.next_id, 30 * PATIENCE)


class Open:
    """The same house as an open instance, asked by a peer with an address of its own."""

    def __init__(self, origin: Origin) -> None:
        settings = msgspec.structs.replace(origin.house.settings, open=True)
        self.app: Any = app.build(dataclasses.replace(origin.house, settings=settings, counters=Counters()))

    def ask(
        self, method: str, path: str, *, peer: str = PEER, headers: Mapping[str, str] | None = None, body: Any = None
    ) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, client=(peer, 4000))
            async with httpx.AsyncClient(transport=transport, base_url="http://open") as client:
                return await client.request(method, path, headers=dict(headers or {}), json=body)

        return asyncio.run(send())
