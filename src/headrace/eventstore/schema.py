"""Schema of the event store: tables, and how a segment's lines become rows. Opening an engine is `engine`'s work.

The same statements serve the embedded engine and a ClickHouse server. Every one of them may run again at each start.
"""

from typing import Final

from headrace.eventstore import rollup
from headrace.eventstore.search import TEXT
from headrace.kit.times import DAY

QUARANTINE_DAYS: Final = 14

LEVELS: Final = ("debug", "info", "warning", "error", "critical")
LOG_TYPES: Final = ("console", "logger", "exception", "custom", "network", "database", "endpoint")
IMPORTANCES: Final = ("low", "standard", "high", "critical")

# A text that was sent as "" is stored as one NUL, which no sent text holds (the doors strip it): so absent, stored as
# "", and empty stay apart without a null map per column.
EMPTY: Final = "\\0"

# Stands in an attributes map as a key that cannot be sent: its value is the whole object as JSON text in a JSON string.
# Written where the map alone could not give the object back: `{}`, and integers beyond 64 bits, of which the engine's
# reader makes strings.
VERBATIM: Final = "\\0"

# What an event says: without a message it is its error_message, else its error_type, else "".
SAID: Final = (
    f"multiIf(message = '{EMPTY}', '', message != '', message, error_message NOT IN ('', '{EMPTY}'), error_message,"
    f" error_type != '{EMPTY}', error_type, '')"
)
# Of a million messages the most frequent are found by these 8 bytes each; two that differ share them once in 10^13.
SAID_HASH: Final = f"said_hash UInt64 MATERIALIZED xxh3({SAID})"

TEXTS: Final = (
    "message",
    "error_type",
    "error_message",
    "stack_trace",
    "environment",
    "release",
    "sdk_version",
    "platform",
    "platform_version",
)


def enum(names: tuple[str, ...]) -> str:
    return "Enum8(" + ", ".join(f"'{name}' = {number}" for number, name in enumerate(names, 1)) + ")"


COLUMNS: Final = f"""
  tenant UInt32,
  project UInt32,
  ts Int64 CODEC(Delta(8), ZSTD(1)),
  received_at Int64 CODEC(Delta(8), ZSTD(1)),
  id UInt64 CODEC(Delta(8), ZSTD(1)),
  level {enum(LEVELS)},
  log_type {enum(LOG_TYPES)},
  importance {enum(IMPORTANCES)},
  service LowCardinality(String),
  host LowCardinality(String),
  environment LowCardinality(String),
  release LowCardinality(String),
  message String,
  error_type LowCardinality(String),
  error_message String,
  stack_trace String,
  attributes Map(LowCardinality(String), String),
  sdk_version LowCardinality(String),
  platform LowCardinality(String),
  platform_version LowCardinality(String),
  error_fingerprint String,
  method LowCardinality(String),
  path String,
  status_code UInt16,
  duration_ms Float64,
  retention_days UInt16
"""

# Parts from here on have a file for each column, which scans read in half the time.
WIDE_BYTES: Final = 24 << 20
# Of what is written at once of a column: by itself a megabyte, and a merge holds some for each of a hundred files.
BLOCK_BYTES: Final = 256 << 10

