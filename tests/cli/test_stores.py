"""A store that cannot be opened is told in one line: which setting, which host and port, no password."""

import re
from pathlib import Path

import pytest

from headrace.cli.configuration import unreadable
from headrace.cli.stores import database_shut, events_shut, place
from headrace.core.house import open_database
from headrace.core.settings import Settings
from headrace.eventstore.engine import EngineError, open_server


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:sekret@127.0.0.1:1/x", r"HEADRACE_DATABASE_URL at 127\.0\.0\.1:1 cannot .*Connection refused"),
        ("postgresql:///x?host=/nowhere", r"HEADRACE_DATABASE_URL at the socket .*No such file"),
    ],
)
def test_postgresql_away(tmp_path: Path, url: str, said: str) -> None:
    chosen = Settings(data=tmp_path, database_url=url)
    with pytest.raises(unreadable()) as caught:
        open_database(chosen)
    check(database_shut(chosen, caught.value), said)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "headrace.db").write_text("nonsense" * 100)
    with pytest.raises(unreadable()) as caught:
        open_database(Settings(data=tmp_path))
    check(
        database_shut(Settings(data=tmp_path), caught.value), r"headrace\.db cannot be opened: file is not a database"
    )


def test_clickhouse_away(tmp_path: Path) -> None:
    chosen = Settings(data=tmp_path, events_url="http://u:sekret@127.0.0.1:1/x")
    with pytest.raises(EngineError) as caught:
        open_server(chosen.events_url)
    check(events_shut(chosen, caught.value), r"HEADRACE_EVENTS_URL at 127\.0\.0\.1:1 cannot .*: Connection refused;")


@pytest.mark.parametrize(
    ("url", "found"),
    [("http://u:p@h", "h:8123"), ("http://[::1]:1/x", "[::1]:1"), ("postgresql:///x", "")],
)
def test_a_place_is_host_and_port(url: str, found: str) -> None:
    assert place(url, 8123) == found


def check(line: str, said: str) -> None:
    assert re.search(said, line), line
    assert "\n" not in line
    for never in ("sekret", "sqlalche.me", "HTTPConnection"):
        assert never not in line
