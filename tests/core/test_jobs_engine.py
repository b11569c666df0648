"""The engine with its threads: jobs run, are stopped, hang, lose their lease, on a real database and a fake clock."""

import asyncio
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.jobs import engine as engines
from headrace.core.jobs import keeping, leases, listening, statements
from headrace.core.jobs.claim import BATCH
from headrace.core.jobs.listening import NAME
from headrace.kit import times
from tests.conftest import FakeClock
from tests.core import jobs_children as children
from tests.core.jobs_lab import ADA, ORGANIZATION, Lab, add, now

Until = Callable[..., None]


@pytest.fixture
def lab(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setattr(keeping, "STOP_SECONDS", 0.2)
    made = Lab(house)
    yield made
    made.engine.stop(0.1)


async def echo_async(context: jobs.Context) -> Any:
    await asyncio.sleep(0)
    return context.payload


def echo(context: Any) -> Any:
    return context.payload


@pytest.mark.parametrize(("run", "isolation"), [(echo, "thread"), (echo_async, "async"), (children.echo, "process")])
def test_three_ways_to_run(lab: Lab, until: Until, run: Any, isolation: str) -> None:
    job = lab.add(lab.kind(run, isolation=isolation), payload={"n": 1})
    until(lambda: lab.is_over(job))
    done = now(lab.house, job)
    assert (done.state, done.result, done.error, done.attempt) == ("succeeded", {"n": 1}, None, 1)
    until(lambda: not lab.engine.running)
    assert {name: runner.held for name, runner in lab.engine.runners.items()} == {  # type: ignore[attr-defined]
        "thread": 0,
        "async": 0,
        "process": 0,
    }


def test_many_jobs_end_once_each(lab: Lab, until: Until) -> None:
    ran: list[int] = []
    kinds = [
        lab.kind(lambda context: ran.append(context.job.id)),
        lab.kind(echo_async, isolation="async"),
        lab.kind(lambda context: ran.append(context.job.id), ended=lambda *_: None),
    ]
    with lab.house.db.write() as connection:
        made = [
            jobs.enqueue(lab.house, connection, kind=kinds[number % 3], organization_id=number % 7 + 1, payload=number)
            for number in range(600)
        ]
    states = Counter[str]()

    def is_over() -> bool:
        states.clear()
        for labels, number in lab.house.counters.series("jobs_settled_total").items():
            states[dict(labels)["state"]] += int(number)
        return states["succeeded"] >= 600

    until(is_over, seconds=30)
    # Besides, what was claimed ahead may have been given back before it began.
    assert (states.pop("succeeded"), set(states) <= {"ready"}) == (600, True)
    assert len(ran) == len(set(ran)) == 400
    assert {job.id for job in made} >= set(ran)


def test_a_failure_is_tried_again_when_it_is_time(lab: Lab, clock: FakeClock, until: Until) -> None:
    def fail_twice(context: jobs.Context) -> int:
        if context.job.attempt < 3:
            raise ValueError(context.job.attempt)
        return context.job.attempt

    job = lab.add(lab.kind(fail_twice, tries=3, schedule=(60.0,)))
    for attempt in (1, 2):
        until(lambda attempt=attempt: (now(lab.house, job).attempt, lab.state(job)) == (attempt, "scheduled"))
        clock.advance(67)
    until(lambda: lab.state(job) == "succeeded")
    assert now(lab.house, job).result == 3


def test_a_timeout_is_a_failed_attempt(lab: Lab, until: Until) -> None:
    def checks(context: jobs.Context) -> None:
        while True:
            context.check()

    async def sleeps(_: jobs.Context) -> None:
        await asyncio.Event().wait()

    for run, isolation in ((checks, "thread"), (sleeps, "async"), (children.never, "process")):
        job = lab.add(lab.kind(run, isolation=isolation, timeout_seconds=0.05, tries=1))
        until(lambda job=job: lab.is_over(job))
        assert (lab.state(job), now(lab.house, job).error) == ("failed", "The job ran longer than 0.05 s")
    until(lambda: not lab.engine.running)


def test_cancel_of_what_runs(lab: Lab, until: Until) -> None:
    def checks(context: jobs.Context) -> None:
        while True:
            context.check()

    async def sleeps(_: jobs.Context) -> None:
        await asyncio.Event().wait()

    for run, isolation in ((checks, "thread"), (sleeps, "async"), (children.never, "process")):
        job = lab.add(lab.kind(run, isolation=isolation))
        until(lambda job=job: any(one.began for one in lab.engine.held() if one.job.id == job.id))
        assert jobs.cancel(lab.house, ADA, job_id=job.id).state == "cancelling"
        until(lambda job=job: lab.is_over(job))
        assert lab.state(job) == "cancelled"


def test_cancel_by_another_process(lab: Lab, open_house: Callable[..., House], until: Until) -> None:
    def checks(context: jobs.Context) -> None:
        while True:
            context.check()

    job = lab.add(lab.kind(checks))
    until(lambda: lab.state(job) == "running")
    jobs.cancel(open_house(), ADA, job_id=job.id)
    until(lambda: lab.state(job) == "cancelled")


def test_a_thread_that_never_ends_is_left_to_itself(lab: Lab, until: Until) -> None:
    let_go, late = threading.Event(), list[Any]()

    def hangs(context: jobs.Context) -> str:
        let_go.wait()
        try:
            context.step("late", lambda: 1)
        except jobs.Cancelled as error:
            late.append(error)
        return "late"

    kind = lab.kind(hangs, timeout_seconds=0.05, tries=1)
    # As many as would have used up every thread that there is, several times.
    hung = [lab.add(kind) for _ in range(20)]
    until(lambda: all(lab.is_over(job) for job in hung))
    fine = lab.add(lab.kind(echo), payload=7)
    until(lambda: lab.state(fine) == "succeeded")
    threads: Any = lab.engine.runners["thread"]
    until(lambda: lab.house.counters.value("jobs_threads_left_total", (("kind", kind),)) == 20)
    assert (threads.hung, threads.count) == (20, lab.house.settings.jobs_workers)
    let_go.set()
    until(lambda: threads.hung == 0)
    assert {now(lab.house, job).state for job in hung} == {"failed"}
    assert len(late) == 20


def test_a_job_of_three_leases_runs_once(lab: Lab, clock: FakeClock, until: Until) -> None:
    let_go, starts = threading.Event(), list[str]()

    def long(context: jobs.Context) -> None:
        starts.append(context.fence)
        let_go.wait()

    job = lab.add(lab.kind(long))
    until(lambda: starts)
    for _ in range(9):
        clock.advance(11)
        due = clock.now + 19 * times.SECOND
        until(lambda due=due: lease_of(lab.house, job) > due)
        leases.reap(lab.house)
    let_go.set()
    until(lambda: lab.state(job) == "succeeded")
    assert starts == [f"{job.id}:1"]


def lease_of(house: House, job: jobs.Job) -> int:
    with house.db.read() as connection:
        row = statements.run(connection, "SELECT lease_until FROM jobs WHERE id = :id", id=job.id).fetchone()
    return int(row[0])


def test_a_lease_that_was_lost_stops_the_run(lab: Lab, until: Until) -> None:
    seen = threading.Event()

    def checks(context: jobs.Context) -> None:
        if context.job.attempt > 1:
            return
        seen.set()
        while True:
            context.check()

    job = lab.add(lab.kind(checks))
    until(seen.is_set)
    until(lab.engine.held)
    with lab.house.db.write() as connection:
        statements.run(connection, "UPDATE jobs SET worker = 'thief', attempt = 2 WHERE id = :id", id=job.id)
    lab.engine.keeper.renewed_at -= 3_600
    until(lambda: not lab.engine.running)
    assert lab.house.counters.value("jobs_leases_lost_total") == 1
    assert (lab.state(job), now(lab.house, job).attempt) == ("running", 2), "it is the thief's"


def test_progress_reaches_the_store(lab: Lab, until: Until) -> None:
    let_go = threading.Event()

    def tells(context: jobs.Context) -> None:
        for done in range(1_000):
            context.progress(done, 1 << 70, "x" * 600)
        let_go.wait()
        context.progress(1_000, 1_000, "done\0")

    job = lab.add(lab.kind(tells))
    until(lambda: now(lab.house, job).progress_done == 999)
    assert len(now(lab.house, job).progress_message or "") == 500
    let_go.set()
    until(lambda: lab.is_over(job))
    assert (now(lab.house, job).progress_done, now(lab.house, job).progress_message) == (1_000, "done")


def test_only_what_can_begin_is_claimed(lab: Lab, until: Until) -> None:
    let_go = threading.Event()
    quick, slow = lab.kind(echo), lab.kind(lambda _: let_go.wait(), tries=1)
    for _ in range(50):
        lab.add(quick)
    until(lambda: jobs.counts(lab.house, ADA)["succeeded"] == 50)
    workers = lab.house.settings.jobs_workers
    long = [lab.add(slow) for _ in range(workers)]
    until(lambda: sum(one.began is not None for one in lab.engine.held()) == workers)
    behind = [lab.add(kind) for kind in (slow, quick, quick)]
    # A task tells that the engine has looked at what is ready since.
    task = lab.add(lab.kind(echo_async, isolation="async"))
    until(lambda: lab.is_over(task))
    assert [(now(lab.house, job).state, now(lab.house, job).attempt) for job in behind] == [("ready", 0)] * 3
    let_go.set()
    until(lambda: all(lab.state(job) == "succeeded" for job in long + behind))
    assert {now(lab.house, job).attempt for job in long + behind} == {1}


def test_what_was_claimed_ahead_and_never_began_is_as_if_it_had_not_been(lab: Lab, until: Until) -> None:
    """A kind that was quick until now: more of its jobs are claimed than begin."""
    let_go, wait = threading.Event(), list[bool]()

    def turns_slow(context: jobs.Context) -> None:
        if wait:
            let_go.wait()

    kind = lab.kind(turns_slow, tries=1)
    for _ in range(50):
        lab.add(kind)
    until(lambda: jobs.counts(lab.house, ADA)["succeeded"] == 50)
    wait.append(True)
    with lab.house.db.write() as connection:
        made = [
            jobs.enqueue(lab.house, connection, kind=kind, organization_id=ORGANIZATION, payload=None)
            for _ in range(30)
        ]
    workers = lab.house.settings.jobs_workers
    until(lambda: jobs.counts(lab.house, ADA)["ready"] == 30 - workers and len(lab.engine.held()) == workers)
    waiting = [now(lab.house, job) for job in made if lab.state(job) == "ready"]
    assert {(job.attempt, job.tries, job.started_at) for job in waiting} == {(0, 1, None)}
    let_go.set()
    until(lambda: all(lab.state(job) == "succeeded" for job in made))
    assert {now(lab.house, job).attempt for job in made} == {1}


# These have no SQL of their own.
SQLITE = pytest.mark.parametrize("address", ["sqlite"], indirect=True)


@SQLITE
@pytest.mark.parametrize(
    ("run", "error"),
    [
        ("too_much", "The result has more than 262144 bytes as JSON; that many are kept"),
        ("bomb", None),
        ("quits", "The job's process ended without a result, with code 3"),
        ("retries", "busy there"),
        ("fails", "The job failed: KeyError"),
        ("tells", None),
    ],
)
def test_processes_that_misbehave(lab: Lab, until: Until, run: str, error: str | None) -> None:
    job = lab.add(lab.kind(getattr(children, run), isolation="process", tries=1, timeout_seconds=30))
    until(lambda: lab.is_over(job), seconds=20)
    done = now(lab.house, job)
    assert (done.state, done.error) == ("succeeded" if error is None else "failed", error)
    if run == "tells":
        assert done.progress_done == 3


@SQLITE
def test_a_process_has_so_much_memory(lab: Lab, until: Until) -> None:
    job = lab.add(lab.kind(children.grows, isolation="process", memory_bytes=64 << 20))
    until(lambda: lab.is_over(job), seconds=20)
    done = now(lab.house, job)
    assert (done.state, done.error, done.attempt) == ("failed", "The job needs more than 64 MiB of memory", 1)


@SQLITE
def test_a_process_that_was_killed_is_not_started_again_at_once(lab: Lab, clock: FakeClock, until: Until) -> None:
    job = lab.add(lab.kind(children.killed, isolation="process", tries=2))
    until(lambda: lab.state(job) == "scheduled", seconds=20)
    waits = now(lab.house, job)
    assert waits.error == "The job's process was killed by signal 9; the machine may be out of memory"
    assert 1_000_000 <= waits.run_at - clock.now <= 2_000_000
    clock.advance(2)
    until(lambda: lab.state(job) == "failed", seconds=20)


@SQLITE
def test_a_process_stands_back_and_has_what_was_prepared(lab: Lab, until: Until) -> None:
    kind = lab.kind(children.place, isolation="process", prepare=lambda context: {"of": context.payload})
    job = lab.add(kind, payload=7)
    until(lambda: lab.is_over(job), seconds=20)
    priority, score, said, prepared = now(lab.house, job).result
    assert (priority > os.getpriority(os.PRIO_PROCESS, 0), score) == (True, "1000")
    assert (said, prepared) == ("", {"of": 7})


@SQLITE
def test_what_a_process_started_ends_with_it(lab: Lab, until: Until, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    job = lab.add(lab.kind(children.forks, isolation="process"), payload=str(note))
    until(lambda: note.exists() and note.read_text())
    jobs.cancel(lab.house, ADA, job_id=job.id)
    until(lambda: lab.state(job) == "cancelled")
    until(lambda: not any(is_alive(int(pid)) for pid in note.read_text().split()))


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that only waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_polite_stop_gives_jobs_back(open_house: Callable[..., House], until: Until) -> None:
    lab = Lab(open_house())
    begun = list[int]()

    def hangs(context: jobs.Context) -> None:
        begun.append(context.job.id)
        while True:
            context.check()

    made = [lab.add(lab.kind(hangs)) for _ in range(6)]
    until(lambda: len(begun) == lab.house.settings.jobs_workers)
    lab.engine.stop(0.05)
    found = [now(lab.house, job) for job in made]
    assert {job.state for job in found} == {"ready"}
    assert all(job.tries - job.attempt == 4 for job in found), "it cost them no try"


def test_a_job_for_later_starts_on_time(lab: Lab, clock: FakeClock, until: Until) -> None:
    kind = lab.kind(echo)
    job = lab.add(kind, run_at=clock.now + 3_600 * times.SECOND)
    clock.advance(3_599)
    other = lab.add(kind)
    until(lambda: lab.is_over(other))
    assert lab.state(job) == "scheduled"
    clock.advance(1)
    until(lambda: lab.is_over(job))


def test_delays_of_another_process_are_noticed(
    lab: Lab, open_house: Callable[..., House], clock: FakeClock, until: Until
) -> None:
    other = open_house()
    kind = lab.kind(echo)
    jobs.define(other, jobs.Kind(name=kind, run=None))
    job = add(other, kind, run_at=clock.now + 60 * times.SECOND)
    clock.advance(60)
    until(lambda: lab.is_over(job))


def test_an_outcome_that_cannot_be_written_holds_up_no_other(lab: Lab, until: Until) -> None:
    def odd(context: jobs.Context) -> None:
        context.said = jobs.Progress(object(), None, None)  # type: ignore[arg-type]

    bad, good = lab.add(lab.kind(odd, tries=1)), lab.add(lab.kind(echo))
    until(lambda: lab.is_over(bad) and lab.is_over(good))
    assert (lab.state(bad), lab.state(good)) == ("failed", "succeeded")
    assert (now(lab.house, bad).error or "").startswith("What became of the job cannot be written: ")
    words = lab.add(lab.kind(lambda _: (_ for _ in ()).throw(jobs.NonRetryable("\ud800 a \0 b"))))
    until(lambda: lab.is_over(words))
    assert now(lab.house, words).error == "? a  b"


def test_jobs_of_another_process_are_noticed(
    open_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    # A hint comes, not the poll.
    monkeypatch.setattr(engines, "POLL_SECONDS", 3600.0)
    lab, other = Lab(open_house()), open_house()
    kind = lab.kind(echo)
    jobs.define(other, jobs.Kind(name=kind, run=None))
    for job in (add(other, kind) for _ in range(5)):
        until(lambda job=job: lab.is_over(job))
    lab.engine.stop(0.1)


def test_two_engines_share_the_work(open_house: Callable[..., House], until: Until) -> None:
    labs = [Lab(open_house()) for _ in range(2)]
    ran: list[list[str]] = [[], []]
    for lab, mine in zip(labs, ran, strict=True):
        lab.kind(lambda context, mine=mine: mine.append(context.fence))
    house = labs[0].house
    with house.db.write() as connection:
        for number in range(BATCH * 6):
            jobs.enqueue(house, connection, kind="k0", organization_id=ORGANIZATION, payload=number)
    until(lambda: jobs.counts(house, ADA)["succeeded"] == BATCH * 6, seconds=20)
    for lab in labs:
        lab.engine.stop(1)
    fences = [*ran[0], *ran[1]]
    assert len(fences) == len(set(fences)) == BATCH * 6
    assert all(fence.endswith(":1") for fence in fences)


def sessions(house: House) -> set[int]:
    """The sessions of the database that listen for hints."""
    listen = "SELECT pid FROM pg_stat_activity WHERE application_name = :name AND state = 'idle' AND query <> ''"
    with house.db.read() as connection:
        return set(connection.execute(sa.text(listen), {"name": NAME}).scalars())


def hang_up(house: House, until: Until) -> None:
    """End the session that listens, as an administrator or a restart of the server does."""
    until(lambda: sessions(house))
    with house.db.write() as connection:
        for pid in sessions(house):
            connection.execute(sa.text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})


def two_houses(open_house: Callable[..., House], until: Until) -> tuple[House, House]:
    """One that runs jobs, and one that only enqueues them: what another process is."""
    house, other = open_house(), open_house()
    if house.db.dialect == "sqlite":
        pytest.skip("SQLite is looked at, not listened to")
    # The server may still be ending those of the test before.
    until(lambda: not sessions(house))
    jobs.define(house, jobs.Kind(name="echo", run=echo))
    jobs.define(other, jobs.Kind(name="echo", run=None))
    return house, other


def test_without_an_ear_jobs_are_looked_for(
    open_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    monkeypatch.setattr(listening, "AGAIN_SECONDS", 3600.0)
    house, other = two_houses(open_house, until)
    lab = Lab(house)
    hang_up(house, until)
    until(lambda: not sessions(house))
    job = add(other, "echo", payload=1)
    until(lambda: lab.is_over(job))
    assert lab.engine.listener.heard_at == 0, "nobody told"
    lab.engine.stop(0.1)


def test_an_ear_that_was_cut_off_listens_again(
    open_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    # Nothing but a hint tells of a job then.
    monkeypatch.setattr(engines, "POLL_SECONDS", 3600.0)
    monkeypatch.setattr(listening, "AGAIN_SECONDS", 0.01)
    house, other = two_houses(open_house, until)
    lab = Lab(house)
    until(lambda: sessions(house))
    before = sessions(house)
    hang_up(house, until)
    until(lambda: sessions(house) - before)
    job = add(other, "echo", payload=1)
    until(lambda: lab.is_over(job))
    until(lambda: lab.engine.listener.heard_at > 0)
    lab.engine.stop(0.1)
