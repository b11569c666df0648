"""Workers outside, over real HTTP: the client of `headrace.worker`, the four requests, and definitions."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest

from headrace.core import jobs, workflows
from headrace.core.identity import sessions
from headrace.core.jobs import leases
from headrace.core.principal import Principal
from headrace.worker import Job, Lost, NoRetry, Refused, Worker
from tests.conftest import PATIENCE
from tests.doors.conftest import Origin, Tenant, bearer, tenant_of

DEFINITIONS = "/api/v1/workflow-definitions"


class Scene(NamedTuple):
    """An organization with a queue `q`, and somebody who pulls from it with the organization's key."""

    origin: Origin
    client: httpx.Client
    tenant: Tenant
    who: Principal

    def post(self, verb: str, **fields: Any) -> httpx.Response:
        """Send one of the workers' requests: `post("lease", queues=["q"], worker="w")`."""
        return self.client.post(f"/api/v1/workers/{verb}", json=fields, headers=bearer(self.tenant.organization_key))

    def start(self, **payload: Any) -> jobs.Job:
        return workflows.start(self.origin.house, self.who, workflow="q", payload=payload)

    def leased(self, worker: str, **more: Any) -> list[Any]:
        found: list[Any] = self.post("lease", queues=["q"], worker=worker, **more).json()["jobs"]
        return found

    def fence(self, worker: str, until: "Until", **more: Any) -> str:
        """Lease a job as soon as there is one."""
        found: list[Any] = []
        waited: list[bool] = []

        def there() -> bool:
            if not waited and "scheduled" in self.states():
                # What a worker lost is tried again after some seconds.
                self.origin.clock.advance(10)
                waited.append(True)
            found.extend(self.leased(worker, **more))
            return bool(found)

        until(there)
        return str(found[0]["fence"])

    def states(self) -> list[str]:
        """States of all jobs, the oldest first."""
        return [one.state for one in reversed(jobs.list_all(self.origin.house, self.who).jobs)]

    def job(self, job: jobs.Job) -> jobs.Job:
        return jobs.get(self.origin.house, self.who, job_id=job.id)


@pytest.fixture
def scene(origin: Origin, client: httpx.Client, tenant: Tenant) -> Scene:
    who = sessions.resolve(origin.house, tenant.token)
    workflows.define(origin.house, who, name="q", kind="queue")
    return Scene(origin, client, tenant, who)


Until = Callable[..., None]


