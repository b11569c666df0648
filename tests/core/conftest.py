"""Fixtures that several suites of core share, and how a refusal is caught."""

from collections.abc import Callable

import pytest

from headrace.core.house import House
from headrace.core.identity import invitations
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal
from tests.conftest import FakeClock, SignUp
from tests.core.shop import Shop


def refusal(call: Callable[[], object]) -> tuple[Kind, str]:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.kind, caught.value.text


@pytest.fixture
def ada(house: House, sign_up: SignUp) -> Principal:
    """The admin of an organization of her own."""
    return sign_up(house)


@pytest.fixture
def bob(house: House, ada: Principal, sign_up: SignUp) -> Principal:
    """A plain user of Ada's organization."""
    token = invitations.create(house, ada, email="bob@example.com", role="user").token
    return sign_up(house, "bob@example.com", invitation_token=token)


@pytest.fixture
def shop(house: House, sign_up: SignUp, clock: FakeClock) -> Shop:
    return Shop(house, sign_up(house), clock)
