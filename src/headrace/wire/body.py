"""Request bodies: read and decompressed under a limit. What the bytes mean, `jsons` and the doors know."""

import asyncio
import contextlib
import io
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import brotli  # type: ignore[import-untyped]  # It ships no types.
import zstandard

from headrace.core.refusals import Kind, Refusal, invalid
from headrace.wire.listener import UNWANTED_BYTES, Exchange

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# A sender that is silent for so long in the middle of a body holds a connection and its memory for nothing.
IDLE_SECONDS = 15.0
# And one who is never silent for that long, but sends byte by byte. The largest body takes this at 1 Mbit/s.
WHOLE_SECONDS = 300.0
# Larger bodies are decompressed in a thread, so that one request does not hold up every other.
INLINE_BYTES = 128 * 1024
FULL = "Service temporarily unavailable - too many uploads"
FULL_SECONDS = 5
# Two layers are what a proxy may add to what a client sent; more is nobody's honest request.
MAX_ENCODINGS = 2
# A client that flushes each line as a member of its own sends as many as lines; each costs microseconds.
MAX_MEMBERS = 10_000
PIECE_BYTES = 16 * 1024
# Bounds what a zstd frame may ask for as its window, whatever it claims.
ZSTD_WINDOW_BYTES = 128 * 1024 * 1024

_PLAIN_TYPES = frozenset(
    {"", "application/json", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream"}
)


class Disconnected(Exception):  # noqa: N818  The caller left; there is nobody to answer.
    """The connection ended before the body did."""


def too_large(limit: int, declared: int = 0) -> Refusal:
    """The connection stays for the rest of the body: many a client reads no answer before it has sent all of it.

    One that declares more than is ever read that way is told at once, and cut off.
    """
    return Refusal(Kind.TOO_LARGE, "Request body too large", limit=limit, close=declared > UNWANTED_BYTES)


def json_like(content_type: str) -> bool:
    """Tell whether a body of this type is read as JSON (what senders set by habit is let through)."""
    plain = content_type.partition(";")[0].strip().lower()
    return plain in _PLAIN_TYPES or plain.endswith("+json")


class Room:
    """The memory that the bodies of all requests may hold together; small ones (`INLINE_BYTES`) are not counted."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    def share(self) -> "Share":
        return Share(self)


class Share:
    """What one request holds of the room, until `release`."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.held = 0

    def hold(self, size: int) -> None:
        """Hold at least `size` bytes; raises unavailable where the room has not got them."""
        more = size - self.held
        if size <= INLINE_BYTES or more <= 0:
            return
        if self.room.held + more > self.room.most:
            raise Refusal(Kind.UNAVAILABLE, FULL, retry_after=FULL_SECONDS)
        self.room.held += more
        self.held = size

    def release(self) -> None:
        self.room.held -= self.held
        self.held = 0


async def read(
    receive: Receive, headers: Mapping[bytes, bytes], limit: int, share: Share, exchange: Exchange | None = None
) -> bytes:
    """Return the whole body, decompressed, of at most `limit` bytes; at once from the exchange when it has arrived.

    Raises `too_large`, `media_type` (an encoding that is not known), `invalid` (broken or stalled), `unavailable` (the
    share finds no room) and `Disconnected`.
    """
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit, int(declared))
    encodings = _encodings(headers.get(b"content-encoding", b""))
    if exchange is not None and exchange.ready:
        raw = exchange.body()
        if len(raw) > limit:
            raise too_large(limit)
        share.hold(len(raw))
    else:
        raw = await _collect(receive, limit, share)
    for name in reversed(encodings):
        if len(raw) > INLINE_BYTES:
            raw = await asyncio.to_thread(decompress, name, raw, limit)
        else:
            raw = decompress(name, raw, limit)
        share.hold(len(raw))
    return raw


