"""`headrace export`: the answer to a search as a file, from a running server over HTTP."""

import contextlib
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from headrace.cli.bar import Bar
from headrace.cli.client import Answer, LostError, refused, target, unreachable
from headrace.cli.screen import Misuse, Trouble, note
from headrace.cli.search import PATH, asked

OK = 200
# The last line of a file that was cut begins so; a log's line of JSON begins with its id.
MARKS = (b'{"truncated":', b"# truncated: ")
LAST_BYTES = 200


def run(given: Namespace) -> int:
    where = target(given)
    wanted = asked(given, where.project_id) | {"format": given.format}
    if given.output is None and given.format == "parquet" and sys.stdout.isatty():
        raise Misuse("Parquet is not for a terminal: name a file with --output FILE")
    pieces = where.client.fetch(f"{PATH}/export", query=wanted)
    try:
        answer = next(pieces)
        if not isinstance(answer, Answer) or answer.status != OK:
            raise refused(answer, where.client) if isinstance(answer, Answer) else Trouble("the answer has no head")
        with opened(given.output) as file, Bar(given.output or "export", 0, quiet=given.output is None) as bar:
            end = written(pieces, file, bar)
    except LostError as problem:
        raise unreachable(where.client, problem) from problem
    reason = answer.headers.get("x-export-truncated", "") or cut(end)
    if reason:
        note(f"not everything: cut by the server's limit of {reason}; take a shorter period with --from and --to")
    return 0


@contextlib.contextmanager
def opened(output: str | None) -> Iterator[BinaryIO]:
    """Give where to write: standard output, or a file that gets its name once it is whole."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(output)
    if path.exists():
        raise Misuse(f"--output {output} exists already")
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        part.rename(path)
    except OSError as problem:
        raise Trouble(f"cannot write {output}: {problem.strerror or problem}") from problem
    finally:
        part.unlink(missing_ok=True)


def written(pieces: Iterator[bytes | Answer], file: BinaryIO, bar: Bar) -> bytes:
    """Write the pieces; return the last bytes of the file."""
    lines = size = 0
    end = b""
    for piece in pieces:
        if isinstance(piece, bytes):
            file.write(piece)
            lines, size = lines + piece.count(b"\n"), size + len(piece)
            end = (end + piece)[-LAST_BYTES:]
            bar.show(lines, size)
    return end


def cut(end: bytes) -> str:
    """Return what a file was cut by, as its last line tells; empty when it is whole."""
    last = end.rstrip().rpartition(b"\n")[2]
    return next(("time" if b"time" in last else "rows" for mark in MARKS if last.startswith(mark)), "")
