"""The form of a text, or of each part of a list, where the setting's type does not say it. Nothing is opened here."""

import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from headrace.kit.currencies import CURRENCIES
from headrace.kit.destinations import Destinations
from headrace.kit.keyring import strong

WEB = ("http://", "https://")
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
# Browsers leave them out, so that an origin which names one is never met.
OWN_PORTS = {"http": ":80", "https": ":443"}
LONGEST_WAIT_SECONDS = 86_400
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def check(name: str, text: str) -> None:
    """Raise ValueError with the broken rule as a sentence about the setting: `must be ...`."""
    if CONTROL.search(text):
        raise ValueError("must not contain control characters")
    form = FORMS.get(name)
    if text and form is not None:
        form(text)


def address(*schemes: str, host: bool = True, bare: bool = False) -> Callable[[str], None]:
    """A URL; `host`: it must name one; `bare`: nothing but scheme, host, port and path."""

    def form(text: str) -> None:
        if not text.startswith(schemes):
            raise ValueError(f"must start with {' or '.join(schemes)}")
        try:
            parts = urlsplit(text)
            parts.port  # noqa: B018  It is read now, and raises where it is none.
        except ValueError:
            parts = None
        if parts is None or " " in text or (host and not parts.hostname):
            raise ValueError(f"must be an address such as {schemes[0]}host:port")
        if bare and (parts.query or parts.fragment or "@" in parts.netloc):
            raise ValueError("must be an address without user, query and fragment")

    return form


def network(text: str) -> None:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError("must be a list of addresses and networks such as 10.0.0.0/8") from error


def origin(text: str) -> None:
    scheme = text.partition(":")[0]
    if not ORIGIN.fullmatch(text) or text.endswith(OWN_PORTS.get(scheme, "/")):
        raise ValueError(
            "must be a list of origins such as https://app.example.com, as browsers send them: small letters, "
            "no path, no port that goes without saying"
        )


def outbound_allowed(text: str) -> None:
    try:
        Destinations((text,))
    except ValueError as error:
        raise ValueError("must be a list of addresses, networks and hosts") from error


def outbound_port(text: str) -> None:
    try:
        Destinations(ports=(text,))
    except ValueError as error:
        raise ValueError("must be a list of ports from 1 to 65535 and ranges such as 8000-8999") from error


def wait(text: str) -> None:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(LONGEST_WAIT_SECONDS))):
        raise ValueError("must be a list of whole seconds")
    if int(text) > LONGEST_WAIT_SECONDS:
        raise ValueError(f"must be a list of whole seconds, each at most {LONGEST_WAIT_SECONDS}")


def currency(text: str) -> None:
    if text.upper() not in CURRENCIES:
        raise ValueError("must be the three letters of a currency of ISO 4217, as usd")


def secret(text: str) -> None:
    strong(text)


FORMS: dict[str, Callable[[str], None]] = {
    "public_url": address(*WEB, bare=True),
    "trusted_proxies": network,
    "cors_origins": origin,
    "outbound_allow": outbound_allowed,
    "outbound_ports": outbound_port,
    "webhook_retry_seconds": wait,
    "secret": secret,
    "secret_previous": secret,
    # A PostgreSQL may be reached through a socket of this machine, which is no host.
    "database_url": address("postgresql://", "postgres://", host=False),
    "events_url": address(*WEB),
    "limits_url": address("redis://", "rediss://", "valkey://", "valkeys://"),
    "connector_gmail_url": address(*WEB, bare=True),
    "connector_google_token_url": address(*WEB, bare=True),
    "connector_notion_url": address(*WEB, bare=True),
    "connector_slack_url": address(*WEB, bare=True),
    "connector_telegram_url": address(*WEB, bare=True),
    "stripe_url": address(*WEB, bare=True),
    "currency": currency,
}
