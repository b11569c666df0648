"""A house whose connectors call local providers, and what is sent by them."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headrace.core import connectors
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
from tests.providers.fake import Fake, serving

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
def forgotten(world: World) -> None:
    for fake in world.fakes.values():
        fake.take()
        fake.planned.clear()
