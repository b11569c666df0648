"""Error groups: folded once per segment, reopened by newer errors, triaged by people of the organization alone."""

from collections.abc import Callable
from typing import Any

import pytest

from headrace.core import groups, projects
from headrace.core.house import House
from headrace.core.limits import quota
from headrace.core.principal import Principal
from headrace.core.projects import Project
from headrace.core.refusals import Refusal
from headrace.eventstore.drain import Drained, ErrorSummary, ProjectDay
from headrace.eventstore.ids import read_public_id
from headrace.kit import times
from tests.conftest import FakeClock, SignUp

MARK = "ab" * 32


@pytest.fixture
def who(house: House, sign_up: SignUp) -> Principal:
    return sign_up(house)


@pytest.fixture
def project(house: House, who: Principal) -> Project:
    return projects.create(house, who, name="Shop", slug="shop")


def drained(project: Project, name: str, *errors: ErrorSummary, rows: int = 10, day: int = 20_000) -> Drained:
    here = ProjectDay(project.organization_id, project.project_id, day, rows)
    return Drained(name=name, first_id=1, last_id=1 + rows, projects=[here], errors=list(errors))


def seen(project: Project, at: int, rows: int = 1, mark: str = MARK, **fields: Any) -> ErrorSummary:
    facts: dict[str, Any] = {
        "error_type": "ValueError",
        "error_message": "no",
        "platform": "python",
        "hour": at // times.HOUR * times.HOUR,
        "first_ts": at,
        "last_ts": at,
        "sample_ts": at,
        "sample_id": 7,
    }
    return ErrorSummary(
        tenant=project.organization_id, project=project.project_id, fingerprint=mark, rows=rows, **(facts | fields)
    )


def only(house: House, who: Principal, project: Project) -> groups.Group:
    (group,) = groups.list_all(house, who, project_id=project.project_id).groups
    return group


def test_a_segment_counts_once_however_often_it_is_replayed(
    house: House, who: Principal, project: Project, clock: FakeClock
) -> None:
    today = times.day(clock.now)
    one = drained(project, "1", seen(project, clock.now, 3), seen(project, clock.now - times.HOUR, 2), day=today)
    for _ in range(3):
        groups.fold(house, one)
    group = only(house, who, project)
    assert (group.occurrence_count, group.status) == (5, "unresolved")
    assert (group.first_seen, group.last_seen) == (clock.now - times.HOUR, clock.now)
    assert read_public_id(group.sample_log_id or "") == (clock.now, 7)
    assert quota.usage(house, project.project_id) == 10
    hours = groups.sparkline(house, group).hours
    assert len(hours) == 24
    assert [count for _, count in hours[-3:]] == [0, 2, 3]


def test_older_errors_move_the_first_time_and_not_the_sample(
    house: House, who: Principal, project: Project, clock: FakeClock
) -> None:
    groups.fold(house, drained(project, "1", seen(project, clock.now, error_message="new")))
    groups.fold(house, drained(project, "2", seen(project, clock.now - times.DAY, error_message="old")))
    group = only(house, who, project)
    assert (group.first_seen, group.last_seen) == (clock.now - times.DAY, clock.now)
    assert (group.error_message, group.occurrence_count) == ("new", 2)


@pytest.mark.parametrize(
    "case",
    [
        ("resolved", 1, "unresolved"),
        ("resolved", -60, "resolved"),
        ("ignored", 1, "ignored"),
        ("muted", 1, "muted"),
        ("unresolved", 1, "unresolved"),
    ],
    ids=str,
)
def test_a_newer_error_reopens_what_was_resolved(
    house: House, who: Principal, project: Project, clock: FakeClock, case: tuple[str, int, str]
) -> None:
    """A case: the state that was set, how many seconds later the next error happened, the state then."""
    status, later, after = case
    groups.fold(house, drained(project, "1", seen(project, clock.now)))
    facts: dict[str, Any] = {"project_id": project.project_id, "group_id": only(house, who, project).id}
    changed = groups.set_status(house, who, **facts, status=status, resolved_in_release="1.2")
    assert changed.resolved_at == (clock.now if status == "resolved" else None)
    assert changed.resolved_in_release == ("1.2" if status == "resolved" else None)
    groups.fold(house, drained(project, "2", seen(project, clock.now + later * times.SECOND)))
    again = groups.get(house, who, **facts)
    assert again.status == after
    assert (again.resolved_at is None) == (after != "resolved")


def test_events_of_an_unknown_project_do_not_stop_the_drain(house: House, who: Principal, project: Project) -> None:
    lost = Project(**{name: getattr(project, name) for name in Project.__struct_fields__} | {"project_id": 999})
    groups.fold(house, drained(lost, "1", seen(lost, 5)))
    assert groups.list_all(house, who, project_id=project.project_id).groups == []


def test_lists_are_paged_and_filtered(house: House, who: Principal, project: Project, clock: FakeClock) -> None:
    errors = [seen(project, clock.now - number, mark=f"{number:064x}") for number in range(5)]
    groups.fold(house, drained(project, "1", *errors))
    page = groups.list_all(house, who, project_id=project.project_id, limit=2, offset=1)
    assert [int(group.fingerprint, 16) for group in page.groups] == [1, 2]
    assert (page.has_more, page.total) == (True, 5)
    facts: dict[str, Any] = {"project_id": project.project_id, "group_id": page.groups[0].id}
    groups.set_status(house, who, **facts, status="muted")
    muted = groups.list_all(house, who, project_id=project.project_id, status="muted")
    assert [group.id for group in muted.groups] == [page.groups[0].id]
    assert (muted.has_more, muted.total) == (False, 1)


Verb = Callable[[House, Principal, int, int], object]
VERBS: dict[str, Verb] = {
    "list": lambda house, who, project, _: groups.list_all(house, who, project_id=project),
    "get": lambda house, who, project, group: groups.get(house, who, project_id=project, group_id=group),
    "status": lambda house, who, project, group: groups.set_status(
        house, who, project_id=project, group_id=group, status="muted"
    ),
    "assign": lambda house, who, project, group: groups.assign(
        house, who, project_id=project, group_id=group, assigned_to=None
    ),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_another_organization_reaches_nothing(
    house: House, who: Principal, project: Project, sign_up: SignUp, verb: Verb
) -> None:
    groups.fold(house, drained(project, "1", seen(project, 5)))
    group = only(house, who, project)
    stranger = sign_up(house, email="stranger@example.com")
    own = projects.create(house, stranger, name="Own", slug="own")
    with pytest.raises(Refusal, match="You do not own this project"):
        verb(house, stranger, project.project_id, group.id)
    if verb is not VERBS["list"]:
        with pytest.raises(Refusal, match="Error group not found"):
            verb(house, stranger, own.project_id, group.id)
    assert only(house, who, project).status == "unresolved"


def test_a_group_is_assigned_to_members_alone(house: House, who: Principal, project: Project, sign_up: SignUp) -> None:
    groups.fold(house, drained(project, "1", seen(project, 5)))
    stranger = sign_up(house, email="stranger@example.com")
    facts: dict[str, Any] = {"project_id": project.project_id, "group_id": only(house, who, project).id}
    assert groups.assign(house, who, **facts, assigned_to=who.account_id).assigned_to == who.account_id
    with pytest.raises(Refusal, match="active member"):
        groups.assign(house, who, **facts, assigned_to=stranger.account_id)
    assert groups.assign(house, who, **facts, assigned_to=None).assigned_to is None
    with pytest.raises(Refusal, match="status: must be one of"):
        groups.set_status(house, who, **facts, status="gone")
