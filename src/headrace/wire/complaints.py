"""A decoder's complaint (`Expected int, got str - at $.a[0].x`) in the house's words (`a[0].x: must be an integer`)."""

import re
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from msgspec import inspect

from headrace.core.refusals import Refusal, invalid

REQUIRED = "field required"

_WORDS = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "object": "an object",
    "array": "a list",
    "datetime": "an ISO 8601 time",
}
_AT = re.compile(r"^(?P<text>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+|\.\.\.)\]")
_MISSING = re.compile(r"^Object missing required field `(.*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"^Object contains unknown field `(.*)`$", re.DOTALL)
_EXPECTED = re.compile(r"^Expected `([^`]*)`, got `([^`]*)`$")

Path = tuple[str | int, ...]


def refusal(message: str, kind: Any, prefix: str = "") -> Refusal:
    """Turn one message of msgspec about a value of type `kind` into a refusal; `prefix` names the value itself."""
    text, path = _split(message)
    if hit := _MISSING.match(text):
        return invalid(_shown((*path, hit[1]), prefix), REQUIRED, type="missing")
    if hit := _UNKNOWN.match(text):
        return invalid(_shown((*path, hit[1]), prefix), "unknown field")
    field = _shown(path, prefix)
    if text.startswith("Invalid enum value"):
        return invalid(field, _constraint(_at(kind, path)) or "has an unknown value", type="enum")
    if hit := _EXPECTED.match(text):
        if hit[2] == "null":
            return invalid(field, REQUIRED, type="missing")
        return invalid(field, "must be " + _words(hit[1]), type="type")
    if text.endswith("out of range"):
        # Within an object whose fields are free, msgspec does not say which.
        return (
            invalid(prefix or "body", "holds a number out of range")
            if "..." in path
            else invalid(field, "is out of range")
        )
    return invalid(field, _constraint(_at(kind, path)) or "has a wrong value")


def steps(message: str) -> Path:
    return _split(message)[1]


def rule(kind: Any) -> str | None:
    """Say what a declared type allows: `must be 1-1000`, `must be one of a, b`; None where it says nothing."""
    if get_origin(kind) in {Union, UnionType}:
        plain = [one for one in get_args(kind) if one is not NoneType]
        return rule(plain[0]) if len(plain) == 1 else None
    if get_origin(kind) is list:
        return rule(get_args(kind)[0])
    if get_origin(kind) is Literal:
        # In the order they were written; the inspection sorts them.
        return "must be one of " + ", ".join(map(str, get_args(kind)))
    found = _plain(_info(kind))
    if isinstance(found, inspect.IntType) and found.ge is None and found.le is None:
        return "must be an integer"
    return _constraint(found)


def _split(message: str) -> tuple[str, Path]:
    hit = _AT.match(message)
    text, shown = (hit["text"], hit["path"] or "$") if hit else (message, "$")
    path: list[str | int] = []
    for step in _STEP.finditer(shown):
        if step["name"] is not None:
            path.append(step["name"])
        else:
            path.append(int(step["index"]) if step["index"] != "..." else "...")
    return text, tuple(path)


def _shown(path: Path, prefix: str) -> str:
    """Write a path the way callers do: `logs[0].x`; an unnamed key of a map is left out."""
    text = prefix
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step != "...":
            text += f".{step}" if text else step
    return text or "body"


def _words(expected: str) -> str:
    return " or ".join(_WORDS.get(name, name) for name in expected.split(" | ") if name != "null")


@lru_cache(maxsize=1024)
def _info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _at(kind: Any, path: Path) -> inspect.Type | None:
    """Return the declared type at `path`, or None where it cannot be told."""
    found: inspect.Type | None = _plain(_info(kind))
    for step in path:
        found = _plain(_inner(found, step))
    return found


def _plain(found: inspect.Type | None) -> inspect.Type | None:
    """Look through annotations and `| None`."""
    if isinstance(found, inspect.Metadata):
        return _plain(found.type)
    if isinstance(found, inspect.UnionType):
        left = [one for one in found.types if not isinstance(one, inspect.NoneType)]
        return _plain(left[0]) if len(left) == 1 else None
    return found


def _inner(found: inspect.Type | None, step: str | int) -> inspect.Type | None:
    if isinstance(found, inspect.StructType):
        return next((field.type for field in found.fields if field.encode_name == step), None)
    if isinstance(found, inspect.DictType):
        return found.value_type
    if isinstance(found, inspect.ListType | inspect.SetType | inspect.FrozenSetType | inspect.VarTupleType):
        return found.item_type
    return None


def _constraint(found: inspect.Type | None) -> str | None:
    """Say what the declared type allows: `must be 1-255 characters`, `must be one of a, b`."""
    if isinstance(found, inspect.LiteralType):
        return "must be one of " + ", ".join(str(value) for value in found.values)
    if isinstance(found, inspect.EnumType):
        return "must be one of " + ", ".join(str(member.value) for member in found.cls)
    if isinstance(found, inspect.StrType):
        return _range(found.min_length, found.max_length, " characters") or "has a wrong format"
    if isinstance(found, inspect.IntType | inspect.FloatType):
        if isinstance(found, inspect.IntType) and found.ge == 1 and (found.le is None or found.le >= 2**31):
            return "must be a positive integer"
        return _range(found.ge, found.le, "")
    if isinstance(found, inspect.ListType):
        return _range(found.min_length, found.max_length, " entries")
    return None


def _range(low: float | None, high: float | None, unit: str) -> str | None:
    if low is not None and high is not None:
        return f"must be {low}-{high}{unit}"
    if high is not None:
        return f"must be at most {high}{unit}"
    return None if low is None else f"must be at least {low}{unit}"
