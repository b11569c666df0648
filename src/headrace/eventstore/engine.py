"""Engine: the one seam to the columnar store, embedded (chDB) or a ClickHouse server. What is asked is in `queries`.

A client serialises its queries, so each thread borrows one of a pool; the drain and the canceller have their own.
"""

import contextlib
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from headrace.eventstore import attribute_columns, rollup, schema
from headrace.eventstore.clients import Client, ClientError, Embedded, Parameters, Server
from headrace.kit import clock as wall
from headrace.kit.times import DAY

Row = TypeVar("Row")

UNKNOWN_COLUMN, NO_SPACE, MEMORY, TIME, CANCELLED = 47, 243, 241, 159, 394
# Codes of the engine that tell of the question, not of the engine, with what to tell the person who asked.
REFUSED: dict[int, tuple[str, str]] = {
    158: ("rows", "The search would read too many rows; narrow the time range or add a filter."),
    396: ("rows", "The answer would have too many rows; narrow the time range or add a filter."),
    TIME: ("time", "The search took too long; narrow the time range or add a filter."),
    160: ("time", "The search would take too long; narrow the time range or add a filter."),
    MEMORY: ("memory", "The search needs too much memory; narrow the time range or group by something rarer."),
    CANCELLED: ("cancelled", "The search was cancelled."),
    427: ("pattern", "The pattern is not a valid regular expression."),
}


# Of a system table, the rows that are of the events.
OF_EVENTS = "database = currentDatabase() AND table = 'events'"
OLDEST_SECONDS = 60.0
# The partition is written as (day of arrival, retention); a table without parts says 0, which bounds nothing.
OLDEST_DAY = f"""
SELECT min(toUInt32OrZero(extract(partition, '[0-9]+'))) FROM system.parts
WHERE active AND {OF_EVENTS}"""

KNOWN_SECONDS, CHANGING_SECONDS = 60.0, 3.0
# A part without a rollup is scanned for it, so one that few parts have helps little.
GROUPS = f"""
SELECT name, sum(covered), (
  SELECT sum(rows) FROM system.parts WHERE active AND {OF_EVENTS}
) AS stored FROM (
  SELECT name, 0 AS covered, 0 AS own FROM system.projections WHERE {OF_EVENTS}
  UNION ALL SELECT name, parent_rows, rows FROM system.projection_parts
  WHERE active AND {OF_EVENTS}
) GROUP BY name ORDER BY sum(own), name"""

LEARNED = f"""
SELECT name, type FROM system.columns
WHERE {OF_EVENTS} AND startsWith(name, '{attribute_columns.PREFIX}')"""

# What reads whole texts, or masks them, may take seconds. It yields to everything else, and never takes every client.
SLOW = re.compile(r"\b(?:match|position\w*|replaceRegexpAll)\(|\bI?LIKE\b")
SLOW_NICE = 10
# By itself the embedded engine lets some of these grow to gigabytes, and what they hold no query can have.
CACHE_BYTES = {
    "mark_cache_size": 64 << 20,
    "index_mark_cache_size": 32 << 20,
    "text_index_tokens_cache_size": 32 << 20,
    "text_index_header_cache_size": 32 << 20,
    "query_condition_cache_size": 16 << 20,
}
BUSY = "Too many searches run at the moment; try again shortly."


