"""Events of the Log Handler door outlive the process: what was answered with 201 is there after a kill."""

import json
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.program.conftest import GONE, SECONDS, Served


def ask(method: str, url: str, body: Any = None, key: str = "") -> Any:
    headers = {"Content-Type": "application/json"} | ({"X-INGEST-KEY": key} if key else {})
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=content, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)


def test_acknowledged_events_survive_a_kill(tmp_path: Path, until: Callable[..., None]) -> None:
    server = Served(tmp_path / "data", ("--open",)).ready()
    app = ask("POST", f"{server.url}/apps/my-app")
    events = f"/apps/{app['id']}/events"
    acknowledged: list[str] = []

    def send() -> None:
        event = {"occurred_at": "2026-02-10T10:00:00Z", "level": "ERROR", "message": "m", "stack": {"frames": []}}
        try:
            while True:
                acknowledged.append(ask("POST", server.url + events, event, app["ingest_key"])["id"])
        except GONE:
            return  # The server is gone.

    senders = [threading.Thread(target=send) for _ in range(4)]
    for sender in senders:
        sender.start()
    until(lambda: len(acknowledged) > 200, seconds=30)
    server.kill()
    for sender in senders:
        sender.join()

    server = Served(tmp_path / "data", ("--open",)).ready()
    try:

        def stored() -> list[str]:
            found: list[str] = []
            offset: int | None = 0
            while offset is not None:
                page = ask("GET", f"{server.url}{events}?limit=50&offset={offset}")
                found += [one["id"] for one in page["items"]]
                offset = page["next_offset"]
            return found

        until(lambda: set(acknowledged) <= set(stored()), seconds=30)
        found = stored()
        assert len(found) == len(set(found))
        assert len(found) - len(acknowledged) <= len(senders)  # Those whose answer the kill cut off.
        assert ask("GET", f"{server.url}/apps") == [{name: app[name] for name in ("id", "name", "created_at")}]
    finally:
        server.stop()
