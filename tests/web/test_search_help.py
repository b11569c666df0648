"""How to search, by example: each example is a search that is understood, and finds what the view has of it."""

import re
from html import unescape
from typing import Any

from headrace.eventstore.queries import EventRow
from headrace.web import query, search_help
from tests.doors.conftest import Origin
from tests.web.conftest import NAUGHTY, Visitor, links

HELP = "/ui/projects/{slug}/logs/help"
EXAMPLE = re.compile(r'<dt><a href="([^"]*)"><code>([^<]*)</code>')
BUSY: dict[str, Any] = {
    "level": "error",
    "environment": "eu-1",
    "release": "v1",
    "error_type": "KeyError",
    "attributes": {"service": "api-gateway", "user": 17, "region": 'a "b"', "cart": {"total": 5}},
}
ENDPOINTS = [{"endpoint": {"method": "GET", "status_code": code, "duration_ms": 900}} for code in (503, 404)]


def examples(page: str) -> dict[str, str]:
    """The searches of the page, and where they lead."""
    return {unescape(search): unescape(link) for link, search in EXAMPLE.findall(page)}


def test_every_example_finds_something(visitor: Visitor, origin: Origin) -> None:
    of_requests = [BUSY | {"attributes": BUSY["attributes"] | one} for one in ENDPOINTS]
    told = [one | {"message": "Payment declined twice: timeout"} for one in of_requests]
    visitor.send(*told, BUSY | {"message": "quiet"}, {"message": "other", "level": "info"}, origin=origin)
    found = examples(visitor.get(HELP + "?q=nothing&period=4h").text)
    assert {"Payment", '"Payment declined"', "Pay*", "-Payment", "service:api-gateway", "service:api*"} <= set(found)
    assert {"release:*", "status:5xx", "duration:>500ms", "user:>=17", 'region:"a \\"b\\""', "cart.total:5"} <= set(
        found
    )
    for search, link in found.items():
        page = visitor.http.get(link)
        assert (page.status_code, "period=4h" in link) == (200, True)
        assert "data-id=" in page.text, search


def test_there_are_examples_before_there_are_events(visitor: Visitor) -> None:
    for path in (HELP, "/ui/logs/help", f"{HELP}?q=level:"):
        found = examples(visitor.get(path).text)
        assert {"timed", '"timed out"', "level:error"} <= set(found)
        assert all(visitor.http.get(link).status_code == 200 for link in found.values())
    assert any("/logs/help" in link for link in links(visitor.get("/ui/projects/{slug}/patterns").text))


def test_hostile_events_make_harmless_examples(visitor: Visitor, origin: Origin) -> None:
    for text in [one for one in NAUGHTY if "<" in one][:4]:
        attributes = {"service": text[:40], text[:40]: text[:40], "inside": {text[:40]: 1}}
        visitor.send({"message": text, "environment": text[:90], "attributes": attributes}, origin=origin)
        page = visitor.get(HELP).text
        assert all(visitor.http.get(link).status_code == 200 for link in examples(page).values()), text
        assert not re.search(r"<(script|img|iframe|svg)\b(?! (?:src|class|viewBox|aria|width)=)", page), text


def test_examples_are_understood_whatever_events_say() -> None:
    for text in NAUGHTY:
        row = EventRow(*[None] * 25)  # type: ignore[arg-type]
        row.message, row.service, row.release, row.level = text, text, text, "info"
        row.attributes = {text[:40]: text, "number": -1.5, "inside": {text[:40]: {"deep": True}}, "empty": {}}
        for made in (search_help.words, search_help.fields, search_help.attributes):
            for search, _ in made([row]):
                assert query.readable(search), search
