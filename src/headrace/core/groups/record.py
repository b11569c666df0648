"""The record of an error group, and how a row becomes one."""

from typing import Any

import msgspec
import sqlalchemy as sa

STATUSES = ("unresolved", "resolved", "ignored", "muted")


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One error group. Times are microseconds; None = never or unknown."""

    id: int
    organization_id: int
    project_id: int
    fingerprint: str
    error_type: str | None
    error_message: str | None
    first_seen: int
    last_seen: int
    occurrence_count: int
    status: str
    assigned_to: int | None
    sample_log_id: str | None
    resolved_at: int | None
    resolved_in_release: str | None


def group_of(row: sa.Row[Any]) -> Group:
    return msgspec.convert(row._mapping, Group)  # noqa: SLF001  SQLAlchemy's documented name for a row as a mapping.
