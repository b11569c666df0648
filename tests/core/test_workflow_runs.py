"""Workflows as they really run: the engine, the guarded client, installed functions, an endpoint on this machine."""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from standardwebhooks import Webhook

from headrace.core import functions, jobs, workflows
from headrace.core.house import House
from headrace.core.identity import accounts, sessions
from headrace.core.limits.windows import Limits
from headrace.core.metrics import Counters
from headrace.core.outward import Outward
from headrace.core.principal import Principal
from headrace.core.settings import Settings
from headrace.core.workflows import kinds, starting
from headrace.kit.clock import now
from headrace.kit.passwords import Passwords
from tests.conftest import ADDRESS, PASSWORD, SECRET, Unused

FUNCTIONS = """
import os, sys, time
def add(context, payload):
    context.progress(1, 2, "adding")
    return {"sum": payload["a"] + payload["b"], "process": os.getpid()}
def here(context, payload):
    return {"process": os.getpid(), "organization": context.job.organization_id}
here.headrace = {"isolation": "thread", "tries": 1}
async def soon(context, payload):
    return payload
soon.headrace = {"tries": 2}
def endless(context, payload):
    while True:
        pass
endless.headrace = {"timeout_seconds": 0.5, "tries": 1}
def waits(context, payload):
    while True:
        context.check()
        time.sleep(0.01)
waits.headrace = {"isolation": "thread", "tries": 1}
def prints(context, payload):
    for _ in range(20_000):
        print("x" * 1000)
        print("x" * 1000, file=sys.stderr)
    return "printed"
prints.headrace = {"tries": 1}
def floods(context, payload):
    return "x" * 20_000_000
floods.headrace = {"tries": 1}
def chats(context, payload):
    context.progress(10**30, 1, "x" * 10_000_000)
    return "said"
chats.headrace = {"tries": 1}
def chatters(context, payload):
    for number in range(300_000):
        context.progress(number, 300_000, "x" * 100)
    return "said"
chatters.headrace = {"tries": 1}
def dies(context, payload):
    os._exit(3)
dies.headrace = {"tries": 1}
def fails(context, payload):
    raise ValueError("password=hunter2")
fails.headrace = {"tries": 1}
def odd(context, payload):
    return object()
odd.headrace = {"tries": 1}
not_callable = 7
def strange(context, payload):
    return None
strange.headrace = {"isolation": "spaceship"}
"""
NAMES = ("add", "here", "soon", "endless", "waits", "prints", "floods", "chats", "chatters", "dies", "fails", "odd")
BROKEN = ("not_callable", "strange", "missing")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A distribution with functions, as `pip install` would leave it, for this process and those it starts."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sample_functions.py").write_text(FUNCTIONS)
    info = folder / "sample_functions-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sample-functions\nVersion: 1.0\n")
    lines = [f"{name} = sample_functions:{name}" for name in (*NAMES, *BROKEN)]
    (info / "entry_points.txt").write_text("\n".join(["[headrace.workflows]", *lines, ""]))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), before)))
    sys.path.insert(0, str(folder))
    functions.installed.cache_clear()
    yield
    sys.path.remove(str(folder))
    functions.installed.cache_clear()
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


class Lab(NamedTuple):
    """A house whose engine runs, and one organization in it."""

    house: House
    who: Principal
    ended: list[jobs.Job]
    files: Path

    def start(self, workflow: str, payload: dict[str, Any], **more: Any) -> jobs.Job:
        return workflows.start(self.house, self.who, workflow=workflow, payload=payload, **more)

    def job(self, started: jobs.Job) -> jobs.Job:
        return jobs.get(self.house, self.who, job_id=started.id)


@pytest.fixture(scope="module")
def lab(
    tmp_path_factory: pytest.TempPathFactory, migrated_file: Path, cheap_passwords: Passwords, installed: None
) -> Iterator[Lab]:
    data, files = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("files")
    (data / "headrace.db").write_bytes(migrated_file.read_bytes())
    settings = Settings(data=data, secret=SECRET, outbound_allow=("127.0.0.0/8",), source_folders=str(files))
    store: Any = Unused()
    house = House.open(
        settings, limits=Limits(now), store=store, counters=Counters(), passwords=cheap_passwords, clock=now
    )
    made = accounts.register(
        house, email="ada@example.com", password=PASSWORD, name="Ada", door="test", address=ADDRESS
    )
    ended: list[jobs.Job] = []
    workflows.define_kinds(house, lambda _connection, _house, job: ended.append(job))
    engine = house.part(jobs.Engine)
    engine.start()
    yield Lab(house, sessions.resolve(house, made.pair.access_token), ended, files)
    engine.stop(1.0)
    house.part(Outward).close()
    house.close()


