"""What a browser brings besides its request: the session's cookie, its theme, the site it comes from.

A session is core's; the cookie holds it sealed.
"""

from urllib.parse import urlsplit

from headrace.core.identity import sessions
from headrace.core.principal import Principal
from headrace.core.refusals import unauthenticated
from headrace.wire import address
from headrace.wire.call import Call
from headrace.wire.site import secure

SECURE_NAME = "__Host-headrace"
# Only https may set the name above; over plain http the server is on this machine, or the operator chose so.
PLAIN_NAME = "headrace"
THEME = "headrace_theme"
THEMES = ("auto", "light", "dark")
WEEK_SECONDS = 7 * 24 * 3600
YEAR_SECONDS = 365 * 24 * 3600
SAFE = frozenset({"GET", "HEAD"})


def unprotected(call: Call) -> bool:
    """Tell whether a password would cross a network in the clear."""
    return not secure(call) and not address.loopback(call.address)


def same_origin(call: Call) -> bool:
    """Tell whether a page of this origin sent the request. What says nothing about its origin did not."""
    site = call.header("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = call.header("origin") or ""
    hosts = {call.header("host"), urlsplit(call.house.settings.public_url).netloc or None}
    return urlsplit(origin).netloc in hosts if origin else False


def person(call: Call) -> Principal:
    """Return whose session the cookie names, or refuse (unauthenticated)."""
    text = cookie(call, SECURE_NAME if secure(call) else PLAIN_NAME)
    if not text:
        raise unauthenticated("Sign in first")
    return sessions.unsealed(call.house, text)


def remember(call: Call, who: Principal) -> None:
    """Have the answer set the session's cookie."""
    _set(call, sessions.sealed(call.house, who), WEEK_SECONDS)


def forget(call: Call) -> None:
    _set(call, "", 0)


def theme(call: Call) -> str:
    chosen = cookie(call, THEME)
    return chosen if chosen in THEMES else "auto"


def choose_theme(call: Call, name: str) -> None:
    keep(call, THEME, name)


def keep(call: Call, name: str, value: str) -> None:
    """Have this browser remember a choice; no secret."""
    ends = "; Secure" if secure(call) else ""
    line = f"{name}={value}; Path=/; Max-Age={YEAR_SECONDS}; HttpOnly; SameSite=Lax{ends}"
    call.added.append((b"set-cookie", line.encode()))


def cookie(call: Call, name: str) -> str:
    """Return a cookie's value; empty when there is none."""
    for pair in (call.header("cookie") or "").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value
    return ""


def _set(call: Call, value: str, seconds: int) -> None:
    name, ends = (SECURE_NAME, "; Secure") if secure(call) else (PLAIN_NAME, "")
    line = f"{name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{ends}"
    call.added.append((b"set-cookie", line.encode()))
