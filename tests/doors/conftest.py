"""A whole origin for the doors' tests: real database, real event store, real sockets; the clock is the test's.

There is one event store per process (the embedded engine has one folder), so one house serves all suites, and each test
makes an organization of its own.
"""

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
import uvicorn

from headrace import app
from headrace.core.house import House
from headrace.core.settings import Settings
from headrace.kit import times
from headrace.kit.clock import now
from headrace.kit.passwords import Passwords
from headrace.wire.listener import Protocol
from tests.conftest import PASSWORD, PATIENCE, SECRET, FakeClock
from tests.doors.raw import Wire

numbers = itertools.count(1)


class Origin(NamedTuple):
    """A served house."""

    house: House
    clock: FakeClock
    url: str
    app: Any


class Tenant(NamedTuple):
    """One organization with an account, a project and its credentials."""

    email: str
    account_id: int
    organization_id: int
    token: str
    project_id: int
    slug: str
    key_id: int
    key: str
    organization_key: str


@pytest.fixture(scope="module")
def more_settings() -> dict[str, Any]:
    """Settings that a module's origin has besides; the module says so by a fixture of this name."""
    return {}


# Of a module, not of the run: a process has one engine, and other folders' tests open their own.
@pytest.fixture(scope="module")
def origin(
    tmp_path_factory: pytest.TempPathFactory, cheap_passwords: Passwords, more_settings: dict[str, Any]
) -> Iterator[Origin]:
    clock = FakeClock(times.show(today()))
    settings = Settings(
        data=tmp_path_factory.mktemp("house"),
        secret=SECRET,
        segment_age_ms=20,
        cors_origins=("https://pages.example",),
        trusted_proxies=("127.0.0.1",),
        # The clock stands, and all suites of a module share this budget.
        levqor_writes=10_000,
    )
    settings = msgspec.structs.replace(settings, **more_settings)
    house = app.open_house(settings, clock=clock, passwords=cheap_passwords)
    built = app.build(house)
    config = uvicorn.Config(
        built,
        host="127.0.0.1",
        port=0,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # A test that is put off between two requests finds its connection as it left it.
        timeout_keep_alive=300,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    pause = threading.Event()
    while not server.started:
        assert thread.is_alive()
        pause.wait(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Origin(house, clock, f"http://127.0.0.1:{port}", built)
    server.should_exit = True
    thread.join()
    app.close(house)


def today() -> int:
    """Where a test's clock begins: now, for the engine lets events go by its own clock; but not where a day ends soon.

    Tests pass minutes, and count what came "today".
    """
    found = now()
    return found if found % times.DAY < times.DAY - 10 * times.MINUTE else found + 20 * times.MINUTE


@pytest.fixture
def impatient(origin: Origin) -> Iterator[None]:
    """The event store cuts off every question."""
    engine = origin.house.store.engine
    options = engine.options
    engine.options = msgspec.structs.replace(options, query_seconds=1e-6)
    yield
    engine.options = options


@pytest.fixture
def client(origin: Origin) -> Iterator[httpx.Client]:
    """A client with an address of its own, so that budgets of one test are not another's."""
    with caller(origin) as made:
        yield made


def caller(origin: Origin, address: str | None = None) -> httpx.Client:
    """Return a client, at an address of its own, which waits as long for an answer as a busy machine may take."""
    sent = {"X-Forwarded-For": address or an_address()}
    return httpx.Client(base_url=origin.url, headers=sent, timeout=20 * PATIENCE)


def an_address() -> str:
    number = next(numbers)
    return f"198.18.{number // 250}.{number % 250 + 1}"


@pytest.fixture
def wire(origin: Origin) -> Iterator[Wire]:
    made = Wire(origin.url)
    yield made
    made.close()


@pytest.fixture
def new_tenant(client: httpx.Client) -> Callable[[], Tenant]:
    def make() -> Tenant:
        return tenant_of(client)

    return make


@pytest.fixture
def tenant(client: httpx.Client) -> Tenant:
    return tenant_of(client)


def tenant_of(client: httpx.Client) -> Tenant:
    email = f"person{next(numbers)}@example.com"
    person = posted(client, "/api/v1/accounts/register", {"email": email, "password": PASSWORD, "name": "Ada Lovelace"})
    token = person["access_token"]
    slug = f"app-{next(numbers)}"
    project = posted(client, "/api/v1/projects", {"name": "An App", "slug": slug}, token)
    key = posted(client, f"/api/v1/projects/{project['project_id']}/api-keys", {"name": "A key"}, token)
    wide = posted(client, "/api/v1/keys", {"name": "Wide", "scopes": ["admin"]}, token)
    return Tenant(
        email=email,
        account_id=person["account_id"],
        organization_id=person["organization_id"],
        token=token,
        project_id=project["project_id"],
        slug=slug,
        key_id=key["key_id"],
        key=key["full_key"],
        organization_key=wide["key"],
    )


def posted(client: httpx.Client, path: str, body: Any, token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = client.post(path, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
