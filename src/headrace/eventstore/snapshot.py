"""A copy of the event store in use, and an empty store filled from it. Of the metadata it knows only when to copy it.

The copy holds the parts of the engine's tables (frozen: hard links, no matter how much there is) and the segments of
the durable log. A segment that is in both is stored once: `fill` takes its rows out of the engine before the drain.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from headrace.eventstore import schema
from headrace.eventstore.engine import Engine, quoted

TABLES: Final = ("events", "quarantine")
# As the store names its folders.
ENGINE, LOG = "engine", "wal"
SCHEMA: Final = "schema-version"
PATHS: Final = (
    "SELECT name, data_paths[1] FROM system.tables WHERE database = currentDatabase() AND notEmpty(data_paths)"
)


class SnapshotError(Exception):
    """The copy or the filling cannot be done; the sentence says why and what to do."""


def take(engine: Engine, log: Path, target: Path, *, name: str, meanwhile: Callable[[], None]) -> None:
    """Copy an open store into the folder `target`. `meanwhile` copies what has to be of the same moment.

    No segment enters the engine between the freezing and the end of `meanwhile`; ingest goes on into the log. `name`
    has to be new, of letters and digits. Raises SnapshotError and EngineError.
    """
    if not engine.embedded or engine.folder is None:
        raise SnapshotError("the events lie on a ClickHouse server; back it up there (BACKUP DATABASE), then the rest")
    shadow = engine.folder / "shadow" / name
    (target / ENGINE).mkdir(parents=True)
    (target / LOG).mkdir()
    try:
        with engine.draining, engine.client() as client:
            _copy_log(log, target / LOG)
            for table in TABLES:
                client.command(f"ALTER TABLE {table} FREEZE WITH NAME {quoted(name)}")
            meanwhile()
        folders = dict(engine.query(PATHS, row=tuple[str, str]))
        for table in TABLES:
            _copy_parts(shadow / Path(folders[table]).relative_to(engine.folder), target / ENGINE / table)
    finally:
        shutil.rmtree(shadow, ignore_errors=True)
    (target / SCHEMA).write_text(f"{len(schema.MIGRATIONS)}\n")


def fill(engine: Engine, source: Path, segments: Sequence[tuple[int, int]]) -> None:
    """Put a copy into an open, empty store. `segments` holds the first and (exclusive) last id of each segment copied.

    The log's files are put in place by the caller, before the drain starts. Raises SnapshotError and EngineError.
    """
    if not engine.embedded or engine.folder is None:
        raise SnapshotError("the events would lie on a ClickHouse server; restore them there")
    if int((source / SCHEMA).read_text()) > len(schema.MIGRATIONS):
        raise SnapshotError("the backup is of a newer version of Headrace; update this one")
    folders = dict(engine.query(PATHS, row=tuple[str, str]))
    for table in TABLES:
        if engine.one(f"SELECT count() FROM {table}", row=tuple[int]) != (0,):
            raise SnapshotError("the event store is not empty")
        for part in sorted((source / ENGINE / table).iterdir()):
            shutil.copytree(part, Path(folders[table]) / "detached" / part.name)
        engine.command(f"ALTER TABLE {table} ATTACH PARTITION ALL")
    for first, last in segments:
        twice = f"id >= {first} AND id < {last}"
        for table in TABLES:
            if engine.one(f"SELECT count() FROM {table} WHERE {twice}", row=tuple[int]) != (0,):
                # A mutation, not a mask: the drain counts masked rows too.
                engine.command(f"ALTER TABLE {table} DELETE WHERE {twice} SETTINGS mutations_sync = 2")


def _copy_log(log: Path, target: Path) -> None:
    for path in sorted(log.iterdir()):
        if not path.is_file():
            continue
        try:
            shutil.copyfile(path, target / path.name)
        except FileNotFoundError:
            # Drained or sealed meanwhile. A drained segment is in the engine; a sealed one has its new name.
            sealed = path.with_suffix(".sealed")
            if path.suffix == ".open" and sealed.exists():
                shutil.copyfile(sealed, target / sealed.name)


def _copy_parts(frozen: Path, target: Path) -> None:
    target.mkdir()
    if not frozen.exists():
        return
    for part in frozen.iterdir():
        shutil.copytree(part, target / part.name)
