"""The pages of errors as plain HTML: what their forms do, and that nobody's text becomes markup."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from headrace.kit import times
from tests.doors.conftest import Origin
from tests.web.conftest import NAUGHTY, Visitor

LIST = "/ui/projects/{slug}/errors"
STACK = 'Traceback (most recent call last):\n  File "/app/{0}.py", line 1, in {0}\n    go()\n{1}: no'

Made = Callable[..., list[str]]


@pytest.fixture
def made(origin: Origin, visitor: Visitor) -> Made:
    """Send an error of each type; returns the pages of the groups in the order of the types."""

    def make(*types: str, **fields: object) -> list[str]:
        logs = [
            {"level": "error", "error_type": name, "stack_trace": STACK.format("f", name), **fields} for name in types
        ]
        visitor.send(*logs, origin=origin)
        listed = visitor.get(f"{LIST}?status=all").text
        return [re.search(rf'href="([^"]+/errors/\d+)">{name}<', listed)[1] for name in types]  # type: ignore[index]

    return make


def number(page: str) -> str:
    return page.rpartition("/")[2]


def test_several_at_once(visitor: Visitor, made: Made) -> None:
    pages = made("Aa", "Bb", "Cc")
    back = LIST.format(slug=visitor.tenant.slug)
    a, b, c = map(number, pages)

    def do(**fields: Any) -> str:
        answer = visitor.post(LIST, fields | {"back": back})
        return answer.text if answer.status_code == 409 else ""

    def listed(tab: str) -> list[str]:
        return re.findall(r'class="title"[^>]*>(\w+)<', visitor.get(f"{LIST}?status={tab}&sort=first_seen").text)

    assert do(group=[a, b], action="ignored") == ""
    assert sorted(listed("ignored")) == ["Aa", "Bb"]
    assert do(group=[a, b], action="muted", span="1d") == ""
    assert "until 20" in visitor.get(pages[0]).text
    assert do(group=[a, b], action="unresolved") == ""
    assert do(group=[c], action="assign", assigned_to=str(visitor.tenant.account_id)) == ""
    mine = visitor.get(f"{LIST}?assigned=me").text
    assert "Cc" in mine
    assert ">Aa<" not in mine
    assert ">Ada Lovelace</td>" in mine
    assert do(group=[a, b], action="merge") == ""
    assert sorted(listed("unresolved")) == ["Aa", "Cc"]
    # What was merged leads to what took it; and can be taken out.
    assert visitor.get(pages[1]).headers["location"].endswith(f"/errors/{a}")
    assert visitor.post(f"{pages[0]}/unmerge", {"merged_id": b}).status_code == 303
    assert sorted(listed("unresolved")) == ["Aa", "Bb", "Cc"]

    assert "Tick the errors first" in do(action="ignored")
    assert "Choose what to do" in do(group=[a], action="explode")
    assert "Tick two errors or more" in do(group=[a], action="merge")
    text = do(group=[a, "999999"], action="resolved")
    assert "1 of 2 could not be changed: Error group not found" in text
    assert listed("resolved") == ["Aa"]
    assert "must be an active member" in do(group=[b], action="assign", assigned_to="999999")


def test_searching_and_sorting(visitor: Visitor, made: Made) -> None:
    made("Aa", "Bb", error_message="no <answer>")
    assert ">Aa<" not in visitor.get(f"{LIST}?search=bb").text
    assert "No unresolved errors like that" in visitor.get(f"{LIST}?search=%22%3E%3Cscript%3E").text
    for sort in ("users", "events", "first_seen", "nonsense"):
        assert ">Bb<" in visitor.get(f"{LIST}?sort={sort}&offset=0").text


def test_how_many_there_are(visitor: Visitor, origin: Origin) -> None:
    types = (f"Type{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    visitor.send(*({"level": "error", "error_type": name, "message": "m"} for name in types), origin=origin)
    assert "1\N{EN DASH}25 of 26" in visitor.get(LIST).text
    assert "26\N{EN DASH}26 of 26" in visitor.get(f"{LIST}?offset=25").text
    assert "1\N{EN DASH}1 of 1" in visitor.get(f"{LIST}?search=TypeZ").text
    assert " of 0" not in visitor.get(f"{LIST}?search=nothing").text


def test_one_error(visitor: Visitor, made: Made) -> None:
    crumbs = {"breadcrumbs": [{"category": "http", "message": "GET /cart"}]}
    (page,) = made("Aa", release="1.0", attributes={"user_id": 5, **crumbs})
    text = visitor.get(page).text
    for words in ("/app/f.py:1", "go()", "http GET /cart", "first 1.0, last 1.0", "about 1", "innermost frames"):
        assert words in text, words
    assert re.search(r'<pre id="markdown"># Aa\n', text)
    event = re.search(r'href="([^"]+\?event=\w+)"', text)
    assert event
    assert ">Event<" in visitor.get(event[1]).text
    assert "has let this event go" in visitor.get(f"{page}?event={'0' * 32}").text
    assert visitor.post(f"{page}/status", {"status": "resolved", "release": "1.0"}).status_code == 303
    assert "resolved it in release 1.0" in visitor.get(page).text


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"span": ""}, "muted it<"),
        ({"span": "1d"}, "muted it until "),
        ({"span": "limit", "events": "10", "minutes": "120"}, "until 10 events in 2 hours"),
        ({"span": "limit", "events": "", "minutes": "5", "users": "3"}, "until 3 more users"),
        ({"span": "limit", "events": " ", "minutes": "", "users": ""}, None),
        ({"span": "limit", "events": "-1"}, None),
        ({"span": "1h", "events": "what"}, None),
    ],
)
def test_muting(visitor: Visitor, made: Made, form: dict[str, str], words: str | None) -> None:
    (page,) = made("Aa")
    answer = visitor.post(f"{page}/mute", form)
    assert answer.status_code == (400 if words is None else 303)
    if words is not None:
        text = re.sub(r"\s+<", "<", visitor.get(page).text)
        assert words in text


def test_comments(visitor: Visitor, made: Made) -> None:
    (page,) = made("Aa")
    assert visitor.post(f"{page}/comments", {"text": "line one\r\nline two"}).status_code == 303
    text = visitor.get(page).text
    assert "line one\nline two</p>" in text
    number = re.search(r'name="comment_id" value="(\d+)"', text)
    assert number
    form = {"comment_id": number[1], "action": "edit", "text": "other"}
    assert visitor.post(f"{page}/comments", form).status_code == 303
    assert "said (edited)" in visitor.get(page).text
    assert visitor.post(f"{page}/comments", form | {"action": "delete"}).status_code == 303
    assert "deleted a comment" in visitor.get(page).text
    assert visitor.post(f"{page}/comments", {"text": "  "}).status_code == 400
    assert visitor.post(f"{page}/comments", form).status_code == 404


def test_what_people_write_is_text_too(visitor: Visitor, made: Made, origin: Origin) -> None:
    (page,) = made("Aa")
    for text in NAUGHTY:
        said = text.replace("\0", "").strip() or "x"
        assert visitor.post(f"{page}/comments", {"text": said}).status_code == 303
    hostile = NAUGHTY[0][:200]
    assert visitor.post(f"{page}/status", {"status": "resolved", "release": hostile}).status_code == 303
    origin.clock.advance(1)
    visitor.send(
        {
            "timestamp": times.show(origin.clock.now),
            "level": "error",
            "error_type": "Aa",
            "stack_trace": STACK.format("f", "Aa"),
            "release": hostile,
            "attributes": {"breadcrumbs": list(NAUGHTY), "fingerprint": [hostile]},
        },
        origin=origin,
    )
    for shown in (page, f"{LIST}?status=all"):
        text = re.sub(r"<textarea.*?</textarea>", "", visitor.get(shown).text, flags=re.DOTALL)
        assert not re.search(r"<(script|img|svg|iframe)\b(?! (?:src|class|viewBox)=\"?[/\w])", text)
        assert not re.search(r"\son\w+\s*=\s*[\"'w]", re.sub(r">[^<]*<", "><", text))
