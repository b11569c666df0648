"""Saved searches, alerts, patterns, differences and the dashboard over HTTP, as a browser without script has them."""

import json
import re

import pytest

from headrace.core.schema import memberships
from headrace.core.searches import PERIODS
from headrace.kit import times
from headrace.web.period import PRESETS
from tests.doors.conftest import Origin, bearer, tenant_of
from tests.web.conftest import NAUGHTY, OWN, Visitor, links
from tests.web.test_pages import POLICY, hostile_log

P = "/ui/projects/{slug}"
ALERT = {"name": "Many", "kind": "threshold", "comparison": ">", "threshold": "2", "window_seconds": "5m"}
PANEL = {"name": "Levels", "type": "logs", "recent": "24h"}


def there(visitor: Visitor, answer_path: str) -> str:
    answer = visitor.get(answer_path)
    assert answer.status_code == 200, answer.text[:500]
    assert answer.headers["content-security-policy"] == POLICY
    return answer.text


def test_the_periods_of_a_saved_search_are_those_of_the_pages() -> None:
    assert tuple(PRESETS) == PERIODS


def test_a_search_is_saved_opened_and_deleted(visitor: Visitor) -> None:
    back = f"{P}/logs?q=level%3Aerror&period=24h&columns=environment".format(slug=visitor.tenant.slug)
    saved = visitor.post(f"{P}/searches", {"name": "Errors <b>", "back": back, "is_shared": "1"})
    assert (saved.status_code, saved.headers["location"]) == (303, back)
    patterns = f"{P}/patterns?from=2026-01-01&to=2026-01-02".format(slug=visitor.tenant.slug)
    assert visitor.post(f"{P}/searches", {"name": "Patterns", "back": patterns}).status_code == 303
    listed = there(visitor, f"{P}/searches")
    assert "Errors &lt;b&gt;" in listed
    assert back in links(listed)
    opened = there(visitor, back)
    assert 'value="level:error"' in opened
    again = next(link for link in links(listed) if "/patterns?" in link)
    assert "from=2026-01-01T00%3A00%3A00Z&to=2026-01-02T00%3A00%3A00Z" in again
    assert visitor.http.get(again).status_code == 200
    menu = there(visitor, f"{P}/logs/saved")
    assert back in links(menu)
    form = next(link for link in links(listed) if link.endswith("/delete"))
    assert visitor.http.post(form, headers=OWN).status_code == 303
    assert visitor.http.post(form, headers=OWN).status_code == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "", "back": f"{P}/logs"}, "name: must be 1-255 characters"),
        ({"name": "x", "back": f"{P}/keys"}, "Only a view of the explorer can be saved"),
        ({"name": "x", "back": "https://elsewhere.example"}, "Only a view of the explorer can be saved"),
        ({"name": "x", "back": f"{P}/logs?q=level:eror"}, "level"),
        ({"name": "x", "back": f"{P}/logs?columns=nothing"}, "columns: must be attributes"),
    ],
)
def test_what_cannot_be_saved(visitor: Visitor, fields: dict[str, str], said: str) -> None:
    sent = {name: value.format(slug=visitor.tenant.slug) for name, value in fields.items()}
    answer = visitor.post(f"{P}/searches", sent)
    assert (answer.status_code, said in answer.text) == (400, True)


def test_columns(visitor: Visitor, origin: Origin) -> None:
    visitor.send({"message": "a", "environment": "prod-7", "attributes": {"user": {"id": "u-9"}}}, origin=origin)
    page = there(visitor, f"{P}/logs?columns=environment,attributes.user.id,nothing,environment")
    assert re.findall(r'<td class="chosen">([^<]*)<', page) == ["prod-7", "u-9"]
    event = next(link for link in links(page) if "/logs/event?" in link)
    drawer = visitor.http.get(event).text
    without = next(link for link in links(drawer) if "columns=attributes.user.id" in link and "environment" not in link)
    assert re.findall(r'<td class="chosen">([^<]*)<', visitor.http.get(without).text) == ["u-9"]


