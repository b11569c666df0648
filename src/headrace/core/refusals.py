"""Refusals: what core says instead of doing a thing. A door turns a kind into its own status and body."""

from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(StrEnum):
    """Why a request was refused; the whole list (a door's envelope maps each one)."""

    INVALID = "invalid"
    MALFORMED = "malformed"  # The body is not JSON at all.
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD = "method"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    MEDIA_TYPE = "media_type"
    RATE_LIMITED = "rate_limited"
    QUOTA_SPENT = "quota_spent"
    UNAVAILABLE = "unavailable"
    BUG = "bug"  # Ours, not the caller's; made by wire's last resort alone.


class Refusal(Exception):  # noqa: N818  A refusal is an answer, not an error of the program.
    """One refusal: its kind, one sentence for the caller, and facts a door may render.

    Facts in use: `field`, `rule`, `type` (missing, value, type, enum) of invalid input; `retry_after` (whole seconds).
    """

    def __init__(self, kind: Kind, text: str, **facts: Any) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.facts: Mapping[str, Any] = facts


def invalid(field: str, rule: str, *, type: str = "value", text: str | None = None) -> Refusal:  # noqa: A002
    """Build the refusal of one field: `text` (a sentence of its own) or `<field>: <rule>`."""
    return Refusal(Kind.INVALID, text or f"{field}: {rule}", field=field, rule=rule, type=type)


def unauthenticated(text: str) -> Refusal:
    return Refusal(Kind.UNAUTHENTICATED, text)


def beyond_scope(scope: str) -> Refusal:
    """`scope` is what the key would need, in the words of its kind or door."""
    return forbidden(f"Insufficient scope: {scope} required")


def forbidden(text: str) -> Refusal:
    return Refusal(Kind.FORBIDDEN, text)


def not_found(text: str) -> Refusal:
    return Refusal(Kind.NOT_FOUND, text)


def conflict(text: str) -> Refusal:
    return Refusal(Kind.CONFLICT, text)


def rate_limited(text: str, retry_after: int, **facts: Any) -> Refusal:
    return Refusal(Kind.RATE_LIMITED, text, retry_after=retry_after, **facts)


def unavailable(text: str, retry_after: int) -> Refusal:
    return Refusal(Kind.UNAVAILABLE, text, retry_after=retry_after)
