"""Server-sent events as they go over the wire. What is told by them, doors and pages say."""

MEDIA = b"text/event-stream; charset=utf-8"
HEADERS = ((b"x-accel-buffering", b"no"),)  # A proxy that collects answers would keep the news.
# How soon a browser comes back after the connection broke, in milliseconds.
RETRY = b"retry: 1000\n"
BEAT = b": still here\n\n"


def event(name: bytes, data: bytes, last: bytes = b"") -> bytes:
    """Write one event, each line of its data as a line of its own; `last` is the id to go on from."""
    ident = b"id: %s\n" % last if last else b""
    lines = b"".join(b"data: %s\n" % line for line in data.split(b"\n"))
    return b"%sevent: %s\n%s\n" % (ident, name, lines)
