"""The records of an error group, and how a row becomes one."""

from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

STATUSES = ("unresolved", "resolved", "ignored", "muted")
# What no state keeps of the one before, and a group that is open again.
PLAIN: Mapping[str, Any] = dict.fromkeys(
    ("resolved_at", "resolved_in_release", "regressed_at", "muted_until", "mute_rule")
)
OPEN: Mapping[str, Any] = {**PLAIN, "status": "unresolved"}


class MuteRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a mute ends by itself: at `events` events (within `minutes`, else in all), or at `users` more users.

    `since` is when it was muted, `base` how many users there were; `window` counts events by stretches of time.
    """

    events: int | None = None
    minutes: int | None = None
    users: int | None = None
    since: int
    base: int = 0
    window: dict[int, int] = {}


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One error group. Times are microseconds; None = never or unknown. `user_count` is an estimate."""

    id: int
    organization_id: int
    project_id: int
    fingerprint: str
    error_type: str | None
    error_message: str | None
    platform: str | None
    first_seen: int
    last_seen: int
    occurrence_count: int
    user_count: int
    status: str
    assigned_to: int | None
    sample_log_id: str | None
    resolved_at: int | None
    resolved_in_release: str | None
    regressed_at: int | None
    merged_into: int | None
    muted_until: int | None
    mute_rule: MuteRule | None
    created_at: int


DECODE_RULE = msgspec.json.Decoder(MuteRule).decode


def group_of(row: sa.Row[Any]) -> Group:
    fields = {name: getattr(row, name) for name in Group.__struct_fields__}
    rule = fields["mute_rule"]
    return Group(**fields | {"mute_rule": DECODE_RULE(rule) if rule else None})
