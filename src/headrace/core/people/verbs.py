"""What is done with people: made or changed by e-mail address, found, changed by id. Each change is audited."""

import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from headrace.core import audit, rules
from headrace.core.house import House
from headrace.core.people import records
from headrace.core.people.records import Person, person_of
from headrace.core.principal import Principal
from headrace.core.refusals import Refusal, invalid, not_found
from headrace.core.schema.people import people

CHANGEABLE = ("name", "locale", "currency", "meta")


class Upserted(NamedTuple):
    person: Person
    is_new: bool


def upsert(
    house: House,
    who: Principal,
    *,
    email: Any,
    name: Any = None,
    locale: Any = None,
    currency: Any = None,
    meta: Any = None,
) -> Upserted:
    """Make the person of this address, or change what was sent of the one that is known; None is not sent.

    `meta` is merged key by key, a null in it takes its key away.
    """
    rules.require(who, "people", "write")
    address = records.address(email)
    sent = records.fields(name, locale, currency, meta)
    same = sa.and_(people.c.organization_id == who.organization_id, people.c.email == address)
    with house.db.write() as connection:
        known = _locked(connection, same)
        if known is None:
            _check_room(connection, house, who)
            made = _insert(connection, house, who, sent | {"email": address})
            if made is not None:
                return Upserted(made, is_new=True)
            # Somebody else made it between the two questions.
            known = _locked(connection, same)
            if known is None:
                raise LookupError("a person that was there is gone, and nobody takes people away")
        return Upserted(_change(connection, house, who, known, sent), is_new=False)


def update(
    house: House,
    who: Principal,
    *,
    person_id: str,
    name: Any = None,
    locale: Any = None,
    currency: Any = None,
    meta: Any = None,
) -> Person:
    """Change what was sent, at least one field; None is not sent, `meta` is merged as in `upsert`."""
    rules.require(who, "people", "write")
    if name is None and locale is None and currency is None and meta is None:
        raise invalid("body", "empty", text=f"at least one field is required: {', '.join(CHANGEABLE)}")
    sent = records.fields(name, locale, currency, meta)
    with house.db.write() as connection:
        known = _locked(connection, _own(who, person_id))
        if known is None:
            raise unknown()
        return _change(connection, house, who, known, sent)


def get(house: House, who: Principal, *, person_id: str) -> Person:
    rules.require(who, "people", "read")
    return _found(house, _own(who, person_id))


def by_email(house: House, who: Principal, *, email: str) -> Person:
    """Find a person by the address, trimmed and lower-cased; one that could be nobody's is not found."""
    rules.require(who, "people", "read")
    try:
        address = records.address(email)
    except Refusal as refusal:
        raise unknown() from refusal
    return _found(house, sa.and_(people.c.organization_id == who.organization_id, people.c.email == address))


def merge_meta(
    house: House, connection: sa.Connection, *, organization_id: int, person_id: str, meta: Mapping[str, Any]
) -> bool:
    """Put facts of another room into a person's `meta`, in that room's transaction; False where nobody has this id.

    The limit of what callers send does not hold for them.
    """
    row = _locked(connection, sa.and_(people.c.organization_id == organization_id, people.c.id == person_id))
    if row is None:
        return False
    both = records.merged(person_of(row).meta, meta, limit=None)
    connection.execute(sa.update(people).where(people.c.id == person_id).values(meta=both, updated_at=house.clock()))
    return True


def unknown() -> Refusal:
    return not_found("Person not found")


def _own(who: Principal, person_id: str) -> sa.ColumnElement[bool]:
    """The caller's person of this id; what was never an id of ours is nobody."""
    if not records.ID.fullmatch(person_id):
        raise unknown()
    return sa.and_(people.c.organization_id == who.organization_id, people.c.id == person_id)


def _found(house: House, which: sa.ColumnElement[bool]) -> Person:
    with house.db.read() as connection:
        row = connection.execute(sa.select(people).where(which)).one_or_none()
    if row is None:
        raise unknown()
    return person_of(row)


def _locked(connection: sa.Connection, which: sa.ColumnElement[bool]) -> sa.Row[Any] | None:
    """Read a row that this transaction will change: two merges of one `meta` must not lose each other's keys."""
    return connection.execute(sa.select(people).where(which).with_for_update()).one_or_none()


def _check_room(connection: sa.Connection, house: House, who: Principal) -> None:
    count = sa.select(sa.func.count()).where(people.c.organization_id == who.organization_id)
    if connection.execute(count).scalar_one() >= house.settings.people_limit:
        raise invalid("user", "full", text=f"User limit reached: {house.settings.people_limit}")


def _insert(connection: sa.Connection, house: House, who: Principal, sent: Mapping[str, Any]) -> Person | None:
    """Insert a person; None where the address is taken."""
    now = house.clock()
    values = {
        **sent,
        "id": secrets.token_hex(16),
        "organization_id": who.organization_id,
        "meta": records.merged({}, sent.get("meta", {})),
        "created_at": now,
        "updated_at": now,
    }
    insert = house.db.insert(people).values(values)
    taken = insert.on_conflict_do_nothing(index_elements=["organization_id", "email"])
    row = connection.execute(taken.returning(people)).one_or_none()
    if row is None:
        return None
    audit.record(connection, house, who, "people:person:created", target=f"person:{row.id}")
    return person_of(row)


def _change(
    connection: sa.Connection,
    house: House,
    who: Principal,
    known: sa.Row[Any],
    sent: Mapping[str, Any],
) -> Person:
    values = {**sent, "updated_at": house.clock()}
    if "meta" in sent:
        values["meta"] = records.merged(person_of(known).meta, sent["meta"])
    change = sa.update(people).where(people.c.id == known.id).values(values)
    row = connection.execute(change.returning(people)).one()
    data = {"fields": sorted(sent)}
    audit.record(connection, house, who, "people:person:updated", target=f"person:{row.id}", data=data)
    return person_of(row)
