"""Sending one batch until the server has answered for every log of it: retries, waits, and who was refused."""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from headrace.cli.client import Answer, Client, LostError, refused
from headrace.cli.screen import Trouble, count

PATH = "/api/v1/ingest/batch"
ACCEPTED, CONFLICT, TOO_LARGE, TOO_MANY, UNAVAILABLE = 202, 409, 413, 429, 503
PASSING = frozenset({408, 500, 502, 504})
LONGEST_PAUSE = 30.0
# The server names this many when a whole batch is refused.
NAMED = 10
ALL_INVALID = "All logs are invalid: "
REASON = re.compile(r"Log ([0-9]+): (.*)", re.DOTALL)
QUOTA = "Daily quota exceeded"


class Sent(NamedTuple):
    """What became of a batch: `bad` is (position, rule) of each refused log, `spent_at` the first over the quota."""

    accepted: int
    bad: list[tuple[int, str]]
    spent_at: int | None = None


class Sender:
    """Sends batches to one project. `wait` is called with (seconds, reason) instead of sleeping silently."""

    def __init__(
        self, client: Client, project_id: int, run: str, *, patience: float, wait: Callable[[float, str], None]
    ) -> None:
        self.client, self.run, self.patience, self.wait = client, run, patience, wait
        self.headers = {"X-Project-ID": str(project_id)}
        self.compress: Callable[[bytes], bytes] | None = None
        if not client.is_local:
            import zstandard

            self.compress = zstandard.ZstdCompressor(level=1).compress

    def send(self, logs: Sequence[bytes], place: str) -> Sent:
        """Send one batch; `place` tells it from the others of this run. Trouble when the server refuses all of it."""
        answer = self._until_answered(logs, place)
        if answer.status == ACCEPTED:
            return _sent(answer)
        if answer.status == TOO_LARGE and len(logs) > 1:
            return self._in_parts(logs, place, -(-len(logs) // 2))
        if answer.status == TOO_LARGE:
            return Sent(0, [(0, answer.detail)])
        if answer.detail.startswith(ALL_INVALID):
            if len(logs) > NAMED:
                return self._in_parts(logs, place, NAMED)
            return Sent(0, _reasons(answer.detail.removeprefix(ALL_INVALID).split("; Log "), len(logs)))
        raise refused(answer, self.client)

    def _in_parts(self, logs: Sequence[bytes], place: str, size: int) -> Sent:
        accepted, bad = 0, []
        for start in range(0, len(logs), size):
            sent = self.send(logs[start : start + size], f"{place}.{start}")
            accepted += sent.accepted
            bad += [(start + at, rule) for at, rule in sent.bad]
            if sent.spent_at is not None:
                return Sent(accepted, bad, start + sent.spent_at)
        return Sent(accepted, bad)

    def _until_answered(self, logs: Sequence[bytes], place: str) -> Answer:
        """Repeat until the answer is final. The key stays the same, so that a repetition is not a second batch."""
        body = b'{"logs":[' + b",".join(logs) + b"]}"
        digest = hashlib.sha256(body).hexdigest()[:16]
        headers = {**self.headers, "Idempotency-Key": f"import-{self.run}-{place}-{digest}"}
        if self.compress:
            body, headers["Content-Encoding"] = self.compress(body), "zstd"
        deadline = time.monotonic() + self.patience
        for pause in _pauses():
            try:
                answer = self.client.ask("POST", PATH, body=body, headers=headers)
            except LostError as problem:
                reason, after = f"cannot reach {self.client.url}: {problem}", pause
            else:
                if answer.status not in PASSING | {CONFLICT, TOO_MANY, UNAVAILABLE}:
                    return answer
                reason, after = f"{answer.status} {answer.detail}", float(answer.retry_after or pause)
            if time.monotonic() + after > deadline:
                raise Trouble(
                    f"{reason}; gave up after {count(int(self.patience), 'second')} (--patience). "
                    "The same command goes on from here"
                )
            self.wait(after, reason)
        raise AssertionError


def _pauses() -> Iterator[float]:
    pause = 0.2
    while True:
        yield pause
        pause = min(pause * 2, LONGEST_PAUSE)


def _sent(answer: Answer) -> Sent:
    body = answer.json()
    bad = _reasons(body.get("errors") or [], 0)
    spent = [at for at, rule in bad if rule.startswith(QUOTA)]
    return Sent(int(body["accepted"]), [(at, rule) for at, rule in bad if at not in spent], min(spent, default=None))


def _reasons(texts: Sequence[str], size: int) -> list[tuple[int, str]]:
    """Read `Log <i>: <rule>` of each; when a whole batch of `size` was refused, each log has a rule."""
    found = {}
    for text in texts:
        match = REASON.fullmatch(text if text.startswith("Log ") else f"Log {text}")
        if match:
            found[int(match[1])] = match[2]
    return sorted({**dict.fromkeys(range(size), "refused with its whole batch"), **found}.items())
