"""Connectors against local servers in the providers' shapes, which the official clients accept too."""

import asyncio
import base64
import email
import gc
import logging
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build  # type: ignore[import-untyped]  # It ships no types.
from notion_client import Client
from slack_sdk import WebClient
from telegram import Bot

from headrace.core import connectors
from headrace.core.connectors import calling
from headrace.core.house import House
from headrace.core.limits.windows import Limits
from headrace.core.metrics import Counters
from headrace.core.outward import Outward
from headrace.core.principal import Principal
from headrace.core.refusals import Kind, Refusal
from headrace.core.settings import Settings
from headrace.kit.database import Database
from headrace.kit.passwords import Passwords
from tests.conftest import SECRET, FakeClock, Unused
from tests.providers import gmail, notion, slack, telegram
from tests.providers.fake import Fake, Said, Seen, serving

ME = Principal(kind="key", organization_id=1, account_id=1, key_id=1, scopes=frozenset({"write"}))
ANSWERS = {"gmail": gmail.answer, "notion": notion.answer, "slack": slack.answer, "telegram": telegram.answer}
TOKENS = {"gmail": gmail.TOKEN, "notion": notion.TOKEN, "slack": slack.TOKEN, "telegram": telegram.TOKEN}
RENEWABLE = {
    "token": gmail.EXPIRED,
    "refresh_token": "1//refresh",
    "client_id": "the-client",
    "client_secret": "GOCSPX",
}
LETTER = {"to": "bob@example.com", "subject": "Grüße", "body": "Hello\nBob"}
DATABASE = {"database_id": notion.DATABASE}
Params = dict[str, Any]


class World(NamedTuple):
    """A house, and the providers it calls."""

    house: House
    fakes: dict[str, Fake]

    def run(self, name: str, action: Any, params: Any = None, **credentials: str) -> Any:
        given = credentials or {"token": TOKENS[name]}
        outcome = connectors.run(self.house, ME, name=name, action=action, credentials=given, params=params)
        return outcome.result

    def refused(self, name: str, action: Any, params: Any = None, **credentials: str) -> Refusal:
        with pytest.raises(Refusal) as caught:
            self.run(name, action, params, **credentials)
        assert caught.value.kind is Kind.INVALID
        return caught.value


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, migrated_file: Path, cheap_passwords: Passwords) -> Iterator[World]:
    data = tmp_path_factory.mktemp("connectors")
    shutil.copy(migrated_file, data / "headrace.db")
    with ExitStack() as opened:
        fakes = {name: opened.enter_context(serving(answer)) for name, answer in ANSWERS.items()}
        settings = Settings(
            data=data,
            secret=SECRET,
            connector_gmail_url=fakes["gmail"].url + gmail.BASE,
            connector_google_token_url=fakes["gmail"].url + gmail.TOKENS,
            connector_notion_url=fakes["notion"].url + "/v1/",
            connector_slack_url=fakes["slack"].url + "/api/",
            connector_telegram_url=fakes["telegram"].url,
        )
        clock: Any = FakeClock()
        store: Any = Unused()
        house = House.open(
            settings,
            clock=clock,
            limits=Limits(clock),
            store=store,
            counters=Counters(),
            passwords=cheap_passwords,
            db=Database.open(data / "headrace.db"),
        )
        opened.callback(house.close)
        opened.callback(house.part(Outward).close)
        yield World(house, fakes)


@pytest.fixture(autouse=True)
def _forgotten(world: World) -> None:
    for fake in world.fakes.values():
        fake.take()
        fake.planned.clear()


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


def by_slack(fake: Fake) -> None:
    client = WebClient(token=slack.TOKEN, base_url=fake.url + "/api/")
    client.chat_postMessage(channel="C0001", text="Hi")
    client.conversations_list(limit=100)
    client.conversations_history(channel="C0001", limit=5)
    client.files_upload_v2(channel="C0001", content="Hello", filename="file.txt", title="file.txt")
    client.reactions_add(channel="C0001", name="eyes", timestamp="1.2")
    client.chat_update(channel="C0001", ts="1.2", text="Ho")
    client.chat_delete(channel="C0001", ts="1.2")
    client.auth_test()


def by_notion(fake: Fake) -> None:
    with Client(auth=notion.TOKEN, base_url=fake.url, notion_version="2022-06-28") as client:
        client.search(query="plans")
        client.request(path=f"databases/{notion.DATABASE}/query", method="POST", body={"page_size": 10})
        client.pages.create(parent=DATABASE, properties={"Name": {"title": []}})
        client.pages.update("p1", archived=True)
        client.users.me()
    with Client(auth=notion.TOKEN, base_url=fake.url) as newest:
        newest.data_sources.query(notion.SOURCE, page_size=10)


