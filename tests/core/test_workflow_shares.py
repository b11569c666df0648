"""How much of a server the jobs of one organization may take: work that is heavy leaves room for others."""

from collections import Counter
from collections.abc import Callable

import pytest

from headrace.core import functions, jobs, workflows
from headrace.core.house import House
from headrace.core.principal import Principal
from tests.conftest import SignUp
from tests.core.jobs_lab import Hand, nothing

pytestmark = pytest.mark.parametrize("address", ["sqlite"], indirect=True)


@pytest.fixture
def house(open_house: Callable[..., House]) -> House:
    found = open_house()
    workflows.define_kinds(found)
    return found


@pytest.mark.parametrize("workflow", ["data_processing", "heavy"])
def test_half_of_a_servers_processes_are_one_organizations(
    house: House, ada: Principal, sign_up: SignUp, workflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heavy = jobs.Kind(name="workflow:heavy", run=nothing, isolation="process")
    jobs.define(house, workflows.kinds.limited(house, heavy))
    monkeypatch.setattr(functions, "installed", lambda: {"heavy": None})
    assert house.settings.jobs_workers == 4
    eve = sign_up(house, "eve@example.com")
    for _ in range(5):
        workflows.start(house, ada, workflow=workflow, payload={})
    taken = Hand(house).take()
    assert len(taken) == 2
    for _ in range(5):
        workflows.start(house, eve, workflow=workflow, payload={})
    taken += Hand(house).take()
    assert Counter(job.organization_id for job in taken) == {ada.organization_id: 2, eve.organization_id: 2}
