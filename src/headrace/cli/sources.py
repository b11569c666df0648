"""Files to import: plain, gzip or zstd; NDJSON, a JSON array or {"logs": [...]}. Yields raw entries with their places.

An offset counts bytes of the decompressed text, so that reading can begin again behind any entry. What is in an entry
is not looked at here.
"""

import gzip
import io
import os
import re
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeAlias, cast

from headrace.cli.screen import Trouble

CHUNK = 1 << 20
# The server takes no entry of this size; a longer line is skipped without being held in memory.
LONGEST = 4 << 20
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
HEAD = 4096
# Of a zstd file at once: four bytes of it may stand for 128 KiB, and all that they stand for is held.
FRAME_CHUNK = 4096
OPENING = re.compile(rb'(?:\xef\xbb\xbf)?\s*(?:\{\s*"logs"\s*:\s*)?\[')
STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
# A quotation mark alone opens a string that does not end in what has been read.
TOKEN = re.compile(STRING + rb'|["\[\]{}]', re.DOTALL)
SCALAR = re.compile(STRING + rb'|[^\s,\]"][^\s,\]]*', re.DOTALL)
BETWEEN = re.compile(rb"[ \t\r\n,]*")


Reader: TypeAlias = "io.BufferedReader[Any]"


class Entry(NamedTuple):
    """One entry: the line where it begins (from 1), the offset behind it, its bytes; None = over LONGEST."""

    line: int
    end: int
    text: bytes | None


class Place(NamedTuple):
    """Where to begin: an offset, the line that stands there, and the form found at the first opening."""

    offset: int = 0
    line: int = 1
    form: str = ""


class Source:
    """One file, or standard input as `-`. `form` is `lines` or `array` once opened."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = None if name == "-" else Path(name)
        self.size = 0
        self.form = ""
        self.raw: IO[bytes] | None = None

    def entries(self, place: Place) -> Generator[Entry]:
        """Yield entries from a place on. Trouble when the file cannot be read or its array is broken."""
        try:
            reader = io.BufferedReader(_Raw(self._open()), CHUNK)
            self.form = place.form or _form(reader.peek(HEAD)[:HEAD])
            _skip(reader, place.offset)
            yield from _lines(reader, place) if self.form == "lines" else _elements(reader, place, self.name)
        except (OSError, EOFError) as problem:
            reason = getattr(problem, "strerror", None) or problem
            raise Trouble(f"cannot read {self.name}: {reason}; what came before is imported") from problem
        finally:
            if self.raw is not None and self.path is not None:
                self.raw.close()

    def position(self) -> int:
        """Bytes of the file, as it lies on disk, that are read so far."""
        try:
            return self.raw.tell() if self.raw is not None and self.path is not None else 0
        except ValueError:
            return self.size

    def _open(self) -> IO[bytes]:
        if self.path is None:
            self.raw = io.BufferedReader(sys.stdin.buffer)  # type: ignore[type-var]
            start = self.raw.peek(4)[:4]
        else:
            self.raw = self.path.open("rb")
            self.size = self.path.stat().st_size
            start = self.raw.read(4)
            self.raw.seek(0)
        if start.startswith(GZIP):
            return cast("IO[bytes]", gzip.GzipFile(fileobj=self.raw))
        if start.startswith(ZSTD):
            return cast("IO[bytes]", _Zstd(self.raw))
        return self.raw


class _Zstd:
    """A file of zstd frames. The library's own reader takes a frame that was cut short for a whole one."""

    def __init__(self, file: IO[bytes]) -> None:
        import zstandard

        self.file = file
        self.begin = zstandard.ZstdDecompressor().decompressobj
        self.frame = self.begin()
        self.started = False
        self.left = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes, none at the end of the last frame. EOFError when it is not whole."""
        while not self.left:
            rest = self.frame.unused_data if self.frame.eof else b""
            if self.frame.eof:
                self.frame, self.started = self.begin(), False
            piece = rest or self.file.read(FRAME_CHUNK)
            if not piece:
                if self.started:
                    raise EOFError("it ends in the middle of a zstd frame")
                return b""
            self.started = True
            self.left = memoryview(self.frame.decompress(piece))
        taken, self.left = bytes(self.left[:size]), self.left[size:]
        return taken


class _Raw(io.RawIOBase):
    """The decompressed text as a raw stream, whatever library reads it; broken data becomes an OSError."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return isinstance(self.stream, io.BufferedReader) and self.stream.seekable()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self.stream.seek(offset, whence)

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        try:
            # read1 hands on what a pipe has, instead of waiting for a whole chunk.
            chunk = getattr(self.stream, "read1", self.stream.read)(len(buffer))
        except (OSError, EOFError):
            raise
        except Exception as problem:  # Each library has its own error for broken data.
            raise OSError(None, f"the compressed data are broken ({problem})") from problem
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _form(head: bytes) -> str:
    return "array" if OPENING.match(head) else "lines"


