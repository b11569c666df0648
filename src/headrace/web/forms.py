"""What pages are sent: the fields of a form and of an address. What a field may hold, core says."""

from collections.abc import Iterable, Mapping
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode

from headrace.core.refusals import Kind, Refusal, invalid
from headrace.wire.call import Call

Option = TypeVar("Option", bound=str)

MOST_FIELDS = 50
HOME = "/ui/projects"
# What somebody can mend, or be told, where they are.
SAID = (Kind.INVALID, Kind.CONFLICT, Kind.FORBIDDEN)


def said(refusal: Refusal, *kinds: Kind) -> Refusal:
    """Return what is said on the page that a form was sent from: SAID, and `kinds`. The rest gets a page of its own."""
    if refusal.kind not in {*SAID, *kinds}:
        raise refusal
    return refusal


def fields(call: Call) -> dict[str, str]:
    """Return the fields of the form that was sent; of two with one name the last."""
    try:
        return dict(parse_qsl(call.body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"))
    except ValueError:
        raise invalid("form", "must be a form in UTF-8", text="This form could not be read") from None


def values(call: Call, name: str) -> list[str]:
    """Return every field of this name of the form that was sent."""
    pairs = parse_qsl(call.body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    return [value for given, value in pairs if given == name]


def of_address(target: str) -> dict[str, str]:
    """Return the parameters of an address of ours."""
    try:
        return dict(parse_qsl(target.partition("?")[2], max_num_fields=MOST_FIELDS))
    except ValueError:
        raise unreadable() from None


def query(call: Call) -> dict[str, str]:
    """Return the parameters of the address; of two with one name the last."""
    text = call.scope["query_string"].decode("latin-1")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="replace")
    except ValueError:
        raise unreadable() from None
    return {name: value.replace("\0", "") for name, value in pairs}


def unreadable() -> Refusal:
    return invalid("query", "is too long", text="This address could not be read")


def address(path: str, **parameters: str | None) -> str:
    """Build an address; what is None or empty is left out."""
    kept = {name.rstrip("_"): value for name, value in parameters.items() if value}
    return f"{path}?{urlencode(kept)}" if kept else path


def own(target: str) -> str:
    """Return where to go on after a form: the page asked for when it is one of ours, else the first."""
    local = target.startswith("/ui/") and "\\" not in target and "//" not in target.partition("?")[0]
    return target if local and target.isprintable() and target.isascii() else HOME


def choice(given: Mapping[str, str], name: str, options: Iterable[Option]) -> Option:
    """Return a field when it is one of the options, else the first of them."""
    known = list(options)
    return next((one for one in known if one == given.get(name)), known[0])


def steps(path: str, offset: int, size: int, *, more: bool, **kept: str | None) -> tuple[str, str]:
    """Return the addresses of the next page of a list and of the one before; empty where there is none."""
    before = max(0, offset - size)
    following = address(path, offset=str(offset + size), **kept) if more else ""
    return following, address(path, offset=str(before) if before else None, **kept) if offset else ""


def number(text: str, most: int = 1_000_000) -> int:
    """Read a count of an address; what is none is 0."""
    good = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    return min(int(text), most) if good else 0
