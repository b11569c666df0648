"""Bodies: decompression under a limit, refusals, content types."""

import asyncio
import gzip
import zlib
from collections.abc import Callable
from typing import Any

import brotli  # type: ignore[import-untyped]  # It ships no types.
import pytest
import zstandard

from headrace.core.refusals import Kind, Refusal
from headrace.wire import body

TEXT = b'{"message":"the quick brown fox"}' * 100
ROOM = body.Room(1 << 30)
UNSIZED = zstandard.ZstdCompressor(write_content_size=False)


def bare(raw: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(raw) + stream.flush()


def one_more(raw: bytes) -> bytes:
    return gzip.compress(raw[:100]) + gzip.compress(raw[100:])


def one_more_frame(raw: bytes) -> bytes:
    return zstandard.compress(raw[:100]) + zstandard.compress(raw[100:])


COMPRESSED: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("gzip", one_more),
    ("deflate", zlib.compress),
    ("deflate", bare),
    ("br", brotli.compress),
    ("zstd", zstandard.compress),
    ("zstd", UNSIZED.compress),
    ("zstd", one_more_frame),
    ("zstd", lambda raw: b"".join(UNSIZED.compress(raw[at : at + 50]) for at in range(0, len(raw), 50))),
]


def arriving(*chunks: bytes, ends: bool = True) -> Any:
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.request", "body": b"", "more_body": False} if ends else {"type": "http.disconnect"})
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        return next(left)

    return receive


def read(*chunks: bytes, limit: int = 10_000, headers: dict[bytes, bytes] | None = None) -> bytes:
    return asyncio.run(body.read(arriving(*chunks), headers or {}, limit, ROOM.share()))


@pytest.mark.parametrize(("name", "compress"), COMPRESSED)
def test_a_compressed_body_comes_out_whole(name: str, compress: Callable[[bytes], bytes]) -> None:
    packed = compress(TEXT)
    headers = {b"content-encoding": name.encode()}
    assert read(packed[:7], packed[7:], headers=headers) == TEXT
    assert body.decompress(name, packed, len(TEXT)) == TEXT


@pytest.mark.parametrize(("name", "compress"), COMPRESSED)
def test_the_limit_is_for_what_comes_out(name: str, compress: Callable[[bytes], bytes]) -> None:
    packed = compress(TEXT)
    for limit in (len(TEXT) - 1, 10):
        with pytest.raises(Refusal) as refused:
            body.decompress(name, packed, limit)
        assert refused.value.kind is Kind.TOO_LARGE


@pytest.mark.parametrize(("name", "compress"), COMPRESSED)
def test_a_broken_body_is_invalid(name: str, compress: Callable[[bytes], bytes]) -> None:
    packed = compress(TEXT)
    for broken in (packed[:-3], b"no" + packed):
        with pytest.raises(Refusal) as refused:
            body.decompress(name, broken, 10_000)
        assert refused.value.kind is Kind.INVALID


@pytest.mark.parametrize(
    ("name", "compress"), [("gzip", gzip.compress), ("zstd", zstandard.compress), ("zstd", one_more_frame)]
)
def test_a_bomb_stops_at_the_limit(name: str, compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Refusal) as refused:
        read(compress(bytes(64 << 20)), limit=1 << 20, headers={b"content-encoding": name.encode()})
    assert refused.value.kind is Kind.TOO_LARGE


def test_two_encodings_are_undone_in_turn() -> None:
    assert read(brotli.compress(gzip.compress(TEXT)), headers={b"content-encoding": b"gzip, br"}) == TEXT


@pytest.mark.parametrize("name", [b"compress", b"gzip, gzip, gzip", b"lzma"])
def test_another_encoding_is_refused(name: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        read(b"x", headers={b"content-encoding": name})
    assert refused.value.kind is Kind.MEDIA_TYPE


@pytest.mark.parametrize(("length", "cut_off"), [(b"10001", False), (b"67108865", True), (b"9" * 4000, True)])
def test_a_declared_length_is_refused_before_reading(length: bytes, cut_off: bool) -> None:
    async def never() -> dict[str, Any]:
        pytest.fail("nothing was to be read")

    with pytest.raises(Refusal) as refused:
        asyncio.run(body.read(never, {b"content-length": length}, 10_000, ROOM.share()))
    assert (refused.value.kind, refused.value.facts["close"]) == (Kind.TOO_LARGE, cut_off)


def test_a_body_that_grows_beyond_the_limit_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        read(b"x" * 6_000, b"x" * 6_000)
    assert refused.value.kind is Kind.TOO_LARGE
    assert not refused.value.facts["close"]


def test_a_sender_that_leaves_is_told_apart() -> None:
    with pytest.raises(body.Disconnected):
        asyncio.run(body.read(arriving(b"x", ends=False), {}, 10, ROOM.share()))


def test_a_sender_that_stalls_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "IDLE_SECONDS", 0.01)

    async def silent() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    with pytest.raises(Refusal) as refused:
        asyncio.run(body.read(silent, {}, 10, ROOM.share()))
    assert refused.value.kind is Kind.INVALID


@pytest.mark.parametrize(
    ("content_type", "good"),
    [
        ("", True),
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("application/vnd.api+json", True),
        ("text/plain", True),
        ("application/x-www-form-urlencoded", True),
        ("application/octet-stream", True),
        ("text/html", False),
        ("multipart/form-data; boundary=x", False),
        ("application/xml", False),
    ],
)
def test_what_is_read_as_json(content_type: str, good: bool) -> None:
    assert body.json_like(content_type) is good


def test_large_bodies_share_a_room() -> None:
    room = body.Room(400_000)
    first, second = room.share(), room.share()
    large = b"x" * 300_000
    assert asyncio.run(body.read(arriving(large), {}, 1 << 20, first)) == large
    assert asyncio.run(body.read(arriving(b"small"), {}, 1 << 20, second)) == b"small"
    with pytest.raises(Refusal) as refused:
        asyncio.run(body.read(arriving(large), {}, 1 << 20, second))
    assert refused.value.kind is Kind.UNAVAILABLE
    second.release()
    first.release()
    assert room.held == 0
    assert asyncio.run(body.read(arriving(large), {}, 1 << 20, room.share())) == large
