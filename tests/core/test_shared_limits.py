"""Rate windows that several servers share, against a real Redis or Valkey."""

import random
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from headrace.core.limits import windows
from headrace.core.limits.windows import Budget, Limits
from headrace.core.settings import Settings
from headrace.kit import clock as wall
from headrace.kit.clock import Clock
from tests.conftest import SECRET, FakeClock

# The server counts by the machine's clock, in windows that are whole multiples of the width since 1970. Of this one the
# next begins in 2033: no test sees one window end and the next begin.
WIDTH = 1_000_000_000


def free_port() -> int:
    """Find one below those that systems give away by themselves: nobody takes it while its server is down."""
    while True:
        port = random.randrange(10_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Server:
    """One server on a port of its own, without a file."""

    def __init__(self, program: str, folder: Path, port: int) -> None:
        self.program, self.folder, self.port = program, folder, port
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
    made = Server(program, tmp_path, free_port())
    until(made.answers)
    yield made
    made.stop()


@pytest.fixture(params=["redis", "valkey"])
def settings(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, secret=SECRET, limits_url=f"{request.param}://127.0.0.1:{server.port}/0")


@pytest.fixture
def opened(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Clock], Limits]]:
    """Open the counters of one more server. A store that is up is waited for, however busy its machine is."""
    monkeypatch.setattr(windows, "ANSWER_SECONDS", 30.0)
    monkeypatch.setattr(windows, "CONNECT_SECONDS", 30.0)
    made: list[Limits] = []

    def one_more(clock: Clock) -> Limits:
        made.append(Limits.open(settings, clock))
        return made[-1]

    yield one_more
    for one in made:
        one.close()


def test_servers_count_together(opened: Callable[[Clock], Limits]) -> None:
    one, other = opened(wall.now), opened(wall.now)
    taken = [(one, other)[number % 2].take("key/1", 10, WIDTH) for number in range(12)]
    assert taken == [True] * 10 + [False] * 2
    budget = Budget("key/1", 10, WIDTH, "wide")
    for each in (one, other):
        standing = each.peek(budget)
        assert (each.state, standing.remaining) == ("server", 0)
        assert 0 < standing.retry_after <= 2 * WIDTH
    one.give_back("key/1", WIDTH)
    assert other.take("key/1", 10, WIDTH)


def test_all_or_none(opened: Callable[[Clock], Limits]) -> None:
    found = opened(wall.now)
    wide, narrow = Budget("key/2", 100, WIDTH, "wide"), Budget("key/2/narrow", 1, WIDTH, "wide")
    assert found.take_all([wide, narrow]).allowed
    refused = found.take_all([wide, narrow])
    assert refused.refused is not None
    assert refused.refused.budget == narrow
    assert [one.remaining for one in refused.standings] == [99, 0], "the wide one was given back"


def test_a_silent_server_is_done_without_and_asked_again(
    opened: Callable[[Clock], Limits], server: Server, clock: FakeClock, until: Callable[..., None]
) -> None:
    found = opened(clock)
    assert [found.take("key/3", 2, WIDTH) for _ in range(2)] == [True, True]
    server.stop()
    assert [found.take("key/3", 2, WIDTH) for _ in range(3)] == [True, True, False], "this process counts for itself"
    assert (found.state, found.failures) == ("degraded", 1)
    server.start()
    until(server.answers)
    clock.advance(1)
    assert found.take("key/3", 2, WIDTH), "the server forgot, and is asked again"
    assert found.state == "server"
