"""Novelty: which patterns of messages a selection has that an earlier one has not. Alerts and pages ask it."""

from typing import TYPE_CHECKING, Final

from headrace.core.events.read import asked
from headrace.core.events.stats import PATTERN_MASKS, PATTERN_ROWS, Pattern, pattern
from headrace.core.events.templates import ALIKE, Known, merged
from headrace.eventstore import messages
from headrace.eventstore.queries import Selection

if TYPE_CHECKING:
    from headrace.core.house import House

# Each is looked for in all that was before.
MOST_NEW: Final = 20


def new_patterns(house: "House", recent: Selection, before: Selection, *, rows: int) -> list[Pattern]:
    """Return the patterns of `recent` that `before` has not, most frequent first, at most MOST_NEW.

    Where there is nothing before, nothing is new: it has yet to be learnt what is usual. The newest messages of both
    are compared; what seems new is then looked for among all that were before, at most `rows` of them.
    """
    engine = house.store.engine
    with asked():
        found = messages.masked(engine, recent, rows=PATTERN_ROWS, limit=PATTERN_MASKS)
        old = messages.masked(engine, before, rows=PATTERN_ROWS, limit=PATTERN_MASKS) if found else []
        if not old:
            return []
        known = Known(one.mask for one in old)
        fresh = [one for one in found if one.mask and not known.has(one.mask)]
        templates = merged((one.mask for one in fresh), ALIKE)[:MOST_NEW]
        if not templates:
            return []
        texts = [" ".join(template.words) for template in templates]
        seen = messages.said_before(engine, before, texts, rows=rows)
    made = [
        pattern(text, [fresh[place] for place in template.members])
        for text, template, was in zip(texts, templates, seen, strict=True)
        if not was
    ]
    return sorted(made, key=lambda one: (-one.rows, one.template))
