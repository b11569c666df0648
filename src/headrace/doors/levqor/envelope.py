"""How this door says no: `{"error": code}`, with `details` where input is not valid, and the id of what is not found.

A refusal may bring an error word of its own as the fact `code`, and `valid`, the list of what would have been.
"""

from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from headrace.core.refusals import Kind, Refusal
from headrace.wire.call import Answer, Call, answer

ANSWERS = {
    Kind.INVALID: (HTTPStatus.BAD_REQUEST, "invalid_request"),
    Kind.MALFORMED: (HTTPStatus.BAD_REQUEST, "invalid_request"),
    Kind.UNAUTHENTICATED: (HTTPStatus.FORBIDDEN, "forbidden"),
    Kind.FORBIDDEN: (HTTPStatus.FORBIDDEN, "forbidden"),
    Kind.NOT_FOUND: (HTTPStatus.NOT_FOUND, "not_found"),
    Kind.METHOD: (HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed"),
    Kind.CONFLICT: (HTTPStatus.CONFLICT, "conflict"),
    Kind.TOO_LARGE: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "payload_too_large"),
    Kind.MEDIA_TYPE: (HTTPStatus.BAD_REQUEST, "invalid_request"),
    Kind.RATE_LIMITED: (HTTPStatus.TOO_MANY_REQUESTS, "rate_limited"),
    Kind.QUOTA_SPENT: (HTTPStatus.TOO_MANY_REQUESTS, "rate_limited"),
    Kind.UNAVAILABLE: (HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
    Kind.BUG: (HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error"),
}
DETAILED = frozenset({Kind.INVALID, Kind.MALFORMED, Kind.CONFLICT, Kind.TOO_LARGE, Kind.MEDIA_TYPE})
# Of a name that the caller made up, so much is repeated.
LONGEST_NAME = 100
# These words say it all.
BARE = frozenset({"invalid_connector", "invalid_signature", "invalid_payload"})

# What a provider said; the seconds that it asks to wait stand in the body too.
PROVIDERS = "connector_error"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every error. Of the ids only the one that names nothing; the seconds only of a provider's limit."""

    error: str
    details: str | None = None
    job_id: str | None = None
    user_id: str | None = None
    email: str | None = None
    valid: Sequence[str] | None = None
    retry_after: int | None = None


def render(refusal: Refusal, call: Call) -> Answer:
    del call
    status, word = ANSWERS[refusal.kind]
    facts = refusal.facts
    word = facts.get("code", word)
    details = sentence(refusal) if refusal.kind in DETAILED and word not in BARE else None
    named = {name: facts[name] for name in ("job_id", "user_id", "email", "valid") if name in facts}
    if word == PROVIDERS:
        named["retry_after"] = facts.get("retry_after")
    return answer(status, Problem(word, details, **named))


def sentence(refusal: Refusal) -> str:
    """Name field and rule as this document does."""
    facts = refusal.facts
    if refusal.kind is Kind.TOO_LARGE:
        return f"max {facts['limit'] >> 10}KB"
    if refusal.kind is Kind.MEDIA_TYPE:
        if facts.get("field") == "Content-Encoding":
            return "Content-Encoding must be gzip, deflate, br or zstd"
        return "Content-Type must be application/json"
    if facts.get("rule") == "unknown field":
        return f"unknown field: {facts['field'][:LONGEST_NAME]}"
    if facts.get("type") == "missing" and refusal.text.startswith(f"{facts['field']}: "):
        return f"{facts['field']} field is required"
    return refusal.text
