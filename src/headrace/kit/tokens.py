"""Access tokens: JSON Web Tokens, HS256, one signer. Whether a session still stands is the caller's question.

PyJWT accepts a few second spellings of one token (padding, other headers, times as text); the checks here refuse them.
"""

import re
from collections.abc import Mapping
from typing import Any

import jwt

from headrace.kit.times import SECOND

NAME = "headrace"
LEEWAY = 5
# 43 characters of base64url carry 256 bits and 2 spare ones, which have to be zero.
SHAPE = re.compile(r"[A-Za-z0-9_-]{20,300}\.[A-Za-z0-9_-]{20,1500}\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")
CLAIMS = {"exp": int, "iat": int, "iss": str, "aud": str, "sub": str, "sid": str, "jti": str}
# Times are compared below with the caller's clock, not with PyJWT's.
VERIFIER = jwt.PyJWT(
    options={
        "require": list(CLAIMS),
        "strict_aud": True,
        "enforce_minimum_key_length": True,
        "verify_exp": False,
        "verify_iat": False,
    },
)


class InvalidTokenError(ValueError):
    """The token was not made here, or its time is over. Outside, one answer for all reasons."""


class Tokens:
    """Signs with the newest key and verifies with all. `ring` is keyed by generation name, the newest first."""

    def __init__(self, ring: Mapping[str, bytes]) -> None:
        self.name, self.key = next(iter(ring.items()))
        # The header segment has to equal, byte for byte, one that we emit; it also selects the key.
        self.headers = {_sign({}, key, name).split(".")[0]: key for name, key in ring.items()}

    def sign(self, claims: Mapping[str, Any]) -> str:
        return _sign({"iss": NAME, "aud": NAME, **claims}, self.key, self.name)

    def claims_of(self, token: str, now: int) -> dict[str, Any]:
        """Return the claims of a token that is ours and not expired at `now` (microseconds), or InvalidTokenError."""
        key = self.headers.get(token.split(".", 1)[0])
        if key is None or not SHAPE.fullmatch(token):
            raise InvalidTokenError
        try:
            claims: dict[str, Any] = VERIFIER.decode(token, key, algorithms=["HS256"], audience=NAME, issuer=NAME)
        except jwt.PyJWTError as error:
            raise InvalidTokenError from error
        if any(type(claims[name]) is not kind for name, kind in CLAIMS.items()):
            raise InvalidTokenError
        if not claims["iat"] - LEEWAY <= now / SECOND < claims["exp"] + LEEWAY:
            raise InvalidTokenError
        return claims


def _sign(claims: Mapping[str, Any], key: bytes, name: str) -> str:
    return jwt.encode(dict(claims), key, "HS256", headers={"kid": name, "typ": "at+jwt"})
