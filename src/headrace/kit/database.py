"""The metadata database: SQLite by default, PostgreSQL by address. Connections and transactions; no tables, no SQL.

`read()`, `write()` and `submit()` are the only doors to it. On SQLite one named writer at a time holds a lock and BEGIN
IMMEDIATE, so that no reader ever turns into a writer and fails; readers are query_only and see a snapshot.
"""

import itertools
import mmap
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import NullPool

from headrace.kit import clock as wall
from headrace.kit.clock import Clock, Followed

BUSY_MS = 5_000
READ_SECONDS = 5.0
PROGRESS_STEPS = 50_000
# The first copy of the head in SQLite's WAL index (its file format document, section 2.2): version, number of changes,
# frames, salts, checksum.
INDEX_HEAD_BYTES = 48
TIME = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"
POOL, POOL_OVERFLOW, POOL_WAIT_SECONDS = 10, 20, 5
# Of an address that names none, for each host that it names: a server that is cut off must not hold up its callers.
CONNECT_SECONDS = 5
# Submitted pieces of work that share one commit: more would let the first of them wait for long.
GROUP = 200

T = TypeVar("T")


class UnreachableError(Exception):
    """The database cannot be reached, is locked by another program, or took too long. Not a bug of the request."""


class Database:
    """One open database. Thread-safe; `read` inside `write` on the same thread sees the transaction's own writes."""

    def __init__(self, engine: sa.Engine, path: Path | None) -> None:
        self.engine = engine
        self.path = path
        self.dialect = engine.dialect.name
        self._local = threading.local()

    @staticmethod
    def open(address: str | Path) -> "Database":
        """Open a file (made when missing, folder included) or a `postgresql://` address."""
        if isinstance(address, str) and address.startswith(("postgresql:", "postgres:", "postgresql+psycopg:")):
            return PostgresDatabase(address)
        text = str(address)
        return SqliteDatabase(Path(text.removeprefix("sqlite:///")))

    def insert(self, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT of this dialect, with `on_conflict_do_nothing` and `on_conflict_do_update`."""
        return sqlite.insert(table) if self.dialect == "sqlite" else postgresql.insert(table)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """One snapshot to read from."""
        writing: sa.Connection | None = getattr(self._local, "writing", None)
        if writing is not None:
            yield writing
            return
        with _reachable(), self._reader() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """One transaction: committed at the end, rolled back by any exception. Nested in `whole()` alone."""
        joined = self._joined()
        if joined is not None:
            yield joined
            return
        with _reachable(), self._writer() as connection:
            self._local.writing = connection
            after: list[Callable[[], None]] = []
            self._local.after = after
            try:
                yield connection
            finally:
                self._local.writing = None
        for callback in after:
            callback()

    @contextmanager
    def whole(self) -> Iterator[sa.Connection]:
        """One transaction that the verbs called in it join: all they write is committed with it, or nothing is."""
        with self.write() as connection:
            self._local.whole = True
            try:
                yield connection
            finally:
                self._local.whole = False

    def _joined(self) -> sa.Connection | None:
        """Return the transaction of this thread that takes in what is written now; None where none is open."""
        writing: sa.Connection | None = getattr(self._local, "writing", None)
        if writing is not None and not getattr(self._local, "whole", False):
            raise RuntimeError("a verb is one transaction: write() inside write() is a bug")
        return writing

    def submit(self, work: Callable[[sa.Connection], T], *, single: bool = False) -> T:
        """Run one short piece of work durably; what many threads submit at once shares a commit. Not inside write().

        Returns or raises what the work did. Work that fails leaves nothing behind, and the others are not touched;
        `single` spares the savepoint for that, where the work is one statement, which does its whole effect or none.
        """
        del single
        with self.write() as connection:
            return work(connection)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Have something done once the current write transaction is committed; never when it is rolled back.

        It runs on the thread that committed, outside the transaction, and must neither block nor raise.
        """
        if getattr(self._local, "writing", None) is None:
            raise RuntimeError("after_commit() outside of a write transaction is a bug")
        self._local.after.append(callback)

    def clock(self) -> Clock:
        """Return the clock that all who share this database go by; of a file, which one machine has, that machine's."""
        return wall.now

    def stamp(self) -> int:
        """Return a number that differs once any process has committed since; cheap enough to ask on each request."""
        raise NotImplementedError

    def backup(self, target: Path) -> None:
        """Copy the whole database into a new file while it is in use."""
        raise NotImplementedError

    def close(self) -> None:
        self.engine.dispose()

    def _reader(self) -> AbstractContextManager[sa.Connection]:
        raise NotImplementedError

    def _writer(self) -> AbstractContextManager[sa.Connection]:
        raise NotImplementedError


class PostgresDatabase(Database):
    """Connections come from a pool; each transaction sees what was committed before its statements."""

    def __init__(self, address: str) -> None:
        url = sa.make_url(address).set(drivername="postgresql+psycopg")
        if "connect_timeout" not in url.query:
            url = url.update_query_dict({"connect_timeout": str(CONNECT_SECONDS)})
        super().__init__(
            sa.create_engine(url, pool_size=POOL, max_overflow=POOL_OVERFLOW, pool_timeout=POOL_WAIT_SECONDS), None
        )
        self._turns = itertools.count()

    def clock(self) -> Followed:
        return Followed(self.time)

    def time(self) -> int:
        """Return what the server's clock says, in microseconds."""
        with self.read() as connection:
            return int(connection.exec_driver_sql(TIME).scalar_one())

    def stamp(self) -> int:
        """There is nothing cheaper than the row itself, so that each question counts as a change."""
        return next(self._turns)

    def backup(self, target: Path) -> None:
        raise NotImplementedError(f"PostgreSQL has its own backup: pg_dump --file {target}")

    @contextmanager
    def _reader(self) -> Iterator[sa.Connection]:
        with _answering(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def _writer(self) -> Iterator[sa.Connection]:
        with _answering(), self.engine.begin() as connection:
            yield connection


class _Submitted:
    """One piece of work that waits for its group. Its thread sleeps on `turn` until it is done, or is to lead."""

    __slots__ = ("done", "error", "result", "single", "turn", "work")

    def __init__(self, work: Callable[[sa.Connection], Any], *, single: bool) -> None:
        self.work = work
        self.single = single
        self.done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.turn = threading.Lock()
        self.turn.acquire()


class SqliteDatabase(Database):
    """One file beside its WAL. Readers stay open in a stack: a check-out of the library's pool costs twice a read."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(sa.create_engine("sqlite://", creator=self._connect, poolclass=NullPool), path)
        self._lock = threading.Lock()
        self._free: deque[tuple[sa.Connection, sqlite3.Connection, list[float]]] = deque()
        self._closed = False
        self._waiting: deque[_Submitted] = deque()
        self._leading = threading.Lock()
        with _reachable():
            self._writing = self.engine.connect()
            raw = _raw(self._writing)
            raw.execute("PRAGMA journal_mode=WAL")
            raw.execute("PRAGMA synchronous=FULL")
            # A first read makes the shared index; open connections keep it.
            raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
        # Held open as long as the connections: closing any descriptor of a file ends every lock that the process has on
        # it, and the next program to come would take the shared index for one that a crash has left, and clear it.
        self._shared: int | None = os.open(f"{path}-shm", os.O_RDONLY)
        self._index = mmap.mmap(self._shared, mmap.PAGESIZE, access=mmap.ACCESS_READ)

    def _connect(self) -> sqlite3.Connection:
        # isolation_level None: the library starts no transaction of its own; BEGIN stands below, in words.
        connection = sqlite3.connect(
            str(self.path), isolation_level=None, check_same_thread=False, timeout=BUSY_MS / 1000
        )
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    def submit(self, work: Callable[[sa.Connection], T], *, single: bool = False) -> T:
        """Of the threads that submit at once, one leads: it runs the work of all in one transaction with one sync."""
        joined = self._joined()
        if joined is not None:
            return work(joined)
        mine = _Submitted(work, single=single)
        self._waiting.append(mine)
        if not self._leading.acquire(blocking=False):
            mine.turn.acquire()
        while not mine.done:
            self._lead()
            if not mine.done:
                mine.turn.acquire()
        if mine.error is not None:
            with _reachable():
                raise mine.error
        result: T = mine.result
        return result

    def _lead(self) -> None:
        group: list[_Submitted] = []
        callbacks: list[Callable[[], None]] = []
        try:
            self._run_group(group, callbacks)
        except BaseException as error:  # noqa: BLE001  Carried to the threads that submitted.
            # What broke the transaction itself (a full disk, a locked file) has broken it for all of them.
            callbacks.clear()
            self._gather(group)
            for one in group:
                one.error = one.error or error
        finally:
            self._leading.release()
        for one in group:
            one.done = True
            one.turn.release()
        # After the release: who comes from now on can lead by itself, and who came before is seen here.
        if self._waiting and self._leading.acquire(blocking=False):
            if self._waiting:
                self._waiting[0].turn.release()
            else:
                self._leading.release()
        for callback in callbacks:
            callback()

    def _run_group(self, group: list[_Submitted], callbacks: list[Callable[[], None]]) -> None:
        """Take what waits, up to GROUP, once the writer is free: also what came while it was not."""
        with _reachable(), self._writer() as connection:
            self._local.writing = connection
            try:
                self._gather(group)
                for one in group:
                    callbacks += self._run_one(connection, one)
            finally:
                self._local.writing = None

    def _gather(self, group: list[_Submitted]) -> None:
        while self._waiting and len(group) < GROUP:
            group.append(self._waiting.popleft())

    def _run_one(self, connection: sa.Connection, one: _Submitted) -> list[Callable[[], None]]:
        raw = _raw(connection)
        after: list[Callable[[], None]] = []
        self._local.after = after
        if not one.single:
            raw.execute("SAVEPOINT one")
        try:
            one.result = one.work(connection)
        except BaseException as error:  # noqa: BLE001  Carried to the thread that submitted it.
            one.error = error
            after = []
            if not one.single:
                raw.execute("ROLLBACK TO one")
        if not one.single:
            raw.execute("RELEASE one")
        return after

    def stamp(self) -> int:
        """Read the head of the index that all processes share: every commit rewrites it, and a look costs 0.3 us."""
        return int.from_bytes(self._index[:INDEX_HEAD_BYTES])

    def backup(self, target: Path) -> None:
        source, copy = self._connect(), sqlite3.connect(str(target))
        try:
            source.backup(copy)
        finally:
            source.close()
            copy.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            while self._free:
                self._free.pop()[0].close()
            self._writing.close()
        super().close()
        with self._lock:
            if self._shared is not None:
                self._index.close()
                os.close(self._shared)
                self._shared = None

    @contextmanager
    def _reader(self) -> Iterator[sa.Connection]:
        reader = self._free.pop() if self._free else self._open_reader()
        connection, raw, deadline = reader
        deadline[0] = time.monotonic() + READ_SECONDS
        raw.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.rollback()
            if raw.in_transaction:
                raw.rollback()
            if self._closed:
                connection.close()
            else:
                self._free.append(reader)

    def _open_reader(self) -> tuple[sa.Connection, sqlite3.Connection, list[float]]:
        connection = self.engine.connect()
        raw = _raw(connection)
        raw.execute("PRAGMA query_only=ON")
        deadline = [0.0]
        raw.set_progress_handler(lambda: time.monotonic() > deadline[0], PROGRESS_STEPS)
        return connection, raw, deadline

    @contextmanager
    def _writer(self) -> Iterator[sa.Connection]:
        with self._lock:
            raw = _raw(self._writing)
            raw.execute("BEGIN IMMEDIATE")
            try:
                yield self._writing
                raw.execute("COMMIT")
            finally:
                # SQLAlchemy's own notion of the transaction ends too; what was committed above stays.
                self._writing.rollback()
                if raw.in_transaction:
                    raw.execute("ROLLBACK")


def driver(connection: sa.Connection) -> Any:
    """Return the driver's own connection (sqlite3 or psycopg), in the same transaction: for statements that are hot."""
    return connection.connection.driver_connection


def _raw(connection: sa.Connection) -> sqlite3.Connection:
    raw = driver(connection)
    assert isinstance(raw, sqlite3.Connection)  # noqa: S101  Said for the type checker; the engine above makes it.
    return raw


@contextmanager
def _answering() -> Iterator[None]:
    """Like `_reachable`, for statements that went to psycopg directly."""
    import psycopg  # noqa: PLC0415  Costs 60 ms, which a house on SQLite need not pay.

    try:
        yield
    except psycopg.OperationalError as error:
        raise UnreachableError(str(error)) from error


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except (OperationalError, PoolTimeoutError, sqlite3.OperationalError) as error:
        raise UnreachableError(str(error)) from error
