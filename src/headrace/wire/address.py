"""Who is at the other end: the peer's address, or what a trusted proxy says about it."""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# The common size of what one subscriber is given; single addresses of it cost an attacker nothing.
IPV6_PREFIX = 64
# A unix socket has no address; whoever can open it is on this machine.
LOCAL = "127.0.0.1"


@lru_cache(maxsize=16)
def networks(listed: tuple[str, ...]) -> tuple[Network, ...]:
    """Parse the operator's list of addresses and networks, once; the settings were read by the same rule."""
    return tuple(ipaddress.ip_network(entry, strict=False) for entry in listed)


def client(peer: str, headers: Mapping[bytes, bytes], trusted: tuple[str, ...]) -> str:
    """Return the caller's address: from the right of the forwarding header, the first that no trusted proxy has.

    The header counts only when `peer` itself is trusted; a value that is no address ends the walk at the hop before.
    """
    if not trusted or not _listed(peer, trusted):
        return peer or LOCAL
    found = peer
    for hop in reversed(_hops(headers)):
        address = _bare(hop)
        if address is None:
            break
        found = address
        if not _listed(address, trusted):
            break
    return found


def forwarded(headers: Mapping[bytes, bytes]) -> bool:
    return b"x-forwarded-for" in headers or b"forwarded" in headers


def trusted_peer(peer: str, trusted: tuple[str, ...]) -> bool:
    return _listed(peer, trusted)


def loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


@lru_cache(maxsize=4096)
def bucket(address: str) -> str:
    """Return the name under which an address is counted: IPv4 as it is, IPv6 by its /64."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 4:  # noqa: PLR2004
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, IPV6_PREFIX), strict=False).network_address)


def _hops(headers: Mapping[bytes, bytes]) -> list[str]:
    if b"x-forwarded-for" in headers:
        return headers[b"x-forwarded-for"].decode("latin-1").split(",")
    hops = []
    for element in headers.get(b"forwarded", b"").decode("latin-1").split(","):
        pairs = (pair.partition("=") for pair in element.split(";"))
        hops += [value for name, _, value in pairs if name.strip().lower() == "for"]
    return hops


def _bare(hop: str) -> str | None:
    """Take quotes, brackets and port off one hop; None when what is left is no address."""
    text = hop.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _listed(address: str, trusted: tuple[str, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks(trusted) if network.version == parsed.version)
