import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from headrace.core import audit
from headrace.core.house import House
from headrace.core.identity import accounts, invitations, members, organizations, sessions
from headrace.core.identity.records import Pair
from headrace.core.refusals import Kind, Refusal
from headrace.core.schema import organizations as organization_table
from headrace.core.schema import refresh_tokens
from headrace.core.schema import sessions as session_table
from headrace.kit import keys
from tests.conftest import ADDRESS, PASSWORD, FakeClock, SignUp


@pytest.fixture
def pair(house: House) -> Pair:
    made = accounts.register(
        house, email="ada@example.com", password=PASSWORD, name="Ada", door="test", address=ADDRESS
    )
    return made.pair


def refused(call: Callable[[], Any]) -> bool:
    with pytest.raises(Refusal) as caught:
        call()
    assert (caught.value.kind, caught.value.text) == (Kind.UNAUTHENTICATED, "Invalid or expired token")
    return True


def test_a_log_out_counts_from_the_next_request_everywhere(
    house: House, open_house: Callable[..., House], pair: Pair
) -> None:
    other = open_house()
    who = sessions.resolve(house, pair.access_token)
    assert sessions.resolve(other, pair.access_token) == who
    sessions.log_out(other, who)
    assert refused(lambda: sessions.resolve(house, pair.access_token))
    assert refused(lambda: sessions.refresh(house, refresh_token=pair.refresh_token))


def test_a_token_lives_an_hour_and_its_session_seven_days(house: House, clock: FakeClock, pair: Pair) -> None:
    clock.advance(3600)
    assert sessions.resolve(house, pair.access_token).account_id == 1
    clock.advance(6)
    assert refused(lambda: sessions.resolve(house, pair.access_token))
    assert pair.expires_in == 3600
    clock.advance(7 * 86_400 - 3607)
    last = sessions.refresh(house, refresh_token=pair.refresh_token).pair
    assert sessions.resolve(house, last.access_token).account_id == 1
    clock.advance(1)
    assert refused(lambda: sessions.resolve(house, last.access_token))
    assert refused(lambda: sessions.refresh(house, refresh_token=last.refresh_token))


def test_refresh_rotates(house: House, clock: FakeClock, pair: Pair) -> None:
    first = sessions.resolve(house, pair.access_token)
    token = pair.refresh_token
    for _ in range(3):
        clock.advance(60)
        made = sessions.refresh(house, refresh_token=token)
        assert made.pair.refresh_token != token
        assert sessions.resolve(house, made.pair.access_token) == first, "the same session"
        assert (made.account.email, made.organization_id) == ("ada@example.com", first.organization_id)
        token = made.pair.refresh_token


def test_a_lost_answer_is_given_again_for_twenty_seconds(
    house: House, clock: FakeClock, open_house: Callable[..., House], pair: Pair
) -> None:
    first = sessions.refresh(house, refresh_token=pair.refresh_token).pair
    clock.advance(20)
    second = sessions.refresh(open_house(), refresh_token=pair.refresh_token).pair
    assert second.refresh_token == first.refresh_token
    assert sessions.resolve(house, second.access_token).account_id == 1


def test_theft_ends_the_session(house: House, clock: FakeClock, pair: Pair) -> None:
    successor = sessions.refresh(house, refresh_token=pair.refresh_token).pair
    clock.advance(21)
    who = sessions.resolve(house, successor.access_token)
    assert refused(lambda: sessions.refresh(house, refresh_token=pair.refresh_token))
    assert refused(lambda: sessions.resolve(house, successor.access_token))
    assert refused(lambda: sessions.refresh(house, refresh_token=successor.refresh_token))
    found = [event for event in audit.list_all(house, who).events if event.action == "account:session:token_reuse"]
    assert [event.outcome for event in found] == ["failure"]


def test_secrets_are_not_in_the_tables(house: House, pair: Pair) -> None:
    sessions.refresh(house, refresh_token=pair.refresh_token)
    with house.db.read() as connection:
        content = repr(connection.execute(sa.select(refresh_tokens)).all())
    assert pair.refresh_token not in content
    assert pair.refresh_token[4:20] not in content


