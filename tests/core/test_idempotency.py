from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa

from headrace.core import idempotency
from headrace.core.house import House
from headrace.core.idempotency import Asked, Replay, Ticket
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal
from headrace.core.schema import instance
from tests.conftest import FakeClock

ADA = Principal(kind="user", organization_id=1, account_id=1)
KEY = Principal(kind="key", organization_id=1, account_id=1, key_id=1)
OTHER = Principal(kind="user", organization_id=2, account_id=1)


FIRST = Replay(202, b'{"accepted":1}\xff')


def asked(who: Principal = ADA, *, key: str = "k1", body: bytes = b"{}", route: str = "/x") -> Asked:
    return Asked(who=who, method="POST", route=route, key=key, body=body)


def begin(house: House, who: Principal = ADA, **given: Any) -> Any:
    return idempotency.begin(house, asked(who, **given))


def effect(house: House) -> Replay:
    """What a verb does: a transaction of its own, and an answer that no other one is like."""
    with house.db.write() as connection:
        name = f"effect-{effects(house)}"
        connection.execute(instance.insert().values(key=name, value="1"))
    return Replay(201, name.encode())


def effects(house: House) -> int:
    with house.db.read() as connection:
        return len(connection.execute(sa.select(instance.c.key).where(instance.c.key.like("effect-%"))).all())


def refusal(call: Callable[[], Any]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value


def test_a_row_that_has_the_id_of_one_that_broke_off_is_free(house: House, clock: FakeClock) -> None:
    assert isinstance(begin(house), Ticket)  # Neither finished nor dropped.
    clock.advance(86_400)
    assert idempotency.purge(house) == 1
    assert isinstance(begin(house, key="k2"), Ticket)


def test_the_first_answer_is_given_again_for_a_day(house: House, clock: FakeClock) -> None:
    ticket = begin(house)
    assert isinstance(ticket, Ticket)
    idempotency.finish(house, ticket, FIRST)
    assert begin(house) == FIRST
    other = refusal(lambda: begin(house, body=b"{ }"))
    assert (other.kind, other.text) == (Kind.INVALID, "Idempotency-Key was already used with another body")
    clock.advance(86_399)
    assert begin(house) == FIRST
    clock.advance(1)
    assert isinstance(begin(house), Ticket)


def test_an_effect_in_the_database_is_committed_with_its_answer(house: House, clock: FakeClock) -> None:
    first = idempotency.once(house, asked(), lambda: effect(house))
    assert first == (Replay(201, b"effect-0"), False)
    clock.advance(3_600)
    assert idempotency.once(house, asked(), lambda: effect(house)) == (first[0], True)
    assert refusal(lambda: idempotency.once(house, asked(body=b"{ }"), lambda: effect(house))).kind is Kind.INVALID
    assert idempotency.once(house, asked(key="k2"), lambda: effect(house))[0].body == b"effect-1"


@pytest.mark.parametrize("broken_by", [KeyboardInterrupt, Refusal(Kind.CONFLICT, "no")])
def test_what_breaks_off_after_the_effect_leaves_neither(house: House, broken_by: Any) -> None:
    def cut_off() -> Replay:
        effect(house)
        raise broken_by

    with pytest.raises(BaseException) as caught:  # noqa: PT011  Whatever it was.
        idempotency.once(house, asked(), cut_off)
    assert caught.value is broken_by or caught.type is broken_by
    assert effects(house) == 0
    assert idempotency.once(house, asked(), lambda: effect(house)) == (Replay(201, b"effect-0"), False)


def test_of_many_at_once_one_has_the_effect(house: House) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: idempotency.once(house, asked(), lambda: effect(house)), range(16)))
    assert effects(house) == 1
    assert {one.body for one, _ in found} == {b"effect-0"}
    assert sorted(is_again for _, is_again in found) == [False] + [True] * 15


def test_callers_and_routes_are_apart(house: House) -> None:
    tickets = [begin(house), begin(house, KEY), begin(house, OTHER), begin(house, route="/y"), begin(house, key="k2")]
    assert all(isinstance(ticket, Ticket) for ticket in tickets)


def test_one_that_runs_is_waited_for_and_one_that_broke_off_is_not_repeated(house: House, clock: FakeClock) -> None:
    ticket = begin(house)
    clock.advance(59)
    running = refusal(lambda: begin(house))
    assert (running.kind, running.facts["retry_after"]) == (Kind.CONFLICT, 1)
    clock.advance(1)
    unknown = refusal(lambda: begin(house))
    assert (unknown.kind, "unknown" in unknown.text, unknown.facts) == (Kind.CONFLICT, True, {})
    idempotency.finish(house, ticket, FIRST)
    assert begin(house) == FIRST, "it was only slow"


def test_who_can_trace_what_was_left_has_the_ticket_again(house: House, clock: FakeClock) -> None:
    first = begin(house)
    clock.advance(3)
    del house.parts[idempotency.Life]  # As the next process begins.
    house.part(idempotency.Life)
    assert refusal(lambda: begin(house)).kind is Kind.CONFLICT
    if house.db.dialect == "postgresql":
        # The first may be at work on another server.
        assert refusal(lambda: idempotency.begin(house, asked(), traced=True)).kind is Kind.CONFLICT
        return
    again = idempotency.begin(house, asked(), traced=True)
    assert again == Ticket(first.id, first.at, is_again=True)
    assert refusal(lambda: idempotency.begin(house, asked(), traced=True)).facts["retry_after"] == 1, "one at a time"
    idempotency.finish(house, again, FIRST)
    assert idempotency.begin(house, asked(), traced=True) == FIRST


def test_a_dropped_key_is_free(house: House) -> None:
    ticket = begin(house)
    idempotency.drop(house, ticket)
    assert isinstance(begin(house, body=b"other"), Ticket)


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\t", "ü", "line\n"])
def test_keys_are_printable(house: House, key: str) -> None:
    assert refusal(lambda: begin(house, key=key)).text == "Idempotency-Key: must be 1-255 printable characters"


def test_old_ones_are_purged(house: House, clock: FakeClock) -> None:
    begin(house)
    clock.advance(86_400)
    begin(house, key="k2")
    assert idempotency.purge(house) == 1
    assert idempotency.purge(house) == 0
