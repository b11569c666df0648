"""The explorer over all projects of the organization: one list, one histogram, and nothing of anybody else."""

import re
from typing import NamedTuple

import pytest

from headrace.core import events
from headrace.core.events import Filters
from headrace.core.keys import resolve
from headrace.core.refusals import Kind, Refusal
from headrace.kit import times
from tests.doors.conftest import Origin, bearer, caller, posted, tenant_of
from tests.web.conftest import Visitor, links

ALL = "/ui/logs"
PARTS = ("", "/rows?before=0", "/newer?since=1", "/histogram", "/facets", "/values?field=level", "/completion?text=se")


class Two(NamedTuple):
    """Somebody with two projects: `shop` is the second one, as the same person."""

    visitor: Visitor
    shop: Visitor


@pytest.fixture
def two(visitor: Visitor) -> Two:
    made = posted(visitor.http, "/api/v1/projects", {"name": "<b>Shop", "slug": "shop"}, visitor.tenant.token)
    path = f"/api/v1/projects/{made['project_id']}/api-keys"
    key = posted(visitor.http, path, {"name": "A key"}, visitor.tenant.token)["full_key"]
    owner = visitor.tenant._replace(project_id=made["project_id"], slug="shop", key=key)
    return Two(visitor, visitor._replace(tenant=owner))


def messages(page: str) -> list[str]:
    return re.findall(r'<td class="message">([^<]*)</td>', page)


def test_one_list_of_all_projects(two: Two, origin: Origin) -> None:
    now = origin.clock()
    for n in range(4):
        at = times.show(now - n * times.SECOND)
        one = two.shop if n % 2 else two.visitor
        one.send({"message": f"line {n}", "timestamp": at, "level": "error" if n > 1 else "info"}, origin=origin)
    with caller(origin) as http:
        foreign = two.visitor._replace(tenant=tenant_of(http))
        foreign.send({"message": "theirs", "environment": "secret-env"}, origin=origin)
    page = two.visitor.get(f"{ALL}?plain=1").text
    assert messages(page) == [f"line {n}" for n in range(4)]
    assert re.findall(r'<td class="project">([^<]*)</td>', page) == ["An App", "&lt;b&gt;Shop"] * 2
    assert "<strong>4</strong> events" in page
    narrowed = next(link for link in links(page) if "q=level%3Aerror" in link)
    assert narrowed.startswith(ALL + "?")
    assert messages(two.visitor.http.get(narrowed).text) == ["line 2", "line 3"]
    second = [link for link in links(page) if "event=" in link][1]
    assert second.startswith("/ui/projects/shop/logs?")
    assert "line 1" in two.visitor.http.get(second).text
    for part in PARTS:
        answer = two.visitor.get(ALL + part)
        assert answer.status_code == 200, part
        assert "theirs" not in answer.text, part
        assert "secret-env" not in answer.text, part
    assert 'href="/ui/logs"' in two.visitor.get("/ui/projects").text
    for absent in ("/live", "/event?event=1", "/export", "/context?event=1"):
        assert two.visitor.get(ALL + absent).status_code == 404, absent


def test_pages_of_all_projects_follow_one_another(two: Two, origin: Origin) -> None:
    for part in range(3):
        one = two.shop if part % 2 else two.visitor
        one.send(*({"message": f"row {part * 70 + i:03}"} for i in range(70)), origin=origin)
    for clock in ("event", "received"):
        found: list[str] = []
        path = f"{ALL}/rows?before=0&clock={clock}"
        while path:
            text = two.visitor.get(path).text
            found += re.findall(r"row \d{3}", text)
            path = next((link for link in links(text) if "/rows?" in link), "")
        assert found == [f"row {i:03}" for i in reversed(range(210))], clock


def test_only_what_every_project_keeps(two: Two, origin: Origin) -> None:
    """A project that lets go sooner never shows more among others than by itself; the page says where it ends."""
    shop = f"/api/v1/projects/{two.shop.tenant.project_id}"
    owner = bearer(two.visitor.tenant.token)
    changed = two.visitor.http.patch(shop, json={"retention_days": 2}, headers=owner)
    assert changed.status_code == 200, changed.text
    for one in two:
        one.send({"message": f"old of {one.tenant.slug}"}, origin=origin)
    origin.clock.advance(3 * 86_400)
    two.visitor.send({"message": "new"}, origin=origin)
    page = two.visitor.get(f"{ALL}?period=7d&plain=1").text
    assert messages(page) == ["new"]
    assert "<strong>1</strong> event" in page
    assert f"what arrived since {times.show(origin.clock() - 2 * times.DAY)[:10]}" in page
    assert "what arrived since" not in two.visitor.get(ALL).text
    assert "old of" in two.visitor.get("/ui/projects/{slug}/logs?period=7d").text


def test_a_key_of_one_project_reads_no_other(two: Two, origin: Origin) -> None:
    who = resolve(origin.house, two.visitor.tenant.key)
    with pytest.raises(Refusal) as refused:
        events.search(origin.house, who, project_id=None, filters=Filters(), limit=1)
    assert refused.value.kind is Kind.FORBIDDEN
