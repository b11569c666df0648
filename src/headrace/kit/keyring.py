"""The instance's secret and the keys that hang on it. Every key is derived by HKDF-SHA256, one for each purpose.

Which purpose is used where is told by the callers; here is only the arithmetic and the file that holds the secret.
"""

import hmac
import os
import secrets
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ACCESS = "jwt/access/1"
API_KEY = "apikey/1"
TOKEN = "token/1"  # noqa: S105  The name of a purpose.
PERSON = "person/1"
SEAL = "seal/1"

SHORTEST = 32
FEWEST_DIFFERENT = 8
SAMPLES = (
    "change",
    "example",
    "your-secret",
    "your_secret",
    "yoursecret",
    "secret-key",
    "placeholder",
    "insert",
    "dummy",
)
NONCE = 12


class WeakSecretError(ValueError):
    """The instance secret is too short, or a sample that everybody knows."""


class BrokenSealError(ValueError):
    """Sealed bytes do not belong to this place, or were made under a secret that is gone."""


def mac(key: bytes, text: str) -> bytes:
    """Return HMAC-SHA256 of the text, 32 bytes."""
    return hmac.digest(key, text.encode(), "sha256")


def strong(secret: str) -> bytes:
    """Return the secret's bytes, or raise WeakSecretError: 32 bytes or more, no sample, no repetition."""
    content = secret.strip().encode()
    if len(content) < SHORTEST:
        raise WeakSecretError(f"must have {SHORTEST} bytes or more, and this one has {len(content)}")
    if any(sample in secret.lower() for sample in SAMPLES) or len(set(content)) < FEWEST_DIFFERENT:
        raise WeakSecretError("must be random, and this one is a sample; `openssl rand -hex 32` prints one")
    return content


def read_or_make(path: Path) -> bytes:
    """Return the secret in the file; a missing file is made (mode 0600, on disk before anything hangs on it)."""
    if not path.exists():
        made = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link, not a rename: of two processes that start at once the first one's secret stays.
            path.hardlink_to(made)
        except FileExistsError:
            pass
        finally:
            made.unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return strong(path.read_text())


class Keyring:
    """The current secret, which signs and seals, and the previous ones, which only verify and open."""

    def __init__(self, secret: bytes, previous: Sequence[bytes] = ()) -> None:
        self.secrets = (secret, *previous)
        self.keys = cache(self._keys)

    def _keys(self, info: str) -> tuple[bytes, ...]:
        return tuple(
            HKDF(algorithm=SHA256(), length=32, salt=None, info=info.encode()).derive(secret) for secret in self.secrets
        )

    def generations(self, info: str) -> dict[str, bytes]:
        """Keys of one purpose by a short public name, the newest first; the name tells nothing about the key."""
        names = [sha256(key).hexdigest()[:8] for key in self.keys(f"{info}/name")]
        return dict(zip(names, self.keys(info), strict=True))

    def mac(self, info: str, text: str) -> bytes:
        return mac(self.keys(info)[0], text)

    def macs(self, info: str, text: str) -> list[bytes]:
        """MACs under every secret that still counts, the newest first: what a look-up compares."""
        return [mac(key, text) for key in self.keys(info)]

    def seal(self, plain: bytes, place: str) -> bytes:
        """Encrypt (AES-256-GCM); `place` is `table|column|organization|row` and must be the same at `unseal`."""
        nonce = secrets.token_bytes(NONCE)
        return nonce + AESGCM(self.keys(SEAL)[0]).encrypt(nonce, plain, place.encode())

    def unseal(self, sealed: bytes, place: str) -> bytes:
        for key in self.keys(SEAL):
            try:
                return AESGCM(key).decrypt(sealed[:NONCE], sealed[NONCE:], place.encode())
            except InvalidTag:
                continue
        raise BrokenSealError(f"cannot open what was sealed for {place}")
