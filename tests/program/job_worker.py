"""A worker process for test_jobs_crash.py: an engine on a given database, whose jobs leave their fences in a file."""

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

from headrace.core import jobs
from headrace.core.house import House
from headrace.core.limits.windows import Limits
from headrace.core.metrics import Counters
from headrace.core.settings import Settings
from headrace.kit import clock
from headrace.kit.database import Database
from tests.conftest import SECRET
from tests.core import jobs_children

LEASE_SECONDS = 1
# Each round may cost a job a try; here none is to run out of them.
TRIES = 1_000


def open_lab(address: str, folder: str) -> House:
    nothing: Any = None
    settings = Settings(data=Path(folder), secret=SECRET, jobs_lease_seconds=LEASE_SECONDS)
    return House.open(
        settings, limits=Limits(clock.now), store=nothing, counters=Counters(), db=Database.open(address or folder)
    )


def define(house: House, effects: str, go: str = "") -> None:
    """Name the kinds: a thread and a task that leave a trace, one with something at its end, and one that waits."""
    file = os.open(effects, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def leave(context: jobs.Context) -> str:
        context.progress(1, 2)
        os.write(file, f"{context.fence}\n".encode())
        return context.fence

    async def leave_task(context: jobs.Context) -> str:
        await asyncio.sleep(0)
        return leave(context)

    def wait(context: jobs.Context) -> str:
        Path(f"{go}.begun").touch()
        pause = threading.Event()
        while context.job.attempt == 1 and not Path(go).exists():
            pause.wait(0.01)
        return leave(context)

    def ended(connection: Any, house: House, job: jobs.Job) -> None:
        jobs.enqueue(house, connection, kind="after", organization_id=job.organization_id, payload=job.id)

    for kind in (
        jobs.Kind(name="thread", run=leave, tries=TRIES),
        jobs.Kind(name="task", run=leave_task, isolation="async", tries=TRIES),
        jobs.Kind(name="ending", run=leave, tries=TRIES, ended=ended, per_lane=5),
        jobs.Kind(name="after", run=leave, tries=TRIES),
        jobs.Kind(name="wait", run=wait, tries=TRIES),
        jobs.Kind(name="stuck", run=jobs_children.stuck, isolation="process"),
    ):
        jobs.define(house, kind)


def work(address: str, folder: str, effects: str, go: str = "") -> None:
    """Run jobs until killed."""
    house = open_lab(address, folder)
    define(house, effects, go)
    house.part(jobs.Engine).start()
    threading.Event().wait()
