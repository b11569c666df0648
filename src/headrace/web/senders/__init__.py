"""Programs that send logs, ready to be pasted: each a text file here, which says itself how it is used."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from headrace.wire import site
from headrace.wire.call import Call


class Sender(NamedTuple):
    """`name` is of its file here; `run` is the command that starts what was pasted into a file of one's own."""

    name: str
    title: str
    said: str
    run: str


SENDERS = (
    Sender("python", "Python", "a handler for logging", "python3 headrace_logging.py"),
    Sender("node", "Node", "a function, for programs and scripts", "node headrace.mjs"),
    Sender("go", "Go", "a handler for log/slog", "go run main.go"),
    Sender("java", "Java", "a handler for java.util.logging", "java Headrace.java"),
    Sender("lines", "Docker, systemd, any output", "a pipe that sends lines", "python3 headrace_lines.py"),
    Sender("curl", "curl", "JSON as your program writes it: lines, an array, one object", ""),
    Sender("vector", "Vector", "from containers, files, syslog and more", "vector --config vector.yaml"),
    Sender("fluent_bit", "Fluent Bit", "from files, containers, systemd and more", "fluent-bit -c fluent-bit.conf"),
    Sender("file", "A file of logs", "NDJSON or a JSON array, plain, gzip or zstd", ""),
)


@cache
def text(name: str) -> str:
    return (Path(__file__).parent / f"{name}.txt").read_text("utf-8")


def ready(call: Call) -> list[tuple[Sender, str]]:
    """Return each sender with its text, in which this server's address stands."""
    base = site.base(call)
    parts = urlsplit(base)
    secure = parts.scheme == "https"
    places = {
        "@URL@": base,
        "@HOST@": parts.hostname or "",
        "@PORT@": str(parts.port or (443 if secure else 80)),
        "@TLS@": "on" if secure else "off",
    }
    return [(one, _filled(text(one.name), places)) for one in SENDERS]


def _filled(text: str, places: Mapping[str, str]) -> str:
    for place, value in places.items():
        text = text.replace(place, value)
    return text.rstrip()
