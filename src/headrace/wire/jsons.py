"""JSON in: bytes to typed records, or a refusal that names the field. Encoding is msgspec's own."""

import re
from functools import lru_cache
from typing import Any

import msgspec

from headrace.core.refusals import Kind, Refusal, invalid
from headrace.kit.json_text import repair
from headrace.wire import complaints

MAX_DEPTH = 100
MALFORMED = "Invalid JSON body"

# A text that nobody closed runs to the end, and nothing is tried twice: the time is that of one look at each byte.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|(?P<open>[\[{])|(?P<close>[\]}])', re.DOTALL)


def decode(body: bytes, kind: Any) -> Any:
    """Return `body` as `kind`. Null counts as absent; raises the refusals `malformed` and `invalid`."""
    if too_deep(body):
        raise too_deeply_nested()
    try:
        return _decoder(kind).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # What is wrong with a field is found before the rest is read, and that may be no JSON at all.
        whole = next((text for text in (body, repair(body)) if _is_json(text)), None)
    if whole is None:
        raise malformed()
    try:
        return _decoder(kind).decode(whole)
    except msgspec.ValidationError as error:
        return _mended(whole, kind, error)


def plain(body: bytes, kind: Any) -> Any:
    """Return `body` as `kind` where there is nothing to mend and nothing to refuse, else None."""
    if too_deep(body):
        return None
    try:
        return _decoder(kind).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def malformed() -> Refusal:
    return Refusal(Kind.MALFORMED, MALFORMED, field="body", rule="must be JSON", type="value")


def too_deeply_nested() -> Refusal:
    return invalid("body", f"must not be nested deeper than {MAX_DEPTH}")


def too_deep(body: bytes, limit: int = MAX_DEPTH) -> bool:
    """Tell whether arrays and objects nest deeper than `limit`; what stands inside texts does not count."""
    if body.count(b"[") + body.count(b"{") <= limit:
        return False
    depth = 0
    for token in _TOKENS.finditer(body):
        if token.lastgroup == "open":
            depth += 1
            if depth > limit:
                return True
        elif token.lastgroup == "close":
            depth -= 1
    return False


def pruned(body: bytes, limit: int = 2 * MAX_DEPTH) -> bytes:
    """Return `body` with 0 for whatever nests deeper than `limit`: still too deep for the rule, not for the decoder."""
    pieces: list[bytes] = []
    depth = start = 0
    for token in _TOKENS.finditer(body):
        if token.lastgroup == "open":
            depth += 1
            if depth == limit + 1:
                pieces += (body[start : token.start()], b"0")
        elif token.lastgroup == "close":
            if depth == limit + 1:
                start = token.end()
            depth -= 1
    return b"".join(pieces) + body[start:] if depth <= limit else b"".join(pieces)


@lru_cache(maxsize=1024)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _is_json(text: bytes) -> bool:
    try:
        _decoder(Any).decode(text)
    except msgspec.ValidationError:
        return True
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _mended(body: bytes, kind: Any, error: msgspec.ValidationError) -> Any:
    """Decode once more with the nulls gone that `kind` does not take, or raise what is wrong."""
    if "got `null`" not in str(error):
        raise complaints.refusal(str(error), kind) from None
    tree = msgspec.json.decode(body)
    for _ in range(tree_size(tree)):
        try:
            return msgspec.convert(tree, kind)
        except msgspec.ValidationError as again:
            error = again
        if "got `null`" not in str(error) or not _drop(tree, complaints.steps(str(error))):
            break
    raise complaints.refusal(str(error), kind) from None


def tree_size(tree: Any) -> int:
    """Return the number of members on the levels that a field's path may reach, plus one: a bound for repairs."""
    if not isinstance(tree, dict):
        return 1
    return 2 + sum(1 + (len(value) if isinstance(value, (list, dict)) else 0) for value in tree.values())


def _drop(tree: Any, path: tuple[str | int, ...]) -> bool:
    """Delete the member at `path`; False when it cannot be named or is no object's member."""
    for step in path[:-1]:
        try:
            tree = tree[step]
        except (LookupError, TypeError):
            return False
    if not path or not isinstance(tree, dict) or path[-1] not in tree:
        return False
    del tree[path[-1]]
    return True