def _skip(reader: Reader, offset: int) -> None:
    if offset and reader.seekable():
        reader.seek(offset)
        return
    while offset:
        gone = len(reader.read(min(CHUNK, offset)))
        if not gone:
            raise OSError(None, "it is shorter than when the import began")
        offset -= gone


def _lines(reader: Reader, place: Place) -> Iterator[Entry]:
    offset, number = place.offset, place.line
    while line := reader.readline(LONGEST):
        offset += len(line)
        whole = True
        while len(line) >= LONGEST and not line.endswith(b"\n"):
            # Only the end of an overlong line is looked for.
            whole = False
            line = reader.readline(LONGEST)
            offset += len(line)
        text = line.removeprefix(b"\xef\xbb\xbf").strip() if whole else None
        if text is None or text:
            yield Entry(number, offset, text)
        number += 1


class _Window:
    """The part of an array that is in memory; `at` is where the next entry is looked for."""

    def __init__(self, reader: Reader, place: Place) -> None:
        self.reader, self.base, self.line = reader, place.offset, place.line
        self.buffer, self.at = b"", 0

    def fill(self) -> bool:
        """Read on; False at the end of the file."""
        more = self.reader.read(CHUNK)
        self.base += self.at
        self.buffer, self.at = self.buffer[self.at :] + more, 0
        return bool(more)

    def move(self, to: int) -> None:
        self.line += self.buffer.count(b"\n", self.at, to)
        self.at = to

    def next(self) -> bool:
        """Go to the first byte of the next entry; False at the end of the file."""
        while True:
            found = BETWEEN.match(self.buffer, self.at)
            self.move(found.end() if found else self.at)
            if self.at < len(self.buffer):
                return True
            if not self.fill():
                return False


def _elements(reader: Reader, place: Place, name: str) -> Iterator[Entry]:
    """Find the entries of an array by their brackets alone; what is in one is decoded later."""
    window = _Window(reader, place)
    if not place.offset:
        window.fill()
        opening = OPENING.match(window.buffer)
        window.move(opening.end() if opening else 0)
    while window.next():
        if window.buffer.startswith(b"]", window.at):
            window.move(window.at + 1)
            _ended(window, name)
            return
        while (end := _end(window.buffer, window.at)) is None:
            if len(window.buffer) - window.at > LONGEST:
                raise Trouble(
                    f"{name}, line {window.line}: an entry over {LONGEST >> 20} MiB; up to it all is imported"
                )
            if not window.fill():
                break
        if end is None:
            break
        line, text = window.line, window.buffer[window.at : end]
        window.move(end)
        yield Entry(line, window.base + end, text)
    raise Trouble(f"{name} ends in the middle of its array, at line {window.line}; what came before is imported")


def _ended(window: _Window, name: str) -> None:
    """Trouble when something stands behind an array that is not the rest of the object around it."""
    while not (behind := window.buffer[window.at :].lstrip()):
        window.move(len(window.buffer))
        if not window.fill():
            return
    window.move(len(window.buffer) - len(behind))
    if behind[:1] not in {b"}", b","}:
        raise Trouble(f"{name} goes on behind its array, at line {window.line}; what came before is imported")


def _end(buffer: bytes, at: int) -> int | None:
    """Return where the entry that begins at `at` ends, or None when it is not all there."""
    if buffer[at] not in b"{[":
        scalar = SCALAR.match(buffer, at)
        return scalar.end() if scalar and scalar.end() < len(buffer) else None
    depth = 0
    for token in TOKEN.finditer(buffer, at):
        first = buffer[token.start()]
        if first in b"{[":
            depth += 1
        elif first in b"}]":
            depth -= 1
            if depth == 0:
                return token.end()
        elif token.end() - token.start() == 1:
            return None
    return None
