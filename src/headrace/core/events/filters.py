"""What a query narrows to. Doors make it from their parameters; the event store's search turns it into conditions."""

import msgspec


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """All conditions hold together; an empty one does not narrow.

    Times are microseconds since 1970, both ends inclusive: `ts_*` of the event's own time, `received_*` of its arrival.
    `status_classes` are hundreds (2 to 5). `text` is looked for in message, error type and error message, ignoring
    case. `query` is the search language.
    """

    ts_from: int | None = None
    ts_to: int | None = None
    received_from: int | None = None
    received_to: int | None = None
    levels: tuple[str, ...] = ()
    log_types: tuple[str, ...] = ()
    status_classes: tuple[int, ...] = ()
    environment: str | None = None
    text: str | None = None
    query: str | None = None
