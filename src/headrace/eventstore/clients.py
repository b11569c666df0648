"""Connections to the columnar store: chDB in this process, or a ClickHouse server. Either library is loaded by need."""

import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol
from urllib.parse import unquote, urlencode, urlsplit

Parameters = Mapping[str, Any]

CODE = re.compile(r"\bCode: (\d+)")
ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})
ANSWER_SECONDS = 300  # A server may take long for an insert; questions have a limit of their own.
# Of the engine's allocator: by itself it has an arena for each core and keeps what it freed for five seconds, which is
# 70 MB more at full load. Two arenas that return it after one second fault half as many pages again, 0.4 a log.
ALLOCATOR = "JE_MALLOC_CONF"
ALLOCATOR_OPTIONS = "percpu_arena:disabled,narenas:2,dirty_decay_ms:1000"
LOADING = threading.Lock()


class ClientError(Exception):
    """What the engine or the way to it says; `code` is the engine's number, or None."""

    def __init__(self, text: str, code: int | None) -> None:
        super().__init__(text)
        self.code = code


class Client(Protocol):
    """One connection, which serialises what is asked. Everything raises ClientError."""

    def raw_query(self, query: str, parameters: Parameters | None = None, *, fmt: str) -> bytes: ...
    def command(self, cmd: str, parameters: Parameters | None = None) -> None: ...
    def close(self) -> None: ...


def library() -> ModuleType:
    """Load chDB; while it loads itself, the process's current folder is another one.

    It takes the Arrow library along where that is installed, for answers that nobody asks for here: a quarter of a
    second and 37 MB. None in the table of modules says that it is not there.
    """
    with LOADING:
        os.environ.setdefault(ALLOCATOR, ALLOCATOR_OPTIONS)
        hidden = "pyarrow" not in sys.modules
        if hidden:
            sys.modules["pyarrow"] = None  # type: ignore[assignment]
        try:
            import chdb  # noqa: PLC0415  Half a second, and a process beside a server never needs it.
        finally:
            if hidden:
                del sys.modules["pyarrow"]
    return chdb


THREAD_BYTES = 32 << 20


class Embedded:
    """A connection to the engine in this process; all of them are on one folder. It closes with the last of them."""

    def __init__(self, folder: Path, options: Mapping[str, str], *, threads: int) -> None:
        self.lock = threading.Lock()
        chdb = library()
        try:
            # Folders are compared as they are spelled.
            self.connection: Any = chdb.connect(f"{folder.resolve()}?{urlencode(options)}")
        except RuntimeError as problem:
            raise _failed(problem) from problem
        # By itself it gives each thread of a query a gigabyte of free memory, and with less runs all of them on one.
        self.command(f"SET max_threads = {threads}, max_threads_min_free_memory_per_thread = {THREAD_BYTES}")

    def raw_query(self, query: str, parameters: Parameters | None = None, *, fmt: str) -> bytes:
        params = {name: spelled(value) for name, value in (parameters or {}).items()}
        with self.lock:
            if self.connection is None:
                raise ClientError("The event store is closed.", None)
            try:
                answer: bytes = self.connection.query(query, fmt, params=params).bytes() or b""
            except RuntimeError as problem:
                raise _failed(problem) from problem
        return answer

    def command(self, cmd: str, parameters: Parameters | None = None) -> None:
        self.raw_query(cmd, parameters, fmt="TabSeparated")

    def close(self) -> None:
        """Wait for what runs, and close."""
        with self.lock:
            if self.connection is not None:
                self.connection.close()
            self.connection = None


def spelled(value: Any, *, inside: bool = False) -> str:
    """Return a parameter as the engine reads it: escaped text, and within a list a literal."""
    match value:
        case str():
            text = value.translate(ESCAPES)
            return f"'{text}'" if inside else text
        case list() | tuple():
            return f"[{', '.join(spelled(one, inside=True) for one in value)}]"
        case None:
            return "NULL" if inside else "\\N"
        case _:
            return str(value)


def _failed(problem: RuntimeError) -> ClientError:
    text = str(problem)
    code = CODE.search(text)
    return ClientError(text, int(code[1]) if code else None)


class Server:
    """A connection to a server, `http[s]://user:password@host:port`."""

    def __init__(self, url: str, database: str) -> None:
        import clickhouse_connect  # noqa: PLC0415  A quarter of a second, for those who have a server.
        from clickhouse_connect.driver.exceptions import ClickHouseError  # noqa: PLC0415

        self.problem = ClickHouseError
        parts = urlsplit(url)
        with self._told():
            self.client: Any = clickhouse_connect.get_client(
                interface=parts.scheme,
                host=parts.hostname,
                port=parts.port or (8443 if parts.scheme == "https" else 8123),
                username=unquote(parts.username or "default"),
                password=unquote(parts.password or ""),
                database=database,
                send_receive_timeout=ANSWER_SECONDS,
                autogenerate_session_id=False,
            )

    def raw_query(self, query: str, parameters: Parameters | None = None, *, fmt: str) -> bytes:
        with self._told():
            answer: bytes = self.client.raw_query(query, dict(parameters or {}), fmt=fmt)
        return answer

    def command(self, cmd: str, parameters: Parameters | None = None) -> None:
        with self._told():
            self.client.command(cmd, dict(parameters or {}))

    def send(self, cmd: str, data: bytes, settings: Mapping[str, Any]) -> None:
        """Run an insert of what comes with it."""
        with self._told():
            self.client.command(cmd, data=data, settings=settings)

    def close(self) -> None:
        self.client.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except self.problem as problem:
            raise ClientError(str(problem), getattr(problem, "code", None)) from problem
