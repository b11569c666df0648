"""`headrace tail`: the latest logs, then those that arrive at a running server, until Ctrl-C or until nobody reads."""

import time
from argparse import Namespace
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from headrace.cli.client import Answer, Client, LostError, refused, target, unreachable
from headrace.cli.screen import note
from headrace.cli.search import PATH, pages, show

STREAM = f"{PATH}/tail"
# The server is away or busy for a while; any other refusal is for the person.
PASSING = frozenset({429, 500, 502, 503, 504})
RETRY_SECONDS = 1.0


class Event(NamedTuple):
    """One event of a stream; `place` is where to go on after it."""

    name: str
    data: Any
    place: str


def run(given: Namespace) -> int:
    tailing = Tailing(given)
    told = ""
    while True:
        trouble = tailing.follow()
        if trouble != told or tailing.moved:
            note(f"{trouble}; trying again until it is back")
        told = trouble
        time.sleep(RETRY_SECONDS)


class Tailing:
    """What has been seen so far, over as many connections as it takes."""

    def __init__(self, given: Namespace) -> None:
        self.where = target(given)
        query = " ".join(given.query)
        self.wanted: dict[str, Any] = {"project_id": self.where.project_id} | ({"q": query} if query else {})
        self.lines, self.json = given.lines, given.json
        # A connection of its own: the other one asks for the latest logs once this one listens.
        self.listening = Client(self.where.client.url, self.where.client.credential)
        self.place = ""
        self.seen: set[str] | None = None
        self.moved = False

    def follow(self) -> str:
        """Print what comes until the connection ends; return why it did. `moved`: something came before that."""
        trouble, self.moved = "the server ended the tail", False
        try:
            for event in events(self.listening, self.wanted, self.place):
                self.place, self.moved = event.place, True
                if event.name == "end":
                    trouble += f": {event.data['reason']}"
                self.print(event)
        except LostError as problem:
            if self.seen is None:
                raise unreachable(self.listening, problem) from problem
            trouble = f"cannot reach {self.listening.url}: {problem}"
        except BusyError as problem:
            trouble = str(problem)
        self.listening.close()
        return trouble

    def print(self, event: Event) -> None:
        if self.seen is None:
            # What comes from now on is on its way, so nothing falls between these and those.
            latest = list(pages(self.where, self.wanted, max(self.lines, 1)))
            self.seen = {log["id"] for log in latest}
            for log in reversed(latest[: self.lines]):
                show(log, self.json)
        if event.name == "log" and event.data["id"] not in self.seen:
            show(event.data, self.json)
        elif event.name == "dropped":
            note(f"{event.data['dropped']:,} logs are left out here; a narrower query shows all")


class BusyError(Exception):
    """The server refused for now."""


def events(client: Client, wanted: dict[str, Any], place: str) -> Iterator[Event]:
    """Yield the events of one stream, first an empty one that says where it begins."""
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": place} if place else {})
    fields: dict[str, str] = {}
    for line in client.follow(STREAM, query=wanted, headers=headers):
        if isinstance(line, Answer):
            if line.status in PASSING:
                raise BusyError(f"{client.url} answered {line.status}: {line.detail}")
            raise refused(line, client)
        if line:
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
            continue
        place = fields.get("id", place)
        if "data" in fields or "retry" in fields:
            yield Event(fields.get("event", ""), msgspec.json.decode(fields.get("data", "null")), place)
        fields = {}
