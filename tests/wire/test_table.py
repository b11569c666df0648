"""Paths to routes."""

import pytest

from headrace.wire.door import Route, Terms, plain
from headrace.wire.table import Table

ROUTES = [
    ("GET", "/a"),
    ("POST", "/a"),
    ("GET", "/a/{slug}"),
    ("PATCH", "/a/{id}"),
    ("GET", "/a/{id}/b"),
    ("GET", "/a/fixed"),
    ("GET", "/a/fixed/b"),
    ("GET", "/apps/"),
]
TABLE = Table(Route(method=method, template=template, terms=Terms()) for method, template in ROUTES)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a", {"GET": "/a", "POST": "/a"}),
        ("/a/x", {"GET": "/a/{slug}", "PATCH": "/a/{id}"}),
        ("/a/fixed", {"GET": "/a/fixed"}),
        ("/a/x/b", {"GET": "/a/{id}/b"}),
        ("/a/fixed/b", {"GET": "/a/fixed/b"}),
        ("/apps/", {"GET": "/apps/"}),
        ("/apps", None),
        ("/a/", None),
        ("/a//b", None),
        ("/a/x/", None),
        ("/a/x/c", None),
        ("/", None),
        ("", None),
    ],
)
def test_find(path: str, found: dict[str, str] | None) -> None:
    methods = TABLE.find(path)
    named = None if methods is None else {method: route.template for method, route in methods.items()}
    assert named == found


def test_two_routes_at_one_place_are_a_mistake() -> None:
    twice = [Route(method="GET", template=template, terms=Terms()) for template in ("/a/{x}", "/a/{y}")]
    with pytest.raises(ValueError, match="two routes"):
        Table(twice)


def test_plain_templates() -> None:
    assert plain("/a/{b:str}/c/{d:int}") == "/a/{b}/c/{d}"
