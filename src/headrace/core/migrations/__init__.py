"""Migrations of the metadata database: SQLite moves itself at start, PostgreSQL by `headrace migrate`, or when empty.

The revisions stand in `versions/`, written for both databases. Alembic is loaded only when there is something to do.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from headrace.kit.database import Database

HEAD = "0012"
# Any number that no other program uses on the same database.
ADVISORY_LOCK = 4_871_220_517


class OldSchemaError(Exception):
    """The database is of another version than the program; the sentence says what to run."""


def version(db: Database) -> str | None:
    """Return the revision of the database, or None for an empty one."""
    with db.read() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
        return found


def prepare(db: Database) -> None:
    """Bring the database to HEAD where that is allowed without being asked; else raise OldSchemaError."""
    found = version(db)
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise OldSchemaError(f"the database is of the newer revision {found}; this program knows {HEAD}: update it")
    if found is not None and db.dialect == "postgresql":
        raise OldSchemaError(f"the database is of revision {found} and needs {HEAD}: run `headrace migrate`")
    migrate(db)


def migrate(db: Database) -> None:
    """Run every revision that is missing, under a lock that all processes share."""
    from alembic import command  # noqa: PLC0415  Costs 150 ms, and is needed on few starts.
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with _locked(db), db.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _locked(db: Database) -> Iterator[None]:
    if db.path is None:
        with db.engine.connect() as connection:
            connection.execute(sa.select(sa.func.pg_advisory_lock(ADVISORY_LOCK)))
            try:
                yield
            finally:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(ADVISORY_LOCK)))
        return
    with db.path.with_name(db.path.name + ".migrating").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
