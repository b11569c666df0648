"""Worker processes under load are killed, or stopped and woken: every accepted job ends once, and none is lost."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.schema import jobs as schema
from headrace.kit.database import UnreachableError
from tests.conftest import SECRET
from tests.core.test_jobs_engine import is_alive
from tests.program import job_worker
from tests.program.conftest import command, environment

ROUNDS = 20
KINDS = ("thread", "task", "ending")
ORGANIZATIONS = 5

Until = Callable[..., None]
Start = Callable[[], Any]


@pytest.fixture
def lab(address: str | Path, tmp_path: Path) -> Iterator[House]:
    """The process that accepts jobs and runs none."""
    house = job_worker.open_lab(*place(address, tmp_path))
    job_worker.define(house, str(tmp_path / "effects"))
    yield house
    house.close()


def place(address: str | Path, folder: Path) -> tuple[str, str]:
    return str(address), str(folder)


@pytest.fixture
def start(address: str | Path, tmp_path: Path) -> Iterator[Start]:
    """Start a worker process: forked from one that has imported everything, since 20 starts take long otherwise."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.program.job_worker"])
    started: list[Any] = []

    def run() -> Any:
        arguments = (*place(address, tmp_path), str(tmp_path / "effects"), str(tmp_path / "go"))
        process = context.Process(target=job_worker.work, args=arguments, daemon=True)
        process.start()
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.join()


class Source(threading.Thread):
    """Submits jobs until told to stop, and remembers those that were accepted."""

    def __init__(self, house: House) -> None:
        super().__init__()
        self.house = house
        self.accepted: list[int] = []
        self.ended = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.ended.wait(0.004):
            number += 1
            values = {"organization_id": number % ORGANIZATIONS + 1, "payload": number}
            try:
                self.accepted.append(jobs.submit(self.house, kind=KINDS[number % 3], **values).id)
            except UnreachableError:
                continue  # The killed one held the file's lock; that job was not accepted.


