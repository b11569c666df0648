"""Fixtures that every suite shares; those of one room stand in that room's folder.

The metadata half of the house runs on SQLite and on PostgreSQL: `house` is parametrised over both.
"""

import shutil
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import sqlalchemy as sa

from headrace.core import migrations
from headrace.core.house import House
from headrace.core.identity import accounts, sessions
from headrace.core.limits.windows import Limits
from headrace.core.metrics import Counters
from headrace.core.principal import Principal
from headrace.core.schema import instance
from headrace.core.schema.columns import METADATA
from headrace.core.settings import Settings
from headrace.kit import times
from headrace.kit.database import Database
from headrace.kit.passwords import Passwords

if TYPE_CHECKING:
    from tests.receiver import Receiver

# A suite that was started in the background has SIGINT ignored, and so would every program that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes, to make or to run, tells of the machine, not of the code. What else a profile holds is
# left to Hypothesis.
UNTIMED = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("untimed", hypothesis.settings(), **UNTIMED)
hypothesis.settings.load_profile("untimed")

SECRET = "f3a1c5e7092b4d6880aa1133557799bb" * 2
ADDRESS = "192.0.2.7"
PASSWORD = "SecurePass123"
# A machine that does other work besides may be this many times as slow; a test that fails there tells of it, not of us.
PATIENCE = 3


# Files with few tests that take minutes: begun first, no worker is left with one of them at the end.
SLOW = ("tests/program/", "tests/eventstore/", "tests/browser/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW))


class FakeClock:
    """A clock that a test turns: `clock()` and `clock.now` are microseconds, `advance` takes seconds."""

    def __init__(self, text: str = "2026-01-01T10:00:00Z") -> None:
        self.now = times.parse(text)

    def __call__(self) -> int:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += round(seconds * times.SECOND)


class Unused:
    """Stands where a suite needs no events: touching it fails."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"this suite has no event store, and {name} was asked of it")


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait for a condition: `until(lambda: queue.empty(), seconds=5)`. Fails at the deadline, PATIENCE times later."""

    def wait(condition: Callable[[], object], *, seconds: float = 30.0) -> None:
        began = time.monotonic()
        pause = threading.Event()
        while not condition():
            waited = time.monotonic() - began
            if waited > seconds * PATIENCE:
                pytest.fail(f"The condition did not hold within {seconds * PATIENCE} s.")
            # The more rarely, the longer it takes: a clock that stands gives a thousand requests for all of the wait.
            pause.wait(min(max(waited / 20, 0.005), 0.25))

    return wait


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, secret=SECRET)


@pytest.fixture
def store() -> Any:
    """A suite that has events puts its own `store` here."""
    return Unused()


@pytest.fixture(scope="module")
def receiver() -> Iterator["Receiver"]:
    # Its server takes most of a second to load.
    from tests.receiver import Receiver

    with Receiver() as made:
        yield made


@pytest.fixture(scope="session")
def cheap_passwords() -> Passwords:
    """Real argon2id at the least cost it takes."""
    return Passwords(time_cost=1, memory_kib=8)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "headrace.db"
    db = Database.open(path)
    migrations.prepare(db)
    db.close()
    return path


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a PostgreSQL server of this test run, without a schema."""
    with warnings.catch_warnings():
        # It complains about a machine without XDG_RUNTIME_DIR when it is imported.
        warnings.simplefilter("ignore")
        pgserver = pytest.importorskip("pgserver", reason="there is no wheel of pgserver for this Python")
    # Not below pytest's folder: each start of pytest makes that private, and a server started by root runs as another.
    folder = tempfile.mkdtemp(prefix="headrace-postgres-")
    server = pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
    # What a test writes need not survive a power cut.
    for line in ("fsync = off", "synchronous_commit = off", "full_page_writes = off"):
        server.psql(f"ALTER SYSTEM SET {line};")
    server.psql("SELECT pg_reload_conf();")
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated_postgres(postgres: str) -> str:
    db = Database.open(postgres)
    migrations.prepare(db)
    db.close()
    return postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """Where an empty, migrated metadata database is."""
    if request.param == "sqlite":
        target = tmp_path / "headrace.db"
        shutil.copy(request.getfixturevalue("migrated_file"), target)
        return target
    url: str = request.getfixturevalue("migrated_postgres")
    empty(url)
    return url


def empty(url: str) -> None:
    engine = sa.create_engine(sa.make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        names = ", ".join(METADATA.tables)
        connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY CASCADE"))
        connection.execute(instance.insert(), {"key": "credential_epoch", "value": "1"})
    engine.dispose()


@pytest.fixture
def open_house(
    address: str | Path, settings: Settings, clock: FakeClock, store: Any, cheap_passwords: Passwords
) -> Iterator[Callable[..., House]]:
    """Open a house on this test's database; a second one is what another process would be."""
    opened: list[House] = []

    def open_one(given: Settings = settings) -> House:
        opened.append(
            House.open(
                given,
                clock=clock,
                limits=Limits(clock),
                store=store,
                counters=Counters(),
                passwords=cheap_passwords,
                db=Database.open(address),
            )
        )
        return opened[-1]

    yield open_one
    for house in reversed(opened):
        house.close()


@pytest.fixture
def house(open_house: Callable[..., House]) -> House:
    return open_house()


SignUp = Callable[..., Principal]


@pytest.fixture
def sign_up() -> SignUp:
    """Register somebody and return the principal of the session: `sign_up(house, "ada@example.com")`."""

    def register(house: House, email: str = "ada@example.com", **more: Any) -> Principal:
        fields = {"password": PASSWORD, "name": "Ada Lovelace", "door": "test", "address": ADDRESS} | more
        made = accounts.register(house, email=email, **fields)
        return sessions.resolve(house, made.pair.access_token)

    return register