class EngineError(Exception):
    """The engine failed or refused; `code` is its number, or None when it could not be reached."""

    def __init__(self, text: str, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class QueryRefused(EngineError):  # noqa: N818 - a refusal is no error
    """A question over its limits, or cancelled. `kind`: rows, time, memory, cancelled, pattern, busy."""

    def __init__(self, kind: str, text: str, code: int | None = None) -> None:
        super().__init__(text, code)
        self.kind, self.text = kind, text


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    memory_bytes: int = 400_000_000  # Of the whole embedded engine; a query gets half of it.
    query_threads: int = 4
    query_seconds: float = 10.0
    query_rows: int = 0  # Most rows that one query may read; 0 is no limit.
    wait_seconds: float = 10.0  # For a free client, before the query is refused as busy.


def quoted(text: str) -> str:
    """Return an SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def clause(settings: Mapping[str, str | float]) -> str:
    """Return a SETTINGS clause. On chDB it is the only way that costs no further statements."""
    if not settings:
        return ""
    return " SETTINGS " + ", ".join(f"{name} = {quoted(str(value))}" for name, value in settings.items())


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Tell refusals of a question from failures of the engine."""
    try:
        yield
    except ClientError as problem:
        code = problem.code
        if code in REFUSED:
            raise QueryRefused(*REFUSED[code], code) from problem
        raise EngineError(str(problem).partition("\n")[0], code) from problem


class Engine:
    """An open store. Make it with `open_embedded` or `open_server`; every method may be called from any thread."""

    def __init__(self, clients: list[Client], options: EngineOptions, *, embedded: bool, folder: Path | None) -> None:
        self.options, self.embedded, self.folder = options, embedded, folder
        self.clock: Callable[[], int] = wall.now
        self.clients = clients
        self.drainer, self.control, *rest = clients
        self.free: queue.LifoQueue[Client] = queue.LifoQueue()
        for client in rest:
            self.free.put(client)
        self.slow = threading.BoundedSemaphore(max(len(rest) // 2, 1))
        self.draining = threading.Lock()
        self.closed = False
        self.asked = self.refused = 0
        self.oldest, self.oldest_until = 0, 0.0
        self.grouped: tuple[str, ...] = ()
        self.columns: dict[str, str] = {}
        self.known_until = 0.0
        self.unfit: set[str] = set()  # Rollups that were dropped, so as not to make them again.
        self.filled: set[str] = set()  # Partitions whose lacking rollups were made.
        self.seconds = 0.0

    # -- asking ------------------------------------------------------------------------------------------------------

    def query(
        self,
        sql: str,
        params: Parameters | None = None,
        *,
        row: type[Row],
        comment: str = "",
        seconds: float | None = None,
        settings: Mapping[str, str | float] | None = None,
        reserved: bool = False,
    ) -> list[Row]:
        """Run a SELECT and decode each row as `row`: a tuple type, or a Struct with array_like=True, columns in order.

        `sql` has no SETTINGS and no FORMAT clause; an attribute in it, written `attributes[{name:String}]`, is read
        from its own column where it is a learned one. `comment` names the query for `cancel`. `reserved` is for the
        drain, which must not wait for people's questions. Raises QueryRefused or EngineError.
        """
        options = self.options
        limits: dict[str, str | float] = {
            "max_execution_time": seconds or options.query_seconds,
            "max_rows_to_read": options.query_rows,
            "output_format_json_quote_64bit_integers": 0,
            "output_format_json_escape_forward_slashes": 0,
            "max_memory_usage": options.memory_bytes // 2,
            "optimize_use_projections": 0,  # To weigh them costs a millisecond; who can use one says so.
            **(settings or {}),
        }
        if comment:
            limits["log_comment"] = comment
        slow = not reserved and SLOW.search(sql) is not None
        if slow:
            limits["os_thread_priority"] = SLOW_NICE
            if self.embedded:
                limits["max_threads"] = 1  # The other core is for what must not wait.
        sent = dict(params or {})
        by_column = sql
        if attribute_columns.READ.search(sql):
            learned = self.columns if reserved else self.learned()
            by_column = attribute_columns.read(sql, sent, learned)
        with self.timed(), self.reserved() if reserved else self.client(slow=slow) as client, translated():
            try:
                answer = client.raw_query(by_column + clause(limits), sent, fmt="JSONCompactEachRow")
            except ClientError as problem:
                if problem.code == UNKNOWN_COLUMN and by_column != sql:
                    self.known_until = 0.0  # An attribute has been unlearned since.
                    by_column = sql
                elif problem.code == MEMORY and self.embedded and "max_threads" not in limits:
                    limits["max_threads"] = 1  # Each thread holds what it counts: with one it may fit.
                else:
                    raise
                answer = client.raw_query(by_column + clause(limits), sent, fmt="JSONCompactEachRow")
        return msgspec.json.decode(b"[" + b",".join(answer.splitlines()) + b"]", type=list[row])  # type: ignore[valid-type]

    def one(self, sql: str, params: Parameters | None = None, *, row: type[Row], comment: str = "") -> Row:
        """Run a SELECT of exactly one row."""
        (only,) = self.query(sql, params, row=row, comment=comment)
        return only

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Count a question and its time, the wait for a free client included."""
        began = time.perf_counter()
        try:
            yield
        except QueryRefused:
            self.refused += 1
            raise
        finally:
            self.asked += 1
            self.seconds += time.perf_counter() - began

    @contextlib.contextmanager
    def client(self, *, slow: bool = False) -> Iterator[Client]:
        """Borrow a client; slow questions have half of them at most. Raises QueryRefused when none gets free."""
        deadline = time.monotonic() + self.options.wait_seconds
        if slow and not self.slow.acquire(timeout=self.options.wait_seconds):
            raise QueryRefused("busy", BUSY)
        try:
            client = self.free.get(timeout=max(deadline - time.monotonic(), 0))
        except queue.Empty:
            raise QueryRefused("busy", BUSY) from None
        else:
            try:
                yield client
            finally:
                self.free.put(client)
        finally:
            if slow:
                self.slow.release()

    @contextlib.contextmanager
    def reserved(self) -> Iterator[Client]:
        with self.draining:
            yield self.drainer

    def holds_before(self, received_at: int) -> bool:
        """Tell whether events may be stored that arrived earlier.

        Parts know the day of arrival of what they hold. What is inserted later lowers the bound by `arrived`; it is
        asked for again, once a minute at most, when the question passes it. Into a server others insert too: True.
        """
        if not self.embedded:
            return True
        if received_at <= self.oldest:
            return False
        if time.monotonic() >= self.oldest_until:
            self.oldest_until = time.monotonic() + OLDEST_SECONDS
            (day,) = self.one(OLDEST_DAY, row=tuple[int])
            self.oldest = day * DAY
        return received_at > self.oldest

    def arrived(self, received_at: int) -> None:
        """Note, before an insert, the oldest arrival in it."""
        self.oldest = min(self.oldest, received_at)

    def groups(self) -> tuple[str, ...]:
        """Return the rollups that most rows have, smallest first; what is known of them is at most a minute old."""
        self.look()
        return self.grouped

    def learned(self) -> dict[str, str]:
        """Return the columns of learned attributes with their types; they are known as the rollups are."""
        self.look()
        return self.columns

    def look(self) -> None:
        if time.monotonic() < self.known_until:
            return
        self.columns = dict(self.query(LEARNED, row=tuple[str, str]))
        found = self.query(GROUPS, row=tuple[str, int, int])
        self.grouped = tuple(name for name, rows, stored in found if rows >= stored * rollup.LEAST_SHARE)
        changes = len(self.grouped) < len(found)  # As in the first minutes, with every part that comes.
        self.known_until = time.monotonic() + (CHANGING_SECONDS if changes else KNOWN_SECONDS)

    def cancel(self, comment: str) -> None:
        """Stop the queries of that comment; they raise QueryRefused of kind cancelled."""
        with translated():
            self.control.command(f"KILL QUERY WHERE Settings['log_comment'] = {quoted(comment)} ASYNC")

    # -- changing ----------------------------------------------------------------------------------------------------

    def command(self, sql: str, params: Parameters | None = None) -> None:
        """Run a statement that answers nothing (DDL, DELETE); the drain goes on meanwhile."""
        with self.client() as client, translated():
            client.command(sql, params)

    def insert_file(self, path: Path, insert: str, structure: str, *, token: str = "") -> None:
        """Run an INSERT ... SELECT whose `{source}` is the file of JSON lines, once per token.

        The embedded engine reads the file itself; to a server it goes as the body, as a server's `file()` is its disk.
        """
        settings = schema.READING | ({"insert_deduplication_token": token} if token else {})
        with self.draining, translated():
            if isinstance(self.drainer, Server):
                source = f"input({quoted(structure)})"
                statement = insert.replace("{source}", source) + " FORMAT JSONEachRow"
                self.drainer.send(statement, path.read_bytes(), settings)
            else:
                source = f"file({quoted(str(path))}, 'JSONEachRow', {quoted(structure)})"
                self.drainer.command(insert.replace("{source}", source) + clause(settings))

    def insert_segment(self, path: Path, *, token: str, condition: str = "") -> None:
        """Insert a segment's events, once per token. All or, when the engine refuses, none of them."""
        self.insert_file(path, schema.insert_rows("events", condition), schema.SEGMENT_STRUCTURE, token=token)

    def read_segment(self, path: Path) -> None:
        """Read a segment as an insert would, without storing it; raises EngineError where an insert would."""
        self.insert_file(path, schema.insert_rows("events_probe"), schema.SEGMENT_STRUCTURE)

    def close(self) -> None:
        """Close every client; waits for the queries that run."""
        self.closed = True
        for client in self.clients:
            client.close()


def open_embedded(folder: Path, options: EngineOptions | None = None) -> Engine:
    """Open the engine inside this process. A folder belongs to one process, and a process has one folder.

    Raises EngineError with a sentence for the operator.
    """
    options = options or EngineOptions()
    folder.mkdir(parents=True, exist_ok=True)
    chdb_options = {
        "max_server_memory_usage": str(options.memory_bytes),
        "background_pool_size": "1",  # One core merges, the others answer.
        "background_merges_mutations_concurrency_ratio": "2",
        **{name: str(size) for name, size in CACHE_BYTES.items()},
    }

    return opened(lambda: Embedded(folder, chdb_options, threads=2), options, embedded=True, folder=folder)


def open_server(url: str, options: EngineOptions | None = None) -> Engine:
    """Connect to a ClickHouse server, `http[s]://user:password@host:port/database`; a missing database is made."""
    options = options or EngineOptions()
    database = urlsplit(url).path.strip("/") or "headrace"
    try:
        with translated(), contextlib.closing(Server(url, "default")) as first:
            first.command("CREATE DATABASE IF NOT EXISTS `" + database.replace("`", "") + "`")
    except EngineError as problem:
        raise opening_failed(problem, None) from problem
    return opened(lambda: Server(url, database), options, embedded=False, folder=None)


def opened(connect: Callable[[], Client], options: EngineOptions, *, embedded: bool, folder: Path | None) -> Engine:
    """Open the clients, try what we build on, bring the schema up to date."""
    clients: list[Client] = []
    try:
        with translated():
            clients.extend(connect() for _ in range(options.query_threads + 2))
        engine = Engine(clients, options, embedded=embedded, folder=folder)
        check_features(engine)
        migrate(engine)
    except EngineError as problem:
        for client in clients:
            client.close()
        raise opening_failed(problem, folder) from problem
    return engine


def opening_failed(problem: EngineError, folder: Path | None) -> EngineError:
    text = str(problem)
    if folder is None:
        return EngineError(f"The event server cannot be used: {text}", problem.code)
    if "already initialized" in text:
        return EngineError(f"This process has another event folder open; it cannot open {folder} too.", problem.code)
    if "lock" in text or "EmbeddedServer" in text:
        return EngineError(f"Another process has the event folder {folder} open; stop it first. ({text})", problem.code)
    return EngineError(f"The event folder {folder} cannot be opened: {text}", problem.code)


def check_features(engine: Engine) -> None:
    """Refuse an engine that lacks what exactness and search stand on."""
    create = """
        CREATE TABLE feature_test (
          k UInt32, m Map(LowCardinality(String), String), t String,
          INDEX i lower(t) TYPE text(tokenizer = 'splitByNonAlpha')
        ) ENGINE = MergeTree ORDER BY k
        SETTINGS non_replicated_deduplication_window = 100, map_serialization_version = 'with_buckets'"""
    insert = (
        "INSERT INTO feature_test SELECT 1, map('a', 'b'), 'One Two' FROM numbers(1)"
        " SETTINGS insert_deduplication_token = 'once', max_threads = 1"
    )
    engine.command("DROP TABLE IF EXISTS feature_test")
    try:
        engine.command(create)
        engine.command(insert)
        engine.command(insert)
        found = engine.one("SELECT count() FROM feature_test WHERE hasAllTokens(lower(t), 'two')", row=tuple[int])
    except EngineError as problem:
        lacks = f"the engine lacks a feature that Headrace needs (version 26.2 or later has them): {problem}"
        raise EngineError(lacks, problem.code) from problem
    finally:
        engine.command("DROP TABLE IF EXISTS feature_test")
    if found != (1,):
        raise EngineError("the engine stores a repeated insert twice, so exactly-once storage cannot be kept.")


def migrate(engine: Engine) -> None:
    """Create what is missing, then run the migrations that this store has not seen."""
    for statement in (schema.VERSIONS, schema.EVENTS, schema.PROBE, schema.QUARANTINE):
        engine.command(statement)
    rows = engine.query("SELECT max(version), count() FROM schema_versions", row=tuple[int, int])
    version, known = rows[0]
    newest = len(schema.MIGRATIONS)
    if version > newest:
        raise EngineError(f"it was written by a later release (schema {version}; this release knows {newest}).")
    for number, statement in enumerate(schema.MIGRATIONS[version:] if known else (), version + 1):
        engine.command(statement)
        engine.command(f"INSERT INTO schema_versions VALUES ({number})")
    if not known:
        engine.command(f"INSERT INTO schema_versions VALUES ({newest})")
