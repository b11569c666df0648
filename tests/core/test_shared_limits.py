"""Rate windows that several servers share, against a real Redis or Valkey."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.core.limits.windows import Budget, Limits
from headrace.core.settings import Settings
from headrace.kit import clock as wall
from tests.conftest import SECRET, FakeClock

HOUR = 3600


class Server:
    """One server on a free port, without a file of its own."""

    def __init__(self, program: str, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port: int = taken.getsockname()[1]
        self.program, self.folder = program, folder
        self.start()

    def start(self) -> None:
        line = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self.process = subprocess.Popen(line, stdout=subprocess.DEVNULL)

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(7) == b"+PONG\r\n"
        except OSError:
            return False

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path, until: Callable[..., None]) -> Iterator[Server]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("neither redis-server nor valkey-server is installed")
    made = Server(program, tmp_path)
    until(made.answers)
    yield made
    made.stop()


@pytest.fixture(params=["redis", "valkey"])
def settings(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, secret=SECRET, limits_url=f"{request.param}://127.0.0.1:{server.port}/0")


def test_servers_count_together(settings: Settings) -> None:
    one, other = Limits.open(settings, wall.now), Limits.open(settings, wall.now)
    taken = [(one, other)[number % 2].take("key/1", 10, HOUR) for number in range(12)]
    assert taken == [True] * 10 + [False] * 2
    budget = Budget("key/1", 10, HOUR, "hour")
    for each in (one, other):
        standing = each.peek(budget)
        assert (each.state, standing.remaining) == ("server", 0)
        assert 0 < standing.retry_after <= 2 * HOUR
    one.give_back("key/1", HOUR)
    assert other.take("key/1", 10, HOUR)


def test_all_or_none(settings: Settings) -> None:
    found = Limits.open(settings, wall.now)
    wide, narrow = Budget("key/2", 100, HOUR, "hour"), Budget("key/2/narrow", 1, HOUR, "hour")
    assert found.take_all([wide, narrow]).allowed
    refused = found.take_all([wide, narrow])
    assert refused.refused is not None
    assert refused.refused.budget == narrow
    assert [one.remaining for one in refused.standings] == [99, 0], "the wide one was given back"


def test_a_silent_server_is_done_without_and_asked_again(
    settings: Settings, server: Server, clock: FakeClock, until: Callable[..., None]
) -> None:
    found = Limits.open(settings, clock)
    assert [found.take("key/3", 2, HOUR) for _ in range(2)] == [True, True]
    server.stop()
    assert [found.take("key/3", 2, HOUR) for _ in range(3)] == [True, True, False], "this process counts for itself"
    assert (found.state, found.failures) == ("degraded", 1)
    server.start()
    until(server.answers)
    clock.advance(1)
    assert found.take("key/3", 2, HOUR), "the server forgot, and is asked again"
    assert found.state == "server"
