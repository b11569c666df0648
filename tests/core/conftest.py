"""Fixtures that several suites of core share."""

import pytest

from headrace.core.house import House
from tests.conftest import FakeClock, SignUp
from tests.core.shop import Shop


@pytest.fixture
def shop(house: House, sign_up: SignUp, clock: FakeClock) -> Shop:
    return Shop(house, sign_up(house), clock)
