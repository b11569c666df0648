"""Connectors against local servers in the providers' shapes: results, refusals, tries; credentials stay nowhere."""

import base64
import email
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from headrace.core import connectors
from headrace.core.connectors import calling
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal
from tests.providers import gmail, notion, slack, telegram
from tests.providers.fake import Said, serving
from tests.providers.world import DATABASE, LETTER, ME, RENEWABLE, TOKENS, Params, World, forgotten, world

NO_ATTACHMENTS: list[Any] = [5, "x", {}, [5], [None], [{"filename": "a"}], [{"filename": "a", "content": "é"}]]
__all__ = ["forgotten", "world"]

RESULTS: list[tuple[str, str, Params, Params]] = [
    ("gmail", "list_labels", {}, {"labels": ["INBOX", "SENT", "DRAFTS"]}),
    ("gmail", "list_messages", {}, {"count": 2, "messages": gmail.MESSAGES}),
    ("gmail", "list_messages", {"max_results": 1, "query": "from:bob"}, {"count": 1, "messages": gmail.MESSAGES[:1]}),
    ("gmail", "send_email", LETTER, {"message_id": "18c9", "status": "sent"}),
    ("gmail", "reply", {"message_id": "18c1", "body": "Yes"}, {"message_id": "18c9", "status": "sent"}),
    ("gmail", "delete", {"message_id": "18c1"}, {}),
    ("notion", "search", {"query": "plans"}, {"count": 3, "pages": notion.PAGES}),
    ("notion", "query_database", DATABASE, {"count": 3, "has_more": False, "results": notion.PAGES}),
    (
        "notion",
        "query_database",
        {**DATABASE, "page_size": 1},
        {"count": 1, "has_more": True, "results": notion.PAGES[:1]},
    ),
    (
        "notion",
        "create_page",
        {**DATABASE, "properties": {"Name": {"title": []}}},
        {"page_id": notion.PAGES[0]["id"], "status": "created"},
    ),
    (
        "slack",
        "post_message",
        {"channel": "C0001", "text": "Hi"},
        {"message_ts": "1503435956.000247", "channel": "C0001", "status": "sent"},
    ),
    ("slack", "list_channels", {"limit": 1}, {"count": 1, "channels": [{"id": "C0001", "name": "general"}]}),
    ("slack", "upload_file", {"channel": "C0001", "content": "Hello"}, {"file_id": "F0001", "status": "uploaded"}),
    ("slack", "auth_test", {}, {"team": "T", "user": "bot"}),
    (
        "telegram",
        "send_message",
        {"chat_id": telegram.CHAT, "text": "Hi"},
        {"message_id": 9, "chat_id": telegram.CHAT, "status": "sent"},
    ),
    ("telegram", "get_me", {}, {"id": 123456, "username": "headrace_bot", "first_name": "Head"}),
    ("telegram", "get_updates", {"limit": 2}, {"count": 2, "updates": telegram.UPDATES[:2]}),
    ("telegram", "delete_message", {"chat_id": telegram.CHAT, "message_id": 9}, {"result": True}),
]


@pytest.mark.parametrize(("name", "action", "params", "result"), RESULTS)
def test_results(world: World, name: str, action: str, params: Params, result: Params) -> None:
    assert world.run(name, action, params) == result


def test_a_letter_is_what_was_meant(world: World) -> None:
    given: Params = {**LETTER, "cc": ["eve@example.com", "mal@example.com"], "html": "<p>Hello</p>"}
    given["attachments"] = [{"filename": "a.txt", "content": base64.b64encode(b"data").decode()}]
    world.run("gmail", "send_email", given)
    sent = world.fakes["gmail"].take()[0].fields["raw"]
    letter = email.message_from_bytes(base64.urlsafe_b64decode(sent), policy=email.policy.default)
    assert (letter["to"], letter["subject"], letter["cc"]) == (
        "bob@example.com",
        "Grüße",
        "eve@example.com, mal@example.com",
    )
    kinds = [part.get_content_type() for part in letter.walk()]
    assert kinds[-3:] == ["text/plain", "text/html", "application/octet-stream"]


