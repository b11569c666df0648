"""Templates: masked messages that differ in a few words become one, by a token tree as in Drain. No events here.

The tree has the number of words at its top, then the first words; below it a mask joins the most similar template.
"""

from collections.abc import Iterable

import msgspec

ANY = "<*>"
DEPTH = 1  # Words that lead to a leaf: only messages that begin alike are compared. A second one is often a name.
SIMILARITY = 0.4
# Below it two messages are two, when it is asked what is new: a name or two may differ, not what happened.
ALIKE = 0.6
MOST_CHILDREN = 100  # Then words of that place count as one, so that ids at the beginning do not split everything.
MOST_LEAF = 50  # Templates of a leaf; each newcomer is compared with all of them.


class Template(msgspec.Struct):
    """Words, some of them ANY, and the places in the list of masks that it stands for."""

    words: list[str]
    members: list[int]


class Node(msgspec.Struct):
    children: dict[str, "Node"] = {}
    templates: list[Template] = []


def merged(masks: Iterable[str], least: float = SIMILARITY) -> list[Template]:
    """Return the templates of masks, most frequent first in and so too out. Each mask is in exactly one."""
    roots: dict[int, Node] = {}
    found: list[Template] = []
    for place, mask in enumerate(masks):
        words = mask.split(" ")
        leaf = leaf_of(roots.setdefault(len(words), Node()), words)
        best = max(leaf.templates, key=lambda one: similarity(one.words, words), default=None)
        crowded = len(leaf.templates) >= MOST_LEAF
        if best is not None and (crowded or similarity(best.words, words) >= least):
            best.members.append(place)
            best.words = [old if old == new else ANY for old, new in zip(best.words, words, strict=True)]
        else:
            found.append(Template(words, [place]))
            leaf.templates.append(found[-1])
    return found


def leaf_of(node: Node, words: list[str]) -> Node:
    for word in words[:DEPTH]:
        # A masked word says as little as any other one at its place.
        key = ANY if "<" in word else word
        if key not in node.children and len(node.children) >= MOST_CHILDREN:
            key = ANY
        node = node.children.setdefault(key, Node())
    return node


def similarity(template: list[str], words: list[str]) -> float:
    """Return which part of the words is the same; both have as many."""
    return sum(old == new for old, new in zip(template, words, strict=True)) / len(words)


class Known:
    """Templates of what was seen; asked of a mask whether it is like one of them."""

    def __init__(self, masks: Iterable[str]) -> None:
        self.templates: dict[tuple[int, str], list[list[str]]] = {}
        for template in merged(masks, ALIKE):
            words = template.words
            self.templates.setdefault((len(words), words[0]), []).append(words)

    def has(self, mask: str) -> bool:
        words = mask.split(" ")
        near = (one for first in {words[0], ANY} for one in self.templates.get((len(words), first), ()))
        return any(alike(one, words) >= ALIKE for one in near)


def alike(template: list[str], words: list[str]) -> float:
    """Return which part of the words fits a template of as many."""
    return sum(old in {new, ANY} for old, new in zip(template, words, strict=True)) / len(words)
