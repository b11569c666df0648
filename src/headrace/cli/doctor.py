"""`headrace doctor`: looks at everything that a server needs, and says of each thing what to do. Changes nothing."""

import os
import shutil
import socket
import sqlite3
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from headrace.cli.backup import EVENTS
from headrace.cli.configuration import settings, unreadable
from headrace.cli.running import Facts, ask, running
from headrace.cli.screen import Trouble, as_json, say
from headrace.cli.stores import reason
from headrace.cli.upkeep import versions
from headrace.core.settings import SettingError, Settings
from headrace.kit import clock
from headrace.kit.times import SECOND

if TYPE_CHECKING:
    from headrace.kit.database import Database

GIB = 1 << 30
LOW_BYTES = 5 * GIB
SLOW_SYNC_MS = 50.0
SYNCS = 8
# Beside the engine: the process itself, its caches and the requests at hand.
REST_BYTES = 300 << 20
LEAST_SQLITE = (3, 35)


class Finding(msgspec.Struct, frozen=True):
    """`state` is ok, warn or fail; `todo` is empty when ok."""

    what: str
    state: str
    words: str
    todo: str = ""


Findings = Iterator[Finding]


def run(given: Namespace) -> int:
    chosen = settings(given)
    facts = running(chosen.data)
    findings = [finding for look in LOOKS for finding in look(chosen, facts)]
    for finding in findings:
        if given.json:
            as_json(finding)
        else:
            say(
                f"{finding.state:<4}  {finding.what:<14} {finding.words}"
                + (f"; {finding.todo}" if finding.todo else "")
            )
    return 1 if any(finding.state == "fail" for finding in findings) else 0


def _server(chosen: Settings, facts: Facts | None) -> Findings:
    if facts is None:
        yield Finding("server", "ok", "none runs on this data folder")
        return
    try:
        answer = ask(chosen.data.absolute(), "facts")
    except Trouble as problem:
        yield Finding("server", "fail", f"process {facts.pid} holds the data folder and does not answer", str(problem))
        return
    yield Finding("server", "ok", f"process {facts.pid} at {answer['url']}, version {answer['version']}")
    health = answer["store"]
    trouble = health.get("trouble") or health.get("refusing")
    if trouble:
        yield Finding("event store", "fail", f"the server says: {trouble}", "its log has more")
    else:
        yield Finding("event store", "ok", f"held by process {facts.pid}")


def _folder(chosen: Settings, _: Facts | None) -> Findings:
    data = chosen.data.absolute()
    if not data.exists():
        parent = next(folder for folder in data.parents if folder.exists())
        if os.access(parent, os.W_OK | os.X_OK):
            yield Finding("data folder", "ok", f"{data} will be made at the first start")
        else:
            yield Finding("data folder", "fail", f"{data} cannot be made", f"give {parent} to this user, or set --data")
        return
    if not os.access(data, os.R_OK | os.W_OK | os.X_OK):
        yield Finding("data folder", "fail", f"{data} is not this user's to write", f"chown -R {os.getuid()} {data}")
        return
    yield Finding("data folder", "ok", str(data))
    secret = data / "secret"
    if secret.exists() and secret.stat().st_mode & 0o077:
        yield Finding("secret", "warn", f"others may read {secret}", f"chmod 600 {secret}")


def _disk(chosen: Settings, _: Facts | None) -> Findings:
    folder = _existing(chosen.data)
    usage = shutil.disk_usage(folder)
    percent = usage.used * 100 / (usage.used + usage.free)
    words = f"{usage.free / GIB:,.1f} GiB free, {percent:.0f} % used"
    if percent >= chosen.disk_refuse_percent:
        yield Finding(
            "disk", "fail", words, f"ingest answers 503 from {chosen.disk_refuse_percent} % on: free some space"
        )
    elif usage.free < LOW_BYTES:
        yield Finding("disk", "warn", words, "free some space, or shorten the retention of projects")
    else:
        yield Finding("disk", "ok", words)
    if not os.access(folder, os.W_OK):
        return
    took = _sync_milliseconds(folder)
    if took > SLOW_SYNC_MS:
        yield Finding("fsync", "warn", f"{took:.1f} ms", "every acknowledgement waits for one: use a faster disk")
    else:
        yield Finding("fsync", "ok", f"{took:.1f} ms")


