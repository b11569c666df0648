import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from headrace.kit import database
from headrace.kit.database import Database, UnreachableError

METADATA = sa.MetaData()
things = sa.Table("things", METADATA, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
COUNT = sa.select(sa.func.count()).select_from(things)


@pytest.fixture(params=["sqlite", "postgresql"])
def open_db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    """Open one database several times over, as several processes do."""
    place = tmp_path / "made" / "things.db" if request.param == "sqlite" else request.getfixturevalue("postgres")
    opened: list[Database] = []

    def open_one() -> Database:
        opened.append(Database.open(place))
        return opened[-1]

    with open_one().write() as connection:
        METADATA.drop_all(connection)
        METADATA.create_all(connection)
    yield open_one
    with opened[0].write() as connection:
        METADATA.drop_all(connection)
    for db in opened:
        db.close()


def count(db: Database) -> int:
    with db.read() as connection:
        found: int = connection.execute(COUNT).scalar_one()
        return found


def test_a_write_is_whole_or_nothing(open_db: Callable[[], Database]) -> None:
    db = open_db()
    with db.write() as connection:
        connection.execute(things.insert(), {"id": 1, "name": "kept"})
        with db.read() as inside:
            assert inside.execute(COUNT).scalar() == 1, "read inside write sees the transaction's own rows"
    with pytest.raises(sa.exc.IntegrityError), db.write() as connection:
        connection.execute(things.insert(), [{"id": 2, "name": "lost"}, {"id": 1, "name": "taken"}])
    assert count(db) == 1


def test_write_inside_write_is_a_bug(open_db: Callable[[], Database]) -> None:
    db = open_db()
    with db.write(), pytest.raises(RuntimeError, match="one transaction"), db.write():
        pass
    with db.write() as connection:
        connection.execute(things.insert(), {"id": 1, "name": "after"})
    assert count(db) == 1


def test_conflicts_are_the_dialects(open_db: Callable[[], Database]) -> None:
    db = open_db()
    insert = db.insert(things).values(id=1, name="first").on_conflict_do_nothing().returning(things.c.id)
    with db.write() as connection:
        assert [connection.execute(insert).scalar() for _ in range(2)] == [1, None]


def test_the_stamp_tells_of_commits_by_anyone(open_db: Callable[[], Database]) -> None:
    mine, other = open_db(), open_db()
    for writer in (mine, other):
        before = mine.stamp()
        with writer.write() as connection:
            connection.execute(things.insert(), {"name": "x"})
        assert mine.stamp() != before


def test_many_threads(open_db: Callable[[], Database]) -> None:
    mine, other = open_db(), open_db()
    failures: list[BaseException] = []

    def write(db: Database) -> None:
        try:
            for _ in range(20):
                with db.write() as connection:
                    before = connection.execute(COUNT).scalar_one()
                    connection.execute(things.insert(), {"name": "x"})
                    assert connection.execute(COUNT).scalar_one() > before
                count(db)
        except BaseException as error:  # noqa: BLE001  Carried to the test's own thread.
            failures.append(error)

    threads = [threading.Thread(target=write, args=(db,)) for db in (mine, other) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert count(mine) == 120


def test_sqlite_is_set_up_to_last(tmp_path: Path) -> None:
    db = Database.open(tmp_path / "things.db")
    with db.write() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    with pytest.raises(UnreachableError, match="readonly"), db.read() as connection:
        connection.exec_driver_sql("CREATE TABLE x (y)")
    db.close()


TRY = """
import fcntl, sys
try:
    fcntl.lockf(open(sys.argv[1], "r+b"), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)
except OSError:
    sys.exit(7)
"""


def test_other_programs_see_that_it_is_open(tmp_path: Path) -> None:
    """Byte 128 of the shared index is SQLite's word that somebody uses it (its source, `UNIX_SHM_DMS`)."""
    db = Database.open(tmp_path / "things.db")
    with db.write() as connection:
        connection.exec_driver_sql("CREATE TABLE x (y)")
    shared = tmp_path / "things.db-shm"
    assert subprocess.run([sys.executable, "-c", TRY, str(shared)], check=False).returncode == 7
    other = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('INSERT INTO x VALUES (1)').connection.commit()"
    subprocess.run([sys.executable, "-c", other, str(tmp_path / "things.db")], check=True)
    assert shared.exists()
    with db.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM x").scalar() == 1
    db.close()
    db.close()
    assert not shared.exists()


def test_a_reader_sees_one_moment(tmp_path: Path) -> None:
    db = Database.open(tmp_path / "things.db")
    with db.write() as connection:
        METADATA.create_all(connection)
    with db.read() as connection:
        assert connection.execute(COUNT).scalar() == 0

        def write() -> None:
            with db.write() as writing:
                writing.execute(things.insert(), {"name": "x"})

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        assert connection.execute(COUNT).scalar() == 0
    assert count(db) == 1
    db.close()


def test_a_backup_is_a_whole_database(tmp_path: Path) -> None:
    db = Database.open(tmp_path / "things.db")
    with db.write() as connection:
        METADATA.create_all(connection)
        connection.execute(things.insert(), {"name": "x"})
    db.backup(tmp_path / "copy.db")
    db.close()
    copy = sqlite3.connect(tmp_path / "copy.db")
    assert copy.execute("SELECT name FROM things").fetchall() == [("x",)]
    copy.close()


def test_an_address_nobody_answers_is_unreachable() -> None:
    db = Database.open("postgresql://nobody@127.0.0.1:1/none?connect_timeout=1")
    with pytest.raises(UnreachableError), db.read():
        pass
    db.close()


def test_a_server_that_accepts_and_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        db = Database.open(f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none")
        with ThreadPoolExecutor(1) as pool, pytest.raises(UnreachableError, match="timeout expired"):
            pool.submit(count, db).result(20)
        db.close()


def test_an_address_may_have_its_own_patience() -> None:
    urls = ("postgresql://u@h/d", "postgresql://u@h/d?connect_timeout=9")
    assert [Database.open(url).engine.url.query["connect_timeout"] for url in urls] == ["5", "9"]


def insert(number: int) -> Callable[[sa.Connection], int]:
    def work(connection: sa.Connection) -> int:
        connection.execute(things.insert(), {"id": number, "name": "x"})
        return number

    return work


def test_what_is_submitted_at_once_shares_commits_and_fails_alone(open_db: Callable[[], Database]) -> None:
    db = open_db()
    results: dict[int, object] = {}
    committed: list[int] = []

    def work(number: int) -> Callable[[sa.Connection], int]:
        def run(connection: sa.Connection) -> int:
            db.after_commit(lambda: committed.append(number))
            found = insert(number)(connection)
            if number % 10 == 3:
                raise ValueError(number)
            return found

        return run

    def submit(first: int) -> None:
        for number in range(first, first + 25):
            try:
                results[number] = db.submit(work(number))
            except ValueError as error:
                results[number] = error.args[0] * -1

    threads = [threading.Thread(target=submit, args=(first,)) for first in range(1, 401, 25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = [number for number in range(1, 401) if number % 10 != 3]
    assert results == {number: number if number in good else -number for number in range(1, 401)}
    assert sorted(committed) == good
    with db.read() as connection:
        assert connection.execute(sa.select(things.c.id).order_by(things.c.id)).scalars().all() == good


def test_a_transaction_that_breaks_fails_all_that_share_it(tmp_path: Path) -> None:
    db = Database.open(tmp_path / "things.db")
    with db.write() as connection:
        METADATA.create_all(connection)
    other = sqlite3.connect(tmp_path / "things.db", isolation_level=None)
    with db.write() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=0")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnreachableError, match="locked"):
        db.submit(insert(1))
    other.execute("ROLLBACK")
    other.close()
    assert db.submit(insert(1)) == 1
    with pytest.raises(RuntimeError, match="one transaction"), db.write():
        db.submit(insert(2))
    assert count(db) == 1
    db.close()


def test_after_commit_is_told_only_of_commits(open_db: Callable[[], Database]) -> None:
    db = open_db()
    told: list[str] = []
    with db.write() as connection:
        connection.execute(things.insert(), {"id": 1, "name": "x"})
        db.after_commit(lambda: told.append(f"kept {count(db)}"))
        assert told == []
    assert told == ["kept 1"]

    def fail() -> None:
        with db.write() as connection:
            db.after_commit(lambda: told.append("lost"))
            insert(1)(connection)

    with pytest.raises(sa.exc.IntegrityError):
        fail()
    assert told == ["kept 1"]
    with pytest.raises(RuntimeError, match="outside"):
        db.after_commit(lambda: None)
