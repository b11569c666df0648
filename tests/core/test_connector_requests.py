"""The official clients talk to the local providers, and our connectors send the same requests."""

import asyncio
import base64
import email
import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import build  # type: ignore[import-untyped]  # It ships no types.
from notion_client import Client
from slack_sdk import WebClient
from telegram import Bot

from headrace.core import connectors
from tests.providers import gmail, notion, slack, telegram
from tests.providers.fake import Fake, Seen
from tests.providers.world import DATABASE, LETTER, RENEWABLE, Params, World, forgotten, world

__all__ = ["forgotten", "world"]


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
