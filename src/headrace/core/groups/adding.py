"""The statements that add a segment's counts to what is there. Made once: making one takes half a millisecond."""

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from headrace.core.schema.groups import error_hours, error_places, error_releases, error_users

if TYPE_CHECKING:
    from headrace.core.house import House


class Adding:
    """Of one house, in its database's dialect: each takes a list of rows."""

    def __init__(self, house: "House") -> None:
        self.house = house
        self.hours = self._into(error_hours, "fingerprint_id", "hour")
        self.places = self._into(error_places, "fingerprint_id", "release", "environment")
        self.users = self._into(error_users, "fingerprint_id")
        self.releases = self._into(error_releases, "project_id", "release")

    def _into(self, table: sa.Table, *key: str) -> sa.Insert:
        insert, old = self.house.db.insert(table), table.c
        new = insert.excluded
        ways: dict[str, Any] = {
            "count": lambda: old["count"] + new["count"],
            "first_seen": lambda: sa.case((old.first_seen > new.first_seen, new.first_seen), else_=old.first_seen),
            "last_seen": lambda: sa.case((old.last_seen < new.last_seen, new.last_seen), else_=old.last_seen),
            "registers": lambda: new.registers,
        }
        added = {name: way() for name, way in ways.items() if name in old}
        return insert.on_conflict_do_update(index_elements=list(key), set_=added)
