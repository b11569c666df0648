"""The server's own log: JSON lines on standard error. Nothing secret gets in: no query, header, body or key."""

import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from headrace.kit.keys import PUBLISHED

if TYPE_CHECKING:
    from headrace.wire.call import Call

access = logging.getLogger("headrace.access")


class Lines(logging.Formatter):
    """One JSON object per line: time, level, logger, message, then the fields that a call adds under `facts`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return PUBLISHED.sub("***", msgspec.json.encode(line).decode())


def configure(level: str) -> None:
    """Send everything that is logged in this process to standard error, from `level` upwards."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def answered(call: "Call", status: int, seconds: float) -> None:
    """Write the access line of one request, at debug: at info requests are counted, not logged."""
    if not access.isEnabledFor(logging.DEBUG):
        return
    who = call.principal
    facts = {
        "request_id": call.request_id,
        "method": call.method,
        "path": call.path,
        "route": call.route.template if call.route else None,
        "door": call.door.name if call.door else None,
        "status": status,
        "seconds": round(seconds, 6),
        "address": call.address,
        "organization_id": who.organization_id if who else None,
        "account_id": who.account_id if who else None,
        "key_id": who.key_id if who else None,
    }
    access.debug("request", extra={"facts": {name: value for name, value in facts.items() if value is not None}})
