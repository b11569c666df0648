"""The built-in workflow `http_request`: one guarded request to an address of the payload, its answer as the result."""

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import msgspec

from headrace.core.jobs import NonRetryable, Retry
from headrace.core.outward import Outward
from headrace.kit.outbound import OutboundError, Reply

if TYPE_CHECKING:
    from headrace.core.jobs import Context

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# Of every call that a job makes: which job and attempt it is of.
FENCE = "X-Headrace-Fence"
MEMBERS = frozenset({"method", "url", "headers", "body", "timeout", "expect"})
LONGEST_URL = 2048
MOST_HEADERS = 50
LONGEST_HEADER = 4_096
DEFAULT_SECONDS, LONGEST_SECONDS = 15, 60
# As JSON a byte may take six; what is then still too much for a result is cut again.
MOST_BODY_BYTES = 32 << 10
MOST_RESULT_BYTES = 60 << 10
SHOWN_HEADERS, SHOWN_HEADER = 50, 500
NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# The client's own, and what would let a request speak for somebody else on a shared connection.
FORBIDDEN = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"}
)
# Answers after which another try may do better.
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
LONGEST_AFTER = 3600
# Reasons that another try cannot change.
FOR_GOOD = frozenset({"bad_url", "ssrf_blocked", "too_large"})


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One request as the payload asked for it. `expect`: None for a 2xx, else the statuses, empty for any."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    timeout: float
    expect: frozenset[int] | None

    def met(self, status: int) -> bool:
        if self.expect is None:
            return 200 <= status < 300  # noqa: PLR2004  Success, in HTTP.
        return not self.expect or status in self.expect


async def run(context: "Context") -> dict[str, Any]:
    """Send the request. Fails for another status than is expected, and where there is no answer."""
    asked = wanted(context.payload)
    try:
        reply = await context.house.part(Outward).client.request(
            asked.method,
            asked.url,
            headers=traced(asked.headers, context),
            body=asked.body,
            timeout_seconds=asked.timeout,
            limit_bytes=MOST_BODY_BYTES,
            cut=True,
        )
    except OutboundError as error:
        raise unanswered(error) from error
    if not asked.met(reply.status):
        raise unexpected(reply)
    return shown(reply)


def traced(headers: dict[str, str], context: "Context") -> dict[str, str]:
    """Add what tells a receiver that it is asked again, and by which attempt, unless the payload says so itself."""
    own = {"Idempotency-Key": context.job.token, FENCE: context.fence}
    given = {name.lower() for name in headers}
    return {name: value for name, value in own.items() if name.lower() not in given} | headers


def unanswered(error: OutboundError) -> NonRetryable | Retry:
    said = f"{error.reason}: {error}"
    return NonRetryable(said) if error.reason in FOR_GOOD else Retry(said)


def unexpected(reply: Reply) -> NonRetryable | Retry:
    """Say what an answer with this status means for the job."""
    said = f"The answer's status was {reply.status}"
    if reply.status not in AGAIN:
        return NonRetryable(said)
    after = reply.headers.get("retry-after", "")
    return Retry(said, after_seconds=min(int(after), LONGEST_AFTER) if after.isdecimal() and after.isascii() else None)


def wanted(payload: Any) -> Wanted:
    """Read the payload; raises NonRetryable, naming the member."""
    if not isinstance(payload, dict):
        raise NonRetryable("the payload must be an object")
    for name in payload.keys() - MEMBERS:
        raise NonRetryable(f"unknown member {name[:100]!r}; there are {', '.join(sorted(MEMBERS))}")
    method, url = payload.get("method") or "GET", payload.get("url")
    if method not in METHODS:
        raise NonRetryable(f"method: must be one of {', '.join(METHODS)}")
    if not isinstance(url, str) or not 1 <= len(url) <= LONGEST_URL:
        raise NonRetryable(f"url: must be a text of 1-{LONGEST_URL} characters")
    timeout = payload.get("timeout", DEFAULT_SECONDS)
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout <= LONGEST_SECONDS:
        raise NonRetryable(f"timeout: must be a number of seconds up to {LONGEST_SECONDS}")
    headers, body = _headers(payload.get("headers")), payload.get("body")
    if body is not None and not isinstance(body, str):
        headers = {"Content-Type": "application/json"} | headers
        body = msgspec.json.encode(body).decode()
    return Wanted(
        method=method,
        url=url,
        headers=headers,
        body=(body or "").encode(),
        timeout=timeout,
        expect=_expect(payload.get("expect", "success")),
    )


def _headers(given: Any) -> dict[str, str]:
    if given is None:
        return {}
    if not isinstance(given, dict) or len(given) > MOST_HEADERS:
        raise NonRetryable(f"headers: must be an object of at most {MOST_HEADERS} texts")
    for name, value in given.items():
        if not NAME.fullmatch(name) or name.lower() in FORBIDDEN:
            raise NonRetryable(f"headers: {name[:100]!r} may not be set")
        if not isinstance(value, str) or len(value) > LONGEST_HEADER or not VALUE.fullmatch(value):
            raise NonRetryable(f"headers.{name}: must be a text of one line, at most {LONGEST_HEADER} characters")
    return dict(given)


def _expect(given: Any) -> frozenset[int] | None:
    if given == "success":
        return None
    if given == "any":
        return frozenset()
    statuses = given if isinstance(given, list) else [given]
    good = all(isinstance(one, int) and not isinstance(one, bool) and 100 <= one <= 599 for one in statuses)  # noqa: PLR2004
    if not statuses or not good:
        raise NonRetryable('expect: must be "success", "any", a status or a list of statuses')
    return frozenset(statuses)


def shown(reply: Reply) -> dict[str, Any]:
    """An answer as a result: text where it is UTF-8, else base64, cut so that it can be kept."""
    size = MOST_BODY_BYTES
    while True:
        result = _shown(reply, size)
        if len(msgspec.json.encode(result)) <= MOST_RESULT_BYTES:
            return result
        size //= 2


def _shown(reply: Reply, size: int) -> dict[str, Any]:
    body = reply.body[:size]
    # Cookies are somebody's session, and a result is kept for weeks.
    named = [(name, value[:SHOWN_HEADER]) for name, value in reply.headers.items() if name != "set-cookie"]
    result: dict[str, Any] = {"status": reply.status, "headers": dict(named[:SHOWN_HEADERS])}
    try:
        # The cut may go through a character.
        text = body.decode() if len(body) < size else body.decode(errors="ignore")
        result["body"] = text.replace("\0", "\ufffd")
    except UnicodeDecodeError:
        result |= {"body": b64encode(body).decode(), "body_encoding": "base64"}
    result |= {"truncated": len(reply.body) >= size, "seconds": round(reply.seconds, 3)}
    return result
