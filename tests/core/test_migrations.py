import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from headrace.core import migrations
from headrace.core.migrations import HEAD, OldSchemaError
from headrace.core.schema import audit_events
from headrace.core.schema.columns import METADATA
from headrace.kit.database import Database


@pytest.fixture(params=["sqlite", "postgresql"])
def blank(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str | Path]:
    """The address of a database without a schema."""
    if request.param == "sqlite":
        yield tmp_path / "blank.db"
        return
    url: str = request.getfixturevalue("postgres")
    engine = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE blank")
        yield url.replace("/postgres?", "/blank?")
        connection.exec_driver_sql("DROP DATABASE blank WITH (FORCE)")


def test_the_program_knows_its_newest_revision() -> None:
    assert ScriptDirectory(str(Path(migrations.__file__).parent)).get_current_head() == HEAD


def test_the_revisions_make_what_the_tables_say(blank: str | Path) -> None:
    db = Database.open(blank)
    assert migrations.version(db) is None
    migrations.prepare(db)
    migrations.prepare(db)
    assert migrations.version(db) == HEAD
    with db.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    db.close()


def test_several_processes_start_at_once(blank: str | Path) -> None:
    failures: list[BaseException] = []

    def start() -> None:
        db = Database.open(blank)
        try:
            migrations.prepare(db)
        except BaseException as error:  # noqa: BLE001  Carried to the test's own thread.
            failures.append(error)
        finally:
            db.close()

    code = f"""
import pathlib, sys
from headrace.core import migrations
from headrace.kit.database import Database
address = {str(blank)!r}
db = Database.open(address)
migrations.prepare(db)
db.close()
"""
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    thread = threading.Thread(target=start)
    thread.start()
    assert [process.wait(60) for process in processes] == [0, 0]
    thread.join()
    assert not failures
    db = Database.open(blank)
    with db.read() as connection:
        assert connection.execute(sa.text("SELECT value FROM instance")).scalars().all() == ["1"]
    db.close()


def test_another_version_is_told_plainly(blank: str | Path) -> None:
    db = Database.open(blank)
    migrations.prepare(db)
    with db.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(OldSchemaError, match="newer revision 9999"):
        migrations.prepare(db)
    with db.write() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0000'"))
    if db.dialect == "postgresql":
        with pytest.raises(OldSchemaError, match="run `headrace migrate`"):
            migrations.prepare(db)
    db.close()


@pytest.mark.parametrize("statement", [sa.update(audit_events).values(action="x"), sa.delete(audit_events)])
def test_audit_rows_are_kept(address: str | Path, statement: sa.Update | sa.Delete) -> None:
    db = Database.open(address)
    row = {"at": 1, "actor_kind": "user", "action": "a:b:c", "outcome": "success", "data": "{}"}
    with db.write() as connection:
        connection.execute(audit_events.insert(), row)
    with pytest.raises(sa.exc.DBAPIError, match="never changed"), db.write() as connection:
        connection.execute(statement)
    db.close()
