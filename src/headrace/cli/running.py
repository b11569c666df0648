"""One server for one data folder: the lock that says who it is, and the socket by which local commands reach it.

Both lie in the data folder and are the owner's alone (mode 0600). A request is one line of JSON, the answer another.
"""

import fcntl
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import msgspec

from headrace.cli.screen import Trouble

LOCK = "server.lock"
SOCKET = "control.sock"
# A backup of a large store takes long; the command waits for it.
SECONDS = 3600.0
LONGEST = 64 << 10

Verb = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Facts(msgspec.Struct, kw_only=True):
    """Who serves a data folder."""

    pid: int
    url: str = ""
    version: str = ""


class Lock:
    """Held by a server, or by a command that must be alone, for as long as the process lives."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK
        self.descriptor: int | None = None

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            facts = running(self.path.parent)
            who = f"process {facts.pid}" + (f", {facts.url}" if facts.url else "") if facts else "another process"
            raise Trouble(
                f"the data folder {self.path.parent} is in use by {who}; stop that one, or take another --data"
            ) from None
        self.descriptor = descriptor
        self.tell()
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor is not None:
            os.ftruncate(self.descriptor, 0)
            os.close(self.descriptor)
            self.descriptor = None

    def tell(self, url: str = "", version: str = "") -> None:
        """Write who holds the lock, for whoever asks."""
        if self.descriptor is not None:
            text = msgspec.json.encode(Facts(pid=os.getpid(), url=url, version=version)) + b"\n"
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, text, 0)


def running(folder: Path) -> Facts | None:
    """Tell who holds the data folder; None when nobody does."""
    path = folder / LOCK
    try:
        descriptor = os.open(path, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Facts)
        except msgspec.DecodeError:
            return Facts(pid=0)
    else:
        return None
    finally:
        os.close(descriptor)


class Control:
    """The server's side of the socket: answers the given verbs, one request after the other, on a thread of its own."""

    def __init__(self, folder: Path, verbs: Mapping[str, Verb]) -> None:
        self.folder, self.verbs = folder, verbs
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.thread = threading.Thread(target=self._run, name="control", daemon=True)

    def __enter__(self) -> Self:
        (self.folder / SOCKET).unlink(missing_ok=True)
        with _Near(self.folder) as path:
            before = os.umask(0o177)
            try:
                self.listener.bind(path)
            finally:
                os.umask(before)
        self.listener.listen(4)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Shutting down wakes the thread out of accept; closing alone does not.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        (self.folder / SOCKET).unlink(missing_ok=True)

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5.0)
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        try:
            request = msgspec.json.decode(_line(connection))
            answer = self.verbs[request["verb"]](request)
        except Exception as problem:  # noqa: BLE001  The edge of the process: whoever asked is told, the server goes on.
            answer = {"error": str(problem) or type(problem).__name__}
        connection.settimeout(None)
        try:
            connection.sendall(msgspec.json.encode(answer) + b"\n")
        except OSError:
            return


def ask(folder: Path, verb: str, **facts: Any) -> dict[str, Any]:
    """Ask the server that holds this data folder. Trouble when it does not answer or says no."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, _Near(folder) as path:
        connection.settimeout(SECONDS)
        try:
            connection.connect(path)
            connection.sendall(msgspec.json.encode({"verb": verb, **facts}) + b"\n")
            answer = msgspec.json.decode(_line(connection), type=dict[str, Any])
        except (OSError, msgspec.DecodeError) as problem:
            raise Trouble(
                f"the server that holds {folder} does not answer at {folder / SOCKET} ({problem}); is this its user?"
            ) from problem
    if "error" in answer:
        raise Trouble(f"the server could not do it: {answer['error']}")
    return answer


class _Near:
    """A name of the socket short enough for the system's limit of 108 bytes, however long the folder's path is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.descriptor = -1

    def __enter__(self) -> str:
        path = str(self.folder / SOCKET)
        if len(os.fsencode(path)) < 100:  # noqa: PLR2004
            return path
        self.descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        return f"/proc/self/fd/{self.descriptor}/{SOCKET}"

    def __exit__(self, *_: object) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


def _line(connection: socket.socket) -> bytes:
    content = b""
    while not content.endswith(b"\n") and len(content) < LONGEST:
        more = connection.recv(4096)
        if not more:
            break
        content += more
    return content
