from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import pytest
import sqlalchemy as sa

from headrace.core import audit, people, uptime
from headrace.core.house import House
from headrace.kit.database import UnreachableError
from tests.conftest import PATIENCE, FakeClock, SignUp

DAY = 1440


def minutes(house: House) -> int:
    with house.db.read() as connection:
        return int(connection.execute(sa.text("SELECT count(*) FROM uptime_minutes")).scalar_one())


def away() -> None:
    raise UnreachableError("away")


def test_nothing_was_measured_yet(house: House) -> None:
    assert (uptime.share(house), uptime.coverage(house)) == (100.0, 100)


def test_a_minute_is_written_once(house: House, open_house: Callable[..., House], clock: FakeClock) -> None:
    assert uptime.mark(house)
    assert not uptime.mark(house)
    # Another server of the same instance.
    assert uptime.mark(open_house())
    assert minutes(house) == 1
    clock.advance(59)
    assert not uptime.mark(house)
    clock.advance(1)
    assert uptime.mark(house)
    assert (minutes(house), uptime.share(house)) == (2, 100.0)


def test_what_another_thread_is_writing_is_written_when_a_mark_returns(
    house: House, until: Callable[..., None]
) -> None:
    def marked() -> int:
        uptime.mark(house)
        with house.db.read() as connection:
            return int(connection.execute(sa.text("SELECT sum(writes) FROM uptime_minutes")).scalar_one())

    part = house.part(uptime.Minutes)
    uptime.mark(house)
    uptime.count(house, recorded=True)
    with ThreadPoolExecutor(2) as pool:
        with house.db.write() as connection:
            # On PostgreSQL it is the row that the others wait for.
            connection.execute(sa.text("UPDATE uptime_minutes SET writes = writes"))
            first = pool.submit(uptime.mark, house)
            until(lambda: not part.counts)
            second = pool.submit(marked)
            wait([second], timeout=0.3)  # It would not wait for the other one, and be done by now.
        assert first.result(30 * PATIENCE)
        assert second.result(30 * PATIENCE) == 1


def test_minutes_without_a_server_count(house: House, clock: FakeClock) -> None:
    for up in (True, True, False, True, False, False):
        if up:
            uptime.mark(house)
        clock.advance(60)
    # Six minutes and this one, of which three and this one.
    assert uptime.share(house) == 57.14


def test_a_week_counts_and_the_first_minute_is_kept(house: House, clock: FakeClock) -> None:
    uptime.mark(house)
    clock.advance(60)
    uptime.mark(house)
    clock.advance(30 * 86_400)
    uptime.mark(house)
    # The first row says since when there should have been a server.
    assert minutes(house) == 2
    assert uptime.share(house) == 0.0
    for _ in range(9):
        clock.advance(60)
        uptime.mark(house)
    assert uptime.share(house) == pytest.approx(10 / (7 * DAY) * 100, abs=0.01)


def test_the_share_of_writes_with_a_record(house: House, clock: FakeClock) -> None:
    for recorded in (True, True, False):
        uptime.count(house, recorded=recorded)
    assert uptime.coverage(house) == 66
    uptime.mark(house)
    assert uptime.coverage(house) == 66
    clock.advance(60)
    uptime.count(house, recorded=True)
    uptime.mark(house)
    uptime.count(house, recorded=True)
    assert uptime.coverage(house) == 80
    clock.advance(86_400 - 60)
    assert uptime.coverage(house) == 100
    uptime.count(house, recorded=False)
    assert uptime.coverage(house) == 66
    clock.advance(86_400)
    assert uptime.coverage(house) == 100


def test_what_could_not_be_written_is_kept(
    house: House, open_house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    uptime.count(house, recorded=True)
    with monkeypatch.context() as patch:
        patch.setattr(house.db, "_writer", away)
        with pytest.raises(UnreachableError):
            uptime.mark(house)
    uptime.count(house, recorded=False)
    assert uptime.mark(house)
    assert uptime.coverage(open_house()) == 50


def test_a_request_knows_what_was_recorded_for_it(house: House, sign_up: SignUp) -> None:
    if house.db.dialect == "postgresql":
        return  # No SQL of its own.
    ada = sign_up(house)
    people.upsert(house, ada, email="a@b")  # Nobody counts.
    tally = audit.watched()
    assert tally.lines == 0
    people.upsert(house, ada, email="a@b")
    assert tally.lines == 1
    assert audit.watched().lines == 0