@pytest.mark.parametrize("token", ["", "hrt_", "x" * 5000, "hrt_" + "a" * 40, keys.checked("hrt_" + "a" * 33)])
def test_what_is_no_refresh_token(house: House, token: str) -> None:
    assert refused(lambda: sessions.refresh(house, refresh_token=token))


@pytest.mark.parametrize("token", [None, 7, ["x"]])
def test_a_refresh_token_is_text(house: House, token: Any) -> None:
    with pytest.raises(Refusal) as caught:
        sessions.refresh(house, refresh_token=token)
    assert caught.value.kind is Kind.INVALID


def test_an_access_token_names_only_its_own_session(house: House, pair: Pair) -> None:
    claims = house.tokens.claims_of(pair.access_token, house.clock())
    assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "iat", "exp"}
    stranger = house.tokens.sign({**claims, "sub": "2"})
    assert refused(lambda: sessions.resolve(house, stranger))
    assert refused(lambda: sessions.resolve(house, house.tokens.sign({**claims, "sid": "0" * 32})))


def test_an_ended_membership_ends_its_sessions_alone(house: House, sign_up: SignUp) -> None:
    admin = sign_up(house)
    other = sign_up(house, "eve@example.com")
    made = accounts.register(
        house, email="bob@example.com", password=PASSWORD, name="Bob", door="test", address=ADDRESS
    )
    with house.db.write() as connection:
        for where in (admin, other):
            organizations.join(connection, house, where.organization_id, made.account.account_id, "user")
    pairs = [
        accounts.log_in(
            house,
            email="bob@example.com",
            password=PASSWORD,
            organization_id=where.organization_id,
            door="test",
            address=ADDRESS,
        ).pair
        for where in (admin, other)
    ]
    members.change(house, admin, account_id=made.account.account_id, is_active=False)
    assert refused(lambda: sessions.resolve(house, pairs[0].access_token))
    assert sessions.resolve(house, pairs[1].access_token).organization_id == other.organization_id
    members.change(house, admin, account_id=made.account.account_id, is_active=True)
    assert refused(lambda: sessions.resolve(house, pairs[0].access_token)), "ended stays ended"


def test_a_changed_role_counts_at_once(house: House, sign_up: SignUp) -> None:
    admin = sign_up(house)
    token = invitations.create(house, admin, email="bob@example.com", role="user").token
    bob = accounts.register(
        house,
        email="bob@example.com",
        password=PASSWORD,
        name="Bob",
        invitation_token=token,
        door="test",
        address=ADDRESS,
    )
    assert sessions.resolve(house, bob.pair.access_token).role == "user"
    members.change(house, admin, account_id=bob.account.account_id, role="billing_admin")
    assert sessions.resolve(house, bob.pair.access_token).role == "billing_admin"


def test_an_inactive_organization_lets_nobody_in(house: House, pair: Pair) -> None:
    with house.db.write() as connection:
        connection.execute(sa.update(organization_table).values(is_active=0))
    assert refused(lambda: sessions.resolve(house, pair.access_token))


def test_last_use_is_written_by_the_flush(house: House, clock: FakeClock, pair: Pair) -> None:
    clock.advance(59)
    sessions.resolve(house, pair.access_token)
    assert sessions.flush(house) == 0
    clock.advance(1)
    for _ in range(3):
        sessions.resolve(house, pair.access_token)
    assert sessions.flush(house) == 1
    with house.db.read() as connection:
        assert connection.execute(sa.select(session_table.c.last_seen_at)).scalar() == clock.now


def test_sessions_that_ended_long_ago_are_deleted(house: House, clock: FakeClock, pair: Pair) -> None:
    sessions.refresh(house, refresh_token=pair.refresh_token)
    clock.advance(97 * 86_400 - 1)
    assert sessions.purge(house) == 0
    clock.advance(1)
    assert sessions.purge(house) == 1
    with house.db.read() as connection:
        assert connection.execute(sa.select(refresh_tokens)).all() == []


def test_two_tabs_refresh_at_once(house: House, open_house: Callable[..., House], pair: Pair) -> None:
    houses, found = [house, open_house()], []

    def refresh(one: House) -> None:
        found.append(sessions.refresh(one, refresh_token=pair.refresh_token).pair.refresh_token)

    threads = [threading.Thread(target=refresh, args=(houses[number % 2],)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1
