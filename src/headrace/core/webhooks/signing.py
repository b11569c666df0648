"""Signatures of what is sent: Standard Webhooks 1.0.0, and a plain HMAC of the body beside it. Pure arithmetic."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence

PREFIX = "whsec_"
# Headers that the sender sets; an endpoint's own headers may not.
SIGNED = (
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "x-webhook-signature",
    "x-iv-signature",
    "x-webhook-event",
    "x-webhook-delivery",
    "x-webhook-attempt",
    "x-webhook-timestamp",
)


def key(secret: str) -> bytes:
    """Return the bytes that sign: after `whsec_` base64 (ValueError when it is none), any other secret as UTF-8."""
    if secret.startswith(PREFIX):
        return b64decode(secret.removeprefix(PREFIX), validate=True)
    return secret.encode()


def signature(secret: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`."""
    content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + b64encode(hmac.digest(secret, content, "sha256")).decode()


def headers(
    secrets: Sequence[bytes], *, message_id: str, event: str, timestamp: int, attempt: int, body: bytes
) -> dict[str, str]:
    """All headers that say what is sent and by whom. `secrets`: the newest first, whose alone the plain HMAC is."""
    plain = hmac.digest(secrets[0], body, "sha256").hex()
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(one, message_id, timestamp, body) for one in secrets),
        "X-Webhook-Signature": plain,
        "X-IV-Signature": f"sha256={plain}",
        "X-Webhook-Event": event,
        "X-Webhook-Delivery": message_id,
        "X-Webhook-Attempt": str(attempt),
        "X-Webhook-Timestamp": str(timestamp),
    }
