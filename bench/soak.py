"""Kills and restarts the server under load, many times on one data folder, and counts what is lost: `make soak`."""

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from bench.client import Caller
from bench.crash import SMALL_SEGMENTS, Verdict, crash_round
from bench.server import Key, Server, end_on_sigterm


class Totals(NamedTuple):
    """Sums over the rounds."""

    acknowledged: int = 0
    saved: int = 0
    torn: int = 0
    bad: int = 0
    slowest_start: float = 0.0

    def plus(self, verdict: Verdict, started: float, *, torn: bool) -> "Totals":
        return Totals(
            self.acknowledged + verdict.acknowledged,
            self.saved + verdict.saved,
            self.torn + torn,
            self.bad + (not verdict.good),
            max(self.slowest_start, started),
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=500, metavar="N")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="of a run to repeat")
    parser.add_argument("--folder", type=Path, help="keeps the data there; default: a temporary folder")
    given = parser.parse_args()
    end_on_sigterm()
    print(f"soak: {given.rounds} rounds, seed {given.seed}")
    with tempfile.TemporaryDirectory(prefix="headrace-soak-") as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        return soak(folder, given.rounds, given.seed)


def soak(folder: Path, rounds: int, seed: int) -> int:
    server = Server(folder / "data", SMALL_SEGMENTS)
    totals, expected = Totals(), 0
    try:
        server.start()
        key = server.new_key()
        for number in range(1, rounds + 1):
            verdict, started, torn = crash_round(server, key, name=f"round-{seed}-{number}", seed=seed + number)
            totals = totals.plus(verdict, started, torn=torn)
            expected += verdict.stored
            line = f"{number:5}/{rounds}  {verdict.acknowledged:6} acknowledged  up in {started:.1f} s"
            print(line + ("  torn line" if torn else "") + ("" if verdict.good else f"  BAD: {verdict}"), flush=True)
        vanished = expected - counted(server, key)
    finally:
        server.kill()
    print(
        f"soak: {rounds} kills, {totals.torn} torn lines, {totals.acknowledged} events acknowledged, "
        f"{totals.saved} requests stored though cut off, slowest start {totals.slowest_start:.1f} s"
    )
    print(f"soak: {totals.bad} bad rounds; {vanished} events of earlier rounds missing at the end")
    return 1 if totals.bad or vanished else 0


def counted(server: Server, key: Key) -> int:
    """All events of the project, as the store counts them."""
    with Caller(server.address, key.secret) as caller:
        answer = caller.get("/api/v1/logs/counts", project_id=key.project, by="level")
    return sum(level["count"] for level in answer["items"])


if __name__ == "__main__":
    sys.exit(main())
