"""`headrace export` against a real server: a whole file or none, and what a limit left out is told."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

from tests.program.conftest import Demo, Served, command


def lines_of(rows: int) -> str:
    return "".join(
        json.dumps({"timestamp": f"2026-01-01T00:00:{number:02d}Z", "level": "info", "message": f"export {number}"})
        + "\n"
        for number in range(rows)
    )


def test_files_of_each_form(serve: Callable[..., Served], tmp_path: Path, until: Callable[..., None]) -> None:
    demo = Demo(serve("--export-rows", "8", verb="demo"))
    logs = tmp_path / "logs"
    logs.write_text(lines_of(10))
    where = ("--url", demo.url, "--key", demo.key)
    assert command("import", str(logs), *where).returncode == 0
    until(lambda: len(command("search", "--json", "message:export", *where).stdout.splitlines()) == 10, seconds=30)

    printed = command("export", "message:export", "--to", "2026-01-01T00:00:04Z", *where)
    assert [json.loads(line)["message"] for line in printed.stdout.splitlines()] == [
        f"export {number}" for number in (4, 3, 2, 1, 0)
    ]
    assert not printed.stderr

    target = tmp_path / "logs.csv"
    done = command("export", "message:export", "--format", "csv", "--output", str(target), *where)
    assert done.returncode == 0
    assert "limit of rows" in done.stderr
    rows = list(csv.DictReader(target.read_text().splitlines()))
    assert [row["message"] for row in rows[:8]] == [f"export {number}" for number in range(9, 1, -1)]
    assert rows[8]["id"] == "# truncated: rows after 8 rows"
    again = command("export", "--output", str(target), *where)
    assert (again.returncode, again.stderr) == (2, f"headrace export: --output {target} exists already\n")

    file = tmp_path / "logs.parquet"
    assert command("export", "--format", "parquet", "--output", str(file), *where).returncode == 0
    assert file.read_bytes()[:4] == file.read_bytes()[-4:] == b"PAR1"

    wrong = tmp_path / "wrong"
    refused = command("export", "level:(", "--output", str(wrong), *where)
    assert refused.returncode == 1
    assert "400" in refused.stderr
    assert not wrong.exists()
    assert not list(tmp_path.glob("*.part"))
