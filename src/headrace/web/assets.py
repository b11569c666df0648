"""Local assets: own styles and scripts, and the libraries that `make setup` fetched. Each is named by what is in it."""

import gzip
import logging
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import brotli  # type: ignore[import-untyped]  # It ships no types.

from headrace.web.packing import accepted
from headrace.wire.call import Answer, Call
from headrace.wire.door import HotRoute, Terms

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
PREFIX = "/ui/static/"
MEDIA = {
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
}
LIBRARIES = ("vendor/htmx.js", "vendor/uplot.js", "vendor/uplot.css")
COMPRESSION = 9


class Asset(NamedTuple):
    url: str
    media: bytes
    content: bytes
    packed: dict[str, bytes]


@cache
def assets() -> dict[str, Asset]:
    """Read every asset once; by its path below `static/`."""
    found = {}
    for path in sorted(STATIC.rglob("*")):
        media = MEDIA.get(path.suffix)
        if media is not None:
            content = path.read_bytes()
            url = f"{PREFIX}{path.stem}.{sha256(content).hexdigest()[:16]}{path.suffix}"
            packed = {
                "br": brotli.compress(content, quality=COMPRESSION),
                "gzip": gzip.compress(content, COMPRESSION, mtime=0),
            }
            found[str(path.relative_to(STATIC))] = Asset(url, media, content, packed)
    missing = [name for name in LIBRARIES if name not in found]
    if missing:
        log.warning("pages work without %s, but plainly: `make setup` fetches it", ", ".join(missing))
    return found


def url(name: str) -> str:
    """Return where an asset is; empty for a library that was not fetched."""
    found = assets().get(name)
    return found.url if found else ""


def routes() -> list[HotRoute]:
    return [_route(asset) for asset in assets().values()]


def _route(asset: Asset) -> HotRoute:
    async def serve(call: Call) -> Answer:
        call.family = "immutable"
        varying = (b"vary", b"Accept-Encoding")
        encoding = accepted(call)
        if encoding:
            packed = asset.packed[encoding]
            return Answer(200, packed, (varying, (b"content-encoding", encoding.encode())), asset.media)
        return Answer(200, asset.content, (varying,), asset.media)

    return HotRoute(method="GET", path=asset.url, run=serve, terms=Terms(limited=False), listed=False)
