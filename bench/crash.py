"""One round of the crash test: load, kill -9, restart, and every event looked for. Who runs rounds is in `soak`."""

import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.client import Answer, Caller, drive, request
from bench.server import Key, Server, until

CONNECTIONS = 6
SINGLE, BATCH = "/api/v1/ingest/single", "/api/v1/ingest/batch"
# Segments so small that a kill nearly always meets a drain.
SMALL_SEGMENTS = {"segment_rows": "200", "segment_age_ms": "50"}
TORN = (b'{"rows":1,"tenant":1,"project":1,"recei', b"\0" * 700, b'{"rows":1}\n', b"\xff\xfe\n\n")


class Load:
    """What was sent under one name, and what became of it. Every event carries a marker of its own."""

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.random = random.Random(seed)
        self.sent: dict[int, list[str]] = {}  # Markers by request.
        self.acknowledged: set[int] = set()
        self.refused: dict[int, int] = {}  # Status by request.
        self.refusals: set[bytes] = set()  # What was said then.
        self.stopping = threading.Event()

    def requests(self, key: Key) -> Iterator[tuple[int, bytes]]:
        """Endless singles and batches, until stopped."""
        number = 0
        while not self.stopping.is_set():
            number += 1
            rows = 1 if self.random.random() < 0.5 else self.random.randint(2, 150)
            markers = [f"{self.name}/{number}/{row}" for row in range(rows)]
            logs = [self.log(marker) for marker in markers]
            self.sent[number] = markers
            # Attributes over several lines are valid JSON too, and must not tear the log, which has one line a request.
            indent = self.random.choice([None, None, 1])
            if rows == 1:
                yield number, request("POST", SINGLE, key.secret, json.dumps(logs[0], indent=indent).encode())
            else:
                yield number, request("POST", BATCH, key.secret, json.dumps({"logs": logs}, indent=indent).encode())

    def log(self, marker: str) -> dict[str, object]:
        return {
            "timestamp": datetime.now(UTC).isoformat(),
            "level": self.random.choice(["debug", "info", "warning", "error"]),
            "message": marker,
            "environment": self.name,
            "attributes": {"n": self.random.randint(1, 9), "text": self.random.choice(["ä\n", "x" * 300, "{}"])},
        }

    def answered(self, answer: Answer[int]) -> None:
        if answer.status == 202:
            self.acknowledged.add(answer.tag)
        elif answer.status:
            self.refused[answer.tag] = answer.status
            self.refusals.add(answer.body)


class Verdict(NamedTuple):
    """`lost`: acknowledged and not found. `doubled`: found more than once. `partial`: requests found in part only.

    `strange`: found though refused, or never sent. `unanswered` requests were cut off by the kill; `saved` of them are
    stored all the same, which is allowed.
    """

    acknowledged: int
    refused: int
    unanswered: int
    saved: int
    stored: int
    lost: list[str]
    doubled: list[str]
    partial: list[int]
    strange: list[str]

    @property
    def good(self) -> bool:
        return not (self.lost or self.doubled or self.partial or self.strange)


def judge(load: Load, found: list[str]) -> Verdict:
    counts = Counter(found)
    present = {number: sum(marker in counts for marker in markers) for number, markers in load.sent.items()}
    unanswered = load.sent.keys() - load.acknowledged - load.refused.keys()
    known = {marker for markers in load.sent.values() for marker in markers}
    return Verdict(
        acknowledged=sum(len(load.sent[number]) for number in load.acknowledged),
        refused=len(load.refused),
        unanswered=len(unanswered),
        saved=sum(present[number] > 0 for number in unanswered),
        stored=len(found),
        lost=[marker for number in load.acknowledged for marker in load.sent[number] if marker not in counts],
        doubled=[marker for marker, times in counts.items() if times > 1],
        partial=[number for number in load.sent if present[number] not in {0, len(load.sent[number])}],
        strange=[
            *(marker for number in load.refused for marker in load.sent[number] if marker in counts),
            *(counts.keys() - known),
        ],
    )


def drained(server: Server, key: Key, seconds: float = 60.0) -> None:
    """Wait until nothing that was acknowledged waits to become searchable."""
    with Caller(server.address, key.secret) as caller:
        until(lambda: caller.get("/api/v1/queue/depth")["queue_depth"] == 0, "an empty queue", seconds=seconds)


def stored(server: Server, key: Key, name: str) -> list[str]:
    """Every marker stored under the name."""
    found: list[str] = []
    parameters: dict[str, object] = {"project_id": key.project, "environment": name, "limit": 1000}
    with Caller(server.address, key.secret) as caller:
        while True:
            page = caller.get("/api/v1/logs", **parameters)
            found += [log["message"] for log in page["logs"]]
            if not page["has_more"]:
                return found
            parameters["cursor"] = page["next_cursor"]


def run_load(server: Server, key: Key, load: Load, during: Callable[[], None]) -> None:
    """Run the load in a thread while `during` runs, then let it end."""
    thread = threading.Thread(
        target=drive,
        args=(server.address, load.requests(key), load.answered),
        kwargs={"connections": CONNECTIONS},
        name="load",
    )
    thread.start()
    try:
        during()
    finally:
        load.stopping.set()
        thread.join(60)


def tear(data: Path, rng: random.Random) -> bool:
    """Append what a write leaves that a power cut tore, behind the newest open segment. False when there is none."""
    newest = max(data.rglob("*.open"), default=None)
    if newest is None:
        return False
    with newest.open("ab") as file:
        file.write(rng.choice(TORN))
    return True


def crash_round(server: Server, key: Key, *, name: str, seed: int, longest: float = 1.0) -> tuple[Verdict, float, bool]:
    """Load the running server, kill it at a random moment, restart it, look for everything.

    Returns the verdict, the seconds that the start took, and whether a torn line was put into the log meanwhile.
    """
    rng = random.Random(seed)
    load = Load(name, seed)

    def kill_soon() -> None:
        pause = threading.Event()
        pause.wait(rng.uniform(0.02, longest))
        if rng.random() < 0.25:  # What was acknowledged last waits for the drain, and nothing follows it.
            load.stopping.set()
            pause.wait(rng.uniform(0, 0.1))
        server.kill()

    run_load(server, key, load, kill_soon)
    torn = rng.random() < 0.5 and tear(server.data, rng)
    started = server.start()
    drained(server, key)
    return judge(load, stored(server, key, name)), started, torn
