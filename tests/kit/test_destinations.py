"""URLs and addresses that nothing may be sent to, in every form they are written in."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.kit.destinations import PORTS, DestinationError, Destinations, blocked, parse

BAD_URLS = [
    "",
    "example.com",
    "//example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "http://",
    "http:///path",
    "http://user@example.com/",
    "http://user:password@example.com/",
    "http://@example.com/",
    "http://example.com@127.0.0.1/",
    "http://example.com\\@127.0.0.1/",
    "http://example.com/#fragment",
    "http://example.com#@127.0.0.1/",
    "http://example.com/a b",
    "http://example.com/\r\nX-Evil: 1",
    "http://exam\tple.com/",
    "http://example.com/\x7f",
    "http://example.com./",
    "http://127.0.0.1./",
    "http://exa..mple.com/",
    "http://.example.com/",
    "http://-example.com/",
    "http://%31%32%37.0.0.1/",
    "http://example.com:/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:x/",
    "http://[::1",
    "http://[fe80::1%eth0]/",
    "http://[fe80::1%25eth0]/",
    "http://[v1.x]/",
    # Numbers that some resolver takes for 127.0.0.1.
    "http://2130706433/",
    "http://017700000001/",
    "http://0x7f000001/",
    "http://0x7f.1/",
    "http://127.1/",
    "http://127.0.1/",
    "http://0177.0.0.1/",
    "http://0x7f.0x0.0x0.0x1/",
    "http://127.0.0.01/",
    "http://127.0.0.1.2/",
    "http://0/",
    "http://1.2.3.256/",
    "http://example.0x/",
    "http://example.com/" + "a" * 2048,
    "http://" + "a" * 64 + ".example/",
]
BLOCKED_URLS = [
    "http://127.0.0.1/",
    "http://127.255.255.254/",
    "https://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://0.0.0.0/",
    "http://100.64.0.1/",
    "http://192.0.0.8/",
    "http://192.88.99.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://[::]/",
    "http://[::1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[0:0:0:0:0:ffff:10.0.0.1]/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[::ffff:0:a9fe:a9fe]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001::1]/",
    "http://[2001:db8::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
    "http://[5f00::1]/",
    "http://[3fff::1]/",
    "http://[100::1]/",
    "http://[100:0:0:1::1]/",
    "http://[4000::1]/",
    "http://[2620:4f:8000::1]/",
    "http://localhost/",
    "http://LOCALHOST:8000/",
    "http://a.localhost/",
    # Digits of another width become these.
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://127\u30020\u30020\u30021/",
    "http://8.8.8.8:22/",
    "http://8.8.8.8:25/",
    "http://example.com:3306/",
    "http://example.com:5432/",
    "http://example.com:6379/",
    "http://example.com:9200/",
]
GOOD_URLS = {
    "http://example.com": "http://example.com",
    "https://Example.COM:8443/Hook?a=1&b=%20": "https://example.com:8443/Hook?a=1&b=%20",
    "http://8.8.8.8/": "http://8.8.8.8/",
    "http://[2606:4700::1111]:8080/x": "http://[2606:4700::1111]:8080/x",
    "http://[::ffff:8.8.8.8]/": "http://[::ffff:808:808]/",
    "https://b\u00fccher.example/": "https://xn--bcher-kva.example/",
    "http://under_score.example/": "http://under_score.example/",
    "https://example.com/caf\u00e9": "https://example.com/caf%C3%A9",
}


@pytest.mark.parametrize("url", BAD_URLS)
def test_a_url_of_another_form_than_the_canonical_is_refused(url: str) -> None:
    with pytest.raises(DestinationError) as refused:
        Destinations(["0.0.0.0/0", "::/0"]).check(url)
    assert refused.value.reason == "bad_url"


@pytest.mark.parametrize("url", BLOCKED_URLS)
def test_a_private_address_is_refused_in_every_form(url: str) -> None:
    with pytest.raises(DestinationError) as refused:
        Destinations().check(url)
    assert refused.value.reason == "ssrf_blocked"


@pytest.mark.parametrize(("url", "sent"), GOOD_URLS.items())
def test_good_urls_pass(url: str, sent: str) -> None:
    assert str(Destinations().check(url)) == sent


@pytest.mark.parametrize(
    "text",
    [
        *("127.0.0.1", "10.1.2.3", "224.0.0.1", "192.0.0.8", "192.88.99.1", "100.64.0.1"),
        *("64:ff9b::7f00:1", "64:ff9b:1::1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1", "::ffff:10.0.0.1"),
        *("::ffff:127.0.0.1", "ff02::1", "fec0::1", "5f00::1", "fe80::1%eth0"),
    ],
)
def test_addresses_that_python_calls_global_are_blocked_too(text: str) -> None:
    assert blocked(ipaddress.ip_address(text))


@given(st.ip_addresses(v=4))
def test_a_mapped_address_is_judged_as_the_one_inside(address: ipaddress.IPv4Address) -> None:
    assert blocked(ipaddress.IPv6Address(f"::ffff:{address}")) == blocked(address)


@given(st.ip_addresses())
def test_what_is_private_to_python_is_blocked(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    inner = getattr(address, "ipv4_mapped", None) or address
    if inner.is_private or inner.is_loopback or inner.is_link_local or inner.is_multicast or inner.is_unspecified:
        assert blocked(address)


@pytest.mark.parametrize(
    ("allow", "url", "good"),
    [
        (["127.0.0.0/8"], "http://127.0.0.1:8000/", True),
        (["127.0.0.0/8"], "http://localhost/", True),
        (["127.0.0.0/8"], "http://[::ffff:127.0.0.1]/", True),
        (["127.0.0.0/8"], "http://10.0.0.1/", False),
        (["::1"], "http://[::1]/", True),
        (["[::1]"], "http://[::1]/", True),
        (["10.1.2.3"], "http://10.1.2.3/", True),
        (["10.1.2.3"], "http://10.1.2.4/", False),
        (["localhost"], "http://localhost/", True),
        (["localhost"], "http://127.0.0.1/", False),
        (["169.254.0.0/16"], "http://169.254.169.253/", True),
        (["169.254.0.0/16"], "http://169.254.169.254/", False),
        (["0.0.0.0/0", "::/0"], "http://169.254.169.254/", False),
        (["0.0.0.0/0", "::/0"], "http://[::ffff:169.254.169.254]/", False),
        (["169.254.169.254/32"], "http://169.254.169.254/", True),
        (["169.254.169.254"], "http://169.254.169.254/", True),
        (["127.0.0.0/8"], "http://127.0.0.1:6379/", False),
    ],
)
def test_the_operators_exceptions(allow: list[str], url: str, good: bool) -> None:
    destinations = Destinations(allow)
    if good:
        destinations.check(url)
    else:
        with pytest.raises(DestinationError):
            destinations.check(url)


def test_ports_are_a_list_in_which_a_range_leaves_out_known_services() -> None:
    assert not Destinations().permits_port(6379)
    assert Destinations(ports=[*PORTS, "6379"]).permits_port(6379)
    assert not Destinations(ports=["443"]).permits_port(80)
    assert not Destinations(ports=["1-65535"]).permits_port(5432)


@pytest.mark.parametrize("entry", ["10.0.0.0/33", "a b", "http://example.com", "example.com:80", "127.1"])
def test_an_exception_that_is_none_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        Destinations([entry])


@pytest.mark.parametrize("entry", ["0", "65536", "80-79", "a", "80-", "-80"])
def test_a_port_that_is_none_is_named(entry: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        Destinations(ports=[entry])


def test_https_alone_when_the_operator_says_so() -> None:
    with pytest.raises(DestinationError, match="https"):
        Destinations(https_only=True).check("http://example.com/")
    Destinations(https_only=True).check("https://example.com/")


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    for url in (text, f"http://{text}", f"http://{text}/", f"http://example.com{text}"):
        try:
            host = parse(url).raw_host
        except DestinationError:
            continue
        assert host
        assert host.isascii()
