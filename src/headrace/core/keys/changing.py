"""Changing keys: revoke, pause, resume, and the operator's limits. Each counts from the next request, everywhere."""

from typing import Any

import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.house import House, bump_epoch
from headrace.core.keys.records import Key, announce, key_of
from headrace.core.principal import Principal
from headrace.core.refusals import conflict, forbidden, not_found
from headrace.core.schema import api_keys


def revoke(house: House, who: Principal, *, key_id: int) -> Key:
    """End a key for good; to do so again is the same answer."""
    return _change(house, who, key_id, "revoked", lambda row: {"revoked_at": row.revoked_at or house.clock()})


def pause(house: House, who: Principal, *, key_id: int) -> Key:
    return _change(house, who, key_id, "paused", lambda row: {"paused_at": row.paused_at or house.clock()})


def resume(house: House, who: Principal, *, key_id: int) -> Key:
    return _change(house, who, key_id, "resumed", lambda _: {"paused_at": None})


def set_limits(
    house: House, who: Principal, *, key_id: int, per_minute: int | None = None, per_hour: int | None = None
) -> Key:
    """Set a key's own requests per minute and hour; None gives it the default of the settings again.

    The operator and a super admin set what they like; an admin of the organization, no more than the default.
    """
    rules.require_admin(who, "keys")
    free = who.kind == "operator" or who.role == "super_admin"
    most = (10_000_000, 1_000_000_000) if free else (house.settings.key_per_minute, house.settings.key_per_hour)
    values = {
        "per_minute": None if per_minute is None else rules.integer(per_minute, "per_minute", 1, most[0]),
        "per_hour": None if per_hour is None else rules.integer(per_hour, "per_hour", 1, most[1]),
    }
    return _change(house, who, key_id, "changed", lambda _: values)


def _change(house: House, who: Principal, key_id: int, what: str, values: Any) -> Key:
    query = sa.select(api_keys).where(api_keys.c.id == key_id)
    with house.db.write() as connection:
        row = connection.execute(query.with_for_update()).one_or_none()
        if row is None:
            raise not_found("API key not found")
        own = row.owner_id is not None and row.owner_id == who.account_id
        if row.organization_id != who.organization_id or not (own or who.is_admin):
            raise forbidden("You do not own this API key")
        rules.require(who, "keys", "admin")
        if row.revoked_at is not None and what != "revoked":
            raise conflict("API key is revoked")
        changed = sa.update(api_keys).where(api_keys.c.id == key_id).values(**values(row)).returning(api_keys)
        again = what == "revoked" and row.revoked_at is not None
        row = connection.execute(changed).one()
        if not again:
            bump_epoch(connection, house)
            audit.record(connection, house, who, f"apikey:key:{what}", target=f"key:{key_id}")
            if what == "revoked":
                announce(connection, house, row, "key.revoked")
        return key_of(row, house.clock())
