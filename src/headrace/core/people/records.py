"""The record of a person, how a row becomes one, and the rules of its fields."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
import sqlalchemy as sa

from headrace.core import rules
from headrace.core.refusals import invalid
from headrace.kit.currencies import CURRENCIES

ID = re.compile(r"[0-9a-f]{32}")
LONGEST_EMAIL = 320
LONGEST_META = 64 << 10
# The form of RFC 5646: subtags of letters and digits, a language or a private use mark first.
LOCALE = re.compile(r"(?:[A-Za-z]{2,8}|[IXix](?=-))(?:-[A-Za-z0-9]{1,8})*")


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """`meta` is the caller's own object. Times in microseconds."""

    id: str
    organization_id: int
    email: str
    name: str | None
    locale: str | None
    currency: str | None
    meta: dict[str, Any]
    created_at: int
    updated_at: int


def person_of(row: sa.Row[Any]) -> Person:
    return Person(
        id=row.id,
        organization_id=row.organization_id,
        email=row.email,
        name=row.name,
        locale=row.locale,
        currency=row.currency,
        meta=msgspec.json.decode(row.meta),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def address(value: Any) -> str:
    """An e-mail address, trimmed and lower-cased: text on both sides of one `@`. Who it reaches is not judged."""
    found = rules.text(value.strip().lower() if isinstance(value, str) else value, "email", least=3, most=LONGEST_EMAIL)
    before, at, after = found.partition("@")
    if not (before and at and after) or "@" in after:
        raise invalid("email", "must have text on both sides of one @")
    return found


def fields(name: Any, locale: Any, currency: Any, meta: Any) -> dict[str, Any]:
    """The columns that were sent; None is not sent."""
    found: dict[str, Any] = {}
    if name is not None:
        found["name"] = rules.text(name, "name", most=255)
    if locale is not None:
        found["locale"] = rules.text(locale, "locale", most=35)
        if not LOCALE.fullmatch(found["locale"]):
            raise invalid("locale", "must be a language tag like en-US")
    if currency is not None:
        if not isinstance(currency, str) or currency.upper() not in CURRENCIES:
            raise invalid("currency", "must be a currency code of ISO 4217")
        found["currency"] = currency.upper()
    if meta is not None:
        if not isinstance(meta, dict):
            raise invalid("meta", "must be an object", type="type")
        found["meta"] = meta
    return found


def merged(known: Mapping[str, Any], sent: Mapping[str, Any], *, limit: int | None = LONGEST_META) -> str:
    """Put what was sent over what is known, key by key, as JSON of at most `limit` bytes; null takes a key away."""
    both = {key: value for key, value in {**known, **sent}.items() if value is not None or key not in sent}
    text = msgspec.json.encode(both)
    if limit is not None and len(text) > limit:
        raise invalid("meta", "too large", text=f"meta too large: max {limit >> 10}KB")
    return text.decode()
