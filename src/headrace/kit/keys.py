"""Forms of API keys and opaque tokens: random bodies, checksums, shown prefixes. Who owns a key is core's business.

A checksum is CRC-32 of everything before it, in base 36, 7 characters: garbage is refused without asking the database.
"""

import re
import secrets
import zlib
from base64 import b64encode

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
BODY = 33
CHECKSUM = 7
PROJECT = re.compile(r"ldg_proj_[0-9]{1,19}_[a-z0-9]{40}")
ORGANIZATION = re.compile(r"vetrai_[a-z0-9]{40}")
REFRESH = re.compile(r"hrt_[a-z0-9]{40}")
INGEST = re.compile(r"[0-9a-f]{32}")
IMPORTED = re.compile(r"[!-~]{16,256}")
PREFIXES = ("ldg_", "ledger_", "vetrai_", "hrt_")
# For log filters: whatever looks like one of our keys.
PUBLISHED = re.compile(r"(?:(?:ldg|ledger)_proj_[0-9]{1,19}|vetrai|hrt)_[a-z0-9]{40}")


def checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(CHECKSUM):
        number, digit = divmod(number, 36)
        digits = ALPHABET[digit] + digits
    return digits


def body(length: int = BODY) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def checked(text: str) -> str:
    """Append the checksum."""
    return text + checksum(text)


def project_key(project_id: int) -> str:
    return checked(f"ldg_proj_{project_id}_{body()}")


def organization_key() -> str:
    return checked(f"vetrai_{body()}")


def ingest_key() -> str:
    return secrets.token_hex(16)


def refresh_token() -> str:
    return checked(f"hrt_{body()}")


def signing_secret() -> str:
    """A Standard Webhooks secret: `whsec_` and 24 random bytes."""
    return "whsec_" + b64encode(secrets.token_bytes(24)).decode()


def canonical(secret: str) -> str:
    """`ledger_` is another spelling of `ldg_`, turned into it before the checksum."""
    return "ldg_" + secret.removeprefix("ledger_") if secret.startswith("ledger_") else secret


def intact(text: str) -> bool:
    return text[-CHECKSUM:] == checksum(text[:-CHECKSUM])


def kind_of(secret: str) -> str | None:
    """Tell the kind of a canonical key by its form: project, organization or imported; None is no key at all.

    An ingest key has the form of an imported one; only the header that carries it tells them apart.
    """
    if secret.startswith("ldg_"):
        return "project" if PROJECT.fullmatch(secret) and intact(secret) else None
    if secret.startswith("vetrai_"):
        return "organization" if ORGANIZATION.fullmatch(secret) and intact(secret) else None
    if secret.startswith(PREFIXES):
        return None
    return "imported" if IMPORTED.fullmatch(secret) else None


def shown(secret: str) -> str:
    """The part of a key that may be shown: of a project key up to 6 random characters, of others `first 8...last 3`."""
    if PROJECT.fullmatch(secret):
        return secret[: -BODY - CHECKSUM + 6]
    return f"{secret[:8]}...{secret[-3:]}"
