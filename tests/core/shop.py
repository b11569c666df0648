"""A project of error groups for tests: segments of errors are folded into it, and it names groups as verbs want it."""

from typing import Any

from headrace.core import groups, projects
from headrace.core.events import fingerprint
from headrace.core.groups import (
    activity,
    news,
)
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.eventstore.drain import Drained, ErrorSummary, ProjectDay, Sample
from headrace.kit import times
from tests.conftest import FakeClock

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32


class Shop:
    """A project, and segments of errors for it."""

    def __init__(self, house: House, who: Principal, clock: FakeClock) -> None:
        self.house, self.who, self.clock = house, who, clock
        self.project = projects.create(house, who, name="Shop", slug="shop")
        self.segments = 0

    def seen(self, mark: str = A, rows: int = 1, at: int | None = None, **fields: Any) -> ErrorSummary:
        at = self.clock.now if at is None else at
        facts: dict[str, Any] = {"error_type": "ValueError", "error_message": "no", "platform": "python"}
        facts |= {"hour": at // times.HOUR * times.HOUR, "first_ts": at, "last_ts": at, "sample_ts": at, "sample_id": 7}
        facts |= {"minutes": ((at // times.MINUTE,), (rows,))}
        project = self.project
        return ErrorSummary(
            tenant=project.organization_id,
            project=project.project_id,
            fingerprint=mark,
            rows=rows,
            **(facts | fields),
        )

    def segment(self, *errors: ErrorSummary) -> Drained:
        self.segments += 1
        day = ProjectDay(self.project.organization_id, self.project.project_id, 20_000, 10)
        return Drained(name=str(self.segments), first_id=1, last_id=11, projects=[day], errors=list(errors))

    def happens(self, *errors: ErrorSummary, samples: dict[int, Sample] | None = None) -> None:
        """Fold a segment."""
        groups.fold(self.house, self.segment(*errors), lambda _: samples or {})

    def listed(self, **asked: Any) -> list[groups.Group]:
        return groups.list_all(self.house, self.who, project_id=self.project.project_id, **asked).groups

    def group(self, mark: str = A) -> groups.Group:
        (found,) = groups.by_fingerprint(
            self.house, self.who, project_id=self.project.project_id, fingerprints=[mark]
        ).values()
        return found

    def of(self, group: groups.Group | int) -> dict[str, Any]:
        """Name a group as verbs want it."""
        number = group if isinstance(group, int) else group.id
        return {"project_id": self.project.project_id, "group_id": number}

    def told(self) -> list[tuple[int, str]]:
        return [(line.group_id, line.kind) for line in news.since(self.house, self.project.project_id, 0)]

    def lines(self, group: groups.Group) -> list[str]:
        return [line.kind for line in activity.list_all(self.house, self.who, **self.of(group))]


def users(*names: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Registers as the engine makes them, of any hash that spreads."""
    ranks: dict[int, int] = {}
    for name in names:
        hashed = int(fingerprint.digest(name, "", "")[:16], 16)
        place, rest = hashed % 1024, hashed // 1024
        ranks[place] = max(ranks.get(place, 0), (rest ^ (rest - 1)).bit_length())
    return tuple(ranks), tuple(ranks.values())
