"""Headers of answers: security by family of path, rate windows, CORS. Constant ones are bytes, made once."""

from collections.abc import Sequence

from headrace.core.limits.windows import Standing

Header = tuple[bytes, bytes]
Headers = tuple[Header, ...]

_EVERYWHERE: Headers = (
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_SAME_ORIGIN: Header = (b"cross-origin-resource-policy", b"same-origin")
_NO_STORE: Header = (b"cache-control", b"no-store")
_PAGE = (
    b"default-src 'none'; script-src 'self'; style-src 'self'%s; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def _policy(text: bytes) -> Header:
    return (b"content-security-policy", text)


_API = _policy(b"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
# What differs between families of paths. An API's answers are never kept: with or without a credential, they are news.
FAMILIES: dict[str, Headers] = {
    "api": (
        *_EVERYWHERE,
        _SAME_ORIGIN,
        _NO_STORE,
        _API,
    ),
    # An answer that anybody may keep, and ask again by its tag.
    "described": (*_EVERYWHERE, _SAME_ORIGIN, (b"cache-control", b"no-cache"), _API),
    "page": (*_EVERYWHERE, _SAME_ORIGIN, _NO_STORE, _policy(_PAGE % b"")),
    # The Swagger bundle sets styles from its script; no other page may.
    "docs": (*_EVERYWHERE, _SAME_ORIGIN, _policy(_PAGE % b" 'unsafe-inline'")),
    "asset": (*_EVERYWHERE, _SAME_ORIGIN, (b"cache-control", b"public, max-age=3600"), _policy(_PAGE % b"")),
    # Its name holds a hash of what is in it.
    "immutable": (
        *_EVERYWHERE,
        _SAME_ORIGIN,
        (b"cache-control", b"public, max-age=31536000, immutable"),
        _policy(_PAGE % b""),
    ),
    "shared": (
        *_EVERYWHERE,
        (b"cross-origin-resource-policy", b"cross-origin"),
        (b"access-control-allow-origin", b"*"),
        (b"cache-control", b"public, max-age=60"),
        _policy(b"default-src 'none'"),
    ),
    "file": (*_EVERYWHERE, _SAME_ORIGIN, _NO_STORE, _policy(b"default-src 'none'; sandbox")),
}

# The same as header lines, for answers that go out in one write.
LINES = {family: b"".join(b"%s: %s\r\n" % header for header in headers) for family, headers in FAMILIES.items()}

_RATES = (
    b"x-ratelimit-limit: %d\r\n"
    b"x-ratelimit-remaining: %d\r\n"
    b"x-ratelimit-reset: %d\r\n"
    b'ratelimit-policy: "%s";q=%d;w=%d\r\n'
    b'ratelimit: "%s";r=%d;t=%d\r\n'
)

EXPOSED = (
    b"X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, RateLimit, RateLimit-Policy, Retry-After, "
    b"X-Request-ID, X-Total-Count, X-Page, X-Per-Page, X-Pagination-Page, X-Pagination-Limit, X-Pagination-Total, "
    b"X-Pagination-Pages, Idempotency-Replayed"
)
_ASKABLE = (
    b"Authorization, Content-Type, Content-Encoding, Idempotency-Key, X-API-Key, X-INGEST-KEY, X-Project-ID, "
    b"X-Request-ID"
)


def rate_headers(standings: Sequence[Standing], now: int) -> list[Header]:
    """Return the headers of the budget with the fewest requests left, on a tie of the shorter window; none without one.

    `now` is in whole epoch seconds.
    """
    lines = rate_lines(standings, now).split(b"\r\n")[:-1]
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


def rate_lines(standings: Sequence[Standing], now: int) -> bytes:
    """Return the same as header lines."""
    if not standings:
        return b""
    tightest = standings[0]
    for one in standings:
        if (one.remaining, one.budget.width) < (tightest.remaining, tightest.budget.width):
            tightest = one
    budget, remaining, reset = tightest.budget, tightest.remaining, tightest.reset
    name = budget.name.encode()
    return _RATES % (
        budget.limit,
        remaining,
        reset,
        name,
        budget.limit,
        budget.width,
        name,
        remaining,
        max(0, reset - now),
    )


def cors(origin: bytes, allowed: frozenset[bytes]) -> list[Header]:
    """Return what lets a page of a listed origin read the answer; without credentials (cookies), as there are none."""
    if not allowed:
        return []
    if origin not in allowed:
        return [(b"vary", b"Origin")]
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"Origin"),
    ]


def preflight(methods: str) -> list[Header]:
    return [
        (b"access-control-allow-methods", methods.encode()),
        (b"access-control-allow-headers", _ASKABLE),
        (b"access-control-max-age", b"600"),
    ]
