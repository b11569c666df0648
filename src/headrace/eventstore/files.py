"""Files: the few calls by which the durable log touches the disk, so that a test can make each of them fail."""

import os
from collections.abc import Sequence
from pathlib import Path

# The kernel takes at most this many buffers in one vectored write.
BUFFERS_PER_WRITE = 1024


class Files:
    """The real disk. Every call raises OSError as the system gives it."""

    def create(self, path: Path) -> int:
        """Create the file and make its name durable; returns its descriptor."""
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self.sync_folder(path.parent)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor

    def write(self, descriptor: int, chunks: Sequence[bytes]) -> None:
        """Append all chunks, however often the system takes only a part."""
        for start in range(0, len(chunks), BUFFERS_PER_WRITE):
            some = chunks[start : start + BUFFERS_PER_WRITE]
            total = sum(map(len, some))
            written = os.writev(descriptor, some)
            if written < total:
                rest = memoryview(b"".join(some))[written:]
                while rest:
                    rest = rest[os.write(descriptor, rest) :]

    def sync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)

    def truncate(self, path: Path, size: int) -> None:
        """Cut the file to `size` bytes and make that durable."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def rename(self, path: Path, target: Path) -> None:
        path.rename(target)

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def replace_text(self, path: Path, text: str) -> None:
        """Write a small file so that a reader sees the old text or the new, also after a power cut."""
        fresh = path.with_suffix(".new")
        with fresh.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        self.sync_folder(path.parent)

    def sync_folder(self, folder: Path) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
