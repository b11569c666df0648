from collections.abc import Callable
from typing import Any

import pytest

from headrace.core import idempotency
from headrace.core.house import House
from headrace.core.idempotency import Replay, Ticket
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal
from tests.conftest import FakeClock

ADA = Principal(kind="user", organization_id=1, account_id=1)
KEY = Principal(kind="key", organization_id=1, account_id=1, key_id=1)
OTHER = Principal(kind="user", organization_id=2, account_id=1)


def begin(house: House, who: Principal = ADA, *, key: str = "k1", body: bytes = b"{}", route: str = "/x") -> Any:
    return idempotency.begin(house, who, method="POST", route=route, key=key, body=body)


def refusal(call: Callable[[], Any]) -> Refusal:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value


def test_the_first_answer_is_given_again_for_a_day(house: House, clock: FakeClock) -> None:
    ticket = begin(house)
    assert isinstance(ticket, Ticket)
    idempotency.finish(house, ticket, status=202, headers={"x-a": "b"}, body=b'{"accepted":1}\xff')
    first = Replay(202, {"x-a": "b"}, b'{"accepted":1}\xff')
    assert begin(house) == first
    other = refusal(lambda: begin(house, body=b"{ }"))
    assert (other.kind, other.text) == (Kind.INVALID, "Idempotency-Key was already used with another body")
    clock.advance(86_399)
    assert begin(house) == first
    clock.advance(1)
    assert isinstance(begin(house), Ticket)


def test_callers_and_routes_are_apart(house: House) -> None:
    tickets = [begin(house), begin(house, KEY), begin(house, OTHER), begin(house, route="/y"), begin(house, key="k2")]
    assert all(isinstance(ticket, Ticket) for ticket in tickets)


def test_one_that_runs_is_waited_for(house: House, clock: FakeClock) -> None:
    first = begin(house)
    clock.advance(20)
    running = refusal(lambda: begin(house))
    assert (running.kind, running.facts["retry_after"]) == (Kind.CONFLICT, 1)
    clock.advance(40)
    second = begin(house)
    assert isinstance(second, Ticket), "after a minute it counts as cut off"
    idempotency.finish(house, first, status=500, headers={}, body=b"late")
    assert refusal(lambda: begin(house)).kind is Kind.CONFLICT, "the late one does not answer for the other"


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
