"""The short way of small requests that are sent over and over: a head that was parsed once is not parsed again.

A client sends the same head on a connection for hours, but for the length of the body. Where the usual way has answered
such a request well, its head is remembered (by a keyed digest: it holds a credential), and the next request under it
is checked, appended and answered on the spot: no parser, no task, one answer per request when the commit is done.
Whatever is not plainly good is left untouched, and goes the usual way, which knows every refusal.
"""

import asyncio
import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from headrace.core import keys
from headrace.core.limits.windows import Budget, Standing
from headrace.core.refusals import Refusal
from headrace.kit.times import SECOND
from headrace.wire import address, admission, journal
from headrace.wire.headers import LINES, rate_lines
from headrace.wire.ids import fresh_id

if TYPE_CHECKING:
    from headrace.core.house import House
    from headrace.core.principal import Principal
    from headrace.wire.call import Call
    from headrace.wire.door import Route, Swift

LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ?([0-9]{1,6})\r\n")
# Of a head with any other line, nothing is remembered: it may change what the request means, or differ each time.
LINES_KNOWN = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"authorization",
        b"connection",
        b"content-length",
        b"content-type",
        b"forwarded",
        b"host",
        b"user-agent",
        b"x-api-key",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-project-id",
        b"x-real-ip",
    }
)
MOST_HEAD_BYTES = 4096
MOST_BODY_BYTES = 64 * 1024
MOST_HEADS = 4096
MOST_PEERS = 256


class Commit(Protocol):
    """What several requests wait for: a commit of the log, or of a transaction."""

    def then(self, loop: asyncio.AbstractEventLoop, told: Callable[[Exception | None], object]) -> None:
        """Have `told` called on the loop, once, with the error or None; never before this call has returned."""


class Pending(NamedTuple):
    """What a door took in. Once `commit` is durable, `answer` gives the body, or None where the usual way has to.

    `undo` is for when there is no such answer.
    """

    commit: Commit
    answer: Callable[[], bytes | None]
    undo: Callable[[], object]


class Line(Protocol):
    """A connection, as this room sees it."""

    peer: str
    candidate: bytes

    def wait(self) -> None:
        """Take nothing more from this connection until `answer` or `again`."""

    def hold(self, data: bytes) -> None:
        """Keep the beginning of a request until more of it arrives."""

    def answer(self, head: bytes, tail: bytes) -> None:
        """Send a whole answer, `head` being its lines after the constant ones of the server."""

    def again(self, data: bytes) -> None:
        """Take this request the usual way after all."""


class Budgets(NamedTuple):
    """Those that a request counts in, and those of failed credentials, in which nothing may have been counted."""

    own: Sequence[Budget]
    doubtful: Sequence[Budget] = ()


class Known:
    """A head that was parsed before, and what followed from it."""

    def __init__(self, call: "Call", route: "Route", swift: "Swift", entry: keys.Entry, who: "Principal") -> None:
        self.house = call.house
        self.route, self.swift, self.entry, self.who = route, swift, entry, who
        self.headers: Mapping[bytes, bytes] = call.headers
        self.door = call.door.name if call.door else ""
        self.most = min(MOST_BODY_BYTES, getattr(call.house.settings, route.terms.body or ""))
        self.place = (("door", self.door), ("route", route.template))
        self.peers: dict[str, Budgets] = {}

    def budgets(self, peer: str) -> Budgets:
        """Return the budgets of the caller who is known, at the address that he comes from."""
        found = self.peers.get(peer)
        if found is None:
            if len(self.peers) >= MOST_PEERS:
                self.peers.clear()
            caller = address.client(peer, self.headers, self.house.settings.trusted_proxies)
            found = self.peers[peer] = self.swift.budgets(self.house, self.who, address.bucket(caller))
        return found


class Taken(NamedTuple):
    """One request that waits for its commit."""

    line: Line
    known: Known
    pending: Pending
    budgets: Sequence[Budget]
    standings: Sequence[Standing]
    started: float
    data: bytes
    size: int


class Round:
    """All requests that wait for one commit: answered together, counted together."""

    def __init__(self, express: "Express", commit: Commit) -> None:
        self.express = express
        self.commit = commit
        self.taken: list[Taken] = []

    def finish(self, error: Exception | None) -> None:
        house = self.express.house
        if self.express.round is self:
            self.express.round = None
        second = house.clock() // SECOND
        of_heads: dict[Known, list[Taken]] = {}
        for one in self.taken:
            body = one.pending.answer() if error is None else None
            if body is None:
                self.express.undo(one)
                continue
            head = b"x-request-id: %s\r\n%scontent-length: %d\r\ncontent-type: application/json\r\n" % (
                fresh_id().encode(),
                rate_lines(one.standings, second),
                len(body),
            )
            one.line.answer(head, LINES["api"] + b"\r\n" + body)
            of_heads.setdefault(one.known, []).append(one)
        for known, some in of_heads.items():
            self.express.count(known, some)


