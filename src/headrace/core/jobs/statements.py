"""The hot SQL as text, for both databases, and how a row becomes a Job. The rarer statements stand with their verbs.

They go to the driver past SQLAlchemy, which would spend more time on them than SQLite does.
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core.jobs.record import Job
from headrace.core.schema import jobs as schema
from headrace.kit.database import driver

FIELDS = Job.__struct_fields__
SHOWN = [schema.jobs.c[name] for name in FIELDS]
COLUMNS = ", ".join(FIELDS)
PAYLOAD, RESULT = FIELDS.index("payload"), FIELDS.index("result")
MARK = re.compile(r":([a-z_]+)")

INSERT = """INSERT INTO jobs (token, organization_id, kind, name, view, lane, state, priority, payload, attempt, tries,
run_at, callback_url, account_id, key_id, created_at, ord, unique_key)
VALUES (:token, :organization_id, :kind, :name, :view, :lane, :state, :priority, :payload, 0, :tries,
:run_at, :callback_url, :account_id, :key_id, :created_at, :ord, :unique_key)"""
UNIQUE = " ON CONFLICT (organization_id, kind, unique_key) WHERE unique_key IS NOT NULL DO NOTHING"
ONE = f"SELECT {COLUMNS} FROM jobs WHERE id = :id"
SAME = (
    f"SELECT {COLUMNS} FROM jobs WHERE organization_id = :organization_id AND kind = :kind AND unique_key = :unique_key"
)

# A loose index scan: each kind or lane that has ready jobs costs one seek, however many jobs it has. With the kinds
# come the pauses, which alone name an organization.
KINDS = """WITH RECURSIVE walk(kind) AS (
SELECT (SELECT min(kind) FROM jobs WHERE state = 'ready')
UNION ALL
SELECT (SELECT min(kind) FROM jobs WHERE state = 'ready' AND kind > walk.kind) FROM walk WHERE walk.kind IS NOT NULL)
SELECT kind, NULL FROM walk WHERE kind IS NOT NULL UNION ALL SELECT kind, organization_id FROM job_pauses"""
# Those behind a lane, then from the first on up to it.
LANES = """WITH RECURSIVE behind(lane, number) AS (
SELECT (SELECT min(lane) FROM jobs WHERE state = 'ready' AND kind = :kind AND lane > :after), 1
UNION ALL
SELECT (SELECT min(lane) FROM jobs WHERE state = 'ready' AND kind = :kind AND lane > behind.lane), number + 1
FROM behind WHERE behind.lane IS NOT NULL AND number < :many),
before(lane, number) AS (
SELECT (SELECT min(lane) FROM jobs WHERE state = 'ready' AND kind = :kind AND lane <= :after), 1
UNION ALL
SELECT (SELECT min(lane) FROM jobs WHERE state = 'ready' AND kind = :kind AND lane > before.lane AND lane <= :after),
number + 1 FROM before WHERE before.lane IS NOT NULL AND number < :many)
SELECT lane FROM behind WHERE lane IS NOT NULL UNION ALL SELECT lane FROM before WHERE lane IS NOT NULL LIMIT :many"""
HELD_LANES = (
    """SELECT lane, count(*) FROM jobs WHERE state IN ('running', 'cancelling') AND kind = :kind GROUP BY lane"""
)
TRY_KIND = "SELECT pg_try_advisory_xact_lock(487122051, hashtext(:kind))"

PICK_SQLITE = """SELECT one.id FROM json_each(:lanes) AS wanted CROSS JOIN jobs AS one ON one.id IN (
SELECT id FROM jobs WHERE state = 'ready' AND kind = :kind AND lane = wanted.value ORDER BY ord, id LIMIT :many)"""
TAKING = """UPDATE jobs SET state = 'running', attempt = attempt + 1, worker = :worker, lease_until = :until,
started_at = :now, progress_done = NULL, progress_total = NULL, progress_message = NULL """
TAKE_SQLITE = f"""{TAKING} WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'ready' RETURNING {COLUMNS}"""
TAKE_POSTGRESQL = f"""WITH picked AS (
SELECT one.id FROM unnest(CAST(:lanes AS text[]), CAST(:numbers AS int[])) AS wanted(lane, many)
CROSS JOIN LATERAL (SELECT id FROM jobs WHERE state = 'ready' AND kind = :kind AND lane = wanted.lane
ORDER BY ord, id LIMIT wanted.many FOR UPDATE SKIP LOCKED) AS one)
{TAKING} WHERE id IN (SELECT id FROM picked) RETURNING {COLUMNS}"""

MINE = "id = :id AND attempt = :attempt AND worker = :worker AND state IN ('running', 'cancelling')"
SUCCEED = """UPDATE jobs SET state = CASE state WHEN 'running' THEN 'succeeded' ELSE 'cancelled' END,
result = CASE state WHEN 'running' THEN new.result END, error = NULL, finished_at = :now, purge_at = new.purge_at,
progress_done = COALESCE(new.done, progress_done), progress_total = COALESCE(new.total, progress_total),
progress_message = COALESCE(new.message, progress_message), worker = NULL, lease_until = NULL
FROM {new} WHERE jobs.id = new.id AND jobs.attempt = new.attempt AND worker = :worker
AND state IN ('running', 'cancelling') RETURNING jobs.id, state"""
SUCCEED_SQLITE = SUCCEED.format(
    new="""(SELECT value ->> 0 AS id, value ->> 1 AS attempt, value ->> 2 AS result, value ->> 3 AS purge_at,
value ->> 4 AS done, value ->> 5 AS total, value ->> 6 AS message FROM json_each(:rows)) AS new"""
)
SUCCEED_POSTGRESQL = SUCCEED.format(
    new="""unnest(CAST(:ids AS bigint[]), CAST(:attempts AS int[]), CAST(:results AS text[]), CAST(:purges AS bigint[]),
CAST(:dones AS bigint[]), CAST(:totals AS bigint[]), CAST(:messages AS text[]))
AS new(id, attempt, result, purge_at, done, total, message)"""
)
HELD = f"SELECT state, errors FROM jobs WHERE {MINE}"
LEAVE = f"""UPDATE jobs SET state = :state, attempt = attempt - :unbegun,
started_at = CASE WHEN :unbegun = 0 THEN started_at END, run_at = :run_at, ord = :ord, tries = :tries, result = :result,
error = :error, errors = :errors, finished_at = :finished_at, purge_at = :purge_at,
progress_done = COALESCE(:done, progress_done), progress_total = COALESCE(:total, progress_total),
progress_message = COALESCE(:message, progress_message), worker = NULL, lease_until = NULL
WHERE {MINE}"""
TOTAL = """INSERT INTO job_totals (organization_id, view, state, number, sum_us) {new}
ON CONFLICT (organization_id, view, state) DO UPDATE
SET number = job_totals.number + excluded.number, sum_us = job_totals.sum_us + excluded.sum_us"""
TOTAL_SQLITE = TOTAL.format(
    new="SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(:rows) WHERE true"
)
TOTAL_POSTGRESQL = TOTAL.format(
    new="""SELECT * FROM unnest(CAST(:organizations AS bigint[]), CAST(:views AS text[]), CAST(:states AS text[]),
CAST(:numbers AS bigint[]), CAST(:sums AS bigint[]))"""
)

DUE = "SELECT min(run_at) FROM jobs WHERE state = 'scheduled'"
# Whether anything is ready, and when the next one is due.
LOOK = f"SELECT (SELECT 1 FROM jobs WHERE state = 'ready' LIMIT 1), ({DUE})"
SOME = {"sqlite": "IN (SELECT value FROM json_each(:ids))", "postgresql": "= ANY(:ids)"}
SKIP = {"sqlite": "", "postgresql": " FOR UPDATE SKIP LOCKED"}
WAIT = {"sqlite": "", "postgresql": " FOR UPDATE"}


@cache
def spelled(text: str, dialect: str) -> str:
    """Write named parameters as the driver wants them."""
    return text if dialect == "sqlite" else MARK.sub(r"%(\1)s", text)


def run(connection: sa.Connection, text: str, **values: Any) -> Any:
    """Run one statement on the driver's connection, inside the transaction; returns its cursor."""
    return driver(connection).execute(spelled(text, connection.dialect.name), values)


def some(connection: sa.Connection, ids: list[int]) -> Any:
    """Write many ids as one parameter, for SOME."""
    return msgspec.json.encode(ids).decode() if connection.dialect.name == "sqlite" else ids


def job_of(row: Any) -> Job:
    """Read a row of COLUMNS, in their order."""
    values = list(row)
    values[PAYLOAD] = msgspec.json.decode(values[PAYLOAD])
    if values[RESULT] is not None:
        values[RESULT] = msgspec.json.decode(values[RESULT])
    return Job(*values)


def rows_of(connection: sa.Connection, names: str, rows: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """Write many rows as parameters: `rows` for json_each, or a list for each of the named columns for unnest."""
    if connection.dialect.name == "sqlite":
        return {"rows": msgspec.json.encode(rows).decode()}
    return {name: list(column) for name, column in zip(names.split(), zip(*rows, strict=True), strict=True)}