def test_an_alert_is_made_changed_muted_and_deleted(visitor: Visitor, origin: Origin) -> None:
    # The server evaluates by itself, every two seconds of the wall clock.
    assert visitor.post("/ui/pauses", {"kind": "alert.evaluate"}).status_code == 303
    assert "no alerts yet" in there(visitor, f"{P}/alerts")
    assert 'value="level:error"' in there(visitor, f"{P}/alerts/new?query=level:error")
    # Fields of other kinds are in the form, and count for nothing.
    made = visitor.post(f"{P}/alerts", ALERT | {"query": "level:error", "look_back_seconds": "7d", "news": "any"})
    assert made.status_code == 303
    path = made.headers["location"]
    page = there(visitor, path)
    assert "Not evaluated yet" in page
    visitor.send(*[{"level": "error", "message": f"failed {n}"} for n in range(3)], origin=origin)
    origin.clock.advance(10)
    tested = visitor.post(f"{path}/test").text
    assert "3 events in 5 min (alert: &gt; 2). The condition holds; the alert would go from ok to firing" in tested
    preview = visitor.post(f"{P}/alerts/preview", ALERT)
    assert "data-chart" in preview.text
    half = visitor.post(f"{P}/alerts/preview", {**ALERT, "threshold": ""})
    assert half.status_code == 200, "half a form is no fault while one writes it"
    assert "Not yet: threshold" in half.text
    assert visitor.post(f"{path}/mute", {"mute": "1h"}).headers["location"] == path
    assert "Muted until" in there(visitor, path)
    assert visitor.post(f"{path}/mute").status_code == 303
    assert "Muted until" not in there(visitor, path)
    form = there(visitor, f"{path}/edit")
    assert 'name="window_seconds" value="5m"' in form
    changed = visitor.post(path, ALERT | {"name": "Renamed", "is_enabled": "0"})
    assert changed.status_code == 303
    assert "Switched off" in there(visitor, path)
    assert "Renamed" in there(visitor, f"{P}/alerts")
    assert visitor.post(f"{path}/delete").status_code == 303
    assert visitor.get(path).status_code == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": ""}, "name: must be 1-255 characters"),
        ({"window_seconds": "soon"}, "write a length of time"),
        ({"window_seconds": "10s"}, "window_seconds: must be 60-86400"),
        ({"threshold": "many"}, "threshold: must be a number"),
        ({"threshold": "nan"}, "threshold: must be a number from 0"),
        ({"kind": "often"}, "kind: must be one of"),
        ({"query": "(" * 3}, "query"),
    ],
)
def test_what_is_no_alert(visitor: Visitor, fields: dict[str, str], said: str) -> None:
    answer = visitor.post(f"{P}/alerts", ALERT | fields)
    assert answer.status_code == 400
    assert said in answer.text or said == "query"
    assert 'class="refused"' in answer.text


def test_patterns(visitor: Visitor, origin: Origin) -> None:
    logs = [{"message": f"order {n} of alice paid in {n} ms"} for n in range(30)]
    visitor.send(*logs, {"message": "disk sd7 is full", "level": "error"}, origin=origin)
    page = there(visitor, f"{P}/patterns")
    assert "<strong>2</strong> patterns in 31 events" in page
    link = next(link for link in links(page) if "/logs?" in link and "paid" in link)
    assert "30" in re.findall(r"<strong>(\d+)</strong> events", visitor.http.get(f"{link}&plain=1").text)
    gone = next(link for link in links(page) if "NOT" in link and "paid" in link)
    assert "<strong>1</strong> pattern in 1 events" in visitor.http.get(gone).text
    origin.clock.advance(3_700)
    visitor.send({"message": "disk sd9 is full"}, {"message": "the roof is on fire"}, origin=origin)
    later = there(visitor, f"{P}/patterns?sort=new")
    rows = re.findall(r'<td class="phrase">.*?</tr>', later, re.DOTALL)
    assert [("badge" in row, "roof" in row) for row in rows] == [(True, True), (False, False)]
    assert visitor.get(f"{P}/patterns?q=level:eror").status_code == 400