def detail(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    said: str = answer.json()["detail"]
    return said


def test_definitions_over_http(client: httpx.Client, tenant: Tenant) -> None:
    auth = bearer(tenant.token)
    new = {"name": "Send / mail", "kind": "push", "url": "https://hooks.example/run", "tries": 2}
    made = client.post(DEFINITIONS, json=new, headers=auth)
    assert made.status_code == 201
    body = made.json()
    assert body.pop("secret").startswith("whsec_")
    assert {name: body[name] for name in new} == new
    assert (body["paused"], body["workers"], body["timeout_seconds"]) == (False, [], 30)
    path = f"{DEFINITIONS}/{quote('Send / mail', safe='')}"
    assert client.get(path, headers=auth).json() == body
    assert client.get(DEFINITIONS, headers=auth).json() == {"workflow_definitions": [body], "total": 1}
    changed = client.patch(path, json={"paused": True, "concurrency": 3}, headers=auth).json()
    assert (changed["paused"], changed["concurrency"], changed["url"]) == (True, 3, new["url"])
    assert detail(client.post(DEFINITIONS, json=new, headers=auth), 409).startswith("A workflow named")
    assert detail(client.post(DEFINITIONS, json=new | {"timeout": 1}, headers=auth), 400) == "timeout: unknown field"
    private = client.post(DEFINITIONS, json=new | {"name": "x", "url": "http://10.0.0.1/"}, headers=auth)
    assert private.json()["field"] == "url"
    assert client.delete(path, headers=auth).status_code == 204
    assert detail(client.get(path, headers=auth), 404) == "Workflow not found"


def test_keys_need_the_scope(scene: Scene) -> None:
    def key(*scopes: str) -> dict[str, str]:
        made = scene.client.post(
            "/api/v1/keys", json={"name": "k", "scopes": scopes}, headers=bearer(scene.tenant.token)
        )
        return bearer(made.json()["key"])

    lease = {"queues": ["q"], "worker": "w"}
    assert scene.client.get(DEFINITIONS, headers=key("read")).status_code == 200
    assert detail(scene.client.post("/api/v1/workers/lease", json=lease, headers=key("read")), 403).startswith(
        "Insufficient"
    )
    assert scene.client.post("/api/v1/workers/lease", json=lease, headers=key("workflows:write")).json() == {"jobs": []}
    assert detail(scene.client.post(DEFINITIONS, json={"name": "n", "kind": "queue"}, headers=key("write")), 403)


def test_four_requests(scene: Scene) -> None:
    job = scene.start(n=1)
    leased = scene.leased("w", seconds=60)
    assert [(one["id"], one["queue"], one["payload"], one["attempt"], one["tries"]) for one in leased] == [
        (job.token, "q", {"n": 1}, 1, 4)
    ]
    mine = {"fence": leased[0]["fence"], "worker": "w"}
    beat = scene.post("heartbeat", **mine, seconds=90, progress={"done": 1, "total": 3, "message": "one"}).json()
    assert (beat["cancelled"], beat["lease_until"] > leased[0]["lease_until"]) == (False, True)
    assert scene.post("complete", **mine, result={"ok": True}).json() == {"id": job.token, "state": "succeeded"}
    scene.start(n=2)
    mine["fence"] = scene.leased("w")[0]["fence"]
    assert scene.post("fail", **mine, error="no paper").json()["state"] == "scheduled"
    assert scene.states() == ["succeeded", "scheduled"]


def test_a_job_that_nobody_serves_says_so(scene: Scene) -> None:
    job = scene.start()
    auth = bearer(scene.tenant.token)
    seen = scene.client.get(f"/api/v1/jobs/{job.id}", headers=auth).json()
    assert (seen["state"], seen["waiting_for"]["who"]) == ("ready", "a worker that pulls the queue 'q'")
    listed = scene.client.get("/api/v1/jobs", headers=auth).json()["jobs"]
    assert listed[0]["waiting_for"] == seen["waiting_for"]
    scene.leased("w")
    assert scene.client.get(f"/api/v1/jobs/{job.id}", headers=auth).json()["waiting_for"] is None


def test_an_oversized_result_fails_the_job(scene: Scene) -> None:
    scene.start()
    fence = scene.leased("w")[0]["fence"]
    answer = scene.post("complete", fence=fence, worker="w", result="x" * 300_000).json()
    assert answer["state"] == "failed"


def test_a_lease_that_was_stolen_twice_counts_for_nothing(scene: Scene, until: Until) -> None:
    job = scene.start()
    fences = []
    for number in (1, 2, 3):
        fences.append(scene.fence(f"w{number}", until, seconds=60))
        if number < 3:
            scene.origin.clock.advance(61)
    assert fences == [f"{job.id}:1", f"{job.id}:2", f"{job.id}:3"]
    for verb, more in (("complete", {"result": 1}), ("fail", {"error": "x"}), ("heartbeat", {})):
        for number in (1, 2):
            said = detail(scene.post(verb, fence=fences[number - 1], worker=f"w{number}", **more), 409)
            assert said == f"Attempt {number} is over: its lease ran out, and attempt 3 has begun"
        stranger = detail(scene.post(verb, fence=fences[2], worker="w1", **more), 409)
        assert stranger.startswith("The lease of this attempt ran out, or it is another worker's")
    assert scene.post("complete", fence=fences[2], worker="w3").json()["state"] == "succeeded"
    again = detail(scene.post("complete", fence=fences[2], worker="w3"), 409)
    assert again == "The job is succeeded already; nothing was changed"


def test_a_heartbeat_keeps_a_job(scene: Scene, until: Until) -> None:
    held, lost = scene.start(), scene.start()
    fence = scene.leased("w", seconds=60)[0]["fence"]
    scene.leased("gone", seconds=60)
    for _ in range(3):
        scene.origin.clock.advance(40)
        assert scene.post("heartbeat", fence=fence, worker="w", seconds=60).status_code == 200
    # The other one was taken back meanwhile, so that whoever takes jobs back was here.
    assert scene.fence("w2", until) == f"{lost.id}:2"
    assert scene.post("complete", fence=fence, worker="w").json() == {"id": held.token, "state": "succeeded"}


def test_a_lease_waits_for_work(scene: Scene) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(scene.post, "lease", queues=["q"], worker="w", wait=20)
        job = scene.start(late=True)
        found = waiting.result(15 * PATIENCE).json()["jobs"]
    assert [one["id"] for one in found] == [job.token]
    assert scene.leased("w", wait=0) == []
    assert detail(scene.post("lease", queues=["q"], worker="w", wait=21), 400) == "wait: must be 0-20"


def test_who_left_is_given_nothing(scene: Scene, until: Until) -> None:
    waits, url = scene.origin.house.part(workflows.Waits), httpx.URL(scene.origin.url)
    body = json.dumps({"queues": ["q"], "worker": "w", "wait": 20})
    head = f"POST /api/v1/workers/lease HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {scene.tenant.organization_key}"
    with socket.create_connection((url.host, url.port)) as leaver:
        leaver.sendall(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        until(lambda: waits.count == 1)
    until(lambda: waits.count == 0)
    job = scene.start()
    assert scene.leased("w2")[0]["id"] == job.token


@pytest.mark.parametrize(
    ("verb", "fields", "said"),
    [
        ("lease", {"queues": ["nobody"], "worker": "w"}, "There is no queue 'nobody'"),
        ("lease", {"queues": ["echo"], "worker": "w"}, "There is no queue 'echo'"),
        ("lease", {"queues": "q", "worker": "w"}, "queues: must be a list"),
        ("lease", {"queues": [], "worker": "w"}, "queues: must be a list of 1-20 names"),
        ("lease", {"queues": ["q"]}, "worker: field required"),
        ("lease", {"queues": ["q"], "worker": "w", "wait": "x"}, "wait: must be an integer"),
        ("heartbeat", {"fence": "1:1", "worker": ""}, "worker: must be 1-64 characters"),
        ("complete", {"fence": "9" * 30, "worker": "w"}, "fence: must be the fence that came with the job"),
        ("complete", {"fence": "1:1", "worker": "w", "extra": 1}, "extra: unknown field"),
        ("fail", {"fence": "1:1", "worker": "w"}, "error: field required"),
    ],
)
def test_bad_input(scene: Scene, verb: str, fields: dict[str, Any], said: str) -> None:
    answer = scene.post(verb, **fields)
    assert answer.status_code in {400, 404}
    assert answer.json()["detail"].startswith(said)


def test_another_organization_sees_no_queue_and_no_job(scene: Scene) -> None:
    scene.start()
    fence = scene.leased("w")[0]["fence"]
    eve = bearer(tenant_of(scene.client).organization_key)
    lease = scene.client.post("/api/v1/workers/lease", json={"queues": ["q"], "worker": "w"}, headers=eve)
    assert detail(lease, 404).startswith("There is no queue")
    for verb, more in (("complete", {}), ("fail", {"error": "x"}), ("heartbeat", {})):
        answer = scene.client.post(f"/api/v1/workers/{verb}", json={"fence": fence, "worker": "w"} | more, headers=eve)
        assert detail(answer, 404) == "Job not found"
    assert scene.post("complete", fence=fence, worker="w").json()["state"] == "succeeded"


@pytest.fixture
def working(scene: Scene) -> Iterator[Callable[..., Worker]]:
    """Have a worker work in a thread: `working(handler, queues=["q"])`."""
    begun: list[tuple[Worker, threading.Thread]] = []

    def begin(handler: Callable[[Job], Any], **more: Any) -> Worker:
        worker = Worker(scene.origin.url, scene.tenant.organization_key, queues=["q"], wait_seconds=1, **more)
        thread = threading.Thread(target=worker.run, args=(handler,), daemon=True)
        thread.start()
        begun.append((worker, thread))
        return worker

    yield begin
    for worker, thread in begun:
        worker.stop()
        thread.join(20 * PATIENCE)
        assert not thread.is_alive()


def test_the_client_works(scene: Scene, working: Callable[..., Worker], until: Until) -> None:
    def handle(job: Job) -> Any:
        assert (job.queue, job.attempt, job.tries) == ("q", 1, 4)
        if job.payload["n"] == 1:
            raise NoRetry("no paper")
        if job.payload["n"] == 2:
            raise KeyError("again")
        if job.payload["n"] == 3:
            return {1, 2}  # No JSON.
        return {"twice": job.payload["n"] * 2}

    started = [scene.start(n=number) for number in range(5)]
    working(handle, concurrency=2)
    until(lambda: scene.states() == ["succeeded", "failed", "scheduled", "scheduled", "succeeded"])
    found = [scene.job(job) for job in started]
    assert (found[0].result, found[4].result) == ({"twice": 0}, {"twice": 8})
    assert [one.error for one in found[1:4]] == [
        "NoRetry: no paper",
        "KeyError: 'again'",
        "TypeError: Object of type set is not JSON serializable",
    ]
    assert [one.queue for one in workflows.list_workers(scene.origin.house, scene.who)] == ["q"]


def test_the_client_beats_and_hears_of_a_cancel(scene: Scene, working: Callable[..., Worker], until: Until) -> None:
    told = threading.Event()

    def handle(job: Job) -> None:
        pause = threading.Event()
        while True:
            try:
                job.progress(7, 9, "on it")
            except Exception:  # Whatever it is, the test wants to know of it.
                told.set()
                raise
            pause.wait(0.01)

    job = scene.start()
    working(handle, lease_seconds=6, name="beater")
    until(lambda: scene.job(job).progress_done == 7)
    jobs.cancel(scene.origin.house, scene.who, job_id=job.id)
    assert told.wait(20 * PATIENCE)


def test_a_client_that_lost_its_job_goes_on(scene: Scene, working: Callable[..., Worker], until: Until) -> None:
    first, go = threading.Event(), threading.Event()

    def handle(job: Job) -> str:
        if job.payload["n"] == 1 and job.attempt == 1:
            first.set()
            assert go.wait(20 * PATIENCE)
        return "done"

    scene.start(n=1)
    working(handle, lease_seconds=3_000)
    assert first.wait(20 * PATIENCE)
    scene.origin.clock.advance(3_001)
    fence = scene.fence("thief", until)
    scene.start(n=2)
    go.set()
    until(lambda: scene.states() == ["running", "succeeded"])
    scene.post("complete", fence=fence, worker="thief", result="mine")
    until(lambda: scene.states() == ["succeeded", "succeeded"])


def test_the_client_waits_for_a_server_that_is_away(scene: Scene) -> None:
    scene.start()
    worker = Worker(scene.origin.url, scene.tenant.organization_key, queues=["q"], wait_seconds=0)
    sent, sends = worker._send, []

    def flaky(verb: str, body: dict[str, Any]) -> Any:
        sends.append(verb)
        if sends.count(verb) == 1:
            raise ConnectionResetError(verb)
        return sent(verb, body)

    worker._send = flaky  # type: ignore[method-assign]

    def handle(_job: Job) -> None:
        worker.stop()

    worker.run(handle)
    assert sends == ["lease", "lease", "complete", "complete"]
    assert scene.states() == ["succeeded"]


def test_a_result_that_is_not_taken_fails_its_job_and_no_other(
    scene: Scene, working: Callable[..., Worker], until: Until
) -> None:
    results = ["x" * (2 << 20), "x" * (256 << 10), deep(900), "fine"]
    started = [scene.start(n=number) for number in range(len(results))]
    worker = working(lambda job: results[job.payload["n"]])
    until(lambda: scene.states() == ["failed", "failed", "failed", "succeeded"])
    found = [scene.job(job) for job in started]
    assert [one.attempt for one in found] == [1, 1, 1, 1]
    assert [one.error for one in found[:2]] == [
        f"The result has {size} bytes as JSON; at most 262144 are kept" for size in ((2 << 20) + 2, (256 << 10) + 2)
    ]
    assert (found[2].error or "").startswith("The result was refused: 400: ")
    assert not worker.stopping.is_set()


def deep(levels: int) -> Any:
    """JSON that is deeper than a server reads."""
    found: Any = None
    for _ in range(levels):
        found = [found]
    return found


def test_progress_is_checked_where_it_is_said(scene: Scene, until: Until) -> None:
    scene.start()
    held = scene.leased("w")[0]
    job = Job(held)
    for done, total in ((0.5, None), (-1, None), (True, 2), ("1", None), (1 << 63, None), (1, 2.0)):
        with pytest.raises(ValueError, match="must be a whole number"):
            job.progress(done, total)  # type: ignore[arg-type]
    worker = Worker(scene.origin.url, scene.tenant.organization_key, queues=["q"], name="w")
    job.progress(1, 2, "\0\ud800" + "x" * 600)
    worker._renew(job)
    found = jobs.by_token(scene.origin.house, scene.who, token=job.id)
    assert (found.progress_done, found.progress_total, found.progress_message) == (1, 2, "?" + "x" * 499)


def test_a_lease_is_renewed_whatever_its_progress(scene: Scene) -> None:
    scene.start()
    job = Job(scene.leased("w", seconds=5)[0])
    worker = Worker(scene.origin.url, scene.tenant.organization_key, queues=["q"], name="w", lease_seconds=60)
    job._progress = {"done": 0.5, "total": None, "message": None}
    worker._renew(job)
    scene.origin.clock.advance(30)
    leases.reap(scene.origin.house)
    assert scene.states() == ["running"]
    assert scene.post("complete", fence=job.fence, worker="w").status_code == 200


def test_a_client_that_reaches_nobody_lets_its_job_go(scene: Scene) -> None:
    worker = Worker(scene.origin.url, "k", queues=["q"], lease_seconds=60)
    job = Job({"id": "x", "queue": "q", "payload": {}, "attempt": 1, "tries": 4, "fence": "1:1"})

    def away(verb: str, body: dict[str, Any]) -> Any:
        raise ConnectionRefusedError

    worker._send = away  # type: ignore[method-assign]
    worker._renew(job)
    job.check()
    job.renewed_at -= 61
    worker._renew(job)
    with pytest.raises(Lost):
        job.progress(1)


def test_the_client_says_what_is_refused(scene: Scene) -> None:
    for key, queues, status in (("vetrai_" + "a" * 40, ["q"], 401), (scene.tenant.organization_key, ["none"], 404)):
        with pytest.raises(Refused) as caught:
            Worker(scene.origin.url, key, queues=queues).run(lambda _: None)
        assert caught.value.status == status
    with pytest.raises(ValueError, match="http or https"):
        Worker("ftp://x", "k", queues=["q"])


PROGRAM = """
import sys
from headrace.worker import Worker
def handle(job):
    print("working", flush=True)
    sys.stdin.readline()
    return "finished"
Worker(sys.argv[1], sys.argv[2], queues=["q"], wait_seconds=1).run(handle)
print("stopped", flush=True)
"""


def test_sigterm_lets_it_finish_what_is_in_hand(scene: Scene) -> None:
    scene.start()
    scene.start()
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, scene.origin.url, scene.tenant.organization_key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stdout.readline() == "working\n"
    program.send_signal(signal.SIGTERM)
    program.stdin.write("\n")
    program.stdin.flush()
    out, _ = program.communicate(timeout=30 * PATIENCE)
    assert (out, program.returncode) == ("stopped\n", 0)
    assert scene.states() == ["succeeded", "ready"]