async def _collect(receive: Receive, limit: int, share: Share) -> bytes:
    chunks: list[bytes] = []
    size = 0
    latest = asyncio.get_running_loop().time() + WHOLE_SECONDS
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS), asyncio.timeout_at(latest):
                message = await receive()
        except TimeoutError:
            raise Refusal(Kind.INVALID, "Request body did not arrive in time", field="body", close=True) from None
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise too_large(limit)
        share.hold(size)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _encodings(header: bytes) -> list[str]:
    if not header:
        return []
    names = [part.strip().lower() for part in header.decode("latin-1").split(",")]
    names = [name for name in names if name not in {"", "identity"}]
    if len(names) > MAX_ENCODINGS or any(name not in _DECOMPRESSORS for name in names):
        raise Refusal(Kind.MEDIA_TYPE, "Unsupported media type", field="Content-Encoding")
    return names


def decompress(name: str, raw: bytes, limit: int) -> bytes:
    """Undo one encoding; stops as soon as more than `limit` bytes have come out."""
    try:
        whole = _DECOMPRESSORS[name](raw, limit)
    except (zlib.error, brotli.error, zstandard.ZstdError, EOFError):
        raise invalid("body", "", text=f"Invalid {name} body") from None
    if len(whole) > limit:
        raise too_large(limit)
    return whole


def _gzip(raw: bytes, limit: int) -> bytes:
    """Undo gzip, several members after each other included (as `cat a.gz b.gz` makes them)."""
    return _members(
        raw,
        limit,
        begin=lambda: zlib.decompressobj(wbits=zlib.MAX_WBITS | 16),
        undo=lambda member, piece, room: member.decompress(piece, room),
    )


def _members(raw: bytes, limit: int, *, begin: Callable[[], Any], undo: Callable[[Any, bytes, int], bytes]) -> bytes:
    """Undo members after each other; `undo` gives what comes out of a piece, if it can no more than it is told."""
    out = bytearray()
    members, place = 0, 0
    while place < len(raw):
        members += 1
        if members > MAX_MEMBERS:
            raise EOFError
        member = begin()
        # In pieces: what follows a member is copied, and must not be the whole rest each time.
        while not member.eof:
            if place >= len(raw):
                raise EOFError
            out += undo(member, raw[place : place + PIECE_BYTES], limit + 1 - len(out))
            if len(out) > limit:
                return bytes(out)
            place += PIECE_BYTES
        place = min(place, len(raw)) - len(member.unused_data)
    return bytes(out)


def _deflate(raw: bytes, limit: int) -> bytes:
    """Undo deflate: with the zlib header that the standard asks for, or bare, as some clients send it."""
    with_header = raw[:1] and raw[0] & 0x0F == zlib.DEFLATED and int.from_bytes(raw[:2]) % 31 == 0
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS if with_header else -zlib.MAX_WBITS)
    out = stream.decompress(raw, limit + 1)
    if len(out) <= limit and (not stream.eof or stream.unused_data):
        raise EOFError
    return out


def _brotli(raw: bytes, limit: int) -> bytes:
    stream = brotli.Decompressor()
    out = bytearray(stream.process(raw, output_buffer_limit=limit + 1))
    while len(out) <= limit and not stream.is_finished():
        more = stream.process(b"", output_buffer_limit=limit + 1 - len(out))
        if not more:
            raise EOFError
        out += more
    return bytes(out)


def _zstd(raw: bytes, limit: int) -> bytes:
    """Undo zstd: frames after each other, whether or not they name their sizes."""
    size = zstandard.frame_content_size(raw)
    if size > limit:
        raise too_large(limit)
    source = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_BYTES)
    if size >= 0:
        with contextlib.suppress(zstandard.ZstdError):  # Broken, or more follows: what is below tells.
            return source.decompress(raw, max_output_size=size, allow_extra_data=False)
    with source.stream_reader(io.BytesIO(raw), read_across_frames=True) as stream:
        if len(stream.read(limit + 1)) > limit:
            raise too_large(limit)
    # The bounded reader takes a frame that was cut short for a whole one; these, now known to be small, tell.
    return _members(raw, limit, begin=source.decompressobj, undo=lambda frame, piece, _room: frame.decompress(piece))


_DECOMPRESSORS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
