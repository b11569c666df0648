"""One call of a connector: its requests, tried again inside ten seconds, and every error with no credential in it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec

from headrace.core.connectors.provider import Json, Provider, Request
from headrace.core.house import House
from headrace.core.outward import Outward
from headrace.core.refusals import Kind, Refusal, unavailable
from headrace.kit.outbound import OutboundError, Reply

TOTAL_SECONDS = 10.0
TRIES = 3
PAUSE_SECONDS = 0.25
UNAUTHORIZED = 401
BUSY_SECONDS = 5
LONGEST_COMPLAINT = 500
# Reasons after which nothing reached the provider, so that another try can do no harm.
UNREACHED = frozenset({"connect", "dns"})


class Renewed(msgspec.Struct, frozen=True):
    """The token that replaced an expired one, for the caller to keep; `expires_in` in seconds."""

    token: str
    expires_in: int | None


class Lines:
    """The calls that run now. Each holds a thread that answers requests, and a slow provider must not have them all."""

    def __init__(self, house: House) -> None:
        self.free = threading.BoundedSemaphore(house.settings.connector_calls)

    @contextmanager
    def one(self) -> Iterator[None]:
        if not self.free.acquire(blocking=False):
            raise unavailable("Too many connectors are called at once", BUSY_SECONDS)
        try:
            yield
        finally:
            self.free.release()


class Line:
    """What one call holds of a provider: the credentials, the time that is left, a token that was renewed."""

    def __init__(self, house: House, provider: Provider, credentials: Json) -> None:
        self.house = house
        self.provider = provider
        self.credentials = credentials
        self.token: str = credentials["token"]
        self.base: str = getattr(house.settings, provider.url)
        self.deadline = time.monotonic() + TOTAL_SECONDS
        self.renewed: Renewed | None = None

    def send(self, request: Request) -> Json:
        """Send a request and return what the provider answers; refused with its own words otherwise."""
        status, answer, wait = self._tried(self.provider.authorize(request, self.token), self.base)
        if status == UNAUTHORIZED and self.renewed is None and self._renew():
            status, answer, wait = self._tried(self.provider.authorize(request, self.token), self.base)
        complaint = self.provider.complaint(status, answer)
        if complaint is not None:
            raise self.failed(f"{self.provider.name}_api_error: {complaint}", wait)
        return answer if isinstance(answer, dict) else {"result": answer}

    def upload(self, url: str, content: bytes) -> None:
        """Send bytes to an address that the provider named. Off the provider's own host it is guarded as any other."""
        own = urlsplit(url)[:2] == urlsplit(self.base)[:2]
        reply = self._reply("POST", url, {"Content-Type": "application/octet-stream"}, content, own=own)
        if reply.status >= 300:  # noqa: PLR2004
            raise self.failed(f"{self.provider.name}_api_error: upload refused with status {reply.status}")

    def failed(self, text: str, wait: float | None = None) -> Refusal:
        """Build the refusal of what the provider did not do."""
        plain = "".join(letter if letter.isprintable() else " " for letter in self._redacted(text))
        facts: Json = {} if wait is None else {"retry_after": max(1, round(wait))}
        return Refusal(Kind.INVALID, plain[:LONGEST_COMPLAINT], code="connector_error", **facts)

    def _renew(self) -> bool:
        renewal = self.provider.renewal
        form = renewal.form(self.credentials) if renewal else None
        if renewal is None or form is None:
            return False
        base = getattr(self.house.settings, renewal.url)
        status, answer, wait = self._tried(Request(method="POST", path="", form=form), base)
        told = answer if isinstance(answer, dict) else {}
        token, seconds = told.get("access_token"), told.get("expires_in")
        if not isinstance(token, str):
            complaint = self.provider.complaint(status, answer) or "the token could not be renewed"
            raise self.failed(f"{self.provider.name}_api_error: {complaint}", wait)
        self.token = token
        self.renewed = Renewed(token, seconds if isinstance(seconds, int) else None)
        return True

    def _tried(self, request: Request, base: str) -> tuple[int, Any, float | None]:
        """Return status, answer and the seconds that the provider asks to wait, after at most three tries."""
        content, media = request.content()
        headers = dict(request.headers) | ({"Content-Type": media} if media else {})
        url = request.address(base) if request.path else base
        for attempt in range(1, TRIES + 1):
            last = attempt == TRIES
            try:
                reply = self._reply(request.method, url, headers, content, own=True, last=last)
            except ConnectionError:
                self._pause(PAUSE_SECONDS * attempt)
                continue
            answer = _parsed(reply.body)
            if not self.provider.busy(reply.status, answer):
                break
            asked = self.provider.wait(answer)
            wait = asked if asked is not None else _seconds(reply.headers.get("retry-after"))
            if last or not self._pause(PAUSE_SECONDS * 2**attempt if wait is None else wait):
                return reply.status, answer, wait
        return reply.status, answer, None

    def _reply(
        self, method: str, url: str, headers: dict[str, str], content: bytes, *, own: bool, last: bool = True
    ) -> Reply:
        """Send once; ConnectionError says that it may be tried again."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self.failed("connector_error: timeout")
        client = self.house.part(Outward).client
        limit = self.house.settings.connector_answer_bytes
        try:
            return client.call(
                method,
                url,
                headers=headers,
                body=content,
                timeout_seconds=left,
                limit_bytes=limit,
                operators_own=own,
            )
        except OutboundError as error:
            if error.reason in UNREACHED and not last:
                raise ConnectionError from None
            hint = f": {error}; ask for a smaller page" if error.reason == "too_large" else ""
            raise self.failed(f"connector_error: {error.reason}{hint}") from None

    def _pause(self, seconds: float) -> bool:
        """Wait, unless the time of the call is over by then."""
        if seconds >= self.deadline - time.monotonic():
            return False
        time.sleep(seconds)
        return True

    def _redacted(self, text: str) -> str:
        secrets = {self.token, *(value for value in self.credentials.values() if isinstance(value, str) and value)}
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
        return text


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body) if body else {}
    except ValueError:
        return None


def _seconds(value: str | None) -> float | None:
    """The seconds of a Retry-After; a date is not read, for no provider sends one."""
    return float(value) if value is not None and value.isascii() and value.isdigit() else None
