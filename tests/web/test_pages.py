"""The pages over HTTP: who gets in, what is refused, what every answer says about itself, and that text stays text."""

import re
from typing import Any

import httpx
import pytest

from headrace.wire.door import routes_of
from tests.conftest import PASSWORD
from tests.doors.conftest import Origin, caller, tenant_of
from tests.web.conftest import NAUGHTY, OWN, Visitor, links

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
PROJECT = "/ui/projects/{slug}"
PAGES = ("/ui/projects", f"{PROJECT}/logs", f"{PROJECT}/errors", f"{PROJECT}/keys")
PARTS = ("rows", "histogram", "facets", "values?field=level", "completion?text=le", "completion?text=level:")
NOBODY_NEEDED = {
    "/ui/checkout/{session_id}",
    "/success",
    "/cancel",
    "/",
    "/ui",
    "/ui/sign-in",
    "/ui/sign-up",
    "/ui/theme",
}


def test_the_way_in(origin: Origin) -> None:
    with caller(origin) as http:
        front = http.get("/", headers={"Accept": "text/html,*/*"})
        assert (front.status_code, front.headers["location"]) == (303, "/ui")
        other = http.get("/", headers={"Accept": "application/json"})
        assert (other.status_code, other.json()["ok"]) == (200, True)
        closed = http.get("/ui/projects/x/logs?q=a%20b")
        assert closed.status_code == 303
        assert closed.headers["location"] == "/ui/sign-in?next=%2Fui%2Fprojects%2Fx%2Flogs%3Fq%3Da%2520b"
        assert http.get("/ui/nowhere").status_code == 404


def test_every_page_wants_a_session(origin: Origin) -> None:
    door = next(door for door in origin.app.doors if door.name == "ui")
    closed = [one for one in routes_of(door) if not one.template.startswith("/ui/static/")]
    assert len(closed) > 20
    with caller(origin) as http:
        for one in closed:
            path = re.sub(r"\{\w+\}", "1", one.template)
            answer = http.request(one.method, path, headers=OWN | {"Accept": "text/html"})
            if one.template in NOBODY_NEEDED:
                continue
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/ui/sign-in"), path
            part = http.request(one.method, path, headers=OWN | {"HX-Request": "true"})
            assert (part.status_code, part.headers["hx-redirect"]) == (401, "/ui/sign-in")


def test_a_form_of_another_site_is_refused(origin: Origin, visitor: Visitor) -> None:
    door = next(door for door in origin.app.doors if door.name == "ui")
    host = origin.url.removeprefix("http://")
    wrong: list[dict[str, str]] = [
        {},
        {"Origin": "null"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": f"http://{host}.elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": origin.url},
    ]
    for one in routes_of(door):
        if one.method == "POST":
            path = re.sub(r"\{\w+\}", "1", one.template)
            for headers in wrong:
                assert visitor.http.post(path, data={"x": "y"}, headers=headers).status_code == 403, (path, headers)
    right = visitor.http.post("/ui/theme", data={"theme": "dark"}, headers={"Origin": origin.url})
    assert right.status_code == 303


def test_the_cookie(origin: Origin) -> None:
    with caller(origin) as http:
        made = tenant_of(http)
        fields = {"email": made.email, "password": PASSWORD, "next": "/ui/projects/x/logs?q=1"}
        plain = http.post("/ui/sign-in", data=fields, headers=OWN)
        assert plain.headers["location"] == "/ui/projects/x/logs?q=1"
        line = plain.headers["set-cookie"]
        assert re.fullmatch(r"headrace=[\w-]+; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax", line)
        assert made.token.split(".")[0] not in line
        secure = http.post("/ui/sign-in", data=fields, headers=OWN | {"X-Forwarded-Proto": "https"})
        line = secure.headers["set-cookie"]
        assert re.fullmatch(r"__Host-headrace=[\w-]+; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax; Secure", line)
        kept = {"Cookie": "; ".join(f"{name}={value}" for name, value in http.cookies.items())}
        assert http.get("/ui/projects").status_code == 200
        assert http.post("/ui/sign-out", headers=OWN).status_code == 303
        assert httpx.get(f"{origin.url}/ui/projects", headers=kept).status_code == 303


@pytest.mark.parametrize("value", ["", "x", "a.b.c", "A" * 200, "%00", "é"])
def test_a_cookie_that_is_none_of_ours(origin: Origin, value: str) -> None:
    answer = httpx.get(f"{origin.url}/ui/projects", headers={b"Cookie": f"headrace={value}".encode()})
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "target",
    ["https://elsewhere.example", "//elsewhere.example", "/ui/\\elsewhere", "/ui//x", "/api/v1/x", "/ui/a\r\nX: y", ""],
)
def test_where_to_go_on_stays_here(visitor: Visitor, target: str) -> None:
    assert visitor.post("/ui/theme", {"theme": "dark", "next": target}).headers["location"] == "/ui/projects"


