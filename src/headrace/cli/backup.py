"""`headrace backup` and `headrace restore`: everything in one folder, with a sum of each file, and back again.

A running server makes the copy itself, for the engine belongs to one process; ingest goes on meanwhile.
"""

import hashlib
import os
import shutil
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from headrace import __version__
from headrace.cli.configuration import settings
from headrace.cli.running import Lock, ask, running
from headrace.cli.screen import Trouble, count, say
from headrace.core.settings import Settings
from headrace.kit.times import show

if TYPE_CHECKING:
    from headrace.core.house import House

MANIFEST = "MANIFEST.json"
EVENTS, DATABASE, SECRET = "events", "headrace.db", "secret"
CHUNK = 1 << 20


class File(msgspec.Struct, frozen=True):
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Written last: a folder without it is no backup."""

    version: str
    made_at: str
    files: dict[str, File]


def run(given: Namespace) -> int:
    chosen, folder = settings(given), Path(given.folder).absolute()
    if given.verb == "restore":
        return _restore(chosen, folder)
    if not chosen.data.is_dir():
        raise Trouble(f"there is no data folder {chosen.data.absolute()}; name it with --data")
    answer: Mapping[str, Any]
    if running(chosen.data):
        answer = ask(chosen.data.absolute(), "backup", to=str(folder))
    else:
        answer = _copy_closed(chosen, folder)
    say(f"backup of {chosen.data.absolute()} in {folder}: {count(answer['files'], 'file')}, {_size(answer['bytes'])}")
    if chosen.database_url:
        say("the metadata is on a PostgreSQL server and is not in the backup: take it with pg_dump, right after this")
    if chosen.secret:
        say("HEADRACE_SECRET is set outside the data folder and is not in the backup: keep it too")
    return 0


def copy_open(house: "House", folder: Path) -> Mapping[str, Any]:
    """Copy what an open house holds into a new folder. Trouble when that cannot be."""
    from headrace.eventstore import snapshot
    from headrace.eventstore.engine import EngineError

    _empty(folder, "the backup would be mixed with what is there; name a new folder")
    work = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(work, ignore_errors=True)
    data = house.settings.data

    def metadata() -> None:
        if house.db.dialect == "sqlite":
            house.db.backup(work / DATABASE)

    try:
        work.mkdir(parents=True, mode=0o700)
        name = f"backup{house.clock()}"
        snapshot.take(house.store.engine, house.store.wal.folder, work / EVENTS, name=name, meanwhile=metadata)
        if (data / SECRET).exists():
            shutil.copyfile(data / SECRET, work / SECRET)
            (work / SECRET).chmod(0o600)
        files = {str(path.relative_to(work)): _sum(path) for path in _files(work)}
        manifest = Manifest(version=__version__, made_at=show(house.clock()), files=files)
        (work / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        _sync(work)
        if folder.exists():
            folder.rmdir()
        work.rename(folder)
    except (OSError, EngineError, snapshot.SnapshotError) as problem:
        shutil.rmtree(work, ignore_errors=True)
        raise Trouble(f"no backup was made: {_words(problem)}") from problem
    return {"files": len(files), "bytes": sum(file.size for file in files.values())}


def _copy_closed(chosen: Settings, folder: Path) -> Mapping[str, Any]:
    from headrace import app

    with Lock(chosen.data):
        house = app.open_house(chosen)
        try:
            return copy_open(house, folder)
        finally:
            app.close(house)


def _restore(chosen: Settings, source: Path) -> int:
    manifest = _checked(source)
    if chosen.events_url or (chosen.database_url and DATABASE in manifest.files):
        raise Trouble("the backup is of embedded stores; unset HEADRACE_EVENTS_URL and HEADRACE_DATABASE_URL")
    data = chosen.data.absolute()
    _empty(data, "a restore never overwrites; name an empty folder with --data")
    work = data.with_name(f".{data.name}.restoring")
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True, mode=0o700)
        for name in (DATABASE, SECRET):
            if name in manifest.files:
                shutil.copyfile(source / name, work / name)
                (work / name).chmod(0o600)
        rows = _fill(source / EVENTS, work)
        _sync(work)
        if data.exists():
            data.rmdir()
        work.rename(data)
    except OSError as problem:
        shutil.rmtree(work, ignore_errors=True)
        raise Trouble(f"nothing was restored: {_words(problem)}") from problem
    if DATABASE not in manifest.files:
        say("the backup has no metadata, for that was on a PostgreSQL server: restore it there")
    say(f"restored the backup of {manifest.made_at} into {data}: {count(rows, 'event')} in the store")
    return 0


def _fill(source: Path, data: Path) -> int:
    """Put the events into a new store; return how many are in it, without those that wait in the log."""
    from headrace.eventstore import snapshot
    from headrace.eventstore.engine import EngineError, open_embedded
    from headrace.eventstore.files import Files
    from headrace.eventstore.segments import recover

    log = data / EVENTS / snapshot.LOG
    shutil.copytree(source / snapshot.LOG, log)
    segments = [(segment.first_id, segment.last_id) for segment in recover(log, Files())]
    try:
        with closing(open_embedded(data / EVENTS / snapshot.ENGINE)) as engine:
            snapshot.fill(engine, source, segments)
            return engine.one("SELECT count() FROM events", row=tuple[int])[0]
    except (EngineError, snapshot.SnapshotError) as problem:
        shutil.rmtree(data, ignore_errors=True)
        raise Trouble(f"nothing was restored: {problem}") from problem


def _checked(source: Path) -> Manifest:
    """Read the manifest, and compare every file with it."""
    try:
        manifest = msgspec.json.decode((source / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as problem:
        raise Trouble(f"{source} is no finished backup: its {MANIFEST} cannot be read") from problem
    for name, file in manifest.files.items():
        path = source / name
        if not path.is_file():
            raise Trouble(f"the backup is damaged: {name} is missing; take another backup")
        if _sum(path) != file:
            raise Trouble(f"the backup is damaged: {name} is not what was backed up; take another backup")
    return manifest


def _empty(folder: Path, reason: str) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Trouble(f"{folder} is not empty: {reason}")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _sum(path: Path) -> File:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return File(size, digest.hexdigest())


def _sync(folder: Path) -> None:
    """Have everything below the folder on disk before it gets its name."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _size(number: int) -> str:
    return f"{number / (1 << 20):,.1f} MiB"


def _words(problem: Exception) -> str:
    name = getattr(problem, "filename", None)
    words = getattr(problem, "strerror", None) or str(problem)
    return f"{name}: {words}" if name else words
