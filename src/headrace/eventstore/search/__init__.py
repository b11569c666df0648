"""The search language of API, command line, pages and saved searches.

`parse` reads a text, `compile` turns the tree into SQL, `matches` tests one event in Python. What a search means
stands in docs/search.md; tables and queries, in the rooms around.
"""

from headrace.eventstore.search.evaluate import matches
from headrace.eventstore.search.fields import BY_NAME, FIELDS, Field
from headrace.eventstore.search.grammar import MAX_LENGTH, parse
from headrace.eventstore.search.nodes import Node, SearchError
from headrace.eventstore.search.sql import Compiled, compile  # noqa: A004  See `compile`.
from headrace.eventstore.search.text import TEXT, fold, folded

__all__ = [
    "BY_NAME",
    "FIELDS",
    "MAX_LENGTH",
    "TEXT",
    "Compiled",
    "Field",
    "Node",
    "SearchError",
    "compile",
    "fold",
    "folded",
    "matches",
    "parse",
]
