"""A house that sends to a receiver on this machine."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from headrace.core import jobs, webhooks
from headrace.core.house import House
from headrace.core.identity import accounts, sessions
from headrace.core.limits.windows import Limits
from headrace.core.metrics import Counters
from headrace.core.outward import Outward
from headrace.core.principal import Principal
from headrace.core.settings import Settings
from headrace.kit.passwords import Passwords
from tests.conftest import ADDRESS, PASSWORD, SECRET, FakeClock, SignUp, Unused, empty
from tests.receiver import Receiver


@pytest.fixture
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """SQLite; PostgreSQL too where a test says BOTH, which are those with SQL that the others do not run."""
    if getattr(request, "param", "sqlite") == "sqlite":
        target = tmp_path / "headrace.db"
        shutil.copy(request.getfixturevalue("migrated_file"), target)
        return target
    url: str = request.getfixturevalue("migrated_postgres")
    empty(url)
    return url


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, secret=SECRET, outbound_allow=("127.0.0.0/8",))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def ready(house: House) -> Iterator[House]:
    """A house whose jobs do not run yet."""
    jobs.define(house, webhooks.kind(house))
    jobs.define(house, webhooks.resending_kind())
    yield house
    if jobs.Engine in house.parts:
        house.part(jobs.Engine).stop(1.0)
    house.part(Outward).close()


@pytest.fixture
def running(ready: House) -> House:
    ready.part(jobs.Engine).start()
    return ready


@pytest.fixture
def ada(ready: House, sign_up: SignUp) -> Principal:
    return sign_up(ready)


@pytest.fixture(scope="module")
def shared(
    tmp_path_factory: pytest.TempPathFactory, migrated_file: Path, cheap_passwords: Passwords
) -> Iterator[tuple[House, Principal]]:
    """One house for what writes nothing."""
    folder = tmp_path_factory.mktemp("shared")
    shutil.copy(migrated_file, folder / "headrace.db")
    clock, nothing = FakeClock(), cast("Any", Unused())
    settings = Settings(data=folder, secret=SECRET, outbound_allow=("127.0.0.0/8",))
    house = House.open(
        settings, clock=clock, limits=Limits(clock), store=nothing, counters=Counters(), passwords=cheap_passwords
    )
    jobs.define(house, webhooks.kind(house))
    made = accounts.register(
        house, email="ada@example.com", password=PASSWORD, name="Ada", door="test", address=ADDRESS
    )
    yield house, sessions.resolve(house, made.pair.access_token)
    house.part(Outward).close()
    house.close()
