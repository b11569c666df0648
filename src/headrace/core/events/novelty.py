"""Novelty: which patterns of messages a selection has that an earlier one has not. Alerts and pages ask it."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from headrace.core.events.read import asked
from headrace.core.events.stats import PATTERN_MASKS, PATTERN_ROWS, Pattern, pattern
from headrace.core.events.templates import ANY, merged
from headrace.eventstore import statistics
from headrace.eventstore.queries import Selection

if TYPE_CHECKING:
    from headrace.core.house import House

# Below it two messages are two: a name or two may differ, not what happened.
ALIKE: Final = 0.6
# Each is looked for in all that was before.
MOST_NEW: Final = 20


class Known:
    """Templates of what was before; asked of a mask whether it is one of them."""

    def __init__(self, masks: Iterable[str]) -> None:
        self.templates: dict[tuple[int, str], list[list[str]]] = {}
        for template in merged(masks, ALIKE):
            words = template.words
            self.templates.setdefault((len(words), words[0]), []).append(words)

    def has(self, mask: str) -> bool:
        words = mask.split(" ")
        firsts = {words[0], ANY}
        near = (one for first in firsts for one in self.templates.get((len(words), first), ()))
        return any(alike(one, words) >= ALIKE for one in near)


def alike(template: Sequence[str], words: Sequence[str]) -> float:
    """Return which part of the words fits a template of as many."""
    return sum(old in (new, ANY) for old, new in zip(template, words, strict=True)) / len(words)


def new_patterns(house: "House", recent: Selection, before: Selection, *, rows: int) -> list[Pattern]:
    """Return the patterns of `recent` that `before` has not, most frequent first, at most MOST_NEW.

    Where there is nothing before, nothing is new: it has yet to be learnt what is usual. The newest messages of both
    are compared; what seems new is then looked for among all that were before, at most `rows` of them.
    """
    engine = house.store.engine
    with asked():
        found = statistics.masked(engine, recent, rows=PATTERN_ROWS, limit=PATTERN_MASKS)
        old = statistics.masked(engine, before, rows=PATTERN_ROWS, limit=PATTERN_MASKS) if found else []
        if not old:
            return []
        known = Known(one.mask for one in old)
        fresh = [one for one in found if one.mask and not known.has(one.mask)]
        templates = merged((one.mask for one in fresh), ALIKE)[:MOST_NEW]
        if not templates:
            return []
        texts = [" ".join(template.words) for template in templates]
        seen = statistics.said_before(engine, before, texts, rows=rows)
    made = [
        pattern(text, [fresh[place] for place in template.members])
        for text, template, was in zip(texts, templates, seen, strict=True)
        if not was
    ]
    return sorted(made, key=lambda one: (-one.rows, one.template))