SLACK_TOKEN, NOTION_TOKEN = "token required (Slack bot token)", "token required (Notion integration token)"
WRONG: list[tuple[str, Any, Any, str]] = [
    ("slack", None, {}, "action required"),
    ("slack", "", {}, "action required"),
    ("slack", ["x"], {}, "action required"),
    ("slack", "dance", {}, "unknown action: dance"),
    ("slack", "post_message", {"channel": "C0001"}, "channel and text required"),
    ("slack", "post_message", {"channel": "", "text": "x"}, "channel and text required"),
    ("slack", "post_message", None, "channel and text required"),
    ("slack", "post_message", ["C0001"], "params must be an object"),
    ("slack", "upload_file", {"channel": "C0001"}, "channel and content required"),
    ("slack", "upload_file", {"channel": "C0001", "content": 5}, "content and filename must be texts"),
    ("slack", "list_channels", {"limit": 0}, "limit must be 1-1000"),
    ("slack", "list_channels", {"limit": True}, "limit must be 1-1000"),
    ("gmail", "send_email", {"to": "bob@example.com"}, "to and subject required"),
    (
        "gmail",
        "send_email",
        {"to": "b@example.com\r\nBcc: e@example.com", "subject": "x"},
        "to must be a text of one line",
    ),
    *(
        ("gmail", action, {**LETTER, name: "bob\u2028@example.com"}, f"{name} must be a text of one line")
        for action in ("send_email", "send_message", "create_draft")
        for name in ("to", "cc", "bcc", "subject")
    ),
    *(
        ("gmail", "send_email", {**LETTER, "to": wrong}, "to must hold whole addresses")
        for wrong in ("ada@", "<", "ada@[", '"', "=?utf-8?q?=0d=0aBcc:x?=")
    ),
    *(("gmail", "send_email", {**LETTER, "attachments": wrong}, "attachments must be") for wrong in NO_ATTACHMENTS),
    *(
        ("gmail", "send_email", {**LETTER, "attachments": [{"filename": name, "content": ""}]}, "filename of")
        for name in ("a\r\nb", "a\u2028", 5)
    ),
    ("gmail", "list_messages", {"max_results": 501}, "max_results must be 1-500"),
    ("gmail", "get_message", {"message_id": ".."}, "message_id must be an id"),
    ("notion", "query_database", {}, "database_id required"),
    ("notion", "create_page", {"database_id": "d"}, "database_id and properties required"),
    ("notion", "query_database", {"database_id": {"a": 1}}, "database_id must be an id"),
    ("telegram", "send_message", {"text": "x"}, "chat_id and text required"),
    ("slack", "raw", {"method": "POST"}, "method and path required"),
    ("slack", "raw", {"method": "TRACE", "path": "x"}, "method must be one of"),
    *(
        ("slack", "raw", {"method": "GET", "path": path}, "path must be a plain path")
        for path in (
            "../x",
            "a/../b",
            "//elsewhere.example/x",
            "a?b",
            "a#b",
            "%2e%2e/x",
            "a\\b",
            "a b",
            ".",
            "a//b",
            "a\n",
        )
    ),
    ("slack", "raw", {"method": "GET", "path": "http://elsewhere.example/"}, "path must be a plain path"),
]


@pytest.mark.parametrize(("name", "action", "params", "text"), WRONG)
def test_bad_requests(world: World, name: str, action: Any, params: Any, text: str) -> None:
    refusal = world.refused(name, action, params)
    assert refusal.text.startswith(text)
    assert "code" not in refusal.facts
    assert not world.fakes[name].take()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("slack", SLACK_TOKEN),
        ("notion", NOTION_TOKEN),
        ("telegram", "token required (Telegram bot token)"),
        ("gmail", "credentials required (OAuth2 token)"),
    ],
)
def test_without_a_good_credential(world: World, name: str, text: str) -> None:
    wrong: list[Any] = [None, {}, [], {"token": ""}, {"token": 5}, {"token": "a\r\nX-Evil: 1"}, {"token": "ä"}]
    for credentials in wrong:
        with pytest.raises(Refusal) as caught:
            connectors.run(world.house, ME, name=name, action="raw", credentials=credentials, params={})
        assert caught.value.text == text
    assert not world.fakes[name].take()


