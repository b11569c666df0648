"""Jobs outlive the process: what was answered with 202 is there after a kill, and runs."""

import json
import sqlite3
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.program.conftest import GONE, SECONDS, Served

BUDGETS = (
    "--levqor-writes",
    "1000000",
    "--levqor-writes-per-address",
    "1000000",
    "--levqor-reads-per-address",
    "1000000",
)


def ask(method: str, url: str, body: Any = None, key: str | None = None) -> Any:
    content = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | ({} if key is None else {"Idempotency-Key": key})
    request = urllib.request.Request(url, data=content, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        return json.load(answer)


def test_acknowledged_jobs_survive_a_kill(serve: Callable[..., Served], until: Callable[..., None]) -> None:
    server = serve("--open", "--jobs-workers", "0", *BUDGETS)
    acknowledged: dict[str, int] = {}

    def send(lane: int) -> None:
        number = lane
        try:
            while True:
                job = {"workflow": "echo", "payload": {"input": number}}
                acknowledged[ask("POST", f"{server.url}/api/v1/intake", job)["job_id"]] = number
                number += 4
        except GONE:
            return  # The server is gone.

    senders = [threading.Thread(target=send, args=(lane,)) for lane in range(4)]
    for sender in senders:
        sender.start()
    until(lambda: len(acknowledged) > 40, seconds=30)
    server.kill()
    for sender in senders:
        sender.join()

    again = serve("--open", *BUDGETS)

    def status(job_id: str) -> Any:
        return ask("GET", f"{again.url}/api/v1/status/{job_id}")

    for job_id, number in acknowledged.items():
        until(lambda job_id=job_id: status(job_id)["status"] == "succeeded", seconds=30)
        assert status(job_id)["result"] == {"output": number, "handler": "echo"}
    figures = ask("GET", f"{again.url}/public/metrics")
    assert figures["jobs_today"] <= len(acknowledged) + len(senders)  # Those whose answer the kill cut off.
    # Counts of writes are written every two seconds; what the kill took, took its records along.
    assert figures["audit_coverage"] == 100


def test_what_a_kill_left_unanswered_is_done_once_when_it_is_repeated(
    serve: Callable[..., Served], until: Callable[..., None]
) -> None:
    server = serve("--open", "--jobs-workers", "0", *BUDGETS)
    sent: set[int] = set()
    answered: dict[int, str] = {}

    def send(url: str, number: int) -> None:
        job = {"workflow": "echo", "payload": {"input": number}}
        sent.add(number)
        found = ask("POST", f"{url}/api/v1/intake", job, key=f"job-{number}")["job_id"]
        assert answered.setdefault(number, found) == found

    def go_on(lane: int) -> None:
        number = lane
        try:
            while True:
                send(server.url, number)
                number += 16
        except GONE:
            return  # The server is gone.

    senders = [threading.Thread(target=go_on, args=(lane,)) for lane in range(16)]
    for sender in senders:
        sender.start()
    until(lambda: len(answered) > 40, seconds=30)
    server.kill()
    for sender in senders:
        sender.join()
    assert sent - answered.keys()

    again = serve("--open", "--jobs-workers", "0", *BUDGETS)
    for number in sorted(sent):
        send(again.url, number)
    again.stop()
    with sqlite3.connect(again.folder / "headrace.db") as database:
        made = database.execute("SELECT token FROM jobs WHERE name = 'echo'").fetchall()
    assert sorted(token for (token,) in made) == sorted(answered.values())
