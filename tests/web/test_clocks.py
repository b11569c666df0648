"""Times of the explorer in a zone of one's choice, and by arrival; times as people write and copy them."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from headrace.core.refusals import Refusal
from headrace.kit import times
from headrace.web import period
from headrace.web.zones import GREENWICH, zone
from tests.doors.conftest import Origin
from tests.web.conftest import NAUGHTY, Visitor, links

LOGS = "/ui/projects/{slug}/logs"
NOW = times.parse("2026-01-31T12:00:00Z")


@pytest.mark.parametrize(
    ("name", "moment", "text", "short"),
    [
        ("", "2026-01-31T12:00:00.5Z", "2026-01-31 12:00:00", "UTC"),
        ("Europe/Berlin", "2026-01-31T23:30:00Z", "2026-02-01 00:30:00", "CET"),
        ("Europe/Berlin", "2026-07-31T12:00:00Z", "2026-07-31 14:00:00", "CEST"),
        ("Asia/Kolkata", "2026-01-31T12:00:00Z", "2026-01-31 17:30:00", "IST"),
        ("Pacific/Kiritimati", "9999-12-31T23:59:59Z", "9999-12-31 23:59:59", "UTC"),
        ("America/New_York", "0001-01-01T00:00:00Z", "0001-01-01 00:00:00", "UTC"),
    ],
)
def test_a_moment_in_a_zone(name: str, moment: str, text: str, short: str) -> None:
    there = zone(name)
    at = times.parse(moment)
    assert (there.shown(at), there.abbreviation(at)) == (text, short)
    assert there.fine(at) == (text[:10], f"{text[11:]}.{at % times.SECOND // times.MILLISECOND:03}")


@pytest.mark.parametrize("name", ["UTC", "", "Nowhere/None", "../../etc/passwd", "/etc/passwd", "a" * 200, *NAUGHTY])
def test_what_is_no_zone_is_utc(name: str) -> None:
    assert zone(name) is GREENWICH


@pytest.mark.parametrize(
    ("given", "start", "end"),
    [
        ({"from": "2026-01-31 10:00 \u2013 11:00"}, "2026-01-31T10:00:00Z", "2026-01-31T11:00:00Z"),
        ({"from": "2026-01-31T10:00:00Z to 2026-01-31T10:05:00Z"}, "2026-01-31T10:00:00Z", "2026-01-31T10:05:00Z"),
        ({"from": "2026-01-30/2026-01-31"}, "2026-01-30T00:00:00Z", "2026-01-31T00:00:00Z"),
        ({"from": "1769853600, 1769857200"}, "2026-01-31T10:00:00Z", "2026-01-31T11:00:00Z"),
        ({"from": "1769853600123", "to": "1769857200.5"}, "", ""),
        ({"from": "1769853600123", "to": "1769857200.500"}, "2026-01-31T10:00:00.123Z", "2026-01-31T11:00:00.5Z"),
        ({"from": "last 3 h"}, "2026-01-31T09:00:00Z", "2026-01-31T12:00:00Z"),
        ({"from": "90 minutes"}, "2026-01-31T10:30:00Z", "2026-01-31T12:00:00Z"),
        ({"from": "2026-01-31 11:00", "zone": "Europe/Berlin"}, "2026-01-31T10:00:00Z", "2026-01-31T12:00:00Z"),
        ({"from": "2026-01-31 11:00 - 12:00", "zone": "Europe/Berlin"}, "2026-01-31T10:00:00Z", "2026-01-31T11:00:00Z"),
        ({"from": "2026-01-31T11:00:00Z", "zone": "Europe/Berlin"}, "2026-01-31T11:00:00Z", "2026-01-31T12:00:00Z"),
        ({"from": "2026-01-31 11:00+0200", "zone": "Asia/Tokyo"}, "2026-01-31T09:00:00Z", "2026-01-31T12:00:00Z"),
        ({"from": "2026-01-31 - 11:00 - 12:00"}, "", ""),
        ({"from": "last summer"}, "", ""),
        ({"from": "0001-01-01 00:00", "zone": "Asia/Tokyo"}, "0000", ""),
    ],
)
def test_ends_as_they_are_written_and_copied(given: dict[str, str], start: str, end: str) -> None:
    if not end:
        with pytest.raises(Refusal, match=r"from|to"):
            period.read(given, NOW)
        return
    found = period.read(given, NOW)
    assert (times.show(found.start), times.show(found.end)) == (start, end)


def cells(page: str) -> list[str]:
    return [" ".join(one) for one in re.findall(r'<span class="day">([^<]*)</span> ([^<]*)</time>', page)]


def test_the_zone_is_kept_and_said(visitor: Visitor, origin: Origin) -> None:
    visitor.send({"message": "one"}, origin=origin)
    here = origin.clock()
    back = LOGS.format(slug=visitor.tenant.slug) + "?q=one"
    assert cells(visitor.http.get(back).text) == [" ".join(GREENWICH.fine(here))]
    chosen = visitor.post("/ui/clocks", {"zone": "Asia/Kolkata", "next": back})
    assert (chosen.status_code, chosen.headers["location"]) == (303, back)
    assert "headrace_zone=Asia/Kolkata; Path=/" in chosen.headers["set-cookie"]
    page = visitor.http.get(back).text
    there = zone("Asia/Kolkata")
    assert cells(page) == [" ".join(there.fine(here))]
    assert 'data-zone="Asia/Kolkata"' in page
    assert "<th>Time (Asia/Kolkata)</th>" in page
    assert re.search(r'Last hour <span class="soft">IST</span>', page)
    fixed = next(link for link in links(page) if "from=" in link and "event=" not in link)
    assert parse_qs(urlsplit(fixed).query)["to"] == [times.show(here)], "an address is of UTC"
    opened = next(link for link in links(page) if "/logs/event?" in link)
    assert f"{' '.join(there.fine(here))} IST" in visitor.http.get(opened).text
    typed = visitor.http.get(back, params={"from": there.shown(here)[:16], "zone": "Asia/Kolkata"}).text
    assert cells(typed) == [" ".join(there.fine(here))]
    visitor.post("/ui/clocks", {"zone": "<b>", "next": back})
    assert 'data-zone="Etc/UTC"' in visitor.http.get(back).text


def test_events_by_their_arrival(visitor: Visitor, origin: Origin) -> None:
    """Late ones are seen when they came, in that order, page after page; addresses keep saying so."""
    long_ago = [{"message": f"late {n:03}", "timestamp": f"2020-01-01T00:{n % 60:02}:00Z"} for n in range(150)]
    visitor.send(*long_ago[:75], origin=origin)
    origin.clock.advance(1)
    visitor.send(*long_ago[75:], origin=origin)
    assert not cells(visitor.get(LOGS).text)
    page = visitor.get(LOGS + "?clock=received&plain=1").text
    assert "<strong>150</strong> events" in page
    assert "<th>Arrival (UTC)</th>" in page
    found: list[str] = []
    path = LOGS + "/rows?before=0&clock=received"
    while path:
        text = visitor.get(path).text
        found += re.findall(r"late \d{3}", text)
        path = next((link for link in links(text) if "/rows?" in link), "")
    assert found == [one["message"] for one in reversed(long_ago)]
    assert cells(page)[0].startswith(times.show(origin.clock())[:10])
    narrowed = next(link for link in links(page) if "q=level%3Ainfo" in link)
    assert "clock=received" in narrowed
    elsewhere = next(link for link in links(page) if "/patterns" in link)
    assert "clock=" not in elsewhere


def test_the_clock_is_kept_where_an_address_does_not_say(visitor: Visitor, origin: Origin) -> None:
    visitor.send({"message": "late", "timestamp": "2020-01-01T00:00:00Z"}, origin=origin)
    path = LOGS.format(slug=visitor.tenant.slug)
    chosen = visitor.post("/ui/clocks", {"clock": "received", "next": f"{path}?q=late&clock=event"})
    assert chosen.headers["location"] == f"{path}?q=late&clock=received"
    assert cells(visitor.http.get(path).text)
    assert not cells(visitor.http.get(f"{path}?clock=event").text)
    assert not cells(visitor.http.get(f"{path}?from=2021-01-01").text), "a link with its own ends is of event time"
    assert cells(visitor.http.get(f"{path}?from=2019-12-31&to=2020-01-02").text)
    back = visitor.post("/ui/clocks", {"clock": "nonsense", "next": f"{path}?clock=received"})
    assert back.headers["location"] == path
    assert not cells(visitor.http.get(path).text)
