"""Around the search box over HTTP: its conditions as links, what came since, what a search without hits lacks."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from headrace.kit import times
from headrace.web import query
from headrace.web.logs import FIRST_ASKS, FIRST_DELAY, LATER_DELAY, MOST_ASKS
from tests.doors.conftest import Origin
from tests.web.conftest import NAUGHTY, Visitor, links

LOGS = "/ui/projects/{slug}/logs"


def searches(page: str, label: str) -> list[str]:
    """The searches of the links whose tags say `label`."""
    tags = [tag for tag in re.findall(r"<a [^>]*>", page) if label in tag]
    return [parse_qs(urlsplit(links(tag)[0]).query).get("q", [""])[0] for tag in tags]


@pytest.mark.parametrize(
    ("term", "turned"),
    [
        ("level:error", "-level:error"),
        ("-path:/health", "path:/health"),
        ("NOT release:v1", "release:v1"),
        ("(a OR b)", "-(a OR b)"),
        ('service:("a b" OR c)', '-service:("a b" OR c)'),
        ("duration_ms:>500", "-duration_ms:>500"),
        ("-word", "word"),
    ],
)
def test_a_condition_is_turned_around(term: str, turned: str) -> None:
    assert query.flipped(term) == turned
    assert query.readable(turned)
    assert query.excludes(term) is not query.excludes(turned)


def test_free_text_is_no_condition() -> None:
    text = 'timed "out of memory" level:error -path:/health api* (a OR b) NOT x'
    found = ["level:error", "-path:/health", "(a OR b)", "NOT x"]
    assert [term for _, term in query.conditions(text)] == found
    assert query.conditions("a OR level:error") == [(0, "(a OR level:error)")]
    assert query.conditions("") == []


def test_conditions_are_links(visitor: Visitor, origin: Origin) -> None:
    visitor.send({"message": "slow", "level": "error"}, {"message": "slow"}, origin=origin)
    for name in ("logs", "patterns", "differences"):
        path = LOGS.replace("logs", name)
        page = visitor.get(path, params={"q": 'slow level:error -environment:"a b"', "period": "4h"}).text
        assert searches(page, "Exclude these") == ['slow -level:error -environment:"a b"'], name
        assert searches(page, "Only these") == ['slow level:error environment:"a b"']
        assert searches(page, 'title="Remove"') == ['slow -environment:"a b"', "slow level:error"]
        removed = next(link for link in links(page) if "period=4h" in link and f"/{name}?q=slow+level%3Aerror&" in link)
        assert visitor.http.get(removed).status_code == 200
    assert "pills" not in visitor.get(LOGS + "?q=level:").text
    for text in NAUGHTY:
        page = visitor.get(LOGS, params={"q": f"environment:{query.value(text)}"}).text
        assert not re.search(r"<(script|img|iframe)\b(?! (?:src|class)=)", page.replace('<script src="/ui', ""))


def test_the_view_is_shared_with_fixed_ends(visitor: Visitor, origin: Origin) -> None:
    visitor.send({"message": "mine"}, origin=origin)
    page = visitor.get(LOGS + "?q=mine&period=15m&live=1").text
    (shared,) = [links(tag)[0] for tag in re.findall(r"<a [^>]*>", page) if 'data-copy-link="view"' in tag]
    now = origin.clock()
    ends = {"from": [times.show(now - 15 * times.MINUTE)], "to": [times.show(now)]}
    assert parse_qs(urlsplit(shared).query) == {"q": ["mine"], **ends}
    origin.clock.advance(7_200)
    assert "mine" in re.sub(r"<input[^>]*>", "", visitor.http.get(shared).text)


def test_what_came_since_is_counted(visitor: Visitor, origin: Origin) -> None:
    visitor.send({"message": "old", "level": "error"}, origin=origin)
    page = visitor.get(LOGS + "?q=level:error").text
    (part,) = [link for link in links(page) if "/newer?" in link]
    assert f'hx-trigger="load delay:{FIRST_DELAY}s"' in page
    origin.clock.advance(10)
    assert "newer" not in re.sub(r'="[^"]*"', "", visitor.http.get(part).text)
    now = times.show(origin.clock())
    late = times.show(origin.clock() - 20 * times.MINUTE)
    news = [{"timestamp": now, "level": "error"}, {"timestamp": late, "level": "error"}, {"timestamp": now}]
    visitor.send(*[{"message": "new"} | one for one in news], origin=origin)
    answer = visitor.http.get(part).text
    assert "2 newer events" in answer
    assert [link for link in links(answer) if "asked=1" in link]
    often = part.replace("asked=0", f"asked={FIRST_ASKS}")
    assert f"delay:{LATER_DELAY}s" in visitor.http.get(often).text
    assert "hx-get" not in visitor.http.get(part.replace("asked=0", f"asked={MOST_ASKS}")).text
    for over in ("?live=1", "?from=2026-01-01&to=2026-01-02"):
        assert "/newer?" not in visitor.get(LOGS + over).text


def test_the_term_that_finds_nothing_is_named(visitor: Visitor, origin: Origin) -> None:
    visitor.send(*({"message": f"paid {n}", "environment": "blue"} for n in range(3)), origin=origin)
    page = visitor.get(LOGS, params={"q": "paid environment:bleu"}).text
    assert re.search(r"Without <code>environment:bleu</code> there\s+are <a[^>]*>3 events</a>", page)
    assert "Without <code>paid</code>" not in page
    assert "Without" not in visitor.get(LOGS, params={"q": "environment:bleu"}).text
