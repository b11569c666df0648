"""`headrace migrate` and `version`."""

import platform
import sqlite3
from argparse import Namespace
from importlib import metadata

from headrace import __version__
from headrace.cli.configuration import settings, unreadable
from headrace.cli.screen import Trouble, as_json, say
from headrace.cli.stores import database_shut

# Which of the libraries decide how the server behaves.
LIBRARIES = (
    "chdb-core",
    "clickhouse-connect",
    "litestar",
    "uvicorn",
    "msgspec",
    "sqlalchemy",
    "psycopg",
    "cryptography",
)


def run(given: Namespace) -> int:
    return _migrate(given) if given.verb == "migrate" else _version(given)


def versions() -> dict[str, str]:
    found = {"headrace": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "missing"
    return found


def _version(given: Namespace) -> int:
    if given.json:
        as_json(versions())
    else:
        for name, number in versions().items():
            say(f"{name:<20} {number}")
    return 0


def _migrate(given: Namespace) -> int:
    from headrace.core import migrations
    from headrace.kit.database import Database

    chosen = settings(given)
    path = chosen.data / "headrace.db"
    if not chosen.database_url and not path.exists():
        raise Trouble(
            f"there is no database {path.absolute()}; name the folder with --data. A new one needs no migration"
        )
    try:
        db = Database.open(chosen.database_url or path)
        try:
            before = migrations.version(db)
            if before is not None and before > migrations.HEAD:
                raise Trouble(f"the database is of the newer revision {before}: update Headrace")
            migrations.migrate(db)
            after = migrations.version(db)
        finally:
            db.close()
    except unreadable() as problem:
        raise Trouble(database_shut(chosen, problem)) from problem
    say(
        f"the metadata database is of revision {after}"
        + (" already" if before == after else f", was {before or 'empty'}")
    )
    return 0