Finish = Callable[..., jobs.Job]


@pytest.fixture
def finish(lab: Lab, until: Callable[..., None]) -> Finish:
    """Start a workflow and return its job when it is over."""

    def run(workflow: str, payload: dict[str, Any], **more: Any) -> jobs.Job:
        started = lab.start(workflow, payload, **more)
        until(lambda: lab.job(started).finished_at is not None, seconds=30)
        return lab.job(started)

    return run


def test_echo_answers_for_whoever_is_not_registered(lab: Lab, finish: Finish) -> None:
    largest = {"a": "ü" * ((starting.PAYLOAD_BYTES - len('{"a":""}')) // 2)}
    cases = [
        ("echo", {"input": [1, 2]}, [1, 2]),
        ("nobody knows this", {"input": None}, None),
        ("nobody knows this either", {"a": {"b": "ü"}}, {"a": {"b": "ü"}}),
        ("x", {}, {}),
        ("y", largest, largest),
    ]
    for name, payload, output in cases:
        job = finish(name, payload)
        assert (job.state, job.result) == ("succeeded", {"output": output, "handler": "echo"}), name
        assert job.id in {one.id for one in lab.ended}


def test_records_are_processed(lab: Lab, finish: Finish) -> None:
    (lab.files / "orders.csv").write_text("who,amount\nada,5\nbob,7\nada,1\n")
    steps = [{"aggregate": {"by": ["who"], "values": {"sum": {"op": "sum", "field": "amount"}}}}, {"sort": ["who"]}]
    job = finish("data_processing", {"file_path": "orders.csv", "source": "csv", "steps": steps})
    assert job.state == "succeeded", job.error
    assert job.result["records"] == [{"who": "ada", "sum": 6}, {"who": "bob", "sum": 7}]
    assert (job.result["records_processed"], job.result["columns"]) == (3, ["who", "sum"])
    assert (job.progress_done, job.progress_message) == (3, "records read")
    plain = finish("data_processing", {"file_path": str(lab.files / "orders.csv"), "source": "csv"})
    assert plain.result == {"records_processed": 3, "columns": ["who", "amount"]}
    inline = finish("data_processing", {"records": [{"a": 1}], "steps": [{"rename": {"a": "b"}}]})
    assert (inline.result["records"], inline.progress_total) == ([{"b": 1}], 1)


@pytest.mark.parametrize(
    ("payload", "error"),
    [
        ({"file_path": "none.csv"}, "Input file not found"),
        ({"file_path": "/etc/passwd", "source": "csv"}, "Input file not found"),
        ({"file_path": "../data/secret", "source": "csv"}, "Input file not found"),
        ({"records": [1]}, "records[0] is no object"),
        ({"records": [], "steps": [{"eval": "1"}]}, "steps[0]: a step is one of"),
        ({}, "give either records or file_path"),
    ],
)
def test_what_cannot_be_processed_fails_at_once(finish: Finish, payload: dict[str, Any], error: str) -> None:
    job = finish("data_processing", payload)
    assert (job.state, job.attempt) == ("failed", 1)
    assert (job.error or "").startswith(error)


def test_functions_run_as_they_say(lab: Lab, finish: Finish) -> None:
    apart = finish("add", {"a": 2, "b": 3})
    assert (apart.state, apart.result["sum"], apart.progress_message) == ("succeeded", 5, "adding"), apart.error
    assert apart.result["process"] != os.getpid()
    here = finish("here", {})
    assert here.result == {"process": os.getpid(), "organization": lab.who.organization_id}
    assert finish("soon", {"x": 1}).result == {"x": 1}


FLOOD = "The result has more than 262144 bytes as JSON; that many are kept"
MISBEHAVING = {
    "endless": "The job ran longer than 0.5 s",
    "floods": FLOOD,
    "dies": "The job's process ended without a result, with code 3",
    "fails": "The job failed: ValueError",
    "odd": "The job failed: TypeError",
}


def test_functions_that_misbehave_are_ended_and_harm_nobody(lab: Lab, until: Callable[..., None]) -> None:
    started = {name: lab.start(name, {}) for name in (*MISBEHAVING, "prints", "chats", "chatters")}
    beside = lab.start("echo", {"input": 1})
    until(lambda: lab.job(beside).state == "succeeded")
    until(lambda: all(lab.job(one).finished_at is not None for one in started.values()), seconds=60)
    assert lab.job(started.pop("prints")).result == "printed"
    long = lab.job(started.pop("chats"))
    assert (long.result, long.progress_done, long.progress_message) == ("said", (1 << 63) - 1, "x" * 500)
    chatted = lab.job(started.pop("chatters"))
    assert (chatted.result, chatted.progress_done) == ("said", 299_999)
    for name, job in started.items():
        found = lab.job(job)
        assert (found.state, found.error, found.result) == ("failed", MISBEHAVING[name], None)


def test_a_running_function_is_cancelled(lab: Lab, until: Callable[..., None]) -> None:
    job = lab.start("waits", {})
    until(lambda: lab.job(job).state == "running")
    jobs.cancel(lab.house, lab.who, job_id=job.id)
    until(lambda: lab.job(job).state == "cancelled")
    assert lab.job(job).result is None


def test_what_is_broken_is_not_served(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    known = {kind.name for kind in kinds.installed()}
    assert {functions.kind_name(name) for name in NAMES} == known
    said = caplog.text
    assert "sample_functions:not_callable is no function" in said
    assert "sample_functions:missing cannot be imported" in said
    assert "sample_functions:strange.headrace" in said
    for name in BROKEN:
        job = lab.start(name, {})
        assert job.kind == functions.kind_name(name)
        (note,) = workflows.notes(lab.house, lab.who, [job]).values()
        assert note.who == f"the operator, who has to mend the function {name!r}: the server's log says what is wrong"
        assert lab.job(job).state == "ready"
        jobs.cancel(lab.house, lab.who, job_id=job.id)


class Receiver(ThreadingHTTPServer):
    """An endpoint: `answers` are given in turn, the last one again and again; `got` holds what came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: list[tuple[int, bytes, dict[str, str]]] = [(200, b"{}", {})]
        self.got: list[tuple[str, str, dict[str, str], bytes]] = []
        self.busy, self.most_busy = 0, 0
        self.lock = threading.Lock()
        self.gate = threading.Event()
        self.gate.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/run"

    def will(self, *answers: tuple[int, bytes, dict[str, str]]) -> None:
        self.answers = list(answers)


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        with server.lock:
            server.got.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            status, content, headers = server.answers.pop(0) if len(server.answers) > 1 else server.answers[0]
            server.busy += 1
            server.most_busy = max(server.most_busy, server.busy)
        server.gate.wait(20)
        # Before the answer: who has it may send the next request at once.
        with server.lock:
            server.busy -= 1
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_POST  # noqa: N815  The library's names.

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  As above.
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_request_is_sent_and_its_answer_kept(finish: Finish, receiver: Receiver) -> None:
    receiver.will((201, b'{"a":1}', {"X-Said": "hello", "Set-Cookie": "session=1"}))
    payload = {"method": "PUT", "url": receiver.url, "headers": {"X-A": "b"}, "body": {"n": [1]}, "timeout": 5}
    job = finish("http_request", payload)
    assert job.state == "succeeded", job.error
    assert (job.result["status"], job.result["body"], job.result["truncated"]) == (201, '{"a":1}', False)
    assert job.result["headers"]["x-said"] == "hello"
    assert "set-cookie" not in job.result["headers"]
    method, path, headers, body = receiver.got[0]
    assert (method, path, headers["x-a"], headers["content-type"]) == ("PUT", "/run", "b", "application/json")
    assert (json.loads(body), headers["idempotency-key"]) == ({"n": [1]}, job.token)


@pytest.mark.parametrize(
    ("answer", "more", "state", "said"),
    [
        ((404, b"", {}), {}, "failed", "The answer's status was 404"),
        ((302, b"", {"Location": "http://169.254.169.254/"}), {}, "failed", "The answer's status was 302"),
        ((404, b"no", {}), {"expect": "any"}, "succeeded", "no"),
        ((404, b"no", {}), {"expect": [200, 404]}, "succeeded", "no"),
        ((200, b"yes", {}), {"expect": 204}, "failed", "The answer's status was 200"),
        ((200, "\u0000ü\n".encode(), {}), {}, "succeeded", "\ufffdü\n"),
        ((200, b"\xff\xfe", {}), {}, "succeeded", "//4="),
        ((200, "ü".encode() * 50_000, {}), {}, "succeeded", "ü" * 16_384),
        ((200, b"\x01" * 50_000, {}), {}, "succeeded", "\x01" * 8_192),
    ],
)
def test_what_an_answer_means(  # noqa: PLR0917  A case's columns.
    finish: Finish, receiver: Receiver, answer: Any, more: dict[str, Any], state: str, said: str
) -> None:
    receiver.will(answer)
    job = finish("http_request", {"url": receiver.url} | more)
    assert job.state == state, job.error
    assert (job.error if state == "failed" else job.result["body"]) == said
    assert len(receiver.got) == 1


def test_a_busy_receiver_is_asked_again(finish: Finish, receiver: Receiver) -> None:
    receiver.will((503, b"", {"Retry-After": "0"}), (429, b"", {"Retry-After": "0"}), (200, b"ok", {}))
    job = finish("http_request", {"url": receiver.url, "headers": {"idempotency-key": "mine"}})
    told = [headers["idempotency-key"] + headers["x-headrace-fence"][-2:] for _, _, headers, _ in receiver.got]
    assert (job.state, job.result["body"], told) == ("succeeded", "ok", ["mine:1", "mine:2", "mine:3"])


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({}, "url: must be a text of 1-2048 characters"),
        ({"url": "http://10.1.2.3/"}, "ssrf_blocked: "),
        ({"url": "http://169.254.169.254/latest"}, "ssrf_blocked: "),
        ({"url": "file:///etc/passwd"}, "bad_url: "),
        ({"url": "http://127.0.0.1:5432/"}, ""),
        ({"url": "x", "method": "CONNECT"}, "method: must be one of"),
        ({"url": "x", "shell": 1}, "unknown member 'shell'"),
        ({"url": "x", "timeout": 61}, "timeout: must be a number of seconds up to 60"),
        ({"url": "x", "timeout": True}, "timeout: must be a number"),
        ({"url": "x", "headers": {"Host": "y"}}, "headers: 'Host' may not be set"),
        ({"url": "x", "headers": {"A": "b\r\nC: d"}}, "headers.A: must be a text of one line"),
        ({"url": "x", "headers": {"A b": "c"}}, "headers: 'A b' may not be set"),
        ({"url": "x", "headers": []}, "headers: must be an object"),
        ({"url": "x", "expect": "lots"}, "expect: must be"),
        ({"url": "x", "expect": [99]}, "expect: must be"),
        ({"url": "x", "expect": []}, "expect: must be"),
    ],
)
def test_requests_that_are_not_sent(finish: Finish, payload: dict[str, Any], said: str) -> None:
    job = finish("http_request", payload)
    assert (job.state, job.attempt) == ("failed", 1)
    assert (job.error or "").startswith(said)


def endpoint(lab: Lab, receiver: Receiver, name: str, **more: Any) -> str:
    made = workflows.define(lab.house, lab.who, name=name, kind="push", url=receiver.url, **more)
    assert made.secret is not None
    return made.secret


def test_a_push_is_signed_and_its_answer_is_the_result(lab: Lab, finish: Finish, receiver: Receiver) -> None:
    secret = endpoint(lab, receiver, "render")
    receiver.will((200, b'{"pages":3}', {}))
    job = finish("render", {"document": "ü"}, priority=jobs.HIGH)
    assert (job.state, job.result) == ("succeeded", {"pages": 3}), job.error
    _, _, headers, body = receiver.got[0]
    sent: Any = Webhook(secret).verify(body, headers)
    assert (sent["job_id"], sent["workflow"], sent["attempt"]) == (job.token, "render", 1)
    assert sent["payload"] == {"document": "ü"}
    assert headers["x-headrace-fence"] == job.fence
    assert headers["webhook-id"] == f"msg_{job.token}"
    receiver.will((204, b"", {}))
    assert finish("render", {}).result is None


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((400, b"", {}), "The answer's status was 400"),
        ((200, b"<html>", {}), "The answer's status was 200, but its body is not JSON"),
        ((200, b'"' + b"x" * 270_000 + b'"', {}), "too_large: the answer is larger than 262144 bytes"),
        ((503, b"", {"Retry-After": "0"}), "The answer's status was 503"),
    ],
)
def test_a_push_that_fails(lab: Lab, finish: Finish, receiver: Receiver, answer: Any, error: str) -> None:
    name = f"push {error}"
    endpoint(lab, receiver, name, tries=1)
    receiver.will(answer)
    job = finish(name, {})
    assert (job.state, job.error, job.tries) == ("failed", error, 1)


def test_every_try_of_a_push_has_its_own_fence_and_the_same_id(lab: Lab, finish: Finish, receiver: Receiver) -> None:
    secret = endpoint(lab, receiver, "again", tries=2)
    receiver.will((500, b"", {"Retry-After": "0"}), (200, b"1", {}))
    assert finish("again", {}).state == "succeeded"
    assert [headers["x-headrace-fence"].partition(":")[2] for _, _, headers, _ in receiver.got] == ["1", "2"]
    assert len({headers["webhook-id"] for _, _, headers, _ in receiver.got}) == 1
    for _, _, headers, body in receiver.got:
        Webhook(secret).verify(body, headers)


def test_an_endpoint_may_finish_later(lab: Lab, receiver: Receiver, until: Callable[..., None]) -> None:
    endpoint(lab, receiver, "later", timeout_seconds=60)
    receiver.will((202, b"", {}))
    job = lab.start("later", {})
    until(lambda: receiver.got)
    headers = receiver.got[0][2]
    mine = {"fence": headers["x-headrace-fence"], "worker": headers["x-headrace-worker"]}
    assert not workflows.heartbeat(lab.house, lab.who, **mine, progress={"done": 1}).cancelled
    assert lab.job(job).state == "running"
    done = workflows.complete(lab.house, lab.who, **mine, result={"ok": 1})
    assert (done.state, done.result, done.progress_done) == ("succeeded", {"ok": 1}, 1)
    assert job.id in {one.id for one in lab.ended}
    assert len(receiver.got) == 1


def test_no_more_is_pushed_at_once_than_is_allowed(lab: Lab, receiver: Receiver, until: Callable[..., None]) -> None:
    endpoint(lab, receiver, "two", concurrency=2)
    receiver.gate.clear()
    started = [lab.start("two", {}) for _ in range(6)]
    until(lambda: receiver.busy == 2)
    other = lab.start("echo", {})
    until(lambda: lab.job(other).state == "succeeded")
    assert sum(lab.job(one).state == "ready" for one in started) == 4
    receiver.gate.set()
    until(lambda: all(lab.job(one).state == "succeeded" for one in started))
    assert receiver.most_busy == 2


def test_a_paused_push_waits(lab: Lab, receiver: Receiver, until: Callable[..., None]) -> None:
    endpoint(lab, receiver, "quiet")
    workflows.update(lab.house, lab.who, name="quiet", paused=True)
    job = lab.start("quiet", {})
    after = lab.start("echo", {})
    until(lambda: lab.job(after).state == "succeeded")
    assert (lab.job(job).state, receiver.got) == ("ready", [])
    note = workflows.waiting_for(lab.house, lab.who, lab.job(job))
    assert note is not None
    assert "resumes" in note.who
    workflows.update(lab.house, lab.who, name="quiet", paused=False)
    until(lambda: lab.job(job).state == "succeeded")


def test_a_queue_waits_until_somebody_pulls(lab: Lab, until: Callable[..., None]) -> None:
    workflows.define(lab.house, lab.who, name="slow", kind="queue")
    job = lab.start("slow", {"n": 1})
    after = lab.start("echo", {})
    until(lambda: lab.job(after).state == "succeeded")
    assert lab.job(job).state == "ready"
    assert workflows.waiting_for(lab.house, lab.who, lab.job(job)) is not None
    pulled = workflows.lease(lab.house, lab.who, queues=["slow"], worker="w")[0]
    assert workflows.complete(lab.house, lab.who, fence=pulled.fence, worker="w", result=2).result == 2
