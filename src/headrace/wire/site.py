"""Where this server is, as the caller sees it: over https or not, and under which address."""

from urllib.parse import urlsplit

from headrace.wire import address
from headrace.wire.call import Call


def secure(call: Call) -> bool:
    """Tell whether the caller speaks https: to us, or to a proxy that is named in the settings."""
    settings = call.house.settings
    if call.scope.get("scheme") == "https" or settings.public_url.startswith("https://"):
        return True
    trusted = address.trusted_peer(call.peer, settings.trusted_proxies)
    return trusted and call.header("x-forwarded-proto") == "https"


def base(call: Call) -> str:
    """Return the address that a program on the caller's machine reaches this server by."""
    if call.house.settings.public_url:
        return call.house.settings.public_url.rstrip("/")
    host = call.header("host") or ""
    parsed = urlsplit(f"//{host}")
    good = parsed.netloc == host and host.isprintable() and not set(host) & set(" '\"\\`$<>@?#/")
    return f"{'https' if secure(call) else 'http'}://{host if good and host else '127.0.0.1'}"