def test_unknown_connectors_and_small_keys(world: World) -> None:
    refusal = world.refused("fax", "send", token="x")
    assert refusal.facts["code"] == "invalid_connector"
    assert refusal.facts["valid"] == ["gmail", "notion", "slack", "telegram"]
    reader = Principal(kind="key", organization_id=1, key_id=2, scopes=frozenset({"read"}))
    with pytest.raises(Refusal) as caught:
        connectors.run(world.house, reader, name="slack", action="auth_test", credentials={"token": "x"}, params={})
    assert caught.value.kind is Kind.FORBIDDEN


COMPLAINTS: list[tuple[str, str, Params, str]] = [
    ("slack", "post_message", {"channel": "C9", "text": "x"}, "slack_api_error: channel_not_found"),
    ("slack", "raw", {"method": "POST", "path": "no.such"}, "slack_api_error: unknown_method"),
    (
        "notion",
        "query_database",
        {"database_id": "nowhere"},
        "notion_api_error: object_not_found: Could not find it. Share it with your integration.",
    ),
    ("gmail", "get_message", {"message_id": "nope"}, "gmail_api_error: Requested entity was not found."),
    ("telegram", "send_message", {"chat_id": 1, "text": "x"}, "telegram_api_error: Bad Request: chat not found"),
]


@pytest.mark.parametrize(("name", "action", "params", "text"), COMPLAINTS)
def test_what_a_provider_complains_of(world: World, name: str, action: str, params: Params, text: str) -> None:
    refusal = world.refused(name, action, params)
    assert (refusal.text, refusal.facts) == (text, {"code": "connector_error"})
    assert len(world.fakes[name].take()) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("slack", "slack_api_error: invalid_auth"),
        ("notion", "notion_api_error: unauthorized: API token is invalid."),
        ("telegram", "telegram_api_error: Unauthorized"),
        ("gmail", "gmail_api_error: Request had invalid authentication credentials."),
    ],
)
def test_a_wrong_token(world: World, name: str, text: str) -> None:
    raw = {"method": "GET", "path": "users"}
    assert world.refused(name, "raw", raw, token="another/token?#").text == text


BUSY = {
    "slack": Said(429, {"ok": False, "error": "ratelimited"}, {"Retry-After": "0"}),
    "notion": Said(
        429, {"object": "error", "status": 429, "code": "rate_limited", "message": "Slow down"}, {"Retry-After": "0"}
    ),
    "telegram": Said(
        429,
        {
            "ok": False,
            "error_code": 429,
            "description": "Too Many Requests: retry after 0",
            "parameters": {"retry_after": 0},
        },
    ),
    "gmail": gmail.error(403, "Rate Limit Exceeded", "rateLimitExceeded")._replace(headers={"Retry-After": "0"}),
}
SMALL: dict[str, tuple[str, Params]] = {
    "slack": ("auth_test", {}),
    "notion": ("me", {}),
    "telegram": ("get_me", {}),
    "gmail": ("get_profile", {}),
}


@pytest.mark.parametrize("name", BUSY)
def test_a_busy_provider_is_asked_three_times(world: World, name: str) -> None:
    fake, (action, params) = world.fakes[name], SMALL[name]
    fake.plan(BUSY[name], Said(503, b"<html>", {"Retry-After": "0"}))
    assert world.run(name, action, params)
    assert len(fake.take()) == 3
    fake.plan(*[BUSY[name]] * 3)
    refusal = world.refused(name, action, params)
    assert refusal.text.startswith(f"{name}_api_error: ")
    assert (refusal.facts["retry_after"], len(fake.take())) == (1, 3)


