"""News: which groups are new, came back, or grew louder than their mute allows; written with the fold, for alerts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import sqlalchemy as sa

from headrace.core.schema.groups import group_news
from headrace.kit import times

if TYPE_CHECKING:
    from headrace.core.house import House

KINDS = ("new", "regressed", "escalating")
KEPT = 7 * times.DAY
MOST = 1_000
# Any number that nothing else of this program locks on the same PostgreSQL.
LOCK = 4_871_220_518


class News(NamedTuple):
    """One line; ids grow in the order in which lines become visible. `at` is the time of the event, microseconds."""

    id: int
    organization_id: int
    project_id: int
    group_id: int
    kind: str
    at: int


def since(house: "House", project_id: int, after_id: int, *, first: int = 0) -> list[News]:
    """Return up to MOST of a project's news with higher ids than `after_id`, the lowest first; of events since `first`.

    For rooms of this program: who may read a project was asked before.
    """
    query = sa.select(group_news).where(group_news.c.id > after_id, group_news.c.project_id == project_id)
    if first:
        query = query.where(group_news.c.at >= first)
    with house.db.read() as connection:
        return [News(*row) for row in connection.execute(query.order_by(group_news.c.id).limit(MOST))]


def newest(house: "House") -> int:
    """Return the highest id there is, 0 when there is none."""
    with house.db.read() as connection:
        return connection.execute(sa.select(sa.func.max(group_news.c.id))).scalar() or 0


def write(connection: sa.Connection, house: "House", lines: Sequence[dict[str, object]]) -> None:
    """Write news as the last thing of a transaction."""
    if not lines:
        return
    if house.db.dialect == "postgresql":
        # A sequence gives ids before the commit; whoever reads by id would pass over those that come late.
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK)))
    connection.execute(group_news.insert(), list(lines))