def _sync_milliseconds(folder: Path) -> float:
    """Return the median time of a small write that reaches the disk."""
    times = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SYNCS):
            began = time.perf_counter()
            os.write(file.fileno(), b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return sorted(times)[SYNCS // 2]


def _metadata(chosen: Settings, _: Facts | None) -> Findings:
    from headrace.core import migrations
    from headrace.kit.database import Database

    path = chosen.data / "headrace.db"
    if not chosen.database_url and not path.exists():
        yield Finding("metadata", "ok", "will be made at the first start")
        return
    try:
        db = Database.open(chosen.database_url or path)
    except unreadable() as problem:
        yield Finding("metadata", "fail", reason(problem), "check HEADRACE_DATABASE_URL, or restore a backup")
        return
    try:
        found = migrations.version(db)
        if found == migrations.HEAD:
            yield from _secret(chosen, db)
    except unreadable() as problem:
        yield Finding("metadata", "fail", reason(problem), "check that the database runs, or restore a backup")
        return
    finally:
        db.close()
    if found == migrations.HEAD:
        yield Finding("metadata", "ok", f"{db.dialect}, revision {found}")
    elif found is not None and found > migrations.HEAD:
        yield Finding("metadata", "fail", f"revision {found} is newer than this version knows", "update Headrace")
    else:
        yield Finding(
            "metadata", "warn", f"revision {found}, this version has {migrations.HEAD}", "run headrace migrate"
        )


def _secret(chosen: Settings, db: "Database") -> Findings:
    """A process with another secret than its database's reads no seal, and takes no key."""
    from headrace.core import house

    known = house.fingerprint(db)
    path = chosen.data / "secret"
    todo = f"copy the first server's file `secret` to {path}, or set HEADRACE_SECRET to the same value everywhere"
    if not chosen.secret and not path.exists():
        if known:
            yield Finding("secret", "fail", "there is none, and the database is written under one", todo)
        return
    try:
        mine = house.fingerprints(house.read_keyring(chosen))
    except SettingError as problem:
        yield Finding("secret", "fail", str(problem), todo)
        return
    if known is None or known in mine:
        yield Finding("secret", "ok", "the database's" if known else "the database takes it at the next start")
    else:
        yield Finding("secret", "fail", "another than the database is written under", todo)


def _engine(chosen: Settings, facts: Facts | None) -> Findings:
    from headrace.eventstore.engine import EngineError, open_embedded, open_server
    from headrace.eventstore.snapshot import ENGINE

    folder = chosen.data / EVENTS / ENGINE
    if chosen.events_url:
        try:
            open_server(chosen.events_url).close()
        except EngineError as problem:
            yield Finding("event store", "fail", reason(problem), "check HEADRACE_EVENTS_URL and that ClickHouse runs")
        else:
            yield Finding("event store", "ok", "the ClickHouse server answers")
    elif facts is None and folder.exists():
        try:
            open_embedded(folder).close()
        except EngineError as problem:
            yield Finding("event store", "fail", str(problem), "restore a backup, or ask with this text")
        else:
            yield Finding("event store", "ok", "the engine opens")
    elif facts is None:
        yield Finding("event store", "ok", "will be made at the first start")


def _port(chosen: Settings, facts: Facts | None) -> Findings:
    what = f"{chosen.host}:{chosen.port}"
    if facts and facts.url.endswith(f":{chosen.port}"):
        yield Finding("port", "ok", f"{what} is this server's")
        return
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(chosen.host, chosen.port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as problem:
        state = "warn" if facts else "fail"
        yield Finding("port", state, f"{what}: {problem.strerror}", "see `ss -ltnp`, or set --port")
    else:
        yield Finding("port", "ok", f"{what} is free")


def _memory(chosen: Settings, _: Facts | None) -> Findings:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        total = min(total, int(text))
    need = REST_BYTES + (0 if chosen.events_url else chosen.memory_engine)
    words = f"{total / GIB:.1f} GiB, of which Headrace takes {need / GIB:.1f} GiB at most"
    if total < need:
        yield Finding("memory", "fail", words, "set HEADRACE_MEMORY_ENGINE lower, or give it more")
    elif total < 2 * need:
        yield Finding("memory", "warn", words, "little is left for the disk cache")
    else:
        yield Finding("memory", "ok", words)


def _clock(chosen: Settings, _: Facts | None) -> Findings:
    """A clock that went back would order new events before old ones."""
    now = clock.now()
    names = ("headrace.db", "headrace.db-wal", "server.lock")
    ages = [path.stat().st_mtime_ns // 1000 for name in names if (path := chosen.data / name).exists()]
    ahead = max(ages, default=0) - now
    if ahead > 5 * SECOND:
        words = f"files of the data folder are {ahead // SECOND} s in the future"
        yield Finding("clock", "fail", words, "set the machine's clock, best by NTP")
    else:
        yield Finding("clock", "ok", "agrees with the data folder")


def _versions(_: Settings, __: Facts | None) -> Findings:
    found = versions()
    missing = [name for name, number in found.items() if number == "missing"]
    words = ", ".join(f"{name} {found[name]}" for name in ("headrace", "python", "sqlite", "chdb-core"))
    if missing:
        yield Finding("versions", "fail", f"{', '.join(missing)} missing", "install Headrace again")
    elif sqlite3.sqlite_version_info < LEAST_SQLITE:
        yield Finding("versions", "fail", words, "this SQLite is older than 3.35: update Python")
    else:
        yield Finding("versions", "ok", words)


LOOKS: tuple[Callable[[Settings, Facts | None], Findings], ...] = (
    *(_versions, _folder, _disk, _memory, _clock),
    *(_server, _metadata, _engine, _port),
)


def _existing(folder: Path) -> Path:
    absolute = folder.absolute()
    return next(one for one in [absolute, *absolute.parents] if one.exists())
