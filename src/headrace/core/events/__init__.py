"""Events: taking them in, reading them back. Where they lie on disk is the event store's affair."""

from headrace.core.events.append import Accepted, append, durable
from headrace.core.events.filters import Filters
from headrace.core.events.read import (
    Page,
    Surroundings,
    counts,
    errors,
    facets,
    find,
    get,
    histogram,
    kept_since,
    surroundings,
    top_messages,
)
from headrace.core.events.read import search_page as search

__all__ = [
    "Accepted",
    "Filters",
    "Page",
    "Surroundings",
    "append",
    "counts",
    "durable",
    "errors",
    "facets",
    "find",
    "get",
    "histogram",
    "kept_since",
    "search",
    "surroundings",
    "top_messages",
]