def test_a_wait_beyond_the_time_of_the_call_is_told(world: World) -> None:
    fake = world.fakes["telegram"]
    fake.plan(telegram.error(429, "Too Many Requests: retry after 35", parameters={"retry_after": 35}))
    refusal = world.refused("telegram", "get_me")
    assert (refusal.facts["retry_after"], len(fake.take())) == (35, 1)


def test_no_answer_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "TOTAL_SECONDS", 0.2)
    world.fakes["slack"].plan(Said(hold=True))
    refusal = world.refused("slack", "auth_test")
    assert (refusal.text, refusal.facts) == ("connector_error: timeout", {"code": "connector_error"})


@pytest.mark.parametrize("broken", [Said(200, b"<html>"), Said(200, b"[1]"), Said(404, b"nothing"), Said(302, b"")])
def test_answers_that_are_none(world: World, broken: Said) -> None:
    for name, (action, params) in SMALL.items():
        world.fakes[name].plan(broken)
        try:
            world.run(name, action, params)
        except Refusal as refusal:
            assert refusal.facts["code"] == "connector_error"  # noqa: PT017  Either is an answer; a crash is none.


def test_an_answer_has_a_limit(world: World) -> None:
    text = "x" * ((64 << 10) - len(json.dumps({"ok": True, "text": ""})))
    world.fakes["slack"].plan(Said(200, {"ok": True, "text": text}), Said(200, {"ok": True, "text": text + "x"}))
    assert world.run("slack", "auth_test") == {"text": text}
    refusal = world.refused("slack", "auth_test")
    assert refusal.text == "connector_error: too_large: the answer is larger than 65536 bytes; ask for a smaller page"


def test_nobody_listens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "PAUSE_SECONDS", 0)
    with serving(slack.answer) as gone:
        url = gone.url
    line = calling.Line(world.house, connectors.PROVIDERS["slack"], {"token": "x"})
    line.base = url
    with pytest.raises(Refusal, match="connector_error: connect"):
        line.send(connectors.PROVIDERS["slack"].actions["auth_test"].request({}))


def test_an_expired_token_is_renewed_once(world: World) -> None:
    fake = world.fakes["gmail"]
    outcome = connectors.run(world.house, ME, name="gmail", action="list_labels", credentials=RENEWABLE, params={})
    assert outcome.renewed == calling.Renewed(gmail.RENEWED, 3599)
    asked = fake.take()
    assert [seen.path for seen in asked] == [gmail.BASE + "labels", gmail.TOKENS, gmail.BASE + "labels"]
    assert asked[1].fields["grant_type"] == "refresh_token"
    wrong = {**RENEWABLE, "refresh_token": "1//wrong"}
    assert world.refused("gmail", "list_labels", **wrong).text == "gmail_api_error: Bad Request: ***"
    assert len(fake.take()) == 2
    # Without all three there is nothing to renew with.
    world.refused("gmail", "list_labels", token=gmail.EXPIRED, refresh_token="1//refresh")
    assert len(fake.take()) == 1
    fake.plan(gmail.error(401, "Invalid", "authError"))
    fake.plan(Said(200, {"access_token": "ya29.useless", "expires_in": 1}))
    world.refused("gmail", "list_labels", **RENEWABLE)
    assert len(fake.take()) == 3


def test_an_upload_address_elsewhere_is_guarded(world: World) -> None:
    with serving(slack.answer) as other:
        granted = {"ok": True, "upload_url": other.url + slack.UPLOAD, "file_id": "F1"}
        world.fakes["slack"].plan(Said(200, granted))
        refusal = world.refused("slack", "upload_file", {"channel": "C0001", "content": "Hello"})
        assert refusal.text == "connector_error: ssrf_blocked"
        assert not other.seen


