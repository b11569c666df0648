"""JSON text that programs write and no decoder takes: what can be mended without changing what it says."""

import re

_BOM = b"\xef\xbb\xbf"
_LONE = b"\\ufffd"
# Skips every escape that is not \u, keeps a high surrogate with its low one, and catches any surrogate left alone.
_ESCAPES = re.compile(rb"\\[^u]|(?P<pair>\\u[dD][89abAB]..\\u[dD][c-fC-F]..)|(?P<lone>\\u[dD][89a-fA-F]..)")


def repair(text: bytes) -> bytes:
    """Return `text` without a byte order mark and with U+FFFD for every surrogate that stands alone."""
    return _ESCAPES.sub(lambda hit: _LONE if hit["lone"] else hit[0], text.removeprefix(_BOM))