# Measured on 200,000 rows: types of the rare texts (LowCardinality or String) differ by less than the noise of the
# machine in CPU; LowCardinality groups faster. Sorting by service first saves 2 % of disk and makes "the latest 50"
# read whole five-minute blocks; sorted by time it reads one granule, and pages by (ts, id) follow the key.
#
# Small parts are compact, one file for all columns: with a file per column and map bucket, creating and deleting files
# was 5 us of kernel time a row. Attributes have a bloom filter, not a text index: postings of ids that occur once cost
# 0.5 us a row at the insert, 1 us at each merge and 15 bytes of disk.
EVENTS: Final = f"""
CREATE TABLE IF NOT EXISTS events (
{COLUMNS},
  {SAID_HASH},
  text String ALIAS {TEXT},
  time DateTime64(6, 'UTC') ALIAS fromUnixTimestamp64Micro(ts, 'UTC'),
  INDEX i_received received_at TYPE minmax GRANULARITY 1,
  INDEX i_id id TYPE minmax GRANULARITY 1,
  INDEX i_status status_code TYPE minmax GRANULARITY 1,
  INDEX i_duration duration_ms TYPE minmax GRANULARITY 1,
  INDEX i_fingerprint error_fingerprint TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX i_values mapValues(attributes) TYPE bloom_filter(0.01) GRANULARITY 1,
  INDEX i_text text TYPE text(tokenizer = 'splitByNonAlpha'),
  {", ".join(f"PROJECTION {group} ({rollup.body(group)})" for group in rollup.GROUPS)}
) ENGINE = MergeTree
PARTITION BY (intDiv(received_at, {DAY}), retention_days)
ORDER BY (tenant, project, ts, id)
SETTINGS
  default_compression_codec = 'ZSTD(1)',
  map_serialization_version = 'with_buckets',
  non_replicated_deduplication_window = 10000,
  fsync_after_insert = 1,
  fsync_part_directory = 1,
  min_rows_to_fsync_after_merge = 1,
  old_parts_lifetime = 480,
  min_free_disk_ratio_to_perform_insert = 0.02,
  min_bytes_for_wide_part = {WIDE_BYTES},
  max_compress_block_size = {BLOCK_BYTES},
  lightweight_mutation_projection_mode = 'rebuild',
  ttl_only_drop_parts = 1
"""

QUARANTINE: Final = f"""
CREATE TABLE IF NOT EXISTS quarantine (
  tenant UInt32,
  project UInt32,
  received_at Int64,
  id UInt64,
  segment String,
  reason String,
  raw String CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY intDiv(received_at, {DAY})
ORDER BY (tenant, project, received_at, id)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1,
  min_rows_to_fsync_after_merge = 1, old_parts_lifetime = 480
"""

# Takes what `events` takes and keeps nothing: it tells whether a segment can be read.
PROBE: Final = "CREATE TABLE IF NOT EXISTS events_probe (" + COLUMNS + ") ENGINE = Null"

VERSIONS: Final = """
CREATE TABLE IF NOT EXISTS schema_versions (version UInt32) ENGINE = MergeTree ORDER BY version
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, min_rows_to_fsync_after_merge = 1
"""

# What a store of an earlier release lacks: entry i brings it to version i + 1. Additive only, each harmless when run
# twice, as a process may stop between the statement and the note that it ran.
MIGRATIONS: Final[tuple[str, ...]] = (
    "ALTER TABLE events MODIFY SETTING lightweight_mutation_projection_mode = 'rebuild'",
    # What is asked of an attribute reads that attribute alone; an index of `key=value` made it read all of them.
    "ALTER TABLE events ADD INDEX IF NOT EXISTS i_values mapValues(attributes) TYPE bloom_filter(0.01) GRANULARITY 1",
    "ALTER TABLE events DROP INDEX IF EXISTS i_items SETTINGS alter_sync = 0, mutations_sync = 0",
    "ALTER TABLE events " + ", ".join(rollup.addition(group) for group in rollup.GROUPS),
    f"ALTER TABLE events MODIFY SETTING min_bytes_for_wide_part = {WIDE_BYTES}",
    f"ALTER TABLE events MODIFY SETTING max_compress_block_size = {BLOCK_BYTES}",
    f"ALTER TABLE events ADD COLUMN IF NOT EXISTS {SAID_HASH}",
)

EVENT_FIELDS: Final = (
    "timestamp DateTime64(6), level String, log_type String, importance String, "
    + ", ".join(f"{name} Nullable(String)" for name in TEXTS)
    + ", attributes String, fingerprint String, ts Int64"
)
SEGMENT_STRUCTURE: Final = (
    "tenant UInt32, project UInt32, received_at Int64, retention_days UInt16, first_id UInt64, "
    f"events Array(Tuple({EVENT_FIELDS}))"
)
QUARANTINE_STRUCTURE: Final = (
    "tenant UInt32, project UInt32, received_at Int64, id UInt64, segment String, reason String, raw String"
)