def test_differences(visitor: Visitor, origin: Origin) -> None:
    good = [{"message": "ok", "environment": "blue"} for _ in range(60)]
    bad = [{"message": "no", "environment": "green", "level": "error"} for _ in range(60)]
    visitor.send(*good, *bad, origin=origin)
    page = there(visitor, f"{P}/differences?q=level:error")
    assert "<strong>60</strong> events compared with <strong>120</strong>" in page
    assert "<code>environment</code> = <strong>green</strong>" in page
    # What was asked for is no difference.
    assert "<code>level</code>" not in page
    assert any("environment%3Agreen" in link for link in links(page))
    before = there(visitor, f"{P}/differences")
    assert "Nothing to compare" in before
    now = origin.clock()
    ends = {"base_from": times.show(now - times.HOUR), "base_to": times.show(now)}
    spans = visitor.get(f"{P}/differences", params={"q": "no"} | ends).text
    assert "compared with <strong>60</strong>" in spans
    assert visitor.get(f"{P}/differences?base_from=2026-01-02&base_to=2026-01-01").status_code == 400


def test_a_dashboard(visitor: Visitor, origin: Origin) -> None:
    visitor.send({"message": "a", "level": "error", "attributes": {"endpoint": {"duration_ms": 7}}}, origin=origin)
    origin.clock.advance(1)
    assert "no panels yet" in there(visitor, "/ui/dashboards")
    own = PANEL | {"project_id": str(visitor.tenant.project_id)}
    for kind in ("logs", "errors", "metrics"):
        assert visitor.post("/ui/dashboards", own | {"name": kind, "type": kind}).status_code == 303
    listed = visitor.http.get("/api/v1/dashboard/panels", headers=bearer(visitor.tenant.token)).json()["panels"]
    assert [one["name"] for one in listed] == ["logs", "errors", "metrics"]
    for one, words in zip(listed, ("error", "other", "median, ms"), strict=True):
        chart = there(visitor, f"/ui/dashboards/{one['id']}/chart")
        assert "<strong>1</strong>" in chart
        assert words in chart
    last = listed[-1]["id"]
    assert visitor.post(f"/ui/dashboards/{last}/move", {"to": "earlier"}).status_code == 303
    names = re.findall(r'aria-label="(\w+)"', there(visitor, "/ui/dashboards"))
    assert [name for name in names if name in {"logs", "errors", "metrics"}] == ["logs", "metrics", "errors"]
    written = own | {"name": "Written", "recent": "", "from": "2026-01-01 10:00", "to": "2026-01-01 12:00"}
    assert visitor.post(f"/ui/dashboards/{last}", written).status_code == 303
    assert "2026-01-01 10:00:00 to 2026-01-01 12:00:00" in there(visitor, "/ui/dashboards")
    wrong = visitor.post(f"/ui/dashboards/{last}", written | {"from": "never"})
    assert (wrong.status_code, "time_range_from: must be" in wrong.text) == (400, True)
    foreign = visitor.post("/ui/dashboards", own | {"project_id": "another"})
    assert foreign.status_code == 303
    assert visitor.post(f"/ui/dashboards/{last}/delete").status_code == 303
    assert visitor.post(f"/ui/dashboards/{last}/delete").status_code == 404
    rest = visitor.http.get("/api/v1/dashboard/panels", headers=bearer(visitor.tenant.token)).json()["panels"]
    unnamed = next(one["id"] for one in rest if one["project_id"] == "another")
    assert "names no project here" in there(visitor, f"/ui/dashboards/{unnamed}/chart")


def test_another_organizations_things_are_not_there(visitor: Visitor, origin: Origin) -> None:
    other = tenant_of(visitor.http)
    headers = bearer(other.token)
    body = {"project_id": other.project_id, "name": "Theirs"}
    alert = visitor.http.post("/api/v1/alerts", json=body | {"kind": "absence"}, headers=headers).json()["id"]
    search = visitor.http.post("/api/v1/saved-searches", json=body | {"is_shared": True}, headers=headers).json()["id"]
    for path in (f"{P}/alerts/{alert}", f"{P}/alerts/{alert}/edit"):
        assert visitor.get(path).status_code == 404
    for path in (f"{P}/alerts/{alert}/delete", f"{P}/alerts/{alert}/mute", f"{P}/searches/{search}/delete"):
        assert visitor.post(path).status_code == 404
    for page in (f"{P}/searches", f"{P}/alerts", "/ui/dashboards"):
        assert "Theirs" not in there(visitor, page)


