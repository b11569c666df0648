"""Field rules that verbs share: each takes what was sent, of any type, and returns the value or raises the refusal.

The texts are the contract's: `<field>: <rule>`, or a sentence of its own. None counts as absent.
"""

import re
from collections.abc import Collection
from typing import Any

from headrace.core.principal import Principal
from headrace.core.refusals import Refusal, beyond_scope, forbidden, invalid
from headrace.kit import times
from headrace.kit.passwords import is_common

LARGEST = (1 << 63) - 1
LONGEST_EMAIL = 255
EMAIL = re.compile(
    r"(?=[a-z0-9._+-]{1,64}@)[a-z0-9](?:[a-z0-9._+-]*[a-z0-9_+-])?"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
)
SLUG = re.compile(r"[a-z0-9-]+")


def missing(field: str) -> Refusal:
    return invalid(field, "field required", type="missing")


def text(value: Any, field: str, *, least: int = 0, most: int = 255) -> str:
    """A string of `least` to `most` code points, as sent."""
    if value is None:
        raise missing(field)
    if not isinstance(value, str):
        raise invalid(field, "must be a string", type="type")
    if not least <= len(value) <= most:
        raise invalid(field, f"must be {least}-{most} characters")
    # PostgreSQL stores no NUL, and nothing can encode a lone surrogate.
    if "\0" in value or (not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)):
        raise invalid(field, "must not contain null characters or lone surrogates")
    return value


def name(value: Any, field: str = "name", *, most: int = 255) -> str:
    """1 to 255 characters after trimming."""
    return text(value.strip() if isinstance(value, str) else value, field, least=1, most=most)


def slug(value: Any, field: str = "slug", *, most: int = 255) -> str:
    """Lower-cased first, then 1 to 255 of `^[a-z0-9-]+$`."""
    lowered = text(value.lower() if isinstance(value, str) else value, field, least=1, most=most)
    if not SLUG.fullmatch(lowered):
        raise invalid(field, "must match ^[a-z0-9-]+$")
    return lowered


def email(value: Any, field: str = "email") -> str:
    """An e-mail address, trimmed and lower-cased."""
    if value is None:
        raise missing(field)
    found = normal_email(value) if isinstance(value, str) else None
    if found is None:
        raise invalid(field, "invalid email format")
    return found


def normal_email(value: str) -> str | None:
    """The address trimmed and lower-cased, or None when it is none."""
    address = value.strip().lower()
    good = len(address) <= LONGEST_EMAIL and ".." not in address and EMAIL.fullmatch(address)
    return address if good else None


def password(value: Any, field: str = "password") -> str:
    """A new password; the first rule that fails is told."""
    sent = text(value, field, least=8, most=64)
    if not any(character.isupper() for character in sent):
        raise invalid(field, "upper", text="Password must contain uppercase letter")
    if not any(character.islower() for character in sent):
        raise invalid(field, "lower", text="Password must contain lowercase letter")
    if not any(character.isdigit() for character in sent):
        raise invalid(field, "digit", text="Password must contain digit")
    return uncommon(sent, field)


def uncommon(sent: str, field: str = "password") -> str:
    """Refuse the first guesses of whoever tries passwords."""
    if is_common(sent):
        raise invalid(field, "common", text="Password is too common")
    return sent


def integer(value: Any, field: str, least: int, most: int = LARGEST) -> int:
    if value is None:
        raise missing(field)
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(field, "must be an integer", type="type")
    if not least <= value <= most:
        open_ended = most == LARGEST and value < least
        raise invalid(field, f"must be >= {least}" if open_ended else f"must be {least}-{most}")
    return value


def choice(value: Any, field: str, choices: Collection[str]) -> str:
    if value is None:
        raise missing(field)
    if not isinstance(value, str) or value not in choices:
        raise invalid(field, f"must be one of {', '.join(choices)}", type="enum")
    return value


def moment(value: Any, field: str) -> int:
    """An ISO 8601 time, in microseconds."""
    if value is None:
        raise missing(field)
    try:
        return times.parse(value)
    except (ValueError, TypeError) as error:
        raise invalid(field, "must be an ISO 8601 timestamp") from error


def positive(value: Any) -> int | None:
    """Return 1 to 2^63-1, sent as a number or in decimal digits; None for anything else."""
    plain = isinstance(value, int) and not isinstance(value, bool)
    good = plain or (isinstance(value, str) and value.isascii() and value.isdigit())
    number = int(value) if good and len(str(value)) <= len(str(LARGEST)) else 0
    return number if 1 <= number <= LARGEST else None


def path_id(value: Any, field: str) -> int:
    """An id in a path."""
    number = positive(value)
    if number is None:
        raise invalid(field, "positive", text=f"{field} must be a positive integer")
    return number


def flag(value: Any, field: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise invalid(field, "must be true or false", type="type")
    return value


def require(who: Principal, resource: str, action: str) -> None:
    """Refuse a key whose scopes do not reach `resource:action`; an organization's key is told the plain word."""
    if who.allows(resource, action):
        return
    wanted = f"{resource}:{action}" if who.key_kind in {"project", "ingest"} else action
    raise beyond_scope(wanted)


def require_admin(who: Principal, resource: str, action: str = "admin") -> None:
    """Refuse whoever is no admin of the organization; of a key both its scope and its owner's role count."""
    require(who, resource, action)
    if not who.is_admin:
        raise forbidden("Insufficient permissions")