def by_google(fake: Fake) -> None:
    token_uri = fake.url + gmail.TOKENS
    renewable = {name: value for name, value in RENEWABLE.items() if name != "token"}
    credentials = Credentials(gmail.EXPIRED, token_uri=token_uri, **renewable)  # type: ignore[no-untyped-call]
    options = {"api_endpoint": fake.url}
    service = build(
        "gmail", "v1", credentials=credentials, client_options=options, static_discovery=True, cache_discovery=False
    )
    users = service.users()
    users.labels().list(userId="me").execute()
    users.messages().list(userId="me", maxResults=10, q="is:unread").execute()
    users.messages().send(userId="me", body={"raw": connectors.gmail.mail(LETTER)}).execute()
    users.messages().modify(userId="me", id="18c1", body={"removeLabelIds": ["UNREAD"]}).execute()
    users.messages().trash(userId="me", id="18c1").execute()
    users.getProfile(userId="me").execute()
    service.close()
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        # The connection by which it renewed the token it leaves to the collector.
        del service, users, credentials
        gc.collect()


def by_telegram(fake: Fake) -> None:
    async def talk() -> None:
        bot = Bot(telegram.TOKEN, base_url=fake.url + "/bot", base_file_url=fake.url + "/file/bot")
        async with bot:
            await bot.send_message(telegram.CHAT, "Hi")
            await bot.get_updates(limit=10)
            await bot.delete_message(telegram.CHAT, 9)
            await bot.edit_message_text("Ho", telegram.CHAT, 9)

    asyncio.run(talk())


Calls = list[tuple[str, Params]]
ORACLES: list[tuple[str, Callable[[Fake], None], Params, Calls]] = [
    (
        "slack",
        by_slack,
        {"token": slack.TOKEN},
        [
            ("post_message", {"channel": "C0001", "text": "Hi"}),
            ("list_channels", {}),
            ("channel_history", {"channel": "C0001", "limit": 5}),
            ("upload_file", {"channel": "C0001", "content": "Hello"}),
            ("add_reaction", {"channel": "C0001", "name": "eyes", "timestamp": "1.2"}),
            ("update_message", {"channel": "C0001", "ts": "1.2", "text": "Ho"}),
            ("delete_message", {"channel": "C0001", "ts": "1.2"}),
            ("auth_test", {}),
        ],
    ),
    (
        "notion",
        by_notion,
        {"token": notion.TOKEN},
        [
            ("search", {"query": "plans"}),
            ("query_database", DATABASE),
            ("create_page", {**DATABASE, "properties": {"Name": {"title": []}}}),
            ("archive_page", {"page_id": "p1"}),
            ("me", {}),
            ("query_data_source", {"data_source_id": notion.SOURCE}),
        ],
    ),
    (
        "gmail",
        by_google,
        {**RENEWABLE, "token": gmail.RENEWED},
        [
            ("list_messages", {"query": "is:unread"}),
            ("send_email", LETTER),
            ("mark_read", {"message_id": "18c1"}),
            ("trash", {"message_id": "18c1"}),
            ("get_profile", {}),
        ],
    ),
    (
        "telegram",
        by_telegram,
        {"token": telegram.TOKEN},
        [
            ("get_me", {}),
            ("send_message", {"chat_id": telegram.CHAT, "text": "Hi"}),
            ("get_updates", {}),
            ("delete_message", {"chat_id": telegram.CHAT, "message_id": 9}),
            ("edit_message_text", {"text": "Ho", "chat_id": telegram.CHAT, "message_id": 9}),
        ],
    ),
]


def essence(seen: Seen) -> tuple[Any, ...]:
    """What makes a request: not its client's name, nor how it spells its JSON or its media type."""
    kept = {name: seen.headers.get(name) for name in ("authorization", "notion-version")}
    fields = seen.body if seen.path == slack.UPLOAD else seen.fields
    if isinstance(fields, dict) and "raw" in fields:
        parsed = email.message_from_bytes(base64.urlsafe_b64decode(fields["raw"]))
        fields = (sorted(parsed.items()), parsed.get_payload())
    return seen.method, seen.path, seen.query, fields or None, kept


@pytest.mark.parametrize(("name", "oracle", "credentials", "calls"), ORACLES, ids=[one[0] for one in ORACLES])
def test_the_official_client_sends_the_same(
    world: World, name: str, oracle: Callable[[Fake], None], credentials: Params, calls: Calls
) -> None:
    fake = world.fakes[name]
    oracle(fake)
    theirs = [essence(seen) for seen in fake.take()]
    before: Calls = [("list_labels", {})] if name == "gmail" else []
    for action, params in before + calls:
        first = {**credentials, "token": gmail.EXPIRED} if action == "list_labels" else credentials
        world.run(name, action, params, **first)
    assert [essence(seen) for seen in fake.take()] == theirs
    assert len(theirs) >= len(calls)


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
    ("gmail", "send_email", {**LETTER, "attachments": [{"filename": "a"}]}, "attachments must be"),
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


def test_nobody_listens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calling, "PAUSE_SECONDS", 0)
    with serving(slack.answer) as gone:
        url = gone.url
    settings = Settings(data=world.house.settings.data, secret=SECRET, connector_slack_url=url)
    line = calling.Line(world.house, connectors.PROVIDERS["slack"], {"token": "x"})
    line.base = settings.connector_slack_url
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
