"""`headrace serve` and `headrace demo`: the process that serves, from its settings to its last drained event."""

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from headrace import __version__
from headrace.cli import demo
from headrace.cli.configuration import settings, unreadable
from headrace.cli.running import Control, Lock
from headrace.cli.screen import Misuse, Trouble, say
from headrace.cli.stores import database_shut, events_shut
from headrace.core.settings import Settings
from headrace.eventstore import clients
from headrace.wire import journal

if TYPE_CHECKING:
    import uvicorn

    from headrace.core.house import House

log = logging.getLogger(__name__)

BACKLOG = 2048
# Requests that run at a stop have this long; then the store takes its own time to drain.
GRACE_SECONDS = 30
SECOND_SIGNAL = 130
# How long a busy thread keeps the interpreter from one that has work. The committer of the durable log wants it twice a
# commit, and everybody who waits for an acknowledgement waits for that.
SWITCH_SECONDS = 0.0002


def run(given: Namespace) -> int:
    chosen = settings(given)
    journal.configure(chosen.log_level)
    for library in ("uvicorn", "alembic"):
        # They tell of their own beginnings and ends at info.
        logging.getLogger(library).setLevel(logging.WARNING)
    for library in ("urllib3.connectionpool", "clickhouse_connect"):
        # They warn of every try that fails; whoever tried says what became of it.
        logging.getLogger(library).setLevel(logging.ERROR)
    sys.setswitchinterval(SWITCH_SECONDS)
    # Whatever is made until the server answers stays: looking through it for garbage takes a fifth of the start.
    gc.disable()
    began = time.monotonic()
    if not chosen.events_url:
        # Half a second of linking, which another core can do while this one imports the rest.
        threading.Thread(target=_load_engine, name="load-engine", daemon=True).start()
    _make_folder(chosen.data)
    with Lock(chosen.data) as lock, contextlib.closing(_bound(chosen)) as listener:
        url = _url(chosen, listener)
        with _stopping() as stop, _opened(chosen) as house:
            made = demo.prepare(house) if given.verb == "demo" else None
            server = _server(house)
            stop.server = server
            lock.tell(url, __version__)
            with Control(chosen.data, _verbs(house, url)):
                listener.listen(BACKLOG)
                _greet(house, url, time.monotonic() - began)
                if given.verb == "demo":
                    demo.greet(made, house, url)
                gc.freeze()
                gc.enable()
                if not stop.asked:
                    server.run(sockets=[listener])
            say("stopping: everything acknowledged is on disk, and is stored now or at the next start")
    say("stopped")
    return 0


def _load_engine() -> None:
    with contextlib.suppress(ImportError):  # Whoever needs it next says what is missing.
        clients.library()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as problem:
        raise Trouble(f"cannot make the data folder {folder.absolute()}: {problem.strerror}") from problem
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Trouble(
            f"cannot write to the data folder {folder.absolute()}; give it to this user, or take another --data"
        )


def _bound(chosen: Settings) -> socket.socket:
    """Take the port before anything slow is opened; nobody is answered before `listen`."""
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            chosen.host, chosen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is no name of a host"
        raise Misuse(f"--host {chosen.host!r} is no address of this machine: {reason}") from problem
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
    except OSError as problem:
        listener.close()
        raise Trouble(
            f"cannot listen on {chosen.host} port {chosen.port}: {problem.strerror}; take another with --port, "
            "or find who has it with `ss -ltnp`"
        ) from problem
    return listener


def _url(chosen: Settings, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(chosen.host, chosen.host)  # noqa: S104  Compared, not bound.
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    return f"{'https' if chosen.certificate else 'http'}://{host}:{port}"


@contextlib.contextmanager
def _opened(chosen: Settings) -> "Iterator[House]":
    """Open the house, and say what keeps it shut in one sentence."""
    from headrace import app
    from headrace.core.migrations import OldSchemaError
    from headrace.core.settings import SettingError
    from headrace.eventstore.engine import EngineError

    try:
        house = app.open_house(chosen)
    except SettingError as problem:
        raise Misuse(str(problem)) from problem
    except OldSchemaError as problem:
        raise Trouble(str(problem)) from problem
    except EngineError as problem:
        raise Trouble(events_shut(chosen, problem)) from problem
    except unreadable() as problem:
        raise Trouble(database_shut(chosen, problem)) from problem
    except OSError as problem:
        raise Trouble(
            f"{problem.filename or chosen.data}: {problem.strerror}; `headrace doctor` looks further"
        ) from problem
    try:
        yield house
    finally:
        app.close(house)


def _server(house: "House") -> "uvicorn.Server":
    import uvicorn

    from headrace import app
    from headrace.wire.listener import Protocol

    chosen = house.settings
    config = uvicorn.Config(
        app.build(house),
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        # The origin decides by the settings which proxy is believed.
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=chosen.certificate or None,
        ssl_keyfile=chosen.certificate_key or None,
    )

    try:
        config.load()
    except OSError as problem:
        raise Misuse(f"certificate or certificate_key cannot be used: {problem.strerror or problem}") from problem

    class Server(uvicorn.Server):
        """uvicorn without its signal handlers: it would end the process before the store is closed."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Requests end by themselves; a live tail does not.
            app.end_tails(house)
            await super().shutdown(sockets)

    return Server(config)


class _Stop:
    """What SIGTERM and Ctrl-C do: the first asks the server to finish, the second ends the process at once.

    Nothing acknowledged is lost by the second: it is on disk, and drained at the next start.
    """

    def __init__(self) -> None:
        self.server: Any = None
        self.asked = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked:
            os._exit(SECOND_SIGNAL)
        self.asked = True
        if self.server is not None:
            self.server.should_exit = True


@contextlib.contextmanager
def _stopping() -> Iterator[_Stop]:
    stop = _Stop()
    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _verbs(house: "House", url: str) -> dict[str, Any]:
    from headrace.cli.backup import copy_open

    return {
        "facts": lambda _: {"pid": os.getpid(), "url": url, "version": __version__, "store": house.store.health()},
        "backup": lambda request: copy_open(house, Path(request["to"])),
    }


def _greet(house: "House", url: str, seconds: float) -> None:
    chosen = house.settings
    events = "ClickHouse server (remote)" if chosen.events_url else "embedded engine"
    metadata = "PostgreSQL (remote)" if chosen.database_url else "SQLite (embedded)"
    limits = "Redis or Valkey (remote)" if chosen.limits_url else "in this process"
    say(f"Headrace {__version__} on {url}, ready in {seconds:.1f} s")
    say(f"  data folder    {chosen.data.absolute()}")
    say(
        f"  events         {events}, {chosen.memory_engine >> 20} MiB of memory at most, "
        f"{chosen.query_threads} queries at once"
    )
    say(f"  metadata       {metadata}")
    say(f"  rate windows   {limits}")
    say(f"  API documents  {url}/docs")
    if chosen.open:
        say("!" * 100)
        say("! --open: whoever reaches this address may read and write, WITHOUT A CREDENTIAL, what the documents open.")
        say("! That is all of the organization `open`. Take --open away unless you mean exactly this.")
        say("!" * 100)
        log.warning("--open: documented anonymous requests are answered without a credential")
