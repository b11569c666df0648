"""What is said about error groups: comments, activity, lists, Markdown, frames, and the document."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from headrace.core import groups
from headrace.core.events import fingerprint
from headrace.core.groups import (
    activity,
    comments,
    frames,
    markdown,
)
from headrace.core.groups import states as rules_of_states
from headrace.core.groups.gathered import gather
from headrace.core.refusals import Refusal
from headrace.kit import times
from tests.conftest import FakeClock
from tests.core.shop import A, B, Shop, users

# -- comments, activity, sorting ---------------------------------------------------------------------------------------


def test_comments_are_their_authors(shop: Shop, clock: FakeClock) -> None:
    shop.happens(shop.seen())
    of = shop.of(shop.group())
    first = comments.add(shop.house, shop.who, **of, text="  Since the deploy?  ")
    assert (first.text, first.account_id, first.edited_at) == ("Since the deploy?", shop.who.account_id, None)
    colleague = msgspec.structs.replace(shop.who, account_id=None, role="user")
    clock.advance(5)
    with pytest.raises(Refusal, match="did not write"):
        comments.edit(shop.house, colleague, **of, comment_id=first.id, text="No.")
    with pytest.raises(Refusal, match="did not write"):
        comments.delete(shop.house, colleague, **of, comment_id=first.id)
    edited = comments.edit(shop.house, shop.who, **of, comment_id=first.id, text="Since Tuesday.")
    assert (edited.text, edited.edited_at) == ("Since Tuesday.", clock.now)
    assert comments.list_all(shop.house, shop.who, **of) == [edited]
    comments.delete(shop.house, shop.who, **of, comment_id=first.id)
    assert comments.list_all(shop.house, shop.who, **of) == []
    with pytest.raises(Refusal, match="Comment not found"):
        comments.delete(shop.house, shop.who, **of, comment_id=first.id)
    assert shop.lines(shop.group()) == ["comment_deleted", "comment_edited", "commented"]


def test_comments_are_checked(shop: Shop) -> None:
    shop.happens(shop.seen())
    wrong: list[Any] = [None, "", "  ", 5, "a\0b", "x" * 10_001]
    for text in wrong:
        with pytest.raises(Refusal, match=r"^text: "):
            comments.add(shop.house, shop.who, **shop.of(shop.group()), text=text)


def test_comments_and_activity_are_limited(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comments, "MOST", 3)
    monkeypatch.setattr(activity, "KEPT", 5)
    shop.happens(shop.seen())
    of = shop.of(shop.group())
    for number in range(3):
        comments.add(shop.house, shop.who, **of, text=str(number))
    with pytest.raises(Refusal, match="may have 3 comments"):
        comments.add(shop.house, shop.who, **of, text="4")
    for status in ("resolved", "ignored", "muted", "unresolved"):
        groups.set_status(shop.house, shop.who, **of, status=status)
    assert shop.lines(shop.group()) == ["status"] * 4 + ["commented"]
    page = activity.list_all(shop.house, shop.who, **of, limit=2)
    rest = activity.list_all(shop.house, shop.who, **of, before=page[-1].id)
    assert [line.data.get("status") for line in (*page, *rest)][:4] == ["unresolved", "muted", "ignored", "resolved"]


def test_lists_are_sorted_and_searched(shop: Shop) -> None:
    now = shop.clock.now
    shop.happens(shop.seen(A, rows=9, at=now - 5, users=users("x")))
    shop.happens(shop.seen(B, rows=1, at=now, error_message="50% of_all failed", users=users("x", "y")))
    a, b = shop.group(A).id, shop.group(B).id
    for sort, ids in {"last_seen": [b, a], "first_seen": [b, a], "events": [a, b], "users": [b, a]}.items():
        assert [group.id for group in shop.listed(sort=sort)] == ids
    for search, ids in {"valueERROR": [b, a], "50% OF_": [b], "50%_of": []}.items():
        assert [group.id for group in shop.listed(search=search)] == ids
    groups.assign(shop.house, shop.who, **shop.of(a), assigned_to=shop.who.account_id)
    assert [group.id for group in shop.listed(assigned_to=shop.who.account_id)] == [a]
    assert [group.id for group in shop.listed(assigned_to=0)] == [b]
    with pytest.raises(Refusal, match="sort: must be one of"):
        shop.listed(sort="name")


# -- Markdown, frames --------------------------------------------------------------------------------------------------


def test_what_senders_wrote_is_inert_in_markdown() -> None:
    hostile = "<img src=x onerror=alert(1)> ![a](http://x) @team `rm` # h\n\u202egnp\x1b[31m"
    line = markdown.inline(hostile)
    assert "\n" not in line
    assert not re.search(r"<|(?<!\\)[`!\[\]]|@|\u202e|\x1b", line)
    opening, *body, closing, _ = markdown.fenced("a\n```\n<script>\n````\nb")
    assert (opening, closing) == ("`````text", "`````")
    assert "```" in body[0]
    assert markdown.fenced("\x1b[31mred\u2066") == ["```text", "\ufffd[31mred\ufffd", "```", ""]
    assert markdown.breadcrumbs({"values": [{"category": "http", "message": "GET\n/x"}, "plain"]}) == [
        "http GET /x",
        "plain",
    ]


def test_frames_are_innermost_first_with_their_source() -> None:
    text = (
        'Traceback (most recent call last):\n  File "/app/a.py", line 3, in f\n    g(1)\n    ^^^^\n'
        '  File "/x/site-packages/lib.py", line 9, in h\n    raise KeyError\nKeyError: 1\n\n'
        "During handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "/app/b.py", line 5, in k\n    z()\nValueError: no\n'
    )
    last, first = frames.read(text)
    assert (last.title, first.title) == ("ValueError: no", "KeyError: 1")
    assert [(one.file, one.function, one.line, one.own) for one in first.frames] == [
        ("/x/site-packages/lib.py", "h", 9, False),
        ("/app/a.py", "f", 3, True),
    ]
    assert first.frames[1].source == ((3, "g(1)", True),)
    java = "a.B: no\n\tat com.x.A.f(A.java:3)\nCaused by: c.D: why\n\tat java.lang.X.g(X.java:4)\n\t... 3 more\n"
    assert [(one.title, [f.own for f in one.frames]) for one in frames.read(java)] == [
        ("a.B: no", [True]),
        ("Caused by: c.D: why", [False]),
    ]
    (script,) = frames.read("TypeError: x\n    at f (/srv/a.js:1:22)\n    at /srv/node_modules/y.js:3:4\n")
    assert [(f.file, f.function, f.line, f.column, f.own) for f in script.frames] == [
        ("/srv/a.js", "f", 1, 22, True),
        ("/srv/node_modules/y.js", "", 3, 4, False),
    ]
    sent = {"type": "E", "value": "no", "stacktrace": {"frames": [{"filename": "a", "lineno": 1}, FRAME]}}
    (raised,) = frames.read(json.dumps({"values": [sent]}), is_object=True)
    assert (raised.title, [one.file for one in raised.frames]) == ("E: no", ["b", "a"])
    assert raised.frames[0].source == ((6, "before", False), (7, "here", True), (8, "after", False))
    assert raised.frames[0].variables == {"x": "1", "y": "text"}
    assert frames.read("nothing to see") == []


FRAME = {
    "filename": "b",
    "function": "f",
    "lineno": 7,
    "in_app": False,
    "pre_context": ["before"],
    "context_line": "here",
    "post_context": ["after"],
    "vars": {"x": 1, "y": "text"},
}


def test_the_documents_table_of_states_is_the_code() -> None:
    """docs/errors.md shows the table that stands in the code, and what fingerprints version there is."""
    said = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()
    table = [line for line in (rules_of_states.__doc__ or "").splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(groups.STATUSES)
    assert "\n".join(table) in said
    assert [line.split("|")[1].strip() for line in table[2:]] == list(groups.STATUSES)
    assert f"version {fingerprint.VERSION}" in said


def test_parts_without_minutes_count_at_their_last_minute(shop: Shop) -> None:
    known = {shop.project.project_id: shop.project.organization_id}
    (found,) = gather([shop.seen(minutes=((), ()), rows=4)], known)
    assert found.minutes == {shop.clock.now // times.MINUTE: 4}
