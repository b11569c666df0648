"""The operator's source folders (`HEADRACE_SOURCE_FOLDERS`): which file an organization may read, and opening it."""

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

BOUND = re.compile(r"(?P<folder>.+)=(?P<slug>[a-z0-9-]+)", re.DOTALL)


class Folder(msgspec.Struct, frozen=True):
    """One folder, its links resolved; `slug` names the only organization that may read it, or is empty."""

    path: Path
    slug: str


def folders(setting: str) -> list[Folder]:
    """Read the setting: folders separated as in `PATH`, each perhaps bound by `=slug`."""
    found = []
    for part in setting.split(os.pathsep):
        bound = BOUND.fullmatch(part.strip())
        path = bound["folder"] if bound else part.strip()
        if path:
            found.append(Folder(Path(os.path.realpath(path)), bound["slug"] if bound else ""))
    return found


def find(given: str, among: Sequence[Folder], slug: str) -> Path | None:
    """Return the file that a path names for this organization: absolute, or relative to one of the folders.

    Links are resolved first. The deepest folder around it decides whose file it is. None for whatever may not be read
    and whatever is not there: the two are not to be told apart.
    """
    if not given or "\0" in given:
        return None
    for base in dict.fromkeys(one.path for one in among if one.slug in {"", slug}):
        try:
            path = Path(os.path.realpath(base / given))
            if _may(path, among, slug) and path.is_file():
                return path
        except (OSError, ValueError):
            continue  # A name that is too long, or a folder that cannot be entered.
    return None


def _may(path: Path, among: Sequence[Folder], slug: str) -> bool:
    around = [one for one in among if path.is_relative_to(one.path)]
    deepest = max(map(_depth, around), default=0)
    return any(one.slug in {"", slug} for one in around if _depth(one) == deepest)


def _depth(folder: Folder) -> int:
    return len(folder.path.parts)


def opened(path: Path) -> BinaryIO:
    """Open a regular file; raises OSError for a pipe, a device or a link that was put there meanwhile."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(f"{path.name} is no file")
    return os.fdopen(number, "rb")