# Settings under which a segment is read. Parallel parsing costs 1.5 us a row more and saves no time on one thread.
READING: Final[dict[str, str | int]] = {
    "date_time_input_format": "best_effort",
    "session_timezone": "UTC",
    "input_format_parallel_parsing": 0,
    "output_format_json_escape_forward_slashes": 0,  # Attribute values are written as JSON again.
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "max_threads": 1,
}


def text(value: str) -> str:
    """SQL of a sent text, null when absent."""
    return f"if({value} = '', '{EMPTY}', ifNull({value}, ''))"


def string(value: str) -> str:
    """SQL of a JSON string's text; empty for any other JSON value. The JSON reader is asked only about escapes."""
    return (
        f"multiIf(NOT startsWith({value}, '\"'), '', position({value}, '\\\\') = 0, "
        f"substring({value}, 2, length({value}) - 2), JSONExtractString({value}))"
    )


# Integers beyond 64 bits have 20 digits in a row, or 19 behind a minus; other text of that look only costs some bytes.
UNLIKE = "(event.attributes = '{}' OR match(event.attributes, '-[0-9]{19}|[0-9]{20}'))"
WITH_VERBATIM = (
    "concat(substring(event.attributes, 1, length(event.attributes) - 1), if(length(event.attributes) > 2, ',', ''), "
    "'\"\\\\u0000\":', toJSONString(event.attributes), '}')"
)
# Chosen as text: `if` over maps costs 4 us a row.
ATTRIBUTES = (
    f"CAST(JSONExtractKeysAndValuesRaw(if({UNLIKE}, {WITH_VERBATIM}, event.attributes))"
    " AS Map(LowCardinality(String), String))"
)
UNREADABLE = (
    "throwIf(empty(attributes) AND event.attributes NOT IN ('', 'null'), 'the attributes cannot be read as JSON')"
)
ENDPOINT = "CAST(JSONExtractKeysAndValuesRaw(attributes['endpoint']) AS Map(String, String))"

# Column of `events` -> the expression that fills it from one event of a group line.
FILLED: Final[dict[str, str]] = {
    "tenant": "tenant",
    "project": "project",
    "received_at": "received_at",
    "retention_days": "retention_days",
    "id": f"first_id + n - 1 + {UNREADABLE}",
    "ts": "if(event.ts != 0, event.ts, toUnixTimestamp64Micro(event.timestamp))",
    "level": "event.level",
    "log_type": "if(event.log_type = '', 'logger', event.log_type)",
    "importance": "if(event.importance = '', 'standard', event.importance)",
    **{name: text(f"event.{name}") for name in TEXTS},
    "error_fingerprint": "event.fingerprint",
    "service": string("attributes['service']"),
    "host": string("attributes['host']"),
    "method": string("endpoint['method']"),
    "path": string("endpoint['path']"),
    "status_code": "if((toUInt32OrZero(endpoint['status_code']) AS code) <= 65535, code, 0)",
    "duration_ms": "if((ifNull(toFloat64OrNull(endpoint['duration_ms']), -1) AS duration) >= 0, duration, -1)",
    "attributes": "attributes",
}


def insert_rows(table: str, condition: str = "") -> str:
    """SQL that stores the group lines of `{source}` (a table function) as rows."""
    where = f" WHERE {condition}" if condition else ""
    return (
        f"INSERT INTO {table} ({', '.join(FILLED)}) "
        f"WITH {ATTRIBUTES} AS attributes, {ENDPOINT} AS endpoint "
        f"SELECT {', '.join(f'{sql} AS c{number}' for number, sql in enumerate(FILLED.values()))} FROM {{source}} "
        f"ARRAY JOIN events AS event, arrayEnumerate(events) AS n{where}"
    )
