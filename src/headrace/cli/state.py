"""What an import leaves beside its file: how far it has come, and the lines that were refused. Both survive a kill."""

import hashlib
import os
import secrets
import tempfile
from pathlib import Path
from typing import Self

import msgspec

from headrace.cli.screen import Trouble
from headrace.cli.sources import Place

HEAD = 64 << 10


class Progress(msgspec.Struct, kw_only=True):
    """One import of one file into one project. Offsets count decompressed bytes; times are microseconds."""

    run: str
    started_at: int
    head: str
    head_size: int
    offset: int = 0
    line: int = 1
    form: str = ""
    sent: int = 0
    rejected: int = 0
    rejected_bytes: int = 0
    why_bytes: int = 0
    done: bool = False
    # Only while a key that was made for this import is in use.
    key: str = ""
    key_id: int = 0

    @property
    def place(self) -> Place:
        return Place(self.offset, self.line, self.form)


class State:
    """The state file of one import; standard input has none, for it cannot be read again."""

    def __init__(self, path: Path | None, progress: Progress) -> None:
        self.path = path
        self.progress = progress

    @classmethod
    def open(cls, source: Path | None, target: str, now: int) -> Self:
        """Read what an earlier run left for this file and target (address and project), or begin anew."""
        if source is None:
            return cls(None, Progress(run=secrets.token_hex(8), started_at=now, head="", head_size=0))
        path = cls.path_of(source, target)
        head, size = _head(source, HEAD)
        if path.exists():
            try:
                progress = msgspec.json.decode(path.read_bytes(), type=Progress)
            except msgspec.DecodeError as problem:
                raise Trouble(f"{path} is broken; remove it to import {source} from its start") from problem
            if _head(source, progress.head_size)[0] != progress.head:
                raise Trouble(f"{source} is another file than when its import began; --again imports it from its start")
            return cls(path, progress)
        return cls(path, Progress(run=secrets.token_hex(8), started_at=now, head=head, head_size=size))

    @staticmethod
    def path_of(source: Path, target: str) -> Path:
        folder = source.parent if os.access(source.parent, os.W_OK) else _own_folder()
        name = hashlib.sha256(f"{source.resolve()}\n{target}".encode()).hexdigest()[:8]
        return folder / f"{source.name}.import-{name}.json"

    def save(self) -> None:
        """Replace the state file; a kill leaves the old one or the new one."""
        if self.path is None:
            return
        try:
            descriptor, made = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(self.progress))
            Path(made).replace(self.path)
        except OSError as problem:
            raise Trouble(f"cannot write the state of the import to {self.path}: {problem.strerror}") from problem


class Rejects:
    """Refused lines as they were read (`.rejected`, ready to be mended and imported), and their reasons (`.why`)."""

    def __init__(self, source: Path | None, state: State) -> None:
        folder = state.path.parent if state.path else Path()
        name = source.name if source else "stdin"
        self.path = folder / f"{name}.rejected"
        self.why = folder / f"{name}.rejected.why"
        self.progress = state.progress

    def begin(self) -> None:
        """Cut off what a killed run wrote after its last state; a new import starts empty files."""
        for path, size in ((self.path, self.progress.rejected_bytes), (self.why, self.progress.why_bytes)):
            if path.exists():
                os.truncate(path, size) if size else path.unlink()

    def add(self, lines: list[tuple[int, bytes, str]]) -> None:
        """Write (line number, text, rule) of each; counted in the progress, which the caller saves."""
        if not lines:
            return
        with self.path.open("ab") as file, self.why.open("ab") as why:
            for number, text, rule in lines:
                file.write(text.replace(b"\n", b" ") + b"\n")
                why.write(f"line {number}: {rule}\n".encode())
            self.progress.rejected_bytes, self.progress.why_bytes = file.tell(), why.tell()
        self.progress.rejected += len(lines)


def _head(source: Path, size: int) -> tuple[str, int]:
    try:
        with source.open("rb") as file:
            head = file.read(size)
    except OSError as problem:
        raise Trouble(f"cannot read {source}: {problem.strerror}") from problem
    return hashlib.sha256(head).hexdigest(), len(head)


def _own_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    folder = Path(base) / "headrace"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
