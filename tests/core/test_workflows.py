"""Definitions of workflows, which kind of job serves a name, and why a job waits. Nothing runs here."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from headrace.core import audit, functions, jobs, workflows
from headrace.core.house import House
from headrace.core.identity import invitations
from headrace.core.principal import Principal
from headrace.core.refusals import Kind
from headrace.core.settings import Settings
from headrace.core.workflows import definitions
from tests.conftest import FakeClock, SignUp
from tests.core.conftest import refusal
from tests.core.jobs_lab import Hand

URL = "https://hooks.example/run"
# What is refused before any SQL need not be refused twice.
SQLITE = pytest.mark.parametrize("address", ["sqlite"], indirect=True)


@pytest.fixture
def house(open_house: Callable[..., House]) -> House:
    made = open_house()
    workflows.define_kinds(made)
    return made


def test_definitions_come_and_go(house: House, ada: Principal, sign_up: SignUp, clock: FakeClock) -> None:
    made = workflows.define(house, ada, name="Send mail/now", kind="push", url=URL, tries=2)
    one = made.definition
    assert made.secret is not None
    assert made.secret.startswith("whsec_")
    assert (one.name, one.kind, one.url, one.tries, one.concurrency) == ("Send mail/now", "push", URL, 2, 10)
    assert (one.timeout_seconds, one.paused_at, one.created_by) == (30, None, ada.account_id)
    queue = workflows.define(house, ada, name="a queue", kind="queue", timeout_seconds=86_400)
    assert (queue.secret, queue.definition.url) == (None, None)
    assert workflows.list_all(house, ada) == [one, queue.definition]
    clock.advance(60)
    changed = workflows.update(house, ada, name=one.name, url=URL + "2", paused=True, concurrency=1)
    assert (changed.url, changed.paused_at, changed.concurrency) == (URL + "2", clock.now, 1)
    assert definitions.secret_of(house, one) == made.secret
    workflows.update(house, ada, name=one.name, paused=True, secret="another secret")
    assert definitions.secret_of(house, one) == "another secret"
    assert workflows.update(house, ada, name=one.name, paused=False).paused_at is None
    workflows.remove(house, ada, name=one.name)
    assert workflows.list_all(house, ada) == [queue.definition]
    missing = (Kind.NOT_FOUND, "Workflow not found")
    for name in (one.name, "", "x" * 500, "\0"):
        assert refusal(lambda name=name: workflows.get(house, ada, name=name)) == missing  # type: ignore[misc]
        assert refusal(lambda name=name: workflows.remove(house, ada, name=name)) == missing  # type: ignore[misc]
    eve = sign_up(house, "eve@example.com")
    assert refusal(lambda: workflows.get(house, eve, name="a queue")) == missing
    assert refusal(lambda: workflows.update(house, eve, name="a queue", paused=True)) == missing
    workflows.define(house, eve, name="a queue", kind="function")
    actions = [line.action for line in audit.list_all(house, ada).events if line.action.startswith("workflow")]
    created, change = "workflow:definition:created", "workflow:definition:changed"
    assert actions == ["workflow:definition:removed", change, change, change, created, created]


@SQLITE
@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": None}, "name field is required"),
        ({"name": ""}, "name: must be 1-128 characters"),
        ({"name": "x" * 129}, "name: must be 1-128 characters"),
        ({"name": "a\nb"}, "name: must not contain control characters"),
        ({"name": ".."}, "name: cannot stand in the path of an address"),
        ({"name": "echo"}, "name: echo is built in"),
        ({"name": "data_processing"}, "name: data_processing is built in"),
        ({"kind": "pull"}, "kind: must be one of push, queue, function"),
        ({"url": None}, "url: field required"),
        ({"url": "ftp://hooks.example"}, "url: "),
        ({"url": "http://127.0.0.1/"}, "url: "),
        ({"url": "https://a.example/" + "x" * 2048}, "url: must be 1-2048 characters"),
        ({"secret": "short"}, "secret: must be 8-255 characters"),
        ({"secret": "whsec_%%%%%%%"}, "secret: after whsec_ it must be base64"),
        ({"timeout_seconds": 0}, "timeout_seconds: must be 1-300"),
        ({"timeout_seconds": 301}, "timeout_seconds: must be 1-300"),
        ({"tries": 11}, "tries: must be 1-10"),
        ({"concurrency": True}, "concurrency: must be an integer"),
        ({"kind": "queue"}, "url: is of workflows that are pushed"),
        ({"kind": "queue", "url": None, "secret": "x" * 10}, "secret: is of workflows that are pushed"),
        ({"kind": "function", "url": None, "timeout_seconds": 5}, "timeout_seconds: is the function's own"),
    ],
)
def test_fields(house: House, ada: Principal, fields: dict[str, Any], text: str) -> None:
    kind, said = refusal(lambda: workflows.define(house, ada, **({"name": "n", "kind": "push", "url": URL} | fields)))
    assert kind is Kind.INVALID
    assert said.startswith(text)
    assert workflows.list_all(house, ada) == []


def test_a_name_is_defined_once_and_there_is_an_end(
    open_house: Callable[..., House], settings: Settings, sign_up: SignUp
) -> None:
    house = open_house(Settings(data=settings.data, secret=settings.secret, workflow_limit=2))
    ada = sign_up(house)
    workflows.define(house, ada, name="n", kind="queue")
    assert refusal(lambda: workflows.define(house, ada, name="n", kind="queue"))[0] is Kind.CONFLICT
    workflows.define(house, ada, name="m", kind="queue")
    full = refusal(lambda: workflows.define(house, ada, name="o", kind="queue"))
    assert full == (Kind.INVALID, "Workflow limit reached: 2")


def test_only_admins_define(house: House, ada: Principal, sign_up: SignUp) -> None:
    token = invitations.create(house, ada, email="bob@example.com", role="user").token
    bob = sign_up(house, "bob@example.com", invitation_token=token)
    workflows.define(house, ada, name="n", kind="queue")
    assert [one.name for one in workflows.list_all(house, bob)] == ["n"]
    assert workflows.start(house, bob, workflow="n", payload={}).name == "n"
    for verb in (
        lambda: workflows.define(house, bob, name="m", kind="queue"),
        lambda: workflows.update(house, bob, name="n", paused=True),
        lambda: workflows.remove(house, bob, name="n"),
    ):
        assert refusal(verb)[0] is Kind.FORBIDDEN


def test_a_name_decides_who_serves_it(house: House, ada: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "installed", lambda: {"here": None})
    jobs.define(house, jobs.Kind(name="workflow:here", run=lambda _: None))
    workflows.define(house, ada, name="pushed", kind="push", url=URL, tries=7)
    workflows.define(house, ada, name="pulled", kind="queue")
    workflows.define(house, ada, name="there", kind="function", tries=1)
    cases = [
        ("echo", "workflow", 4),
        ("nobody knows this one", "workflow", 4),
        ("http_request", "workflow.http_request", 4),
        ("data_processing", "workflow.data_processing", 4),
        ("pushed", "workflow.push", 7),
        ("pulled", "workflow.queue", 4),
        ("here", "workflow:here", 4),
        ("there", "workflow:there", 1),
    ]
    for name, kind, tries in cases:
        job = workflows.start(house, ada, workflow=name, payload={"a": 1}, view="levqor")
        assert (job.kind, job.name, job.tries, job.view, job.state) == (kind, name, tries, "levqor", "ready")
        assert (job.account_id, job.organization_id) == (ada.account_id, ada.organization_id)
    odd = functions.kind_name("ä name / with all sorts " * 5)
    assert len(odd) <= 64
    assert odd != functions.kind_name("another")


def test_why_a_job_waits(house: House, ada: Principal, clock: FakeClock) -> None:
    def note(job: jobs.Job) -> tuple[str, int] | None:
        found = workflows.waiting_for(house, ada, job)
        return None if found is None else (found.who, found.since)

    workflows.define(house, ada, name="pulled", kind="queue")
    workflows.define(house, ada, name="there", kind="function")
    workflows.define(house, ada, name="pushed", kind="push", url=URL)
    began = clock.now
    clock.advance(5)
    pulled, there, pushed, echo = (
        workflows.start(house, ada, workflow=name, payload={}) for name in ("pulled", "there", "pushed", "echo")
    )
    assert note(echo) is note(pushed) is None
    assert note(pulled) == ("a worker that pulls the queue 'pulled'", clock.now)
    assert note(there) == (
        "a server on which the function 'there' is installed (entry point group headrace.workflows)",
        clock.now,
    )
    # Somebody pulls, but not from this one.
    workflows.define(house, ada, name="other", kind="queue")
    workflows.lease(house, ada, queues=["other"], worker="w")
    assert note(pulled) is not None
    workflows.update(house, ada, name="pulled", paused=True)
    assert workflows.lease(house, ada, queues=["pulled"], worker="w") == []
    assert note(pulled) == ("somebody who resumes the workflow 'pulled'", clock.now)
    workflows.update(house, ada, name="pulled", paused=False)
    # A worker was here a moment ago: it is only the job's turn that is missing.
    assert note(pulled) is None
    clock.advance(61)
    assert note(pulled) == ("a worker that pulls the queue 'pulled'", began + 5_000_000)
    taken = workflows.lease(house, ada, queues=["pulled"], worker="w")
    assert [one.job.id for one in taken] == [pulled.id]
    assert note(taken[0].job) is None


def test_a_definition_with_work_is_not_removed(house: House, ada: Principal) -> None:
    workflows.define(house, ada, name="pulled", kind="queue")
    job = workflows.start(house, ada, workflow="pulled", payload={})
    said = (Kind.CONFLICT, "Jobs of this workflow are ready: let them end, or cancel them")
    assert refusal(lambda: workflows.remove(house, ada, name="pulled")) == said
    jobs.cancel(house, ada, job_id=job.id)
    workflows.remove(house, ada, name="pulled")
    assert workflows.start(house, ada, workflow="pulled", payload={}).kind == "workflow"


@SQLITE
@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"workflow": None}, "workflow field is required"),
        ({"workflow": ""}, "workflow field is required"),
        ({"workflow": 7}, "workflow: must be a string"),
        ({"workflow": "x" * 129}, "workflow: must be 1-128 characters"),
        ({"payload": None}, "payload field is required"),
        ({"payload": [1]}, "payload: must be an object"),
        ({"payload": {"a": "x" * 204_800}}, "payload too large: max 200KB"),
        ({"priority": 101}, "priority: must be 0-100"),
        ({"callback_url": "mailto:x"}, "callback_url must be a valid HTTP(S) URL"),
        ({"callback_url": "http://10.0.0.1/"}, "callback_url is not allowed"),
        ({"callback_url": "http://localhost/"}, "callback_url is not allowed"),
        ({"callback_url": "https://a.example/" + "x" * 1024}, "callback_url: must be 1-1024 characters"),
    ],
)
def test_what_is_not_started(house: House, ada: Principal, fields: dict[str, Any], text: str) -> None:
    sent: dict[str, Any] = {"workflow": "x", "payload": {}} | fields
    assert refusal(lambda: workflows.start(house, ada, **sent)) == (Kind.INVALID, text)


def test_the_largest_payload_is_taken(house: House, ada: Principal) -> None:
    payload = {"a": "x" * (204_800 - len('{"a":""}'))}
    assert workflows.start(house, ada, workflow="x" * 128, payload=payload).payload == payload


@pytest.fixture
def queue(house: House, ada: Principal) -> Callable[..., list[jobs.Job]]:
    """Fill a queue: `queue(3)`."""

    def fill(many: int = 1, **limits: Any) -> list[jobs.Job]:
        workflows.define(house, ada, name="q", kind="queue", **limits)
        return [workflows.start(house, ada, workflow="q", payload={"n": number}) for number in range(many)]

    return fill


def test_a_job_is_pulled_and_completed(
    house: House, ada: Principal, queue: Callable[..., list[jobs.Job]], clock: FakeClock
) -> None:
    first, second = queue(2)
    pulled = workflows.lease(house, ada, queues=["q"], worker="w1", seconds=30)
    assert [(one.job.id, one.job.state, one.lease_until) for one in pulled] == [
        (first.id, "running", clock.now + 30_000_000)
    ]
    fence = pulled[0].fence
    clock.advance(20)
    beat = workflows.heartbeat(house, ada, fence=fence, worker="w1", seconds=30, progress={"done": 1, "total": 2})
    assert (beat.cancelled, beat.lease_until) == (False, clock.now + 30_000_000)
    job = workflows.complete(house, ada, fence=fence, worker="w1", result={"ok": True})
    assert (job.state, job.result, job.progress_done) == ("succeeded", {"ok": True}, 1)
    again = refusal(lambda: workflows.complete(house, ada, fence=fence, worker="w1"))
    assert again == (Kind.CONFLICT, "The job is succeeded already; nothing was changed")
    other = workflows.lease(house, ada, queues=["q"], worker="w2")[0]
    assert other.job.id == second.id
    failed = workflows.fail(house, ada, fence=other.fence, worker="w2", error="it broke", retry=False)
    assert (failed.state, failed.error) == ("failed", "it broke")


def test_who_is_not_the_holder_changes_nothing(
    house: House, ada: Principal, queue: Callable[..., list[jobs.Job]], sign_up: SignUp
) -> None:
    queue()
    fence = workflows.lease(house, ada, queues=["q"], worker="w1")[0].fence
    stranger = refusal(lambda: workflows.complete(house, ada, fence=fence, worker="w2"))
    assert stranger == (
        Kind.CONFLICT,
        "The lease of this attempt ran out, or it is another worker's; nothing was changed",
    )
    eve = sign_up(house, "eve@example.com")
    for verb in (workflows.heartbeat, workflows.complete):
        assert refusal(lambda verb=verb: verb(house, eve, fence=fence, worker="w1"))[0] is Kind.NOT_FOUND  # type: ignore[misc]
    assert refusal(lambda: workflows.lease(house, eve, queues=["q"], worker="w"))[0] is Kind.NOT_FOUND
    assert workflows.complete(house, ada, fence=fence, worker="w1").state == "succeeded"


def test_a_cancelled_job_is_told_of_and_its_result_thrown_away(
    house: House, ada: Principal, queue: Callable[..., list[jobs.Job]]
) -> None:
    (job,) = queue()
    fence = workflows.lease(house, ada, queues=["q"], worker="w")[0].fence
    jobs.cancel(house, ada, job_id=job.id)
    assert workflows.heartbeat(house, ada, fence=fence, worker="w").cancelled
    done = workflows.complete(house, ada, fence=fence, worker="w", result=1)
    assert (done.state, done.result) == ("cancelled", None)


def test_no_more_are_given_than_may_be_under_way(
    house: House, ada: Principal, queue: Callable[..., list[jobs.Job]]
) -> None:
    queue(5, concurrency=2)
    first = workflows.lease(house, ada, queues=["q"], worker="w", limit=20)
    assert len(first) == 2
    assert workflows.lease(house, ada, queues=["q"], worker="w2") == []
    workflows.complete(house, ada, fence=first[0].fence, worker="w")
    assert len(workflows.lease(house, ada, queues=["q"], worker="w2", limit=20)) == 1
    workflows.update(house, ada, name="q", concurrency=3)
    assert len(workflows.lease(house, ada, queues=["q"], worker="w2", limit=20)) == 1


def test_pushes_are_bounded_by_their_definition_and_may_be_handed_over(house: House, ada: Principal) -> None:
    workflows.define(house, ada, name="pushed", kind="push", url=URL, concurrency=2)
    workflows.define(house, ada, name="other", kind="push", url=URL)
    for _ in range(3):
        workflows.start(house, ada, workflow="pushed", payload={})
    workflows.start(house, ada, workflow="other", payload={})
    engine = Hand(house, "engine")
    taken = engine.take()
    assert sorted(str(job.name) for job in taken) == ["other", "pushed", "pushed"]
    one, two = (job for job in taken if job.name == "pushed")
    assert engine.take() == []
    assert jobs.hand_over(house, fence=one.fence, worker="engine", to="push:1", seconds=60)
    assert not jobs.hand_over(house, fence=one.fence, worker="engine", to="push:2", seconds=60)
    # What the engine makes of it comes to nothing, and it still counts as one of the two.
    assert engine.succeed(one, "early") is None
    assert engine.take() == []
    assert workflows.complete(house, ada, fence=one.fence, worker="push:1", result="late").result == "late"
    workflows.update(house, ada, name="pushed", paused=True)
    assert engine.succeed(two) == "succeeded"
    assert engine.take() == []
    workflows.update(house, ada, name="pushed", paused=False)
    assert len(engine.take()) == 1


def test_an_endpoint_may_be_done_before_its_call_is(house: House, ada: Principal, sign_up: SignUp) -> None:
    """It may answer the call and report at the same moment: its report must not be lost by coming first."""
    made = workflows.define(house, ada, name="pushed", kind="push", url=URL).definition
    for _ in range(3):
        workflows.start(house, ada, workflow="pushed", payload={})
    engine, name = Hand(house, "engine"), f"push:{made.id}"
    done, failed, other = engine.take()
    beat = workflows.heartbeat(house, ada, fence=done.fence, worker=name, progress={"done": 1, "total": 2})
    assert (beat.cancelled, jobs.get(house, ada, job_id=done.id).progress_done) == (False, 1)
    assert workflows.complete(house, ada, fence=done.fence, worker=name, result="early").result == "early"
    assert workflows.fail(house, ada, fence=failed.fence, worker=name, error="no", retry=False).state == "failed"
    # What the call itself comes to then counts no more.
    assert (engine.succeed(done, "late"), engine.succeed(failed, "late")) == (None, None)
    assert not jobs.hand_over(house, fence=done.fence, worker="engine", to=name, seconds=60)
    # Nobody else reports on a job that an engine holds.
    eve = sign_up(house, "eve@example.com")
    for who, worker in ((ada, "push:999"), (ada, "w"), (eve, name)):
        for verb in (workflows.complete, workflows.heartbeat):
            assert refusal(partial(verb, house, who, fence=other.fence, worker=worker))[0] in {
                Kind.CONFLICT,
                Kind.NOT_FOUND,
            }
    # One that only says how far it is leaves the result to its answer.
    workflows.heartbeat(house, ada, fence=other.fence, worker=name)
    assert engine.succeed(other, "answered") == "succeeded"


def test_a_replay_has_the_tries_of_its_definition(house: House, ada: Principal, clock: FakeClock) -> None:
    workflows.define(house, ada, name="pulled", kind="queue", tries=2)
    workflows.define(house, ada, name="pushed", kind="push", url=URL, tries=1)
    pulled = workflows.start(house, ada, workflow="pulled", payload={})
    pushed = workflows.start(house, ada, workflow="pushed", payload={})
    hand = Hand(house)

    def fail_twice() -> None:
        for attempt in (1, 2):
            assert workflows.lease(house, ada, queues=["pulled"], worker="w")[0].job.attempt % 2 == attempt % 2
            fence = f"{pulled.id}:{jobs.get(house, ada, job_id=pulled.id).attempt}"
            workflows.fail(house, ada, fence=fence, worker="w", error="no")
            clock.advance(600)
            hand.take()

    assert hand.fail(hand.take()[0], ValueError()) == "failed"
    fail_twice()
    for job, tries in ((pulled, 4), (pushed, 2)):
        again = jobs.retry(house, ada, job_id=job.id)
        assert (again.state, again.tries) == ("ready", tries)
    assert hand.fail(hand.take()[0], ValueError()) == "failed"
    workflows.update(house, ada, name="pushed", tries=5)
    assert jobs.retry(house, ada, job_id=pushed.id).tries == 7
    fail_twice()
    assert jobs.get(house, ada, job_id=pulled.id).state == "failed"


def test_a_job_whose_definition_is_gone_is_not_replayed(house: House, ada: Principal) -> None:
    workflows.define(house, ada, name="pulled", kind="queue")
    job = workflows.start(house, ada, workflow="pulled", payload={})
    jobs.cancel(house, ada, job_id=job.id)
    workflows.remove(house, ada, name="pulled")
    gone = (Kind.CONFLICT, "The workflow 'pulled' is no longer defined as one of the kind queue; define it again first")
    assert refusal(lambda: jobs.retry(house, ada, job_id=job.id)) == gone
    workflows.define(house, ada, name="pulled", kind="push", url=URL)
    assert refusal(lambda: jobs.retry(house, ada, job_id=job.id)) == gone
    assert jobs.get(house, ada, job_id=job.id).state == "cancelled"
    workflows.remove(house, ada, name="pulled")
    workflows.define(house, ada, name="pulled", kind="queue")
    assert jobs.retry(house, ada, job_id=job.id).state == "ready"


def test_a_pause_of_a_kind_holds_queues(house: House, ada: Principal) -> None:
    operator = Principal(kind="operator", organization_id=ada.organization_id)
    workflows.define(house, ada, name="pulled", kind="queue")
    job = workflows.start(house, ada, workflow="pulled", payload={})
    for who, kind, everywhere in ((ada, "workflow.queue", False), (ada, "", False), (operator, "", True)):
        jobs.pause(house, who, kind=kind, everywhere=everywhere)
        assert workflows.lease(house, ada, queues=["pulled"], worker="w") == []
        assert not workflows.anything(house, ada, queues=["pulled"])
        jobs.resume(house, who, kind=kind, everywhere=everywhere)
    jobs.pause(house, ada, kind="workflow.push")
    jobs.pause(house, Principal(kind="user", organization_id=99, role="org_admin"), kind="workflow.queue")
    assert [one.job.id for one in workflows.lease(house, ada, queues=["pulled"], worker="w")] == [job.id]


def test_a_function_that_is_not_here_waits_and_is_run_again(
    house: House, ada: Principal, open_house: Callable[..., House]
) -> None:
    workflows.define(house, ada, name="there", kind="function")
    job = workflows.start(house, ada, workflow="there", payload={})
    assert Hand(house).take() == []
    jobs.cancel(house, ada, job_id=job.id)
    # After a restart this process has not heard of the function.
    fresh = open_house()
    workflows.define_kinds(fresh)
    assert jobs.retry(fresh, ada, job_id=job.id).state == "ready"
    assert workflows.waiting_for(fresh, ada, jobs.get(fresh, ada, job_id=job.id)) is not None


def test_urgent_jobs_are_pulled_first_and_queues_in_their_order(house: House, ada: Principal) -> None:
    for name in ("a", "b"):
        workflows.define(house, ada, name=name, kind="queue")
        for priority in (jobs.LOW, jobs.HIGH, jobs.NORMAL):
            workflows.start(house, ada, workflow=name, payload={}, priority=priority)
    pulled = workflows.lease(house, ada, queues=["b", "a", "b"], worker="w", limit=5)
    expected = [("b", 80), ("b", 50), ("b", 20), ("a", 80), ("a", 50)]
    assert [(one.job.name, one.job.priority) for one in pulled] == expected


@SQLITE
@pytest.mark.parametrize(
    ("verb", "fields", "text"),
    [
        ("lease", {"queues": None}, "queues: field required"),
        ("lease", {"queues": "q"}, "queues: must be a list of 1-20 names"),
        ("lease", {"queues": []}, "queues: must be a list of 1-20 names"),
        ("lease", {"queues": ["q"] * 21}, "queues: must be a list of 1-20 names"),
        ("lease", {"queues": [7]}, "queues: must be a string"),
        ("lease", {"queues": ["q"], "limit": 0}, "limit: must be 1-20"),
        ("lease", {"queues": ["q"], "seconds": 4}, "seconds: must be 5-3600"),
        ("lease", {"queues": ["q"], "worker": None}, "worker: field required"),
        ("lease", {"queues": ["q"], "worker": "a b"}, "worker: must match ^[A-Za-z0-9._:@-]{1,64}$"),
        ("heartbeat", {"fence": None}, "fence: field required"),
        ("heartbeat", {"fence": "x"}, "fence: must be the fence that came with the job"),
        ("heartbeat", {"progress": 7}, "progress: must be an object"),
        ("heartbeat", {"progress": {}}, "progress.done: field required"),
        ("heartbeat", {"progress": {"done": -1}}, "progress.done: must be >= 0"),
        ("heartbeat", {"progress": {"done": 1, "message": 7}}, "progress.message: must be a string"),
        ("complete", {"fence": "1:2:3"}, "fence: must be the fence that came with the job"),
        ("fail", {"error": None}, "error: field required"),
        ("fail", {"error": "x", "retry": "no"}, "retry: must be true or false"),
    ],
)
def test_what_workers_may_not_say(house: House, ada: Principal, verb: str, fields: dict[str, Any], text: str) -> None:
    usual: dict[str, Any] = {"worker": "w"} if verb == "lease" else {"worker": "w", "fence": "1:1"}
    kind, said = refusal(lambda: getattr(workflows, verb)(house, ada, **(usual | fields)))
    assert (kind, said) == (Kind.INVALID, text)


def test_workers_are_known_by_when_they_were_here(house: House, ada: Principal, clock: FakeClock) -> None:
    for name in ("a", "b"):
        workflows.define(house, ada, name=name, kind="queue")
    began = clock.now
    workflows.lease(house, ada, queues=["a", "b"], worker="w1")
    clock.advance(5)
    workflows.lease(house, ada, queues=["a"], worker="w1")
    assert {(one.queue, one.seen_at) for one in workflows.workers.list_all(house, ada)} == {("a", began), ("b", began)}
    clock.advance(15)
    workflows.lease(house, ada, queues=["a"], worker="w1")
    assert [one.seen_at for one in workflows.workers.list_all(house, ada, queue="a")] == [clock.now]
    clock.advance(8 * 86_400)
    assert workflows.workers.list_all(house, ada) == []


def test_workers_with_ever_new_names_do_not_fill_the_table(
    house: House, ada: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headrace.core.workflows.workers.MOST_ROWS", 3)
    workflows.define(house, ada, name="a", kind="queue")
    for number in range(5):
        workflows.lease(house, ada, queues=["a"], worker=f"w{number}")
    assert len(workflows.workers.list_all(house, ada)) == 3
