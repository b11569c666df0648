"""Who is at the other end, through proxies that are named and proxies that are not."""

import pytest

from headrace.wire import address

PROXIES = ("10.0.0.0/8", "fd00::/8", "127.0.0.1")


@pytest.mark.parametrize(
    ("peer", "header", "said", "found"),
    [
        ("203.0.113.5", b"x-forwarded-for", b"198.51.100.1", "203.0.113.5"),
        ("10.0.0.1", b"x-forwarded-for", b"198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", b"x-forwarded-for", b"1.2.3.4, 198.51.100.1, 10.9.9.9", "198.51.100.1"),
        ("10.0.0.1", b"x-forwarded-for", b"10.1.1.1, 10.2.2.2", "10.1.1.1"),
        ("10.0.0.1", b"x-forwarded-for", b"198.51.100.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", b"x-forwarded-for", b"198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", b"forwarded", b'for=192.0.2.43;proto=https, for="[2001:db8::1]:4711"', "2001:db8::1"),
        ("10.0.0.1", b"forwarded", b"for=_hidden", "10.0.0.1"),
        ("fd00::7", b"x-forwarded-for", b"198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", b"accept", b"*/*", "10.0.0.1"),
    ],
)
def test_client(peer: str, header: bytes, said: bytes, found: str) -> None:
    assert address.client(peer, {header: said}, PROXIES) == found


def test_nobody_is_believed_unless_named() -> None:
    assert address.client("10.0.0.1", {b"x-forwarded-for": b"198.51.100.1"}, ()) == "10.0.0.1"


@pytest.mark.parametrize(
    ("one", "name"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("2001:db8:0:1::1", "2001:db8:0:1::"),
        ("2001:db8:0:1:ffff::9", "2001:db8:0:1::"),
        ("2001:db8:0:2::1", "2001:db8:0:2::"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
    ],
)
def test_bucket(one: str, name: str) -> None:
    assert address.bucket(one) == name
