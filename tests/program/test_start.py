"""Starting and stopping: what is said, how fast, and who is let in."""

import json
import re
import signal
import socket
import sqlite3
import urllib.error
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from headrace.core.metrics import METRICS
from tests.program.conftest import Demo, Served, command

Serve = Callable[..., Served]


def test_the_demo_shows_its_secrets_once(serve: Serve, tmp_path: Path) -> None:
    first = serve(verb="demo")
    made = Demo(first)
    first.said("search 'level:error timeout'")
    for word in ("curl -X POST", "search 'level:error timeout'", f"{first.url}/docs", "sample@example.com"):
        assert word in first.output
    assert first.stop() == 0

    second = serve(verb="demo")
    # Processor time, for the machine may be busy with other tests; alone, it is about the time on the clock.
    spent = psutil.Process(second.pid).cpu_times()
    assert spent.user + spent.system < 4
    loaded = [region.path for region in psutil.Process(second.pid).memory_maps()]
    assert not [path for path in loaded if "pyarrow" in path or "numpy" in path]
    second.said("admin password sample@example.com")
    second.said("key create sample")
    second.stop()
    assert "ldg_proj_" not in second.output
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name != "secret")
    assert made.key.encode() not in kept
    assert made.password.encode() not in kept


def test_the_sample_account_is_a_super_admin(demo: Demo) -> None:
    with sqlite3.connect(f"file:{demo.folder / 'headrace.db'}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT email, is_super_admin FROM accounts").fetchall()
    assert rows == [("sample@example.com", 1)]


def test_health_answers_once_the_server_says_it_is_ready(demo: Demo) -> None:
    status, body = demo.served.get("/health")
    assert status == 200
    assert json.loads(body)["status"] == "healthy"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_asked(serve: Serve, number: int) -> None:
    served = serve()
    assert served.stop(number) == 0
    assert "stopped" in served.output
    assert not (served.folder / "control.sock").exists()


def test_it_stops_at_once_when_asked_twice(serve: Serve, port: str, until: Callable[..., None]) -> None:
    served = serve("--port", port, verb="demo")
    made, where = Demo(served), ("127.0.0.1", int(port))
    with socket.create_connection(where) as slow:
        # A request whose body never comes to its end would hold a polite stop for its grace time.
        head = f"POST /api/v1/ingest/single HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {made.key}\r\n"
        slow.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        until(lambda: re.search(rb"in_flight.*ingest/single.* 1", served.get("/-/metrics")[1]))
        served.process.send_signal(signal.SIGINT)
        until(lambda: refuses(where))
        assert served.stop(signal.SIGINT) == 130
    assert Served(served.folder, ()).ready().stop() == 0


def refuses(where: tuple[str, int]) -> bool:
    try:
        socket.create_connection(where, timeout=1).close()
    except OSError:
        return True
    return False


def test_the_log_is_json_lines(serve: Serve) -> None:
    served = serve("--open", "--log-level", "debug")
    served.get("/health")
    served.stop()
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    assert {"time", "level", "message"} <= lines[0].keys()
    assert any(line["level"] == "warning" and "--open" in line["message"] for line in lines)


def test_open_is_said_loudly(serve: Serve) -> None:
    served = serve("--open")
    served.said("WITHOUT A CREDENTIAL")
    assert "WITHOUT A CREDENTIAL" not in serve(folder=served.folder.with_name("closed")).output


def test_one_server_for_one_data_folder(demo: Demo) -> None:
    second = command("serve", "--data", str(demo.folder), "--port", "0")
    assert second.returncode == 1
    assert f"in use by process {demo.served.pid}" in second.stderr
    assert len(second.stderr.splitlines()) == 1


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("serve", "--data", str(tmp_path / "data"), "--port", str(port))
    assert done.returncode == 1
    assert f"port {port}" in done.stderr
    assert "--port" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "many"), "--port must be a whole number from 0 to 65535, and is 'many'"),
        (("--prot", "1"), "unrecognized arguments: --prot 1"),
        (("--log-level", "loud"), "--log-level must be one of debug, info, warning, error"),
        (("--host", "no.such.host.invalid"), "is no address of this machine"),
        (("--config", "none.toml"), "none.toml cannot be read"),
    ],
)
def test_a_wrong_setting_is_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = command("serve", "--data", str(tmp_path / "data"), *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEADRACE_SECRET", "too short"),
        ("HEADRACE_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("HEADRACE_SOURCE_FOLDERS", "/nonexistent"),
        ("HEADRACE_PRICES", "pro=2900 xyz"),
        ("HEADRACE_WEBHOOK_RETRY_SECONDS", ""),
    ],
)
def test_a_wrong_variable_is_one_line(tmp_path: Path, name: str, value: str) -> None:
    done = command("serve", "--data", str(tmp_path / "data"), "--port", "0", **{name: value})
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert name in done.stderr
    assert "too short" not in done.stderr


def test_a_store_that_is_away_is_one_line(tmp_path: Path) -> None:
    url = "http://user:sekret@127.0.0.1:1/events"
    done = command("serve", "--data", str(tmp_path / "data"), "--port", "0", HEADRACE_EVENTS_URL=url)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "HEADRACE_EVENTS_URL at 127.0.0.1:1" in done.stderr


def test_every_metric_is_explained(demo: Demo) -> None:
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    _, text = demo.served.get("/-/metrics")
    names = {line.split()[2] for line in text.decode().splitlines() if line.startswith("# HELP")}
    names |= {f"headrace_{metric.name}" for metric in METRICS}
    assert {name for name in names if f"`{name}`" not in page} == set(), "explain them in docs/operations.md"


def test_nobody_is_let_in_without_a_credential(demo: Demo) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        demo.served.get("/api/v1/projects")