def test_signing_in_says_what_went_wrong(client: httpx.Client) -> None:
    wrong = client.post("/ui/sign-in", data={"email": "nobody@example.com", "password": "x"}, headers=OWN)
    assert (wrong.status_code, "Invalid email or password" in wrong.text) == (401, True)
    for _ in range(10):
        last = client.post("/ui/sign-in", data={"email": "nobody@example.com", "password": "x"}, headers=OWN)
    assert last.status_code == 429
    assert int(last.headers["retry-after"]) > 0
    weak = client.post("/ui/sign-up", data={"email": "a@b.cd", "password": "tiny1", "name": "A"}, headers=OWN)
    assert (weak.status_code, "8-64 characters" in weak.text) == (400, True)
    assert "tiny1" not in weak.text


def test_headers_of_every_page(visitor: Visitor) -> None:
    for path in (*PAGES, "/ui/sign-in", "/ui/nowhere", *(f"{PROJECT}/logs/{part}" for part in PARTS)):
        answer = visitor.get(path)
        assert answer.headers["content-security-policy"] == POLICY, path
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert not re.search(r"<script(?! src=\"/ui/static/)|<style|\sstyle=|\son\w+=", answer.text), path


def test_a_page_loads_what_it_uses(visitor: Visitor) -> None:
    used = {
        "/ui/projects": [],
        f"{PROJECT}/logs": ["plots", "explorer", "box", "live"],
        f"{PROJECT}/logs?q=level:": ["plots", "explorer", "box", "live"],
        f"{PROJECT}/patterns": ["plots", "explorer", "box", "live"],
        f"{PROJECT}/differences": ["plots", "explorer", "box", "live"],
        f"{PROJECT}/errors": ["errors"],
        f"{PROJECT}/alerts": [],
        f"{PROJECT}/alerts/new": ["plots", "charts"],
        "/ui/dashboards": ["plots", "charts"],
        "/ui/jobs": [],
    }
    for path, scripts in used.items():
        loaded = re.findall(r'<script src="/ui/static/(\w+)\.', visitor.get(path).text)
        # What draws comes behind what it draws with.
        libraries = ["htmx", "headrace", "palette", *(["uplot"] if "plots" in scripts else [])]
        assert loaded == [*libraries, *scripts], path


def test_assets_are_here_and_stay(visitor: Visitor) -> None:
    page = visitor.get("/ui/projects").text
    local = [path for path in re.findall(r'(?:src|href)="([^"]*)"', page) if "." in path]
    assert len(local) >= 5
    for path in local:
        assert re.fullmatch(r"/ui/static/\w+\.[0-9a-f]{16}\.(js|css|svg)", path)
        answer = visitor.get(path)
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-encoding"] == "br" if "br" in answer.request.headers["accept-encoding"] else True
        assert answer.content


def test_another_organizations_project_is_not_there(origin: Origin, visitor: Visitor) -> None:
    with caller(origin) as http:
        other = tenant_of(http)
    for path in (*PAGES[1:], *(f"{PROJECT}/logs/{part}" for part in PARTS)):
        assert visitor.http.get(path.format(slug=other.slug)).status_code == 404, path
    assert visitor.post(f"{PROJECT}/keys/{other.key_id}/revoke").status_code == 403


def test_from_a_project_to_its_first_event(origin: Origin, visitor: Visitor) -> None:
    made = visitor.post("/ui/projects", {"name": "Zürich: Shop"})
    assert made.headers["location"].startswith("/ui/projects/zurich-shop")
    page = visitor.get(made.headers["location"]).text
    assert "Waiting for the first event" in page
    shown = visitor.post(made.headers["location"], {"name": "first"}).text
    key = re.search(r"ldg_proj_\w+", shown)
    assert key is not None
    assert f"Authorization: Bearer {key[0]}" in shown.replace("&#39;", "'")
    assert key[0] not in visitor.get(made.headers["location"]).text
    waiting = visitor.get("/ui/projects/zurich-shop/first?asked=3").text
    assert 'hx-get="/ui/projects/zurich-shop/first?asked=4"' in waiting
    assert "hx-get" not in visitor.get("/ui/projects/zurich-shop/first?asked=300").text
    tenant = visitor.tenant._replace(key=key[0])
    visitor._replace(tenant=tenant).send({"message": "Hello"}, origin=origin)
    arrived = visitor.get("/ui/projects/zurich-shop/first?asked=3").text
    assert "The first event is here" in arrived
    [event] = [link for link in links(arrived) if "event=" in link]
    assert "Hello" in visitor.get(event).text


