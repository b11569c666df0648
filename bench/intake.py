"""Section `intake`: jobs taken in over HTTP, each on disk when it is answered; left waiting, and run meanwhile."""

import json
from collections.abc import Iterator, Mapping

from bench import table
from bench.client import Caller, RefusedError, request
from bench.place import Place
from bench.server import Key, Server, Target
from bench.table import Row
from bench.workloads import Sent, apart, percentile, send

INTAKE = "/api/v1/intake"
CONNECTIONS = 32
# What a measurement must not run into: the documented budgets.
BUDGETS = {"levqor_writes": "100000000", "levqor_writes_per_address": "10000000"}


def measure(place: Place) -> Iterator[Row]:
    count = 5_000 if place.quick else 50_000
    waiting, running = (
        taken(place, name, count, more) for name, more in (("intake", {"jobs_workers": "0"}), ("intake-run", {}))
    )
    note = f"{CONNECTIONS} connections, 300-byte payloads, {waiting.cpu.whole / waiting.good * 1e6:.0f} us CPU each"
    yield Row("durable intake of jobs", waiting.good / waiting.seconds, table.per_second, 3_000, note, least=True)
    yield Row("  p50", percentile(waiting.latencies, 0.5), table.millis)
    yield Row("  p99", percentile(waiting.latencies, 0.99), table.millis)
    yield Row("  while they run", running.good / running.seconds, table.per_second, note="by the same process")


def taken(place: Place, name: str, count: int, more: Mapping[str, str]) -> Sent:
    """Have a server of its own take jobs in."""
    server = Server(place.subfolder(name) / "data", {**BUDGETS, **more})
    server.start()
    try:
        with apart(send_jobs, server.target(organization_key(server)), count) as wait:
            sent: Sent = wait()
    finally:
        server.kill()
    if sent.failures:
        raise RefusedError(f"{sent.failures} of {count} jobs were not taken")
    return sent


def organization_key(server: Server) -> Key:
    project = server.new_key().project
    account = {"email": "intake@example.com", "password": "Measured-123", "name": "Intake"}
    with Caller(server.address) as caller:
        caller.key = caller.post("/api/v1/accounts/register", account)["access_token"]
        return Key(project, caller.post("/api/v1/keys", {"name": "intake", "scopes": ["write"]})["key"])


def send_jobs(target: Target, count: int) -> Sent:
    body = json.dumps({"workflow": "echo", "payload": {"input": "x" * 280}}).encode()
    ready = request("POST", INTAKE, target.key.secret, body)
    return send(target, ((number, ready) for number in range(count)), CONNECTIONS)
