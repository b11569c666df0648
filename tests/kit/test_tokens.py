import base64
import json
from typing import Any

import jwt
import pytest

from headrace.kit.keyring import ACCESS, Keyring
from headrace.kit.times import SECOND
from headrace.kit.tokens import SHAPE, InvalidTokenError, Tokens

NOW = 1_767_261_600
RING = Keyring(bytes(range(32))).generations(ACCESS)
TOKENS = Tokens(RING)
NAME, KEY = next(iter(RING.items()))
CLAIMS: dict[str, Any] = {"sub": "1", "sid": "a" * 32, "jti": "b" * 32, "iat": NOW, "exp": NOW + 3600}
WHOLE = {"iss": "headrace", "aud": "headrace", **CLAIMS}
HEADERS = {"kid": NAME, "typ": "at+jwt"}


def forge(claims: dict[str, Any] | None = None, key: Any = KEY, algorithm: str = "HS256", **headers: Any) -> str:
    return jwt.encode(WHOLE if claims is None else claims, key, algorithm, headers=HEADERS | headers)


def refused(token: str, now: float = NOW) -> bool:
    try:
        TOKENS.claims_of(token, round(now * SECOND))
    except InvalidTokenError:
        return True
    return False


def test_a_token_reads_back() -> None:
    token = TOKENS.sign(CLAIMS)
    assert SHAPE.fullmatch(token)
    assert TOKENS.claims_of(token, NOW * SECOND) == WHOLE
    header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    assert header == {"alg": "HS256", "kid": NAME, "typ": "at+jwt"}
    assert not refused(forge())


@pytest.mark.parametrize(
    "change",
    [
        {"exp": float(NOW + 3600)},
        {"exp": str(NOW + 3600)},
        {"exp": 1e400},
        {"iat": float(NOW)},
        {"sid": 1},
        {"jti": None},
        {"sub": 1},
        {"aud": ["headrace"]},
        {"aud": "other"},
        {"iss": "other"},
        *({name: ...} for name in WHOLE),
    ],
)
def test_claims_of_another_type_or_missing(change: dict[str, Any]) -> None:
    claims = {name: value for name, value in (WHOLE | change).items() if value is not ...}
    assert refused(forge(claims))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        forge() + "=",
        forge() + "\n",
        forge()[:-1] + chr(ord(forge()[-1]) + 1),
        forge(typ="JWT"),
        forge(jku="http://evil"),
        forge(kid="../../etc/passwd"),
        forge(kid=""),
        forge(key=bytes(32)),
        forge(key=KEY * 2, algorithm="HS512"),
        forge(key=None, algorithm="none"),
        forge().rsplit(".", 1)[0] + ".",
        jwt.encode({}, KEY, "HS256", headers=HEADERS),
        jwt.api_jws.encode(b"[]", KEY, "HS256", headers=HEADERS),
        forge(key=Keyring(bytes(range(32))).keys("jwt/file/1")[0]),
    ],
)
def test_forged_tokens(token: str) -> None:
    assert refused(token)


@pytest.mark.parametrize(
    ("now", "good"),
    [(NOW, True), (NOW - 5, True), (NOW - 6, False), (NOW + 3600, True), (NOW + 3604.9, True), (NOW + 3605, False)],
)
def test_times_are_compared_with_the_given_clock(now: float, good: bool) -> None:
    assert refused(forge(), now) is not good


def test_an_older_generation_still_verifies() -> None:
    newer = Keyring(bytes(range(1, 33)), [bytes(range(32))])
    tokens = Tokens(newer.generations(ACCESS))
    assert tokens.claims_of(forge(), NOW * SECOND) == WHOLE
    assert refused(tokens.sign(CLAIMS))
