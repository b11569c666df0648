"""Preview: what a condition would have found over the last day, before anybody makes an alert of it."""

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import msgspec

from headrace.core import rules
from headrace.core.alerts import definition as definitions
from headrace.core.alerts.definition import Definition
from headrace.core.alerts.machine import STATES, Standing, step
from headrace.core.alerts.measuring import arrived, counted, measure, news_times
from headrace.core.alerts.rule import Measured, NewsRead
from headrace.core.events.read import asked
from headrace.core.keys import resolved_project
from headrace.core.principal import Principal
from headrace.eventstore import statistics
from headrace.kit import times

if TYPE_CHECKING:
    from headrace.core.house import House

# Points no further apart, so that a day has 96 or more.
WIDEST = 15 * times.MINUTE


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """`points` are (end of a window in microseconds, value), oldest first; `now` is what it would find at this moment.

    `firings` is how often it would have begun to fire. Of new patterns nothing is known but now.
    """

    definition: Definition
    points: list[tuple[int, float]]
    now: Measured
    reason: str
    firings: int | None


def preview(
    house: "House",
    who: Principal,
    *,
    project_id: int,
    for_seconds: int = 0,
    cool_down_seconds: int = 0,
    **given: Any,
) -> Preview:
    """Return the values of the last day; `given` are the fields of a definition."""
    rules.require(who, "logs", "read")
    resolved_project(house, who, project_id)
    definition = definitions.made(**given)
    if definition.kind == "new_error":
        points = _news(house, definition, project_id)
        found = Measured(value=points[-1][1], holds=definition.holds(points[-1][1]), sample_log_id=None)
    else:
        found = measure(house, who, definition, project_id=project_id, read=NewsRead(id=0))
        points = [] if definition.kind == "new_pattern" else _counts(house, who, definition, project_id)
        if points:
            # What came since the last whole stretch.
            points.append((max(house.clock(), points[-1][0] + 1), found.value))
    said = definitions.sentence(definition, found.value)
    firings = _firings(definition, points, for_seconds, cool_down_seconds) if points else None
    return Preview(definition=definition, points=points, now=found, reason=said, firings=firings)


def _grid(definition: Definition, now: int) -> tuple[int, int, range]:
    """Return the width of a stretch, how many make a window, and the ends of the day's windows."""
    window = definitions.window_us(definition)
    number = -(-window // WIDEST)
    width = window // number
    end = now // width * width
    return width, number, range(end - times.DAY // width * width, end + 1, width)


def _counts(house: "House", who: Principal, definition: Definition, project_id: int) -> list[tuple[int, float]]:
    """Count stretches of time once; a window is the sum of its last ones."""
    width, number, ends = _grid(definition, house.clock())
    first = ends[0] - 2 * number * width
    selection = arrived(house, who, definition, project_id, first, ends[-1] - 1)
    with asked():
        cells = statistics.arrivals(house.store.engine, selection, width, rows=house.settings.alert_rows)
    rows = {cell.start: cell.rows for cell in cells}
    points = []
    for at in ends:
        inside = sum(rows.get(at - back * width, 0) for back in range(1, number + 1))
        before = sum(rows.get(at - back * width, 0) for back in range(number + 1, 2 * number + 1))
        points.append((at, counted(definition, inside, before)))
    return points


def _news(house: "House", definition: Definition, project_id: int) -> list[tuple[int, float]]:
    width, number, ends = _grid(definition, house.clock())
    found = news_times(house, definition, project_id, ends[0] - number * width)
    return [(at, float(bisect_right(found, at) - bisect_right(found, at - number * width))) for at in ends]


def _firings(definition: Definition, points: list[tuple[int, float]], for_seconds: int, cool_down_seconds: int) -> int:
    standing, firings = Standing(state=STATES[0], since=0), 0
    for at, value in points:
        after = step(
            standing,
            holds=definition.holds(value),
            now=at,
            for_seconds=for_seconds,
            cool_down_seconds=cool_down_seconds,
        )
        firings += after.state == "firing" != standing.state
        standing = after
    return firings
