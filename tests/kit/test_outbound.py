"""The client for outgoing requests against a real server: the guard at the socket, limits, reasons of errors."""

import asyncio
import datetime as dt
import socket
import ssl
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from headrace.kit.outbound import Outbound, OutboundError
from tests.receiver import Received, Receiver

LOOPBACK = ["127.0.0.0/8"]


class Names(AbstractResolver):
    """Answers with the next of the listed addresses at each question, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        del family
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if not found:
            raise OSError(None, "no such name")
        kinds = {4: socket.AF_INET, 6: socket.AF_INET6}
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=port,
                family=kinds[ip_address(one).version],
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for one in found
        ]

    async def close(self) -> None:
        pass


@pytest.fixture
def opened() -> Iterator[list[Outbound]]:
    clients: list[Outbound] = []
    yield clients
    for client in clients:
        client.close()


@pytest.fixture
def client(opened: list[Outbound]) -> Outbound:
    opened.append(Outbound(LOOPBACK, user_agent="Test/1"))
    return opened[-1]


def refusal(client: Outbound, url: str, **more: Any) -> str:
    with pytest.raises(OutboundError) as refused:
        client.call("POST", url, **more)
    assert "127." not in str(refused.value)
    return refused.value.reason


def port(receiver: Receiver) -> str:
    return receiver.url.rpartition(":")[2]


def test_a_request_carries_what_was_given_and_little_else(client: Outbound, receiver: Receiver) -> None:
    receiver.answer = lambda _: web.Response(status=201, body=b"made", headers={"Set-Cookie": "a=b", "X-One": "1"})
    reply = client.call("POST", f"{receiver.url}/a?b=c", headers={"X-Mine": "yes"}, body=b"{}")
    assert (reply.status, reply.body, reply.headers["x-one"]) == (201, b"made", "1")
    assert reply.seconds > 0
    client.call("GET", f"{receiver.url}/again")
    first, second = receiver.requests[-2:]
    assert (first.method, first.path, first.body) == ("POST", "/a", b"{}")
    assert first.headers["x-mine"] == "yes"
    assert first.headers["user-agent"] == "Test/1"
    assert first.headers["accept-encoding"] == "identity"
    assert "cookie" not in second.headers


def test_request_runs_on_any_loop(client: Outbound, receiver: Receiver) -> None:
    receiver.answer = 204
    for _ in range(2):
        assert asyncio.run(client.request("PUT", f"{receiver.url}/loop")).status == 204


def test_the_guard_stands_at_the_socket(opened: list[Outbound], receiver: Receiver) -> None:
    before = len(receiver.requests)
    names = Names(["127.0.0.1"])
    opened.append(Outbound(resolver=names))
    assert refusal(opened[0], f"http://rebound.example:{port(receiver)}/") == "ssrf_blocked"
    assert refusal(opened[0], f"{receiver.url}/") == "ssrf_blocked"
    assert names.asked == 1
    assert len(receiver.requests) == before


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"),
        *("2002:7f00:1::", "::127.0.0.1", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1"),
    ],
)
def test_a_name_that_is_a_private_address_is_refused(opened: list[Outbound], address: str) -> None:
    opened.append(Outbound(resolver=Names([address])))
    assert refusal(opened[0], "http://name.example/") == "ssrf_blocked"
    opened.append(Outbound(resolver=Names([address, "10.0.0.9"])))
    assert refusal(opened[1], "http://names.example/") == "ssrf_blocked"


def test_a_name_that_turns_private_is_refused_at_the_next_connection(
    opened: list[Outbound], receiver: Receiver
) -> None:
    # The first address is loopback too, and allowed here; the second is what a rebinding name would give.
    receiver.answer = lambda _: web.Response(headers={"Connection": "close"})
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    opened.append(Outbound(["127.0.0.1/32"], resolver=names))
    url = f"http://turns.example:{port(receiver)}/"
    assert opened[0].call("POST", url).status == 200
    # What the client remembers of a name is not what the guard asks; here it forgets.
    for session in opened[0]._sessions.values():
        connector: Any = session.connector
        connector.clear_dns_cache()
    assert refusal(opened[0], url) == "ssrf_blocked"


def test_redirects_are_answers(client: Outbound, receiver: Receiver) -> None:
    target = "http://169.254.169.254/latest/meta-data/"
    receiver.answer = lambda _: web.Response(status=302, headers={"Location": target})
    before = len(receiver.requests)
    reply = client.call("POST", f"{receiver.url}/redirects")
    assert (reply.status, reply.headers["location"]) == (302, target)
    assert len(receiver.requests) == before + 1


def test_listed_hosts_and_the_operators_own(opened: list[Outbound], receiver: Receiver) -> None:
    receiver.answer = 200
    names = Names(["127.0.0.1"])
    opened.append(Outbound(["inside.example"], resolver=names))
    opened.append(Outbound(["meta.example"], resolver=Names(["169.254.169.254"])))
    assert opened[0].call("POST", f"http://inside.example:{port(receiver)}/").status == 200
    assert refusal(opened[0], f"http://other.example:{port(receiver)}/") == "ssrf_blocked"
    assert refusal(opened[1], "http://meta.example/") == "ssrf_blocked"
    assert opened[0].call("POST", f"http://other.example:{port(receiver)}/", operators_own=True).status == 200
    assert opened[0].call("POST", f"{receiver.url}/", operators_own=True).status == 200
    assert refusal(opened[0], "http://127.1/", operators_own=True) == "bad_url"
    # A connection made for the operator is not one for callers.
    assert refusal(opened[0], f"{receiver.url}/") == "ssrf_blocked"


def test_large_answers_are_refused_or_cut(client: Outbound, receiver: Receiver) -> None:
    receiver.answer = lambda _: web.Response(body=b"x" * 100_000)
    assert refusal(client, f"{receiver.url}/large") == "too_large"
    assert client.call("POST", f"{receiver.url}/large", limit_bytes=4096, cut=True).body == b"x" * 4096
    assert len(client.call("POST", f"{receiver.url}/large", limit_bytes=100_000).body) == 100_000


def test_nothing_is_decompressed(client: Outbound, receiver: Receiver) -> None:
    bomb = zlib.compress(b"0" * 1_000_000)

    def answer(_: Received) -> web.Response:
        return web.Response(body=bomb, headers={"Content-Encoding": "deflate"})

    receiver.answer = answer
    assert client.call("POST", f"{receiver.url}/bomb").body == bomb


def test_a_receiver_that_hangs_is_given_up(client: Outbound, receiver: Receiver) -> None:
    receiver.answer = 200
    receiver.hold = {"/hangs"}
    assert refusal(client, f"{receiver.url}/hangs", timeout_seconds=0.2) == "timeout"
    receiver.release()


def test_reasons(client: Outbound, opened: list[Outbound]) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert refusal(client, f"http://127.0.0.1:{nobody.getsockname()[1]}/") == "connect"
    opened.append(Outbound(resolver=Names([])))
    assert refusal(opened[-1], "http://nowhere.example/") == "dns"
    assert refusal(client, "http://a b/") == "bad_url"
    for sent, reason in ((b"", "connect"), (b"220 mail ESMTP\r\n", "protocol")):
        with socket.create_server(("127.0.0.1", 0)) as server:
            answering = threading.Thread(target=_answer_once, args=(server, sent))
            answering.start()
            assert refusal(client, f"http://127.0.0.1:{server.getsockname()[1]}/") == reason
            answering.join()


def _answer_once(server: socket.socket, sent: bytes) -> None:
    peer, _ = server.accept()
    with peer:
        peer.recv(65_536)
        peer.sendall(sent)


def test_certificates_are_verified(opened: list[Outbound], tmp_path: Path) -> None:
    authority, server = _certificate(tmp_path)
    opened.extend([Outbound(LOOPBACK), Outbound(LOOPBACK, tls=authority)])
    with Receiver(tls=server) as receiver:
        assert refusal(opened[0], f"{receiver.url}/") == "tls"
        assert opened[1].call("POST", f"{receiver.url}/").status == 200


def _certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return ssl.create_default_context(cafile=str(path)), server


def test_the_environment_is_not_asked(client: Outbound, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver.answer = 200
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    assert client.call("POST", f"{receiver.url}/").status == 200


def test_close_ends_what_is_under_way(receiver: Receiver, until: Any) -> None:
    client = Outbound(LOOPBACK)
    receiver.answer = 200
    receiver.hold = {"/close"}
    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(client.call, "POST", f"{receiver.url}/close")
        until(lambda: receiver.inside.get("/close"))
        client.close()
        assert isinstance(sent.exception(10), CancelledError)
    receiver.release()
    with pytest.raises(RuntimeError, match="closed"):
        client.call("POST", f"{receiver.url}/")