def test_killed_at_random_moments_under_load(lab: House, start: Start, until: Until, tmp_path: Path) -> None:
    """One database over all rounds; on PostgreSQL two workers run, and one of them dies."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201  Shown when the test fails.
    chance = random.Random(seed)
    workers = [start() for _ in range(1 if lab.db.dialect == "sqlite" else 2)]
    source = Source(lab)
    source.start()
    pause = threading.Event()
    try:
        until(lambda: done(lab) > 20)
        for _ in range(ROUNDS):
            pause.wait(chance.uniform(0, 0.25))
            victim = workers.pop(0)
            victim.kill()
            victim.join()
            workers.append(start())
    finally:
        source.ended.set()
        source.join()
    until(lambda: left(lab) == 0, seconds=30)
    judge(lab, source.accepted, tmp_path / "effects")


def done(house: House) -> int:
    with house.db.read() as connection:
        totals = schema.job_totals
        return connection.execute(sa.select(sa.func.coalesce(sa.func.sum(totals.c.number), 0))).scalar_one()


def left(house: House) -> int:
    with house.db.read() as connection:
        query = sa.select(sa.func.count()).select_from(schema.jobs).where(schema.jobs.c.finished_at.is_(None))
        return connection.execute(query).scalar_one()


def judge(house: House, accepted: list[int], effects: Path) -> None:
    table = schema.jobs
    with house.db.read() as connection:
        rows = connection.execute(sa.select(table).order_by(table.c.id)).all()
    found = {row.id: row for row in rows}
    assert set(accepted) <= set(found), "no accepted job is lost"
    assert {row.state for row in rows} == {"succeeded"}
    followed = Counter(row.payload for row in rows if row.kind == "after")
    assert followed == Counter(str(row.id) for row in rows if row.kind == "ending"), "each end happened once"
    assert done(house) == len(rows), "each end was counted once"
    fences = Counter(effects.read_text().split())
    assert max(fences.values()) == 1, "an attempt runs once"
    for row in rows:
        last = f"{row.id}:{row.attempt}"
        assert row.result == f'"{last}"'
        assert fences[last] == 1, "the effect that counts carries the fence of the end"
    assert len(accepted) > ROUNDS


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_worker_that_slept_through_its_lease_cannot_finish(
    lab: House, start: Start, until: Until, tmp_path: Path
) -> None:
    sleeper = start()
    job = jobs.submit(lab, kind="wait", organization_id=1, payload=None)
    until((tmp_path / "go.begun").exists)  # One that is claimed but not begun would not begin with its lease over.
    os.kill(sleeper.pid, signal.SIGSTOP)
    start()
    until(lambda: held_attempt(lab, job) == ("succeeded", 2), seconds=20)
    (tmp_path / "go").touch()
    os.kill(sleeper.pid, signal.SIGCONT)
    effects = tmp_path / "effects"
    until(lambda: sorted(effects.read_text().split()) == [f"{job.id}:1", f"{job.id}:2"])
    other = [jobs.submit(lab, kind="thread", organization_id=1, payload=None) for _ in range(20)]
    until(lambda: all(held_attempt(lab, one)[0] == "succeeded" for one in other))
    with lab.db.read() as connection:
        row = connection.execute(sa.select(schema.jobs).where(schema.jobs.c.id == job.id)).one()
    assert (row.state, row.attempt, row.result) == ("succeeded", 2, f'"{job.id}:2"')


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_processes_of_jobs_end_with_a_server_that_is_killed(
    lab: House, start: Start, until: Until, tmp_path: Path
) -> None:
    server, note = start(), tmp_path / "note"
    jobs.submit(lab, kind="stuck", organization_id=1, payload=str(note))
    until(lambda: note.exists() and len(note.read_text().split()) == 2, seconds=30)
    processes = [int(pid) for pid in note.read_text().split()]
    try:
        assert all(map(is_alive, processes))
        server.kill()
        until(lambda: not any(map(is_alive, processes)))
    finally:
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def held_attempt(house: House, job: jobs.Job) -> tuple[str, int]:
    table = schema.jobs
    with house.db.read() as connection:
        row = connection.execute(sa.select(table.c.state, table.c.attempt).where(table.c.id == job.id)).one()
    return row.state, row.attempt


def test_a_worker_needs_postgresql(tmp_path: Path) -> None:
    done = command("worker", "--data", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert "a worker needs PostgreSQL" in done.stderr


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_process_without_the_databases_secret_does_not_start(address: str, tmp_path: Path) -> None:
    env = {"HEADRACE_DATABASE_URL": address}
    made = command("admin", "account", "ada@example.com", "--data", str(tmp_path / "one"), **env)
    assert made.returncode == 0, made.stderr
    two = str(tmp_path / "two")
    for arguments in (("worker",), ("serve", "--port", "0"), ("key", "list")):
        done = command(*arguments, "--data", two, **env)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert f"copy the file `secret` of the first server's data folder to {two}/secret" in done.stderr
        assert not (tmp_path / "two" / "secret").exists()
    found = [json.loads(line) for line in command("doctor", "--json", "--data", two, **env).stdout.splitlines()]
    assert [one["state"] for one in found if one["what"] == "secret"] == ["fail"]


@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_the_command_runs_jobs_and_stops_politely(lab: House, address: str, tmp_path: Path, until: Until) -> None:
    job = jobs.submit(lab, kind="thread", organization_id=1, payload=None)
    process = subprocess.Popen(
        [sys.executable, "-m", "headrace", "worker", "--data", str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(HEADRACE_DATABASE_URL=address, HEADRACE_SECRET=SECRET),
    )
    try:
        assert process.stdout is not None
        assert "worker runs jobs, 4 threads" in process.stdout.readline()
        until(lambda: leads(lab), seconds=20)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert said.splitlines() == ["stopping: what runs has 20 s, the rest is given back", "stopped"]
    assert not leads(lab), "the lead was given back"
    assert held_attempt(lab, job) == ("ready", 0), "a kind that the program does not know waits for one that does"


def leads(house: House) -> bool:
    with house.db.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(schema.job_leaders)).scalar_one() == 1