class Express:
    """The heads that one process knows. Lives on the event loop; nothing here is called from another thread."""

    def __init__(self, house: "House", in_flight: "dict[tuple[tuple[str, str], ...], float]") -> None:
        self.house = house
        self.in_flight = in_flight
        self.salt = os.urandom(32)
        self.heads: dict[bytes, Known] = {}
        self.round: Round | None = None
        # Where a budget or an epoch may block, the usual way asks them in a thread.
        self.open = house.db.dialect == "sqlite" and house.limits.shared is None

    def take(self, line: Line, data: bytes) -> bool:
        """Take a request that has just arrived, or its beginning; False: the usual way has to."""
        end = data.find(b"\r\n\r\n", 0, MOST_HEAD_BYTES)
        length = LENGTH.search(data, 0, end + 2) if end > 0 else None
        if length is None:
            return False
        first, last = length.span(1)
        name = hashlib.blake2b(data[:first] + data[last:end], key=self.salt, digest_size=16).digest()
        known = self.heads.get(name)
        if known is None or not keys.fresh(self.house, known.entry):
            # What is known of a key counts for a while only: the usual way asks anew, and the head is learned again.
            line.candidate = name
            return False
        size, have = int(length[1]), len(data) - end - 4
        if have > size or size > known.most:
            return False
        if have < size:
            line.hold(data)
            return True
        return self.admit(line, known, data, data[end + 4 :])

    def admit(self, line: Line, known: Known, data: bytes, body: bytes) -> bool:
        """Check, count and append a whole request under a known head."""
        house, swift = self.house, known.swift
        started = time.perf_counter()
        read = swift.read(house, body)
        budgets = known.budgets(line.peer)
        if read is None or not house.limits.untouched(budgets.doubtful):
            return False
        taken = house.limits.take_all(budgets.own)
        if taken.refused is not None:
            return False
        try:
            pending = swift.append(house, known.who, known.headers, read)
        except Refusal:
            self.give_back(budgets.own)
            return False
        line.wait()
        self.in_flight[known.place] = self.in_flight.get(known.place, 0) + 1
        turn = self.round
        if turn is None or turn.commit is not pending.commit:
            turn = self.round = Round(self, pending.commit)
            pending.commit.then(asyncio.get_running_loop(), turn.finish)
        turn.taken.append(Taken(line, known, pending, budgets.own, taken.standings, started, data, len(body)))
        return True

    def give_back(self, budgets: Sequence[Budget]) -> None:
        for budget in budgets:
            self.house.limits.give_back(budget.bucket, budget.width)

    def undo(self, one: Taken) -> None:
        """It came to nothing: nothing of the request is kept, and the usual way finds the words for it."""
        one.pending.undo()
        self.give_back(one.budgets)
        self.in_flight[one.known.place] -= 1
        one.line.again(one.data)

    def count(self, known: Known, taken: Sequence[Taken]) -> None:
        """Count requests that were just answered."""
        counters, number, now = self.house.counters, len(taken), time.perf_counter()
        seconds = [now - one.started for one in taken]
        self.in_flight[known.place] -= number
        door = (("door", known.door),)
        counters.add("requests_total", (*known.place, ("status", "2xx")), number)
        counters.observe("request_seconds", known.place, *seconds)
        counters.add("request_bytes_total", door, sum(one.size for one in taken))
        known.swift.counted(self.house, number)
        assert known.who.key_id is not None  # noqa: S101  `learn` takes keys alone.
        keys.usage.count(
            self.house,
            known.who.key_id,
            *[int(one * 1_000_000) for one in seconds],
            route=known.route.template,
            status=202,
        )

    def learn(self, call: "Call", route: "Route", swift: "Swift") -> None:
        """Remember the head of a request that was answered well, if all it says is known to mean the same again."""
        exchange, who = call.exchange, call.principal
        if exchange is None or not exchange.candidate or who is None or who.kind != "key" or not self.fit(call):
            return
        entry = keys.entry(self.house, admission.presented(call) or "")
        if entry.principal != who:
            return
        if len(self.heads) >= MOST_HEADS:
            self.heads.clear()
        self.heads[exchange.candidate] = Known(call, route, swift, entry, who)

    def fit(self, call: "Call") -> bool:
        """Tell whether all that a head says is known, and is handled here."""
        return (
            self.open
            and call.scope["http_version"] == "1.1"
            and not call.scope["query_string"]
            and LINES_KNOWN.issuperset(call.headers)
            and len(call.headers) == len(call.scope["headers"])
            and call.headers.get(b"connection", b"keep-alive").lower() == b"keep-alive"
            and not journal.access.isEnabledFor(logging.DEBUG)
        )