def test_raw_stays_below_the_address(world: World) -> None:
    assert world.run("slack", "raw", {"method": "POST", "path": "/auth.test", "query": {"a": [1, 2]}})["ok"]
    seen = world.fakes["slack"].take()[0]
    assert (seen.method, seen.path, seen.query) == ("POST", "/api/auth.test", {"a": ["1", "2"]})
    assert world.run("telegram", "raw", {"method": "POST", "path": "getMe"})["result"]["id"] == telegram.ME["id"]
    assert world.run("gmail", "raw", {"method": "get", "path": "profile"})["emailAddress"] == "ada@example.com"
    body = {"method": "POST", "path": "search", "body": {"query": "x"}}
    assert world.run("notion", "raw", body)["object"] == "list"


def test_values_that_are_no_texts(world: World) -> None:
    invited = {"channel": "C0001", "users": ["U1", "U2"]}
    world.refused("slack", "invite", invited)
    assert world.fakes["slack"].take()[0].fields == {"channel": "C0001", "users": "U1,U2"}
    buttons = {"inline_keyboard": [[{"text": "Go", "url": "https://example.com"}]]}
    world.run("telegram", "send_message", {"chat_id": telegram.CHAT, "text": "Hi", "reply_markup": buttons})
    assert world.fakes["telegram"].take()[0].fields["reply_markup"] == json.dumps(buttons)
    world.refused("slack", "create_channel", {"name": "x", "is_private": True})
    assert world.fakes["slack"].take()[0].fields == {"name": "x", "is_private": "true"}


def test_calls_at_once_have_an_end(world: World) -> None:
    free = world.house.part(calling.Lines).free
    held = [free.acquire(blocking=False) for _ in range(world.house.settings.connector_calls)]
    try:
        with pytest.raises(Refusal) as caught:
            world.run("slack", "auth_test")
        assert (caught.value.kind, caught.value.facts["retry_after"]) == (Kind.UNAVAILABLE, 5)
        assert not world.fakes["slack"].take()
    finally:
        for _ in held:
            free.release()
    assert world.run("slack", "auth_test")


def test_the_guide_lists_every_action() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text()
    for provider in connectors.PROVIDERS.values():
        part = guide.partition(f"### {provider.name}\n")[2].partition("\n### ")[0]
        listed = [line.split("`")[1] for line in part.splitlines() if line.startswith("| `")]
        assert listed == list(provider.actions)


def test_no_credential_stays_anywhere(world: World, caplog: pytest.LogCaptureFixture) -> None:
    secrets = {"gmail": RENEWABLE | {"refresh_token": "1//wrong"}, "telegram": {"token": "99:AAH-secret-of-a-bot"}}
    secrets |= {"slack": {"token": "xoxb-secret-of-slack"}, "notion": {"token": "ntn_secret-of-notion"}}
    texts: list[str] = []
    with caplog.at_level(logging.DEBUG):
        for name, credentials in secrets.items():
            fake, (action, params) = world.fakes[name], SMALL[name]
            echo = f"no {credentials['token']} here"
            for said in (
                Said(400, {"error": echo, "description": echo, "code": echo, "message": echo}),
                Said(hold=True),
            ):
                fake.plan(said)
                if said.hold:
                    with pytest.MonkeyPatch.context() as patch:
                        patch.setattr(calling, "TOTAL_SECONDS", 0.1)
                        refusal = world.refused(name, action, params, **credentials)
                else:
                    refusal = world.refused(name, action, params, **credentials)
                texts += [refusal.text, repr(refusal.facts), repr(refusal.__cause__)]
            world.run(name, action, params)
    assert "*** here" in "".join(texts)
    with world.house.db.read() as connection:
        for table in connection.execute(sa.text("SELECT name FROM sqlite_master WHERE type = 'table'")).scalars():
            texts += [str(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}"))]
        runs = connection.execute(sa.text("SELECT DISTINCT target, outcome FROM audit_events")).all()
    assert ("slack:auth_test", "failure") in runs
    assert ("slack:auth_test", "success") in runs
    whole = "\n".join(texts) + caplog.text
    everything = [value for one in secrets.values() for value in one.values()] + list(TOKENS.values())
    assert [secret for secret in everything if secret in whole and secret != "the-client"] == []
