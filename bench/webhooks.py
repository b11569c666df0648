"""Section `webhooks`: signed deliveries to a receiver that is a process of its own, also while another one hangs."""

import asyncio
import gc
import multiprocessing
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench import table
from bench.place import Place
from bench.table import Row
from bench.workloads import percentile
from headrace.cli.serve import SWITCH_SECONDS
from headrace.core import jobs, webhooks
from headrace.core.house import House
from headrace.core.identity import accounts, sessions
from headrace.core.limits.windows import Limits
from headrace.core.metrics import Counters
from headrace.core.outward import Outward
from headrace.core.principal import Principal
from headrace.core.schema.webhooks import attempts, deliveries
from headrace.core.settings import Settings
from headrace.kit import clock

RECEIVERS = 50
EVENT = "job.succeeded"
DATA = {"job_id": "0" * 32, "name": "report", "result": {"text": "x" * 300}}
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PER_SECOND = 5  # Events; each goes to every receiver.


def measure(place: Place) -> Iterator[Row]:
    events = 20 if place.quick else 200
    before = sys.getswitchinterval()
    # As the server does it.
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()
    try:
        with receiver() as port, opened(place.subfolder("webhooks")) as house:
            who = made(house)
            for number in range(RECEIVERS):
                webhooks.create(house, who, url=f"http://127.0.0.1:{port}/{number}", events=["job.*"])
            house.part(jobs.Engine).start()
            rate = delivered(house, who, events)
            note = f"{RECEIVERS} endpoints, at most 2 in flight to each; signed, logged, on disk"
            yield Row("webhooks delivered", rate, table.per_second, 1_000, note, least=True)
            webhooks.create(house, who, url=f"http://127.0.0.1:{port}/hang", events=["job.*"])
            late = waits(house, who, 10 if place.quick else 50)
            note = f"from the event to the request, at {PER_SECOND * RECEIVERS}/s, while one more endpoint hangs"
            yield Row("  99 of 100 healthy ones within", percentile(late, 0.99), table.millis, 0.2, note)
            house.part(jobs.Engine).stop(1)
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)


def delivered(house: House, who: Principal, events: int) -> float:
    began = time.perf_counter()
    for _ in range(events):
        emit(house, who)
    wait_for(house, events * RECEIVERS)
    return events * RECEIVERS / (time.perf_counter() - began)


def waits(house: House, who: Principal, events: int) -> list[float]:
    """Seconds from each event to its requests, without the endpoint that hangs."""
    since, before = house.clock(), counted(house)
    pause = threading.Event()
    for _ in range(events):
        emit(house, who)
        pause.wait(1 / PER_SECOND)
    wait_for(house, before + events * RECEIVERS)
    query = sa.select(deliveries.c.last_attempt_at - deliveries.c.created_at)
    with house.db.read() as connection:
        good = deliveries.c.status == "delivered", deliveries.c.created_at >= since
        return [late / 1e6 for late in connection.execute(query.where(*good)).scalars()]


def emit(house: House, who: Principal) -> None:
    with house.db.write() as connection:
        webhooks.emit(house, connection, organization_id=who.organization_id, event=EVENT, data=DATA)


def wait_for(house: House, number: int) -> None:
    pause, deadline = threading.Event(), time.monotonic() + 120
    # The log's last number is read at once. The count, asked all the time, would take its share of what is measured.
    while logged(house) < number or counted(house) < number:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{counted(house)} of {number} were delivered")
        pause.wait(0.02)


def logged(house: House) -> int:
    with house.db.read() as connection:
        return connection.execute(sa.select(sa.func.max(attempts.c.id))).scalar() or 0


def counted(house: House) -> int:
    query = sa.select(sa.func.count()).select_from(deliveries).where(deliveries.c.status == "delivered")
    with house.db.read() as connection:
        return int(connection.execute(query).scalar_one())


@contextmanager
def opened(folder: Path) -> Iterator[House]:
    nothing: Any = None
    settings = Settings(
        data=folder, secret=secrets.token_hex(32), outbound_allow=("127.0.0.0/8",), webhook_limit=RECEIVERS + 1
    )
    house = House.open(settings, limits=Limits(clock.now), store=nothing, counters=Counters())
    jobs.define(house, webhooks.kind(house))
    try:
        yield house
    finally:
        house.part(Outward).close()
        house.close()


def made(house: House) -> Principal:
    one = accounts.register(
        house, email="bench@example.com", password="Bench" + secrets.token_hex(8), name="Bench", door="", address="::1"
    )
    return sessions.resolve(house, one.pair.access_token)


@contextmanager
def receiver() -> Iterator[int]:
    """A receiver that answers at once, but for `/hang` never; yields its port."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=receive, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


def receive(told: Any) -> None:
    async def run() -> None:
        server = await asyncio.start_server(take, "127.0.0.1", 0)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        if b" /hang " in head.partition(b"\r\n")[0]:
            await asyncio.Event().wait()
        size = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(size.partition(b":")[2]))
        writer.write(ANSWER)
