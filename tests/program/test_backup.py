"""Backup and restore, beside a running server and without one: what was there is there again, exactly."""

import json
import shutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from tests.program.conftest import Demo, Served, command

Serve = Callable[..., Served]
TABLES = ("accounts", "organizations", "memberships", "projects", "api_keys")


def metadata(folder: Path) -> dict[str, list]:
    with sqlite3.connect(f"file:{folder / 'headrace.db'}?mode=ro", uri=True) as database:
        # last_used_at and usage_count are written a little after the request.
        return {
            table: [
                {name: value for name, value in row.items() if name not in {"last_used_at", "usage_count"}}
                for row in rows(database, table)
            ]
            for table in TABLES
        }


def rows(database: sqlite3.Connection, table: str) -> list[dict]:
    cursor = database.execute(f"SELECT * FROM {table} ORDER BY id")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def logs(url: str, key: str) -> list[dict]:
    done = command("search", "--json", "--limit", "1000000", "--url", url, "--key", key)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def write(path: Path, first: int, count: int) -> Path:
    entry = {"timestamp": "2026-01-01T00:00:00Z", "level": "error", "error_type": "E", "attributes": {"n": 1.50}}
    path.write_text("".join(json.dumps(entry | {"message": f"m {first + n}"}) + "\n" for n in range(count)))
    return path


def send(demo: Demo, path: Path) -> None:
    done = command("import", str(path), "--url", demo.url, "--key", demo.key)
    assert done.returncode == 0, done.stderr


def depth(served: Served, key: str) -> int:
    return json.loads(served.get("/api/v1/queue/depth", key)[1])["queue_depth"]


def restored(source: Path, folder: Path) -> None:
    done = command("restore", str(source), "--data", str(folder))
    assert done.returncode == 0, done.stderr


def test_a_backup_of_a_running_server_is_everything(serve: Serve, tmp_path: Path, until: Callable[..., None]) -> None:
    demo = Demo(serve(verb="demo"))
    send(demo, write(tmp_path / "one", 0, 1500))
    until(lambda: depth(demo.served, demo.key) == 0)
    # The last logs are acknowledged and perhaps not stored yet: they are part of the backup too.
    send(demo, write(tmp_path / "two", 1500, 500))
    done = command("backup", str(tmp_path / "backup"), "--data", str(demo.folder))
    assert done.returncode == 0, done.stderr
    until(lambda: depth(demo.served, demo.key) == 0)
    before, was = logs(demo.url, demo.key), metadata(demo.folder)
    assert len(before) == 2000
    demo.served.stop()

    restored(tmp_path / "backup", tmp_path / "again")
    assert metadata(tmp_path / "again") == was
    second = serve(folder=tmp_path / "again")
    until(lambda: len(logs(second.url, demo.key)) == 2000)
    assert logs(second.url, demo.key) == before


def test_a_backup_under_load_has_what_was_acknowledged_before_it_and_nothing_twice(
    serve: Serve, tmp_path: Path, until: Callable[..., None]
) -> None:
    demo = Demo(serve(verb="demo"))
    send(demo, write(tmp_path / "first", 0, 1000))
    load = threading.Thread(target=send, args=(demo, write(tmp_path / "load", 1000, 8_000)))
    load.start()
    for number in range(3):
        assert command("backup", str(tmp_path / f"b{number}"), "--data", str(demo.folder)).returncode == 0
    load.join()
    demo.served.stop()
    for number in range(3):
        folder = tmp_path / f"data{number}"
        restored(tmp_path / f"b{number}", folder)
        second = serve(folder=folder)
        ids: list[str] = []

        def settled(served: Served = second, ids: list[str] = ids) -> bool:
            drained = depth(served, demo.key) == 0
            ids[:] = [log["message"] for log in logs(served.url, demo.key)]
            return drained and len(ids) >= 1000

        until(settled, seconds=30)
        assert len(ids) == len(set(ids))
        assert {f"m {n}" for n in range(1000)} <= set(ids)
        second.stop()


def test_a_backup_without_a_server(serve: Serve, tmp_path: Path, until: Callable[..., None]) -> None:
    demo = Demo(serve(verb="demo"))
    send(demo, write(tmp_path / "logs", 0, 300))
    # Killed, so that the logs are still in the durable log.
    demo.served.kill()
    done = command("backup", str(tmp_path / "backup"), "--data", str(demo.folder))
    assert done.returncode == 0, done.stderr
    restored(tmp_path / "backup", tmp_path / "again")
    second = serve(folder=tmp_path / "again")
    until(lambda: len(logs(second.url, demo.key)) == 300)


def test_what_is_not_empty_or_not_whole_is_refused(demo: Demo, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    assert command("backup", str(backup), "--data", str(demo.folder)).returncode == 0
    second = command("backup", str(backup), "--data", str(demo.folder))
    assert (second.returncode, "is not empty" in second.stderr) == (1, True)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_text("mine")
    done = command("restore", str(backup), "--data", str(full))
    assert (done.returncode, "is not empty" in done.stderr) == (1, True)
    assert (full / "mine").read_text() == "mine"

    broken = shutil.copytree(backup, tmp_path / "broken")
    with (broken / "headrace.db").open("r+b") as file:
        file.seek(100)
        file.write(b"!")
    done = command("restore", str(broken), "--data", str(tmp_path / "new"))
    assert (done.returncode, "headrace.db is not what was backed up" in done.stderr) == (1, True)
    (broken / "headrace.db").unlink()
    done = command("restore", str(broken), "--data", str(tmp_path / "new"))
    assert "headrace.db is missing" in done.stderr
    (broken / "MANIFEST.json").unlink()
    done = command("restore", str(broken), "--data", str(tmp_path / "new"))
    assert "is no finished backup" in done.stderr
    assert not (tmp_path / "new").exists()
