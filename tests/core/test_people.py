import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from headrace.core import audit, people
from headrace.core.house import House
from headrace.core.principal import Principal
from headrace.core.refusals import Kind
from tests.conftest import FakeClock, SignUp
from tests.core.conftest import refusal

EMAIL = "jane@example.com"


def test_a_person_is_made_and_changed_by_address(house: House, ada: Principal, clock: FakeClock) -> None:
    made = people.upsert(house, ada, email=" Jane@Example.com ", meta={"plan": "pro", "none": None})
    person = made.person
    assert made.is_new
    assert (len(person.id), person.email, person.name, person.locale, person.currency) == (32, EMAIL, None, None, None)
    assert (person.meta, person.created_at, person.updated_at) == ({"plan": "pro"}, clock.now, clock.now)
    clock.advance(60)
    again = people.upsert(house, ada, email=EMAIL, name="Jane", locale="en-US", currency="usd", meta={"credits": 5})
    assert not again.is_new
    assert again.person == replace(
        person,
        name="Jane",
        locale="en-US",
        currency="USD",
        meta={"plan": "pro", "credits": 5},
        updated_at=clock.now,
    )
    # What is not sent stays; a null in `meta` takes its key away, at its first level alone.
    kept = people.upsert(house, ada, email=EMAIL, meta={"plan": None, "deep": {"a": None}}).person
    assert (kept.name, kept.meta) == ("Jane", {"credits": 5, "deep": {"a": None}})
    assert people.get(house, ada, person_id=person.id) == kept
    assert people.by_email(house, ada, email=" JANE@example.com") == kept


def test_a_person_is_changed_by_id(house: House, ada: Principal) -> None:
    person = people.upsert(house, ada, email=EMAIL, name="Jane", meta={"a": 1}).person
    changed = people.update(house, ada, person_id=person.id, meta={"b": [1, {"c": 2.5}]}, name="")
    assert (changed.name, changed.meta) == ("", {"a": 1, "b": [1, {"c": 2.5}]})
    lines = audit.list_all(house, ada).events
    assert [(line.action, line.target, line.data) for line in lines[:2]] == [
        ("people:person:updated", f"person:{person.id}", {"fields": ["meta", "name"]}),
        ("people:person:created", f"person:{person.id}", {}),
    ]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"email": None}, "email: field required"),
        ({"email": 7}, "email: must be a string"),
        ({"email": " a "}, "email: must be 3-320 characters"),
        ({"email": "a@" + "b" * 319}, "email: must be 3-320 characters"),
        *(
            ({"email": wrong}, "email: must have text on both sides of one @")
            for wrong in ("abc", "@ab", "ab@", "a@b@c", "a@@b")
        ),
        ({"email": "a\0@b"}, "email: must not contain null characters or lone surrogates"),
        ({"name": "x" * 256}, "name: must be 0-255 characters"),
        ({"name": []}, "name: must be a string"),
        ({"locale": "x" * 36}, "locale: must be 0-35 characters"),
        *(({"locale": wrong}, "locale: must be a language tag like en-US") for wrong in ("", "e", "en_US", "en-", "é")),
        *(({"currency": wrong}, "currency: must be a currency code of ISO 4217") for wrong in ("", "US", "ABC", 5)),
        ({"meta": []}, "meta: must be an object"),
        ({"meta": {"a": "x" * 65_536}}, "meta too large: max 64KB"),
    ],
)
def test_fields_have_rules(house: House, ada: Principal, fields: dict[str, Any], text: str) -> None:
    if house.db.dialect == "postgresql":
        return  # No SQL is reached.
    assert refusal(lambda: people.upsert(house, ada, **({"email": EMAIL} | fields))) == (Kind.INVALID, text)
    if "email" not in fields:
        person = people.upsert(house, ada, email=EMAIL).person
        assert refusal(lambda: people.update(house, ada, person_id=person.id, **fields)) == (Kind.INVALID, text)


@pytest.mark.parametrize("locale", ["en", "en-US", "zh-Hant-TW", "de-DE-1996", "x-own", "i-klingon", "sr-Latn-RS"])
def test_language_tags(house: House, ada: Principal, locale: str) -> None:
    assert people.upsert(house, ada, email=EMAIL, locale=locale).person.locale == locale


