"""The programs that the keys' page offers, each run as it stands there, against a served house."""

import html
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from headrace.kit.clock import now
from headrace.web.senders import SENDERS
from tests.conftest import PATIENCE
from tests.doors.conftest import Origin, bearer
from tests.web.conftest import Visitor

KEYS = "/ui/projects/{slug}/keys"
LINES = b"""plain WARN disk nearly full
{"msg": "pino says", "level": 50, "time": 1769853600000, "req": {"id": 7}}
{"MESSAGE": "unit failed", "PRIORITY": "3", "SYSLOG_IDENTIFIER": "nginx", "__REALTIME_TIMESTAMP": "1769853600000000"}

{"message": "", "severity": "Fatal"}
\xff\xfe not text
"""


def code(page: str, name: str) -> str:
    found = re.search(rf'<code id="{name}">(.*?)</code>', page, re.DOTALL)
    assert found is not None, name
    return html.unescape(found[1])


def sent(origin: Origin, visitor: Visitor) -> list[dict[str, Any]]:
    """What the project holds."""
    assert origin.house.store.wait_searchable(origin.house.store.wal.next_id, 20 * PATIENCE)
    asked = {"project_id": visitor.tenant.project_id}
    answer = visitor.http.get("/api/v1/logs", params=asked, headers=bearer(visitor.tenant.key))
    return list(answer.json()["logs"])


def run(origin: Origin, visitor: Visitor, folder: Path, name: str, *command: str, given: bytes = b"") -> str:
    """Run what the page offers under `name` as a file of its own; return what it wrote to stderr."""
    file = folder / command[-1]
    file.write_text(code(visitor.get(KEYS).text, f"sender-{name}"))
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    # They tell the wall clock's time, and ours stands since the first test: what is minutes ahead of it is refused.
    origin.clock.now = max(origin.clock.now, now())
    env = {"PATH": os.environ["PATH"], "HEADRACE_KEY": visitor.tenant.key, "HOME": str(folder), "SERVICE": "web"}
    done = subprocess.run(command, cwd=folder, env=env, input=given, capture_output=True, timeout=120, check=True)
    return done.stderr.decode()


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("python", ("python3", "headrace_logging.py")),
        ("node", ("node", "headrace.mjs")),
        ("java", ("java", "Headrace.java")),
    ],
)
def test_a_program_sends(origin: Origin, visitor: Visitor, tmp_path: Path, name: str, command: tuple[str, ...]) -> None:
    assert "not sent" not in run(origin, visitor, tmp_path, name, *command)
    (log,) = sent(origin, visitor)
    assert (log["message"], log["level"], log["platform"]) == (f"Hello from {name.title()}", "info", name)
    assert {"service", "host"} <= set(log["attributes"])


def test_a_line_of_curl_is_taken(origin: Origin, visitor: Visitor, tmp_path: Path) -> None:
    run(origin, visitor, tmp_path, "curl", "bash", "send.sh")
    (log,) = sent(origin, visitor)
    assert (log["message"], log["level"]) == ("disk nearly full", "warning")
    assert log["attributes"] == {"disk": {"free_mb": 312}}


def test_lines_of_any_output_are_sent(origin: Origin, visitor: Visitor, tmp_path: Path) -> None:
    assert run(origin, visitor, tmp_path, "lines", "python3", "headrace_lines.py", given=LINES) == ""
    logs = {log["message"]: log for log in sent(origin, visitor)}
    assert len(logs) == 5
    assert logs["plain WARN disk nearly full"]["level"] == "warning"
    assert logs['{"message": "", "severity": "Fatal"}']["level"] == "critical"
    for message, service in (("pino says", "web"), ("unit failed", "nginx")):
        log = logs[message]
        assert (log["level"], log["timestamp"]) == ("error", "2026-01-31T10:00:00Z")
        assert log["attributes"]["service"] == service
    assert logs["pino says"]["attributes"]["req"] == {"id": 7}


def test_a_program_says_when_nothing_is_taken(origin: Origin, visitor: Visitor, tmp_path: Path) -> None:
    stranger = visitor._replace(tenant=visitor.tenant._replace(key="ldg_proj_1_wrong"))
    for name, command in (("python", "headrace_logging.py"), ("lines", "headrace_lines.py")):
        said = run(origin, stranger, tmp_path, name, "python3", command, given=b"a line\n")
        assert "not sent: HTTP Error 401" in said
        assert "Traceback" not in said
    assert sent(origin, visitor) == []


def test_every_sender_knows_where_to(origin: Origin, visitor: Visitor) -> None:
    page = visitor.post(KEYS, {"name": "laptop"}).text
    key = re.search(r"ldg_proj_\w+", page)
    assert key is not None
    assert code(page, "environment") == f"export HEADRACE_KEY={key[0]}"
    for one in SENDERS:
        text = code(page, f"sender-{one.name}")
        address = re.findall(r"(?:Host|Port|Tls) (\S+)", text) if one.name == "fluent_bit" else None
        assert origin.url in text or address == ["127.0.0.1", origin.url.rpartition(":")[2], "off"], one.name
        assert not re.search(r"@[A-Z]+@", text)
    later = visitor.get(KEYS).text
    assert key[0] not in later
