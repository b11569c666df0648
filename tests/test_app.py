"""Opening and closing the house: what is acknowledged outlives it."""

import json
import subprocess
import sys
from pathlib import Path

from headrace.kit.clock import now
from tests.conftest import PATIENCE, SECRET

# One process may open one store, so each opening is a process of its own.
SCRIPT = """
import datetime as dt, json, os, sys
from pathlib import Path
from headrace import app
from headrace.core import projects
from headrace.core.events.append import append
from headrace.core.identity import accounts, sessions
from headrace.core.limits import quota
from headrace.core.settings import Settings
from headrace.eventstore.rows import Event

clock = int(sys.argv[4])
house = app.open_house(Settings(data=Path(sys.argv[1]), secret=sys.argv[2], segment_age_ms=60_000), clock=lambda: clock)
step = sys.argv[3]
if step == "write":
    made = accounts.register(
        house, email="a@example.com", password="SecurePass123", name="Ada", door="test", address="192.0.2.1"
    )
    who = sessions.resolve(house, made.pair.access_token)
    project = projects.create(house, who, name="P", slug="p")
    event = Event(timestamp=dt.datetime(2025, 11, 20, tzinfo=dt.UTC), level="info", message="kept")
    accepted = append(house, project, [event] * 3)
    accepted.commit.wait(10)
    print(json.dumps({"depth": quota.depth(house, project.project_id)}), flush=True)
    os._exit(0)  # As a crash would: nothing is closed.
found = {"depth": quota.depth(house, 1), "usage": quota.usage(house, 1)}
app.close(house)
print(json.dumps(found))
"""


def run(folder: Path, step: str, at: int) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), SECRET, step, str(at)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120 * PATIENCE,
    )
    found: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_what_was_acknowledged_is_counted_after_a_crash(tmp_path: Path) -> None:
    at = now()  # One moment for all three: what is counted is what came on a day.
    assert run(tmp_path, "write", at) == {"depth": 3}
    after = run(tmp_path, "read", at)
    assert after["usage"] == 3
    assert 0 <= after["depth"] <= 3
    assert run(tmp_path, "read", at) == {"depth": 0, "usage": 3}
