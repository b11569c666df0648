"""The one table of names that a search may use, and what each column holds. Any other name is an attribute's."""

from typing import Literal, get_args

import msgspec

from headrace.eventstore import rows

Kind = Literal["text", "keyword", "name", "integer", "number", "time"]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """`column` in the events table; `kind` says how a value is compared; `names` is a fixed list of values, in order.

    `absent` is what the column holds when the event has no such value: there are no Nullables in the table.
    """

    column: str
    kind: Kind
    aliases: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    synonyms: tuple[tuple[str, str], ...] = ()
    absent: str | float | None = None
    help: str


# A duration of 0 ms is a real one, so absence needs a value that no duration has.
DURATION_ABSENT = -1.0

LEVELS: tuple[str, ...] = get_args(rows.Level)
LEVEL_SYNONYMS = (("warn", "warning"), ("err", "error"), ("fatal", "critical"), ("crit", "critical"))
LOG_TYPES: tuple[str, ...] = get_args(rows.LogType)
IMPORTANCES: tuple[str, ...] = get_args(rows.Importance)

FIELDS = (
    Field(column="level", kind="name", names=LEVELS, synonyms=LEVEL_SYNONYMS, help="in order: `level:>=warning`"),
    Field(column="log_type", kind="name", aliases=("type",), names=LOG_TYPES, help="kind of log"),
    Field(column="importance", kind="name", names=IMPORTANCES, help="in order"),
    Field(column="message", kind="text", aliases=("msg",), absent="", help="the message's words"),
    Field(column="error_type", kind="keyword", aliases=("error",), absent="", help="class of the error"),
    Field(column="error_message", kind="text", absent="", help="the error message's words"),
    Field(column="stack_trace", kind="text", aliases=("stack",), absent="", help="the stack trace's words; no index"),
    Field(column="environment", kind="keyword", aliases=("env",), absent="", help="such as production"),
    Field(column="release", kind="keyword", absent="", help="version of the reporting program"),
    Field(column="service", kind="keyword", absent="", help="reporting service"),
    Field(column="host", kind="keyword", absent="", help="reporting machine"),
    Field(column="platform", kind="keyword", absent="", help="language or runtime"),
    Field(column="platform_version", kind="keyword", absent="", help="its version"),
    Field(column="sdk_version", kind="keyword", aliases=("sdk",), absent="", help="version of the sending library"),
    Field(column="error_fingerprint", kind="keyword", aliases=("fingerprint",), absent="", help="the error group's"),
    Field(column="method", kind="keyword", absent="", help="HTTP method"),
    Field(column="path", kind="keyword", absent="", help="URL path"),
    Field(column="status_code", kind="integer", aliases=("status",), absent=0, help="HTTP status; `status:5xx`"),
    Field(column="duration_ms", kind="number", aliases=("duration",), absent=DURATION_ABSENT, help="`duration:>1.5s`"),
    Field(column="id", kind="integer", help="event id: decimal, or the 32 hex digits of a log's public id"),
    Field(column="ts", kind="time", aliases=("timestamp", "time"), help="when it happened"),
    Field(column="received_at", kind="time", aliases=("received", "ingested_at"), help="when it arrived"),
)

BY_NAME = {name: field for field in FIELDS for name in (field.column, *field.aliases)}
BY_COLUMN = {field.column: field for field in FIELDS}

# Words without a field are looked for in these, taken together.
TEXT_COLUMNS = ("message", "error_type", "error_message")
