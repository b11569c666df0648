"""Where outgoing requests may go: the forms a URL may have, the addresses and ports that are refused, the exceptions.

Nothing is sent or resolved here; `kit/outbound.py` asks at registration, and again for each socket it makes.
"""

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache

from yarl import URL

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_URL = 2_048
LONGEST_HOST = 253
JUDGED = 1_024
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
# Not visible ASCII and not beyond ASCII: controls, the space, DEL; and the backslash, which some parsers call a slash.
UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
AUTHORITY = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)

# An explicit list: what `ipaddress.is_global` calls global differs between Python versions, and includes addresses
# that wrap others (NAT64, 6to4), multicast and more.
IPV4 = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24
192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
"""
# The first three leave 2000::/3, all that is routed: outside it lies every form that wraps an IPv4 address (::/96,
# ::ffff:0:0/96, ::ffff:0:0:0/96, 64:ff9b::/96, 64:ff9b:1::/48), and what nobody has been given. Inside are refused
# Teredo and other protocols (2001::/23), examples, 6to4, and names of private addresses (AS112).
IPV6 = "::/3 4000::/2 8000::/1 2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3ffe::/16 3fff::/20"
BLOCKED: dict[int, tuple[Network, ...]] = {
    4: tuple(map(ipaddress.IPv4Network, IPV4.split())),
    6: tuple(map(ipaddress.IPv6Network, IPV6.split())),
}
# Where clouds tell a machine its credentials: a network that happens to hold it does not open it.
METADATA = ipaddress.IPv4Address("169.254.169.254")
LOOPBACK: tuple[Address, ...] = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))

PORTS = ("80", "443", "1024-65535")
# Ports above 1023 of services that obey whatever text arrives, or that only administrators talk to.
SERVICES = frozenset(
    {1433, 1521, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 4369, 5432, 5672, 5900, 5984, 5985, 5986}
    | {6379, 6443, 7001, 9042, 9092, 9200, 9300, 10250, 10255, 11211, 15672, 25672, 26257, 27017, 27018, 27019}
)


class DestinationError(ValueError):
    """A URL that nothing is sent to; `reason` is `bad_url` or `ssrf_blocked`, the text never tells an address."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Destinations:
    """The operator's exceptions: networks and hosts that are reached although they are private, and ports.

    ValueError names an entry that is none. A range of ports leaves out well-known services; one named alone counts.
    """

    def __init__(self, allow: Sequence[str] = (), ports: Sequence[str] = PORTS, *, https_only: bool = False) -> None:
        self.networks: list[Network] = []
        self.hosts: set[str] = set()
        self.schemes = ("https",) if https_only else ("http", "https")
        for entry in allow:
            self._allow(entry)
        self.ranges = [_ports(entry) for entry in ports]
        # The text alone is judged, by rules that stay: what is sent to often is judged once.
        self.judged = lru_cache(JUDGED)(self.check)

    def _allow(self, entry: str) -> None:
        try:
            self.networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
        except ValueError:
            host = entry.lower()
            if not _named(host):
                raise ValueError(f"{entry!r} is neither an address, a network nor a host") from None
            self.hosts.add(host)

    def url(self, text: str) -> URL:
        """Return the URL as it is to be sent; DestinationError when its form, scheme or port is refused."""
        parsed = parse(text)
        if parsed.scheme not in self.schemes:
            raise DestinationError("bad_url", f"the URL must start with {' or '.join(self.schemes)}://")
        return parsed

    def check(self, text: str) -> URL:
        """As `url`; refused too: ports, private addresses, `localhost`. Names are judged when they are reached."""
        parsed = self.url(text)
        host, port = parsed.raw_host or "", parsed.port or 0
        if not self.permits_port(port):
            raise DestinationError("ssrf_blocked", "the URL's port is not allowed")
        address = literal(host)
        if address is not None:
            good = self.permits(address)
        elif host == "localhost" or host.endswith(".localhost"):
            good = host in self.hosts or any(map(self.permits, LOOPBACK))
        else:
            good = True
        if not good:
            raise DestinationError("ssrf_blocked", "the URL's host is not allowed")
        return parsed

    def permits_port(self, port: int) -> bool:
        return any(
            first <= port <= last and (first == last or port not in SERVICES) for first, last in self.ranges if port
        )

    def permits(self, address: Address, *, listed_host: bool = False) -> bool:
        """Tell whether a socket may be opened to the address; `listed_host`: under a name that the operator listed."""
        judged = unwrapped(address)
        if judged == METADATA:
            return ipaddress.IPv4Network(METADATA) in self.networks
        if listed_host or not blocked(judged):
            return True
        return any(judged in network for network in self.networks if network.version == judged.version)


def parse(text: str) -> URL:
    """Read a URL of the one canonical form that every parser reads alike; DestinationError (`bad_url`) else."""
    if not 1 <= len(text) <= LONGEST_URL:
        raise DestinationError("bad_url", f"the URL must be 1-{LONGEST_URL} characters")
    authority = AUTHORITY.match(text)
    if authority is None:
        raise DestinationError("bad_url", "the URL must start with http:// or https://")
    if UNSAFE.search(text):
        raise DestinationError("bad_url", "the URL must not contain spaces, control characters or backslashes")
    if "@" in authority[1] or "%" in authority[1]:
        raise DestinationError("bad_url", "the URL must not contain user information or an encoded host")
    if "#" in text:
        raise DestinationError("bad_url", "the URL must not contain a fragment")
    try:
        parsed = URL(text)
        host, port = parsed.raw_host, parsed.port
    except ValueError as error:
        raise DestinationError("bad_url", "the URL cannot be read") from error
    if not host or not port or authority[1].endswith(":"):
        raise DestinationError("bad_url", "the URL must name a host, and a port above 0 if any")
    if literal(host) is None and ("[" in authority[1] or not _named(host)):
        raise DestinationError("bad_url", "the URL's host is not written in its canonical form")
    return parsed


def literal(host: str) -> Address | None:
    """The address that a host is, in its usual form alone; None for names and for every other form."""
    try:
        return ipaddress.ip_address(host) if "%" not in host else None
    except ValueError:
        return None


def _named(host: str) -> bool:
    """A name, which no resolver takes for a number: `127.1`, `0x7f.1`, `2130706433` and `017700000001` are none."""
    labels = host.split(".")
    return len(host) <= LONGEST_HOST and all(map(LABEL.fullmatch, labels)) and not NUMERIC.fullmatch(labels[-1])


def unwrapped(address: Address) -> Address:
    """An IPv4 address behind `::ffff:0:0/96` is judged as itself: a socket reaches just that."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def blocked(address: Address) -> bool:
    judged = unwrapped(address)
    return any(judged in network for network in BLOCKED[judged.version])


def _ports(entry: str) -> tuple[int, int]:
    first, dash, last = entry.partition("-")
    numbers = [int(part) if part.isascii() and part.isdigit() else 0 for part in (first, last if dash else first)]
    if not 1 <= numbers[0] <= numbers[1] <= 65_535:  # noqa: PLR2004
        raise ValueError(f"{entry!r} is neither a port nor a range of ports")
    return numbers[0], numbers[1]