def test_the_limit_of_meta_is_that_of_what_is_kept(house: House, ada: Principal) -> None:
    half = "x" * 40_000
    people.upsert(house, ada, email=EMAIL, meta={"a": half})
    assert refusal(lambda: people.upsert(house, ada, email=EMAIL, meta={"b": half}))[1] == "meta too large: max 64KB"
    assert people.upsert(house, ada, email=EMAIL, meta={"a": None, "b": half}).person.meta == {"b": half}


def test_a_change_names_something(house: House, ada: Principal) -> None:
    person = people.upsert(house, ada, email=EMAIL).person
    said = refusal(lambda: people.update(house, ada, person_id=person.id))
    assert said == (Kind.INVALID, "at least one field is required: name, locale, currency, meta")


def test_people_are_their_organizations(house: House, ada: Principal, sign_up: SignUp) -> None:
    bob = sign_up(house, "bob@example.com")
    person = people.upsert(house, ada, email=EMAIL).person
    unseen = (Kind.NOT_FOUND, "Person not found")
    assert refusal(lambda: people.get(house, bob, person_id=person.id)) == unseen
    assert refusal(lambda: people.by_email(house, bob, email=EMAIL)) == unseen
    assert refusal(lambda: people.update(house, bob, person_id=person.id, name="x")) == unseen
    other = people.upsert(house, bob, email=EMAIL)
    assert other.is_new
    assert other.person.id != person.id
    for nobody in ("x", "", "0" * 32, "\0" * 32, person.id.upper()):
        assert refusal(partial(people.get, house, ada, person_id=nobody)) == unseen
    assert refusal(lambda: people.by_email(house, ada, email="nobody")) == unseen


def test_a_key_needs_its_scope(house: House, ada: Principal) -> None:
    reader = replace(ada, kind="key", key_kind="organization", scopes=frozenset({"read"}))
    assert refusal(lambda: people.upsert(house, reader, email=EMAIL))[0] is Kind.FORBIDDEN
    narrow = replace(reader, scopes=frozenset({"people:write"}))
    person = people.upsert(house, narrow, email=EMAIL).person
    assert people.get(house, reader, person_id=person.id) == person
    assert people.get(house, narrow, person_id=person.id) == person
    other = replace(reader, scopes=frozenset({"jobs:write"}))
    assert refusal(lambda: people.get(house, other, person_id=person.id))[0] is Kind.FORBIDDEN


def test_an_organization_is_full(house: House, open_house: Callable[..., House], ada: Principal) -> None:
    small = open_house(replace(house.settings, people_limit=1))
    people.upsert(small, ada, email=EMAIL)
    said = refusal(lambda: people.upsert(small, ada, email="two@example.com"))
    assert said == (Kind.INVALID, "User limit reached: 1")
    assert not people.upsert(small, ada, email=EMAIL).is_new


def test_merges_at_once_lose_nothing(house: House, ada: Principal) -> None:
    found: list[people.Upserted] = []

    def write(number: int) -> None:
        found.append(people.upsert(house, ada, email=EMAIL, meta={f"k{number}": number}))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.is_new for one in found].count(True) == 1
    assert people.by_email(house, ada, email=EMAIL).meta == {f"k{number}": number for number in range(8)}


def test_other_rooms_put_facts_into_meta(house: House, ada: Principal, clock: FakeClock) -> None:
    person = people.upsert(house, ada, email=EMAIL, meta={"a": 1}).person
    clock.advance(5)
    with house.db.write() as connection:
        known: dict[str, Any] = {"organization_id": ada.organization_id, "person_id": person.id}
        assert people.merge_meta(house, connection, **known, meta={"last_payment": {"amount": 5}})
        assert not people.merge_meta(house, connection, **(known | {"person_id": "0" * 32}), meta={"x": 1})
        assert not people.merge_meta(house, connection, **(known | {"organization_id": 10**6}), meta={"x": 1})
        assert connection.execute(sa.text("SELECT count(*) FROM people")).scalar() == 1
    after = people.get(house, ada, person_id=person.id)
    assert (after.meta, after.updated_at) == ({"a": 1, "last_payment": {"amount": 5}}, clock.now)