def test_the_explorer_without_script(origin: Origin, visitor: Visitor) -> None:
    levels = ["info"] * 3 + ["error"] * 2 + ["debug"]
    visitor.send(
        *(
            {"message": f"number {i}", "level": level, "attributes": {"user": {"id": i}}}
            for i, level in enumerate(levels)
        ),
        origin=origin,
    )
    page = visitor.get(f"{PROJECT}/logs?plain=1").text
    assert page.count("<tr class=") == len(levels) + 1
    assert "<strong>6</strong>" in page
    [narrowed] = {link for link in links(page) if "q=level%3Aerror" in link and "event" not in link}
    errors = visitor.get(narrowed).text
    assert "number 4" in errors
    assert "number 1" not in errors
    [excluded] = {link for link in links(page) if "q=-level%3Aerror" in link and "event" not in link}
    assert "number 4" not in visitor.get(excluded).text
    opened = next(link for link in links(page) if "event=" in link and "/logs?" in link)
    event = visitor.get(opened).text
    assert "Attributes" in event
    assert any("user.id" in link for link in links(event))


def test_a_page_of_rows_follows_another(origin: Origin, visitor: Visitor) -> None:
    visitor.send(*({"message": f"row {i:04}"} for i in range(250)), origin=origin)
    found: list[str] = []
    path = "/ui/projects/{slug}/logs/rows?before=0"
    while path:
        text = visitor.get(path).text
        found += re.findall(r"row \d{4}", text)
        path = next((link for link in links(text) if "/rows?" in link), "")
    assert found == [f"row {i:04}" for i in reversed(range(250))]


@pytest.mark.usefixtures("impatient")
def test_a_search_that_takes_too_long(visitor: Visitor) -> None:
    page = visitor.get(f"{PROJECT}/logs?q=message:*a*")
    assert page.status_code == 400
    assert "The search took too long; narrow the time range or add a filter." in page.text
    for name in ("rows?before=0", "histogram", "facets"):
        part = visitor.get(f"{PROJECT}/logs/{name}", headers={"HX-Request": "true"})
        assert "took too long" in part.text


def test_a_search_that_cannot_be_understood(visitor: Visitor) -> None:
    page = visitor.get(f"{PROJECT}/logs?q=level:eror")
    assert page.status_code == 400
    assert "Position 7:" in page.text
    part = visitor.get(f"{PROJECT}/logs?q=level:eror", headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["hx-retarget"]) == (200, "#complaint")
    assert visitor.get(f"{PROJECT}/logs?from=yesterday").status_code == 400
    for path, target, stays in (("?from=x", "explorer", True), ("/rows?cursor=x&before=0", "", False)):
        part = visitor.get(f"{PROJECT}/logs{path}", headers={"HX-Request": "true", "HX-Target": target})
        assert (part.status_code, "hx-retarget" in part.headers, 'id="complaint"' in part.text) == (400, stays, stays)
    assert visitor.get(f"{PROJECT}/logs?cursor=x").status_code == 400
    assert "Log not found" in visitor.get(f"{PROJECT}/logs?event=x").text
    assert visitor.get(f"{PROJECT}/logs/values?field=x").status_code == 400


def test_where_nothing_is_the_nearest_is_named(origin: Origin, visitor: Visitor) -> None:
    assert "Send the first one" in visitor.get(f"{PROJECT}/logs").text
    visitor.send({"message": "long ago", "timestamp": "2020-02-02T02:02:02Z"}, origin=origin)
    page = visitor.get(f"{PROJECT}/logs").text
    assert "2020-02-02 02:02:02 UTC" in page
    near = next(link for link in links(page) if "from=2020" in link)
    assert "long ago" in visitor.get(near).text
    visitor.send({"message": "now"}, origin=origin)
    page = visitor.get(f"{PROJECT}/logs?from=2021-01-01&to=2021-01-02").text
    assert "The last before this period is of 2020-02-02 02:02:02 UTC" in page
    assert page.count(">Show it<") == 2
    page = visitor.get(f"{PROJECT}/logs?from=2019-01-01&to=2019-01-02").text
    assert page.count(">Show it<") == 1