def test_hostile_names_and_messages_are_text(visitor: Visitor, origin: Origin) -> None:
    visitor.send(*(hostile_log(text) for text in NAUGHTY), origin=origin)
    for text in NAUGHTY[:10]:
        back = f"{P}/logs?q=a".format(slug=visitor.tenant.slug)
        assert visitor.post(f"{P}/searches", {"name": text, "back": back}).status_code == 303
        assert visitor.post(f"{P}/alerts", ALERT | {"name": text}).status_code == 303
        own = PANEL | {"project_id": str(visitor.tenant.project_id), "name": text, "type": "errors"}
        assert visitor.post("/ui/dashboards", own).status_code == 303
    listed = visitor.http.get("/api/v1/dashboard/panels", headers=bearer(visitor.tenant.token)).json()["panels"]
    paths = [f"{P}/searches", f"{P}/logs/saved", f"{P}/alerts", f"{P}/patterns", "/ui/dashboards"]
    paths += [f"{P}/differences?q=log_type:exception", f"/ui/dashboards/{listed[0]['id']}/chart"]
    paths += [f"{P}/logs?columns=error_type,environment", f"{P}/patterns?sort=newest"]
    paths += [link for link in links(visitor.get(f"{P}/alerts").text) if re.search(r"/alerts/\d+$", link)]
    for path in paths:
        text = there(visitor, path)
        bare = re.sub(r'="[^"]*"', "", text)
        assert not re.search(r"<(script|img|iframe)\b(?! (?:src|class)=)", text.replace('<script src="/ui', "")), path
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066]", bare), path
        assert "javascript:" not in "".join(links(text))


def test_what_is_looked_at_is_exported(visitor: Visitor, origin: Origin) -> None:
    visitor.send({"message": "=one", "level": "error"}, {"message": "two"}, origin=origin)
    page = there(visitor, f"{P}/logs?q=level%3Aerror")
    offered = {link.rpartition("format=")[2]: link for link in links(page) if "/logs/export?" in link}
    assert set(offered) == {"ndjson", "csv", "parquet"}
    lines = visitor.http.get(offered["ndjson"])
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert f'filename="{visitor.tenant.slug}-' in lines.headers["content-disposition"]
    (event,) = [json.loads(line) for line in lines.text.splitlines()]
    assert (event["message"], event["level"]) == ("=one", "error")
    header, row = visitor.http.get(offered["csv"]).text.splitlines()
    assert "'=one" in row.split(",")[header.split(",").index("message")]
    assert visitor.http.get(offered["parquet"]).content.startswith(b"PAR1")
    assert visitor.get(f"{P}/logs/export?q=level%3A(").status_code == 400


def test_what_a_search_finds_is_deleted_once_the_project_is_named(visitor: Visitor, origin: Origin) -> None:
    visitor.send({"message": "forget one"}, {"message": "forget two"}, {"message": "keep"}, origin=origin)
    page = there(visitor, f"{P}/logs?q=forget")
    wanted = next(link for link in links(page) if "/deletions?" in link)
    counted = visitor.http.get(wanted).text
    assert "Delete 2 events" in counted
    (target,) = [link for link in links(counted) if link.startswith(wanted.partition("?")[0]) and "from=" in link]
    refused = visitor.http.post(target, data={"named": "another"}, headers=OWN)
    assert (refused.status_code, "To delete, write" in refused.text) == (400, True)
    assert "Delete 2 events" in refused.text
    assert visitor.http.post(target, data={"named": visitor.tenant.slug}, headers=OWN).status_code == 303
    listed = there(visitor, f"{P}/deletions")
    assert "<code>forget</code>" in listed
    # The server deletes meanwhile, and is done at any moment.
    cancel = [link for link in links(listed) if link.endswith("/cancel")]
    for one in cancel:
        answer = visitor.http.post(one, headers=OWN)
        assert answer.status_code == 303 or "The deletion is completed already" in answer.text
    assert "The search cannot be understood" in visitor.get(f"{P}/deletions?q=level%3A(").text


def test_only_an_admin_deletes(visitor: Visitor, origin: Origin) -> None:
    assert "/deletions" in there(visitor, f"{P}/logs")
    with origin.house.db.write() as connection:
        mine = memberships.c.account_id == visitor.tenant.account_id
        connection.execute(memberships.update().where(mine).values(role="user"))
    assert "/deletions" not in there(visitor, f"{P}/logs")
    assert visitor.get(f"{P}/deletions").status_code == 403
