"""Live tails of the real program: how fast a log arrives, and that none of them holds up a stop."""

import http.client
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.program.conftest import SECONDS, Demo, Served, environment


def opened(demo: Demo) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(demo.url).netloc, timeout=SECONDS)
    path = f"/api/v1/logs/tail?project_id={demo.project_id}"
    connection.request("GET", path, headers={"Authorization": f"Bearer {demo.key}", "Connection": "close"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.readline() == b"retry: 1000\n"
    return answer


def data(answer: http.client.HTTPResponse) -> Iterator[Any]:
    return (json.loads(line[6:]) for line in answer if line.startswith(b"data: "))


def send(demo: Demo, messages: list[str]) -> None:
    connection = http.client.HTTPConnection(urlsplit(demo.url).netloc, timeout=SECONDS)
    logs = [{"timestamp": "2026-01-01T00:00:00Z", "level": "info", "message": message} for message in messages]
    headers = {"Authorization": f"Bearer {demo.key}", "Content-Type": "application/json"}
    connection.request("POST", "/api/v1/ingest/batch", json.dumps({"logs": logs}), headers)
    assert connection.getresponse().status == 202
    connection.close()


def test_a_stop_ends_tails_at_once(serve: Callable[..., Served]) -> None:
    demo = Demo(serve(verb="demo"))
    with opened(demo) as reading, opened(demo):
        follow_and_stop(demo, reading)


def follow_and_stop(demo: Demo, reading: http.client.HTTPResponse) -> None:
    for _ in range(2):
        # More than the sockets' buffers hold: nobody reads the other one.
        send(demo, ["x" * 9_000] * 1000)
    send(demo, ["the last"])
    seen = data(reading)
    assert any(one.get("message") == "the last" or "dropped" in one for one in seen)
    began = time.monotonic()
    status = demo.served.stop()
    assert (status, time.monotonic() - began < 15) == (0, True)
    assert list(seen)[-1] == {"reason": "the server stops"}


def test_the_command_goes_on_where_it_was(
    serve: Callable[..., Served], port: str, tmp_path: Path, until: Callable[..., None]
) -> None:
    demo = Demo(serve("--port", port, verb="demo"))
    output, notes = tmp_path / "tail.out", tmp_path / "tail.err"
    with output.open("wb") as printed, notes.open("wb") as noted:
        tail = subprocess.Popen(
            [sys.executable, "-m", "headrace", "tail", "follow", "--json", "--url", demo.url, "--key", demo.key],
            stdout=printed,
            stderr=noted,
            env=environment(),
        )

    def messages() -> list[str]:
        return [json.loads(line)["message"] for line in output.read_text().splitlines()]

    try:
        until(lambda: b"live_tails 1" in demo.served.get("/-/metrics")[1], seconds=30)
        send(demo, ["follow one", "other"])
        until(lambda: messages() == ["follow one"])
        demo.served.kill()
        until(lambda: "cannot reach" in notes.read_text())
        demo.served = serve("--port", port)
        send(demo, ["follow two"])
        until(lambda: messages() == ["follow one", "follow two"])
        send(demo, ["follow three"])
        until(lambda: len(messages()) == 3)
    finally:
        tail.send_signal(signal.SIGINT)
        assert tail.wait(SECONDS) == 130
    assert messages() == ["follow one", "follow two", "follow three"]