def test_what_a_field_may_become(origin: Origin, visitor: Visitor) -> None:
    visitor.send({"message": "x", "environment": "pro duction", "attributes": {"shop:id": "a b"}}, origin=origin)
    ask = f"{PROJECT}/logs/completion?text="
    assert 'data-text="level:"' in visitor.get(ask + "lev").text
    assert 'data-text="-level:"' in visitor.get(ask + "-lev").text
    assert "shop\\:id:" in visitor.get(ask + "shop").text
    assert "environment:&#34;pro duction&#34;" in visitor.get(ask + "environment:p").text
    assert "&#34;a b&#34;" in visitor.get(ask + "shop%5C:id:").text


def test_context(origin: Origin, visitor: Visitor) -> None:
    visitor.send(*({"message": f"line {i}"} for i in range(60)), origin=origin)
    rows = visitor.get(f"{PROJECT}/logs/rows?before=0").text
    chosen = re.findall(r'data-id="(\w+)"', rows)[30]
    near = re.findall(r"line \d+", visitor.get(f"{PROJECT}/logs/context?event={chosen}").text)
    assert near == [f"line {i}" for i in range(49, 8, -1)]


def test_an_error_group(origin: Origin, visitor: Visitor) -> None:
    error = {"level": "error", "log_type": "exception", "error_type": "KeyError", "error_message": "'x'"}
    visitor.send(*[error] * 3, origin=origin)
    listed = visitor.get(f"{PROJECT}/errors").text
    assert "KeyError" in listed
    group = next(link for link in links(listed) if re.search(r"/errors/\d+$", link))
    assert ">3 ·" in visitor.get(group).text
    assert visitor.post(f"{group}/status", {"status": "resolved"}).status_code == 303
    assert "KeyError" not in visitor.get(f"{PROJECT}/errors").text
    assert "KeyError" in visitor.get(f"{PROJECT}/errors?status=resolved").text
    assert visitor.post(f"{group}/assign", {"assigned_to": str(visitor.tenant.account_id)}).status_code == 303
    assert re.search(r"selected>Ada Lovelace<", visitor.get(group).text)
    assert visitor.post(f"{group}/assign", {"assigned_to": ""}).status_code == 303
    assert visitor.post(f"{group}/status", {"status": "gone"}).status_code == 400
    assert visitor.get(f"{PROJECT}/errors/999999").status_code == 404


def hostile_log(text: str) -> dict[str, Any]:
    return {
        "level": "error",
        "log_type": "exception",
        "message": text,
        "error_type": text[:200],
        "error_message": text,
        "stack_trace": f'Traceback\n  File "{text[:100]}", line 1, in {text[:100]}\n{text}',
        "environment": text[:50],
        "release": text[:50],
        "attributes": {"service": text[:100], "host": text[:100], text[:100]: {text[:50]: text, "list": [text]}},
    }


def test_hostile_text_is_text(origin: Origin, visitor: Visitor) -> None:
    visitor.send(*(hostile_log(text) for text in NAUGHTY), origin=origin)
    tags = "script|img|svg|iframe|b"
    pages = [f"{PROJECT}/logs?plain=1", f"{PROJECT}/errors?status=all", f"{PROJECT}/logs/completion?text=environment:"]
    rows = visitor.get(f"{PROJECT}/logs?plain=1").text
    pages += [link for link in links(rows) if "event=" in link or "/values?" in link]
    pages += [link for link in links(visitor.get(f"{PROJECT}/errors").text) if re.search(r"/errors/\d+$", link)]
    assert len(pages) > 3 * len(NAUGHTY)
    for path in pages:
        answer = visitor.http.get(path.format(slug=visitor.tenant.slug))
        assert answer.status_code == 200, path
        text = answer.text
        assert not re.search(rf"<({tags})\b(?! (?:src|class|viewBox)=\"?[/\w])", text.replace("<b>", "<b")), path
        assert not re.search(r"\son\w+\s*=\s*[\"'w]", re.sub(r">[^<]*<", "><", text)), path
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066]", re.sub(r'="[^"]*"', "", text)), path
        assert "javascript:" not in "".join(links(text))
